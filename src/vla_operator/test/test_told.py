# SPDX-License-Identifier: Apache-2.0
"""What pages are told: short, without NaN, and nothing old or unknown as if it were good."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from smooth_motion import Plan
from vla_operator.core import told
from vla_operator.core.curves import chunk_from, curves
from vla_operator.core.gauge import BIN_S, SPAN_S, JerkGauge
from vla_operator.core.picture import jpeg


def test_a_monitor_that_is_silent_or_says_something_unknown_is_not_shown_as_ready():
    assert told.monitor_words(1, True, 0.1)[0] == "READY"
    assert told.monitor_words(1, False, 0.1)[0] == "READY, NO PERMIT"
    assert told.monitor_words(1, True, 1.5)[0] == "NOT HEARD"
    assert told.monitor_words(1, True, math.nan)[0] == "NOT HEARD"
    assert told.monitor_words(1, True, None)[0] == "NOT HEARD"
    assert told.monitor_words(77, True, 0.1)[0] == "UNKNOWN"


def test_what_blocks_a_reset_is_said_in_every_state():
    assert told.blocks_reset("READY", []) == ["nothing is latched"]
    assert told.blocks_reset("NOT HEARD", ["x"]) == ["the monitor is not heard"]
    assert told.blocks_reset("STOPPING", []) == ["the arm is still being stopped"]
    assert told.blocks_reset("STOPPED", ["stale_joint_states"]) == ["stale_joint_states"]
    assert told.blocks_reset("FAULT", []) == []


def test_texts_of_others_are_cut_and_have_no_control_characters():
    assert told.text("a\x1b[31m\nb\u202e") == "a\ufffd[31m b\ufffd"
    assert len(told.text("x" * 10**6)) == told.MOST_LETTERS
    assert len(told.lines(str(n) for n in range(10**9))) == told.MOST_LINES + 1


def test_numbers_that_are_none_are_left_out():
    values = {"temperature, degrees C": "inf", "load": "nan", "current, A": "much"}
    servo = told.summary_of_servo("elbow", values, 77, "well")
    assert (servo["temperature_c"], servo["load"], servo["current_a"]) == (None, None, None)
    assert servo["level"] == 3
    json.dumps(servo, allow_nan=False)


def test_the_gauge_keeps_peaks_for_half_a_minute_and_gaps_where_nothing_was_heard():
    gauge = JerkGauge()
    gauge.add([50.0, -90.0], [10.0, 0.0], [100.0, 100.0], [200.0, 200.0], 10.0)
    gauge.add([0.0, 0.0], [math.nan, 0.0], [100.0, 100.0], [200.0, 200.0], 10.1)
    assert gauge.history(10.2)["command"] == [0.9]
    assert gauge.history(10.2)["measured"] == [0.05]
    later = gauge.history(10.2 + 4 * BIN_S)["command"]
    assert later == [0.9, None, None, None]
    gauge.add([math.nan, 0.0], [0.0], [100.0, 100.0], [200.0, 200.0], 13.0)
    assert gauge.history(13.0)["command"][-1] is None
    gauge.add([10.0], [0.0], [100.0], [100.0], 10.0 + 10 * SPAN_S)
    long_after = gauge.history(10.0 + 10 * SPAN_S)["command"]
    assert len(long_after) == round(SPAN_S / BIN_S)
    assert [share for share in long_after if share is not None] == [0.1]
    # A simulation that begins anew.
    gauge.add([20.0], [0.0], [100.0], [100.0], 1.0)
    assert gauge.history(1.0)["command"] == [0.2]


def test_a_jump_of_the_clock_by_years_takes_no_time():
    gauge = JerkGauge()
    gauge.add([1.0], [1.0], [100.0], [100.0], 0.0)
    assert len(gauge.history(1e12)["command"]) < 2 * SPAN_S / BIN_S


@pytest.mark.parametrize(
    ("shape", "dt"),
    [((0, 2), 0.1), ((2, 3), 0.1), ((10**6, 2), 0.1), ((2, 2), math.nan), ((2, 2), 0.0)],
)
def test_a_chunk_whose_numbers_do_not_fit_together_is_not_drawn(shape, dt):
    assert chunk_from(("a", "b"), 0, dt, shape, [0.0] * 4) is None


def test_curves_are_few_points_and_what_is_not_finite_is_a_gap():
    plan = Plan.hold(("a", "b"), np.array([0.5, 0.25]), 0)
    chunk = chunk_from(("b", "a"), 0, 0.001, (5000, 2), [math.nan, 1.0] * 5000)
    found = curves(("a", "b"), plan, chunk, [(0, (0.5, 0.25))], 10**9)
    assert set(found["plan"]["p"][0]) == {0.5}
    assert found["chunk"]["p"][0][0] == 1.0
    assert found["chunk"]["p"][1][0] is None
    assert len(found["chunk"]["t"]) <= 80
    assert found["measured"]["t"] == [-1.0]
    json.dumps(found, allow_nan=False)
    assert curves(("c",), plan, chunk, [], 10**9)["plan"] is None


def test_a_picture_is_made_small_and_one_that_cannot_be_is_left_out():
    noise = np.random.default_rng(0).integers(0, 255, (960, 1280, 3), np.uint8)
    made = jpeg(noise, 640, 900_000)
    assert made is not None
    assert made.startswith(b"\xff\xd8")
    coarse = jpeg(noise, 640, len(made) - 1)
    assert coarse is not None
    assert len(coarse) < len(made)
    assert jpeg(noise, 640, 1000) is None
