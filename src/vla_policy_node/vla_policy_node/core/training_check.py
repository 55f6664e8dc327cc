# SPDX-License-Identifier: Apache-2.0
"""What a policy's training data spanned, held against the robot and the units declared."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vla_contract.contract import REFUSE, Contract, ContractError
from vla_contract.robot import Robot
from vla_contract.units import UNITS
from vla_policies import PolicySpec, TrainingSpan
from vla_policy_node.core.plausibility import (
    FITTING_SLACK,
    NORMALISED,
    PERCENT,
    RAD,
    READINGS,
    REMEDY,
    Array,
    Range,
    Reading,
    excess,
    orders,
    ranges,
)

# How far outside its range a joint's training data may lie, in widths of the range: calibrations
# differ, and files of limits are narrower than arms.
TRAINING_SLACK = 0.25
# Beyond this the unit of a joint is wrong, not its zero or its place.
UNIT_SLACK = 5.0
# Percent use their range: numbers that all lie this close to zero are none.
FEW_PERCENT = 10.0
# LeRobot's percent end here exactly; a joint whose own limit is about there says nothing.
FULL, FULL_TOLERANCE, NEAR_FULL_DEG = 100.0, 0.01, 2.0
# Of joints that are said to be in degrees and that all lie this close to zero, it is doubted.
FEW_DEG = math.degrees(0.12)


def check_training(contract: Contract, spec: PolicySpec, robot: Robot) -> tuple[str, ...]:
    """Judge what the training data spanned against the robot.

    Returns:
        What is doubtful where the contract says that the user knows better, a line each.

    Raises:
        ContractError: The units or the order of joints cannot be right.
    """
    found: list[tuple[str, str]] = []
    spans = {feature.name: feature.span for feature in spec.observation}
    action = _Columns.of(spec.span, contract.action_joints, robot, contract.action_unit.si)
    if action is not None:
        found += action.problems("action.units")
    for source in contract.states:
        state = _Columns.of(spans.get(source.feature), source.joints, robot, source.unit.si)
        if state is None or source.field != "position":
            continue
        if action is not None:
            found += _order(source.feature, state, action)
        found += state.problems(f"observation.{source.feature}.units")
    if found and contract.unit_check == REFUSE:
        key, problem = found[0]
        raise ContractError(f"{contract.path}: {key}: {problem}; {REMEDY}")
    return tuple(f"{key}: {problem}" for key, problem in found)


@dataclass(frozen=True)
class _Columns:
    """What the training data of some joints spanned, and what the robot can do.

    Attributes:
        joints: N of the robot.
        limits: N ranges, rad.
        span: In the checkpoint's units.
        factor: (N,), rad in one of these.
        zero: (N,), rad at their zero.
        gripper: The robot's gripper.
    """

    joints: tuple[str, ...]
    limits: tuple[Range, ...]
    span: TrainingSpan
    factor: Array
    zero: Array
    gripper: str

    @classmethod
    def of(
        cls, span: TrainingSpan | None, joints: Sequence[str], robot: Robot, si: float
    ) -> "_Columns | None":
        known = ranges(robot)
        if span is None or len(span.low) != len(joints):
            return None
        limits = tuple(known[joint] for joint in joints)
        factor, zero = np.array(span.factor) * si, np.array(span.zero) * si
        return cls(tuple(joints), limits, span, factor, zero, robot.gripper.joint)

    def problems(self, key: str) -> Iterator[tuple[str, str]]:
        """Yield where units are declared, and what contradicts them."""
        # A policy that converts by itself is told its units among its options.
        key = self.span.declared_in or key
        problem = self._normalised() or self._percent() or self._outside() or self._too_small()
        if problem:
            yield key, problem

    def rad(self, values: Sequence[float]) -> Array:
        return np.asarray(np.array(values) * self.factor + self.zero)

    @property
    def _plain(self) -> str:
        """The unit that is declared for all joints, empty where it is another for each."""
        if self.zero.any():
            return ""
        for unit in UNITS.values():
            if np.allclose(self.factor, unit.si, rtol=1e-6):
                return unit.name
        return ""

    def _outside(self) -> str:
        low, high = self.rad(self.span.low), self.rad(self.span.high)
        low, high = np.minimum(low, high), np.maximum(low, high)
        by = [excess(a, b, r) for a, b, r in zip(low, high, self.limits, strict=True)]
        out = [index for index, value in enumerate(by) if not value <= TRAINING_SLACK]
        if not out:
            return ""
        worst = max(out, key=lambda index: by[index])
        limit = self.limits[worst]
        return (
            f"{self.joints[worst]} was mostly between {low[worst]:.4g} and {high[worst]:.4g} rad "
            f"in training, by the units that are declared here; the robot's range is "
            f"{limit[0]:.4g} to {limit[1]:.4g} rad; {self._guess(out, low, high, by[worst])}"
        )

    def _guess(self, out: Sequence[int], low: Array, high: Array, worst: float) -> str:
        names = ", ".join(self.joints[index] for index in out)
        # Another unit shows in all joints, or in one by far.
        judged = out if worst > UNIT_SLACK else range(len(self.joints))
        fitting = [
            reading.name
            for reading in READINGS
            if all(self._fits(reading, index) for index in judged)
        ]
        size = max(max(abs(self.span.low[i]), abs(self.span.high[i])) for i in out)
        if PERCENT in fitting and size < FEW_PERCENT:
            fitting.remove(PERCENT)
        if PERCENT in fitting and any(self._full(index) for index in out):
            fitting.remove(PERCENT)
            fitting.insert(0, PERCENT)
        if fitting:
            return f"the numbers of {names} look like {' or '.join(fitting[:2])}"
        zero = (
            "or the zero is another; where it is, declare two points, "
            "{native: [A, B], rad: [A, B]}"
        )
        for order in orders(len(self.joints)):
            if all(
                excess(low[index], high[index], self.limits[at]) <= FITTING_SLACK
                for at, index in enumerate(order)
            ):
                listed = ", ".join(self.joints[order.index(at)] for at in range(len(order)))
                return f"they would fit in the order [{listed}], {zero}"
        return f"no unit fits {names}: it is another robot, {zero}"

    def _fits(self, reading: Reading, index: int) -> bool:
        limits, span = self.limits[index], self.span
        values = np.array([span.low[index], span.high[index]])
        low, high = reading.to_rad(values, limits, self.joints[index] == self.gripper)
        return excess(float(low), float(high), limits) <= FITTING_SLACK

    def _full(self, index: int) -> bool:
        """Whether a joint's data end at exactly 100, where the joint does not, in degrees."""
        ends = zip(
            (self.span.least[index], self.span.most[index]), self.limits[index], strict=True
        )
        return any(
            abs(abs(value) - FULL) <= FULL_TOLERANCE
            and abs(abs(math.degrees(limit)) - FULL) > NEAR_FULL_DEG
            for value, limit in ends
        )

    def _normalised(self) -> str:
        if len(self.joints) < 2 or not self._plain:
            return ""
        if all(abs(abs(end) - 1.0) < 0.1 for limit in self.limits for end in limit):
            return ""
        span = self.span
        for low, high in ((span.least, span.most), (span.low, span.high)):
            if np.allclose(low, -1.0, atol=0.02) and np.allclose(high, 1.0, atol=0.02):
                return (
                    f"every joint was between -1 and 1 in training: that looks like {NORMALISED}, "
                    f"not {self._plain}; give the statistics of the data before that"
                )
        return ""

    def _percent(self) -> str:
        if self._plain != "deg":
            return ""
        ends = np.abs(np.concatenate((self.span.least, self.span.most)))
        full = [self.joints[index] for index in range(len(self.joints)) if self._full(index)]
        if not full or not ends.max() <= FULL + FULL_TOLERANCE:
            return ""
        return (
            f"the training data of {', '.join(full)} end at exactly 100 and nothing is beyond: "
            f"that looks like {PERCENT}, not deg; declare two points, "
            "{native: [-100, 100], rad: [LOW, HIGH]}"
        )

    def _too_small(self) -> str:
        if self._plain != "deg" or len(self.joints) < 3:
            return ""
        values = np.array([self.span.low, self.span.high])
        if not np.abs(values).max() <= FEW_DEG:
            return ""
        width = np.array([high - low for low, high in self.limits])
        moved = (values[1] - values[0]) / width
        fits = all(self._fits(READINGS[0], index) for index in range(len(self.joints)))
        # As radians it would be a motion worth the name, in degrees hardly any.
        if not fits or not np.count_nonzero(moved > 0.1) * 2 >= len(moved):
            return ""
        return (
            f"no joint was further than {np.abs(values).max():.3g} deg from zero in training: the "
            f"numbers look like {RAD}"
        )


def _order(feature: str, state: _Columns, action: _Columns) -> Iterator[tuple[str, str]]:
    """Yield that two lists of joints are in different orders, where the data are in one.

    An action's column and the state of the same joint span about the same.
    """
    if sorted(state.joints) != sorted(action.joints) or state.joints == action.joints:
        return
    if len(state.joints) != len(set(state.joints)):
        return
    own, other = _spans(state), _spans(action)
    by_name = [action.joints.index(joint) for joint in state.joints]
    apart = sum(_overlap(own[i], other[k]) <= 0.0 for i, k in enumerate(by_name))
    together = min(_overlap(a, b) for a, b in zip(own, other, strict=True))
    if apart >= 2 and together >= 0.5:
        yield (
            f"observation.{feature}.joints",
            f"are in another order than action.joints, but the training data are in one order; "
            f"write [{', '.join(action.joints)}], or the other way round",
        )


def _spans(columns: _Columns) -> list[Range]:
    # As numbers of the checkpoint: the declared order says nothing of them.
    return list(zip(columns.span.low, columns.span.high, strict=True))


def _overlap(one: Range, other: Range) -> float:
    """Return the share of the smaller span that two have in common, below 0 for none."""
    width = max(min(one[1] - one[0], other[1] - other[0]), 1e-9)
    return (min(one[1], other[1]) - max(one[0], other[0])) / width
