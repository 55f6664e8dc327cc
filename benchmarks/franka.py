# SPDX-License-Identifier: Apache-2.0
"""Franka's arms as their manufacturer describes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smooth_motion import Limits
from strict_yaml import read_yaml

ROBOTS = Path(__file__).resolve().parents[1] / "config" / "robots"


def _limits(prefix: str, low: list, high: list, v: list, a: list, j: list) -> Limits:
    return Limits(tuple(f"{prefix}_joint{i}" for i in range(1, 8)), low, high, v, a, j)


def _published(robot: str) -> Limits:
    read = read_yaml(ROBOTS / robot / "fci_limits.yaml")
    keys = ("position_lower", "position_upper", "velocity", "acceleration", "jerk")
    return _limits(robot, *(read[key] for key in keys))


FER = _published("panda")
# As published for system images before 5.9, of one velocity over the whole range: what the results
# of this folder were made with. Those of today are in config/robots/fr3/fci_limits.yaml.
FR3 = _limits(
    "fr3",
    [-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159],
    [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159],
    [2.62] * 4 + [5.26, 4.18, 5.26],
    [10.0] * 7,
    [5000.0] * 7,
)
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
