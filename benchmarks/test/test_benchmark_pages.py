# SPDX-License-Identifier: Apache-2.0
"""Results go where the page says, or nowhere."""

import jerk_estimators
import numpy as np
import pages
import pytest


def test_a_block_is_replaced_and_the_rest_of_the_page_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n<!-- begin a -->\nold\n<!-- end a -->\nend\n", encoding="utf-8")
    for content in ("new \\1", "newer"):
        pages.fill(page, {"a": content})
    text = page.read_text(encoding="utf-8")
    assert text == "# Title\n<!-- begin a -->\nnewer\n<!-- end a -->\nend\n"
    with pytest.raises(SystemExit, match="begin b"):
        pages.fill(page, {"b": ""})


def test_a_table_has_a_line_under_its_header():
    lines = pages.table(["a", "b"], [[1, "x"]]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| 1 | x |"]


def test_a_trip_takes_three_of_five_estimates():
    values = np.array([[0, 9, 9, 0, 0, 9, 0, 9, 9, 9, 0, 0, 0, 9.0]]).T
    assert np.flatnonzero(jerk_estimators.tripped(values, 5.0)).tolist() == [5, 8, 9]


def test_nominal_motion_keeps_the_limit_that_the_thresholds_assume():
    positions = jerk_estimators.nominal(0.05)
    assert np.abs(np.diff(positions, n=3, axis=0)).max() * 1e6 <= jerk_estimators.J * 1.001


def test_faults_begin_when_they_are_said_to():
    t = np.arange(-0.5, 0.5, 0.001)
    base = np.stack((0.5 * t, np.sin(t)), axis=1)
    for name, fault in jerk_estimators.FAULTS.items():
        changed = np.abs(fault(t, base) - base).max(axis=1) > 1e-9
        assert not changed[t <= 0.0].any(), name
        assert changed[t > 0.1].all() or name == "shake"
        assert changed.any()
