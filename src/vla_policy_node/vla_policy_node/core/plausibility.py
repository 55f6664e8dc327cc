# SPDX-License-Identifier: Apache-2.0
"""Whether numbers can be joint positions of this robot, and if not, what they look like.

Units and the order of joints are declared by people, and a wrong declaration drives an arm to its
limits. Three things contradict one: what the training data spanned, a chunk that leads far out of
the robot's range, and a first chunk that begins somewhere else than the arm, but just where it is
by another unit or order. None of them proves a declaration right.

Degrees and percent of a range of some 200 degrees are numbers of one size. They are told apart
only by data that end at exactly 100 where the joint does not.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_contract.contract import REFUSE, WARN, Contract, ContractError
from vla_contract.robot import Robot
from vla_contract.units import UNITS
from vla_policies import PolicySpec, TrainingSpan

Array = NDArray[np.float64]
Range = tuple[float, float]

REMEDY = f"if you know better, write unit_check: {WARN} under policy"

# How far outside its range a joint's training data may lie, in widths of the range: calibrations
# differ, and files of limits are narrower than arms.
TRAINING_SLACK = 0.25
# How far outside it this share of a chunk may lie, and how far any row. A chunk is clipped to
# the range in any case.
CHUNK_SLACK, CHUNK_SHARE, ROW_SLACK = 1.0, 0.25, 5.0
# Beyond this the unit of a joint is wrong, not its zero or its place.
UNIT_SLACK = 5.0
# Percent use their range: numbers that all lie this close to zero are none.
FEW_PERCENT = 10.0
# A reading of the numbers in another unit fits when it leaves the range by no more than this.
FITTING_SLACK = 0.1
# LeRobot's percent end here exactly; a joint whose own limit is about there says nothing.
FULL, FULL_TOLERANCE, NEAR_FULL_DEG = 100.0, 0.01, 2.0
# Of joints that are said to be in degrees and that all lie this close to zero, it is doubted.
FEW_DEG = math.degrees(0.12)
# A first chunk that begins this far from the arm is doubted where it begins this near to it in
# another reading, and where at least two joints differ.
FAR_RAD, APART_RAD, NEAR_RAD = 0.5, 0.25, 0.1
MAX_COLUMNS = 16


@dataclass(frozen=True)
class Reading:
    """A unit that numbers may have been in.

    Attributes:
        name: As a message says it.
        to_rad: From numbers, the joint's range (rad) and whether it is the gripper.
    """

    name: str
    to_rad: Callable[[Array, Range, bool], Array]


def _percent(values: Array, limits: Range, gripper: bool) -> Array:
    share = values / 100.0 if gripper else (values + 100.0) / 200.0
    return limits[0] + share * (limits[1] - limits[0])


READINGS = (
    Reading("rad", lambda values, limits, gripper: values),
    Reading("deg", lambda values, limits, gripper: np.radians(values)),
    Reading("percent of the range (-100 to 100, a gripper 0 to 100)", _percent),
    Reading(
        "normalised (-1 to 1)",
        lambda values, limits, gripper: _percent(100.0 * values, limits, False),
    ),
    Reading(
        "encoder ticks (4096 a turn)",
        lambda values, limits, gripper: (values - 2048.0) * (2.0 * math.pi / 4096.0),
    ),
)
RAD, DEG, PERCENT, NORMALISED, _ = (reading.name for reading in READINGS)


def ranges(robot: Robot) -> dict[str, Range]:
    """Return each joint's range, rad, by name."""
    limits, gripper = robot.limits, robot.gripper
    found = {
        name: (float(low), float(high))
        for name, low, high in zip(
            limits.joint_names, limits.position_lower, limits.position_upper, strict=True
        )
    }
    found[gripper.joint] = (gripper.position_lower, gripper.position_upper)
    return found


# -- what the training data spanned ---------------------------------------------------------------


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
        excess = [_excess(a, b, r) for a, b, r in zip(low, high, self.limits, strict=True)]
        out = [index for index, value in enumerate(excess) if not value <= TRAINING_SLACK]
        if not out:
            return ""
        worst = max(out, key=lambda index: excess[index])
        limit = self.limits[worst]
        return (
            f"{self.joints[worst]} was mostly between {low[worst]:.4g} and {high[worst]:.4g} rad "
            f"in training, by the units that are declared here; the robot's range is "
            f"{limit[0]:.4g} to {limit[1]:.4g} rad; {self._guess(out, low, high, excess[worst])}"
        )

    def _guess(self, out: Sequence[int], low: Array, high: Array, excess: float) -> str:
        names = ", ".join(self.joints[index] for index in out)
        # Another unit shows in all joints, or in one by far.
        judged = out if excess > UNIT_SLACK else range(len(self.joints))
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
        for order in _orders(len(self.joints)):
            if all(
                _excess(low[index], high[index], self.limits[at]) <= FITTING_SLACK
                for at, index in enumerate(order)
            ):
                listed = ", ".join(self.joints[order.index(at)] for at in range(len(order)))
                return f"they would fit in the order [{listed}], {zero}"
        return f"no unit fits {names}: it is another robot, {zero}"

    def _fits(self, reading: Reading, index: int) -> bool:
        limits, span = self.limits[index], self.span
        values = np.array([span.low[index], span.high[index]])
        low, high = reading.to_rad(values, limits, self.joints[index] == self.gripper)
        return _excess(float(low), float(high), limits) <= FITTING_SLACK

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


# -- chunks ---------------------------------------------------------------------------------------


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
        excess = np.maximum(limits[:, 0] - positions, positions - limits[:, 1]) / width
        many = (excess > CHUNK_SLACK).mean(axis=0) >= CHUNK_SHARE
        out = np.flatnonzero(many | (excess > ROW_SLACK).any(axis=0)).tolist()
        if not out:
            return ""
        worst = max(out, key=lambda index: excess[:, index].max())
        value = positions[excess[:, worst].argmax(), worst]
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
        for order in _orders(len(first)):
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
        return _excess(float(rad.min()), float(rad.max()), self._limits[index]) <= FITTING_SLACK

    def _distance(self, one: Array, other: Array) -> Array:
        """Return how far apart poses are, rad, whole turns apart where a joint can turn so far."""
        apart = np.abs(one - other)
        turns = np.array([high - low >= 2.0 * math.pi for low, high in self._limits])
        wrapped = np.abs(np.remainder(apart + math.pi, 2.0 * math.pi) - math.pi)
        return np.asarray(np.where(turns, wrapped, apart))


def _excess(low: float, high: float, limits: Range) -> float:
    """Return by how much a span leaves a range, in widths of the range; 0 where it does not."""
    width = limits[1] - limits[0]
    if math.isinf(width):
        return 0.0
    return max(0.0, limits[0] - low, high - limits[1]) / width


def _orders(columns: int) -> Iterator[tuple[int, ...]]:
    """Yield how columns are mixed up most often: two of them swapped, or all shifted."""
    if columns > MAX_COLUMNS:
        return
    plain = tuple(range(columns))
    for i in range(columns):
        for k in range(i + 1, columns):
            swapped = list(plain)
            swapped[i], swapped[k] = k, i
            yield tuple(swapped)
    for shift in range(1, columns):
        yield plain[shift:] + plain[:shift]
