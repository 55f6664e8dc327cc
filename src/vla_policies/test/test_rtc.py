# SPDX-License-Identifier: Apache-2.0
"""Real-time chunking: what is settled stays, what lies beyond is free."""

import numpy as np
import pytest

from vla_policies import PolicyError
from vla_policies.rtc import (
    Committed,
    check_committed,
    guidance,
    make_guidance,
    row_weights,
)
from vla_policies.smolvla.flow import integrate, times


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


@pytest.mark.parametrize("steps", [1, 2, 4, 10, 25])
def test_the_guidance_never_overshoots(steps):
    assert all(0.0 < guidance(float(t), steps) / steps <= 1.0 for t in times(steps))


def _field(x, step):
    """A velocity that depends on x, on its neighbours and on time."""
    return np.tanh(x + np.roll(x, 1, axis=0)) * (step + 1) / 3


@pytest.mark.parametrize("steps", [1, 4, 10, 20])
@pytest.mark.parametrize("delay", [1, 4, 12])
def test_rows_that_are_settled_match_the_old_chunk(steps, delay):
    random = np.random.default_rng(0)
    noise = random.standard_normal((20, 8)).astype(np.float32)
    old = random.standard_normal((15, 6)).astype(np.float32)
    guide = make_guidance(old, delay, 10, shape=(20, 8), steps=steps)
    chunk = integrate(_field, noise, steps, guide)
    np.testing.assert_allclose(chunk[:delay, :6], old[:delay], atol=2e-5)


def test_rows_and_columns_without_an_old_value_are_not_pulled_to_zero():
    random = np.random.default_rng(0)
    noise = random.standard_normal((20, 8)).astype(np.float32)
    old = random.standard_normal((5, 6)).astype(np.float32)

    def independent(x, step):
        return np.tanh(x) + 0.5

    free = integrate(independent, noise, 10)
    guided = integrate(independent, noise, 10, make_guidance(old, 5, 30, shape=(20, 8), steps=10))
    np.testing.assert_array_equal(guided[5:], free[5:])
    np.testing.assert_array_equal(guided[:, 6:], free[:, 6:])
    assert np.abs(guided[:5, :6] - free[:5, :6]).max() > 0.1


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
