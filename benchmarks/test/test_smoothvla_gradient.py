# SPDX-License-Identifier: Apache-2.0
"""What two halves of rollouts agree on is told from chance."""

import math

import numpy as np
import pytest
import smoothvla_gradient


def test_halves_agree_where_there_is_more_signal_than_noise():
    random = np.random.default_rng(0)
    noise = random.standard_normal((20, 5000)).astype(np.float32)
    assert smoothvla_gradient.halves([np.ones(9, np.float32)] * 6) == pytest.approx(1.0)
    assert smoothvla_gradient.halves(list(noise)) == pytest.approx(0.0, abs=0.1)
    assert math.isnan(smoothvla_gradient.halves([np.zeros(9, np.float32)] * 4))


def test_how_many_it_takes_is_found_from_fewer():
    random = np.random.default_rng(1)
    direction = np.full(20_000, 0.15, np.float32)
    rows = direction + random.standard_normal((24, 20_000)).astype(np.float32)
    cosine = smoothvla_gradient.halves(list(rows))
    # Each has the signal 0.15^2: halves of 1 / 0.0225 = 44 have a cosine of 0.5.
    assert smoothvla_gradient.needed(cosine, 24) == pytest.approx(2 / 0.0225, rel=0.15)
    assert math.isnan(smoothvla_gradient.needed(-0.1, 24))
    assert math.isnan(smoothvla_gradient.needed(math.nan, 24))
