# SPDX-License-Identifier: Apache-2.0
"""Whether a chunk can be meant for this robot, and the first one for where the arm is."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vla_contract.robot import Robot
from vla_policies import TrainingSpan
from vla_policy_node.core.plausibility import (
    FITTING_SLACK,
    READINGS,
    Array,
    Reading,
    excess,
    orders,
    ranges,
)

# How far outside its range this share of a chunk may lie, and how far any row. A chunk is clipped
# to the range in any case.
CHUNK_SLACK, CHUNK_SHARE, ROW_SLACK = 1.0, 0.25, 5.0
# A first chunk that begins this far from the arm is doubted where it begins this near to it in
# another reading, and where at least two joints differ.
FAR_RAD, APART_RAD, NEAR_RAD = 0.5, 0.25, 0.1


class ChunkCheck:
    """Judges chunks against the robot's range, and the first one against where the arm is."""

    def __init__(
        self,
        joints: Sequence[str],
        robot: Robot,
        si: float = 1.0,
        span: TrainingSpan | None = None,
        remedy: str = "",
    ) -> None:
        """Begin.

        Args:
            joints: J columns.
            robot: Says what they can do.
            si: Radians in one unit of the numbers as their source has them.
            span: What they spanned in training; None where nothing is known of that.
            remedy: What helps somebody who knows better, empty where nothing does.
        """
        known = ranges(robot)
        self._joints = tuple(joints)
        self._limits = [known[joint] for joint in self._joints]
        self._grippers = [joint == robot.gripper.joint for joint in self._joints]
        self._span, self._si = span, si
        self._remedy = f", or {remedy}" if remedy else ""

    def far_out(self, positions: Array) -> str:
        """Say why a chunk cannot be of this robot, empty where it can.

        Args:
            positions: (T, J) rad, finite.
        """
        limits = np.array(self._limits)
        width = limits[:, 1] - limits[:, 0]
        beyond = np.maximum(limits[:, 0] - positions, positions - limits[:, 1]) / width
        many = (beyond > CHUNK_SLACK).mean(axis=0) >= CHUNK_SHARE
        out = np.flatnonzero(many | (beyond > ROW_SLACK).any(axis=0)).tolist()
        if not out:
            return ""
        worst = max(out, key=lambda index: beyond[:, index].max())
        value = positions[beyond[:, worst].argmax(), worst]
        native = self._native(positions)
        fitting = [
            reading.name
            for reading in READINGS
            if all(self._within(reading, native[:, index], index) for index in out)
        ]
        looks = f"; the numbers look like {' or '.join(fitting[:2])}" if fitting else ""
        return (
            f"the chunk leads {self._joints[worst]} to {value:.4g} rad; the robot's range is "
            f"{self._limits[worst][0]:.4g} to {self._limits[worst][1]:.4g} rad{looks}; correct "
            f"the units{self._remedy}"
        )

    def elsewhere(self, first: Array, here: Mapping[str, float]) -> str:
        """Say that a chunk begins at the arm only by another unit or order, empty where not.

        Args:
            first: (J,) rad, the row for when the observation was made.
            here: Where each joint was then, rad.
        """
        at = np.array([here[joint] for joint in self._joints])
        missed = self._distance(first, at)
        if not missed.max() > FAR_RAD or not np.count_nonzero(missed > APART_RAD) >= 2:
            return ""
        native = self._native(first)
        found: list[tuple[float, str]] = []
        for reading in READINGS:
            read = [
                float(reading.to_rad(value, limits, gripper))
                for value, limits, gripper in zip(
                    native, self._limits, self._grippers, strict=True
                )
            ]
            found.append((self._distance(np.array(read), at).max(), f"in {reading.name}"))
        for order in orders(len(first)):
            listed = ", ".join(self._joints[order.index(k)] for k in range(len(order)))
            near = self._distance(first[list(order)], at).max()
            found.append((near, f"with the columns [{listed}]"))
        nearest, said = min(found)
        if not nearest <= NEAR_RAD:
            return ""
        worst = int(missed.argmax())
        return (
            f"the first chunk begins {missed[worst]:.2f} rad from where {self._joints[worst]} is; "
            f"{said} it begins where the arm is; correct the units or the order{self._remedy}"
        )

    def _native(self, positions: Array) -> Array:
        """Return positions (..., J) in the units that the checkpoint speaks."""
        own = positions / self._si
        if self._span is None or len(self._span.factor) != len(self._joints):
            return np.asarray(own)
        return np.asarray((own - np.array(self._span.zero)) / np.array(self._span.factor))

    def _within(self, reading: Reading, values: Array, index: int) -> bool:
        rad = reading.to_rad(values, self._limits[index], self._grippers[index])
        return excess(float(rad.min()), float(rad.max()), self._limits[index]) <= FITTING_SLACK

    def _distance(self, one: Array, other: Array) -> Array:
        """Return how far apart poses are, rad, whole turns apart where a joint can turn so far."""
        apart = np.abs(one - other)
        turns = np.array([high - low >= 2.0 * math.pi for low, high in self._limits])
        wrapped = np.abs(np.remainder(apart + math.pi, 2.0 * math.pi) - math.pi)
        return np.asarray(np.where(turns, wrapped, apart))
