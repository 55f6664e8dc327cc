# SPDX-License-Identifier: Apache-2.0
"""Franka's arms as their manufacturer describes them."""

from __future__ import annotations

import numpy as np

from smooth_motion import Limits


def _limits(prefix: str, low: list, high: list, v: list, a: list, j: list) -> Limits:
    return Limits(tuple(f"{prefix}_joint{i}" for i in range(1, 8)), low, high, v, a, j)


FER = _limits(
    "panda",
    [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973],
    [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973],
    [2.175] * 4 + [2.61] * 3,
    [15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0],
    [7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0],
)
FR3 = _limits(
    "fr3",
    [-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159],
    [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159],
    [2.62] * 4 + [5.26, 4.18, 5.26],
    [10.0] * 7,
    [5000.0] * 7,
)
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
