# SPDX-License-Identifier: Apache-2.0
"""The flow that real-time chunking guides."""

import numpy as np
import pytest

from smolvla.flow import integrate, times
from vla_policies.rtc import guidance, make_guidance


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
