# SPDX-License-Identifier: Apache-2.0
"""The step of an encoder, as seen in what it says."""

from __future__ import annotations

import numpy as np

from vla_recording.report.series import FloatArray

# Fewer different values than this show no grid.
_FEWEST = 8
# Values of a grid lie within this share of a step from it.
_OFF_GRID = 0.05
# A coarser step is no encoder's.
_COARSEST = 2.0 * np.pi / 200.0
# Steps of an encoder alternate from sample to sample; those of an even command do not.
_ALTERNATING = 0.2
# Of the values, so many must lie there.
_MOST = 0.99
# Steps below this, rad, are rounding of numbers, not of an encoder.
_FINEST = 2e-6


def on_grid(positions: FloatArray, step: float) -> bool:
    """Return whether the positions (N,) of a joint lie on a grid of this step."""
    values = np.unique(positions[np.isfinite(positions)])
    if values.size < 2:
        return values.size == 1
    return _share_on_grid(values - values[0], step) >= _MOST


def quantum(positions: FloatArray) -> float | None:
    """Return the step of the grid that all positions lie on, or None where there is none.

    Args:
        positions: (N,) of one joint; NaN is passed over.
    """
    values = np.unique(positions[np.isfinite(positions)])
    if values.size < _FEWEST:
        return None
    values = values - values[0]
    # Values that differ by rounding alone are one.
    steps = np.diff(values)
    steps = steps[steps > 1e-9]
    if steps.size < _FEWEST - 1:
        return None
    step = float(steps.min())
    if step < _FINEST:
        return None
    for _ in range(4):
        # Each pass extends the fit to where the error of the step before adds up to half a step.
        counts = np.round(values / step)
        near = np.abs(values - counts * step) < 0.25 * step
        step = float(values[near] @ counts[near] / (counts[near] @ counts[near]))
    if not (step <= _COARSEST and _share_on_grid(values, step) >= _MOST):
        return None
    counts = np.round(np.diff(positions[np.isfinite(positions)]) / step)
    moving, changes = int((counts != 0).sum()), int((np.diff(counts) != 0).sum())
    return step if changes >= _ALTERNATING * moving else None


def _share_on_grid(values: FloatArray, step: float) -> float:
    off = np.abs(values - np.round(values / step) * step)
    return float((off < _OFF_GRID * step).mean())
