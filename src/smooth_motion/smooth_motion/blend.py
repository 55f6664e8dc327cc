# SPDX-License-Identifier: Apache-2.0
"""A chunk that is late is begun where the arm is led, and what it differs by is left gradually."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A new chunk is blended in over this many delays of an answer, at least over this time. Measured:
# docs/measurements/chunk_blending.md.
BLEND_DELAYS, LEAST_BLEND_NS = 1.5, 500_000_000


def blend_ns(delay_ns: int) -> int:
    """Return over how long a chunk is blended in, ns.

    Args:
        delay_ns: From an observation to the moment from which the arm follows its chunk.
    """
    return max(round(BLEND_DELAYS * delay_ns), LEAST_BLEND_NS)


def blended(
    positions: NDArray[np.float64],
    times_ns: NDArray[np.int64],
    splice_ns: int,
    at: NDArray[np.float64],
    over_ns: int,
) -> NDArray[np.float64]:
    """Return a chunk that begins where the arm is led and leaves the difference gradually.

    A policy that begins its chunks where it saw the arm is behind by what the arm moved while the
    policy was at work. Without this, each chunk takes the arm back by that.

    Args:
        positions: (T, J) rad.
        times_ns: (T,) of the rows.
        splice_ns: From when on the chunk is followed.
        at: (J,) where the arm is led then, rad.
        over_ns: How long the difference lasts; it falls linearly.
    """
    there = np.array([np.interp(splice_ns, times_ns, column) for column in positions.T])
    left = 1.0 - np.clip((times_ns - splice_ns) / over_ns, 0.0, 1.0)
    return np.asarray(positions + left[:, None] * (at - there))
