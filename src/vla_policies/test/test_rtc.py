# SPDX-License-Identifier: Apache-2.0
"""Real-time chunking: what is settled stays, what lies beyond is free."""

import numpy as np
import pytest

from vla_policies import PolicyError
from vla_policies.rtc import Committed, check_committed, guidance, row_weights


def test_settled_rows_weigh_one_and_the_weight_then_falls_to_zero_at_the_horizon():
    weights = row_weights(delay=3, horizon=7, rows=10)
    np.testing.assert_allclose(weights, [1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0], atol=1e-7)


def test_a_delay_beyond_the_horizon_still_settles_every_row_of_it():
    np.testing.assert_array_equal(row_weights(delay=5, horizon=2, rows=8), [1] * 5 + [0] * 3)


def test_weights_never_reach_past_the_rows_there_are():
    np.testing.assert_array_equal(row_weights(delay=9, horizon=20, rows=4), [1] * 4)


@pytest.mark.parametrize(("t", "wanted"), [(0.5, 2.0), (0.3, 2.7619048), (1.0, 10.0)])
def test_the_guidance_is_that_of_the_paper_between_the_ends(t, wanted):
    # ((1 - tau) / tau) ((1 - tau)^2 + tau^2) / (1 - tau)^2 with tau = 1 - t, beta 10
    assert guidance(t, steps=10) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("committed", "says"),
    [
        (Committed(np.zeros((3, 5)), 1), r"\(R, 6\)"),
        (Committed(np.zeros((0, 6)), 0), r"\(R, 6\)"),
        (Committed(np.full((3, 6), np.nan), 1), "not finite"),
        (Committed(np.zeros((3, 6)), 4), "delay is 4"),
        (Committed(np.zeros((3, 6)), -1), "delay is -1"),
        (Committed(np.zeros((3, 6)), 1, horizon=-1), "horizon"),
    ],
)
def test_what_is_committed_is_refused_when_it_cannot_be_used(committed, says):
    with pytest.raises(PolicyError, match=says):
        check_committed(committed, columns=6)
