# SPDX-License-Identifier: Apache-2.0
"""The checkpoint's own units of each joint, declared, since no checkpoint says them.

LeRobot's SO-101 speaks degrees from the middle of each joint's calibrated range, or -100 to 100 of
that range, and 0 to 100 for the gripper. Everything outside the policy is in rad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vla_policies.protocol import NATIVE, Array, Options, TrainingSpan
from vla_policies.training import StillJoints, training_span

RAD = "rad"


@dataclass(frozen=True, eq=False)
class JointUnits:
    """To and from the checkpoint's units, which are linear in rad.

    Attributes:
        names: J joints.
        factor: (J,), rad in one unit.
        zero: (J,), rad at the unit's zero.
        key: The option in which they are declared.
        unit: Outside the checkpoint: ``rad``, or `NATIVE` where nothing is converted.
    """

    names: tuple[str, ...]
    factor: Array
    zero: Array
    key: str = "joints"
    unit: str = RAD

    def to_rad(self, values: Array) -> Array:
        """Return values (..., J) of the checkpoint in rad."""
        return np.asarray(values * self.factor + self.zero)

    def from_rad(self, values: Array) -> Array:
        """Return rad (..., J) in the checkpoint's units."""
        return np.asarray((values - self.zero) / self.factor)

    def span(self, statistics: Mapping[str, Any]) -> TrainingSpan | None:
        """Return what the training data spanned by statistics in the checkpoint's units."""
        return training_span(statistics, self.factor, self.zero, f"policy.options.{self.key}")

    def still(self, statistics: Mapping[str, Any], mode: str) -> StillJoints | None:
        """Return which joints stood still in training; see `StillJoints.of`. None for `NATIVE`."""
        return None if self.unit == NATIVE else StillJoints.of(statistics, mode, self.factor)

    def notes(self, feature: str, still: StillJoints | None) -> tuple[str, ...]:
        """Say which joints of a feature stood still, one line or none."""
        return () if still is None else still.notes(feature, self.names, self.factor)


def read_units(options: Options, key: str, size: int) -> JointUnits:
    """Read the joints of a feature, in its order, with their units.

    A joint is ``rad``, ``deg``, or two points of a straight line, for example a gripper's
    ``{native: [0, 100], rad: [-0.17, 1.75]}``. For a policy of a benchmark, which has numbers of
    its own, every one is ``native``.

    Args:
        options: Of the policy.
        key: The option.
        size: Elements of the feature.

    Raises:
        PolicyError: The number of joints is another, or a joint says something else.
    """
    section = options.section(key)
    if len(section.values) != size:
        raise options.error(
            key, f"names {len(section.values)} joints, the checkpoint has {size}; name each one"
        )
    if NATIVE in section.values.values():
        other = [name for name, value in section.values.items() if value != NATIVE]
        if other:
            raise section.error(other[0], f"is not {NATIVE} as others are; write it for each")
        ones = np.ones(size)
        return JointUnits(tuple(section.values), ones, 0.0 * ones, key, NATIVE)
    factors, zeros = [], []
    for name in section.values:
        value = section.take(name)
        if value in ("rad", "deg"):
            factors.append(1.0 if value == "rad" else math.pi / 180.0)
            zeros.append(0.0)
            continue
        if not isinstance(value, dict):
            raise section.error(
                name, f"is {value!r}; write rad, deg, or {{native: [A, B], rad: [A, B]}}"
            )
        line = section.section(name)
        native, rad = line.vector("native", 2), line.vector("rad", 2)
        line.end()
        if native[0] == native[1] or rad[0] == rad[1]:
            raise section.error(name, "has two equal points; write two that differ")
        factor = (rad[1] - rad[0]) / (native[1] - native[0])
        factors.append(float(factor))
        zeros.append(float(rad[0] - native[0] * factor))
    return JointUnits(tuple(section.values), np.array(factors), np.array(zeros), key)
