# SPDX-License-Identifier: Apache-2.0
"""Operations on what a message says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smooth_motion import Point
from smooth_motion.messages import ControllerState, Trajectory
from vla_sim.faults.operation import Change, FaultError, Operation, Passed, param


def with_positions(message: Any, change: Change) -> Any:
    """Return a message whose positions are changed, point by point in a trajectory."""
    if isinstance(message, Trajectory):
        points = tuple(
            Point(p.time_from_start_ns, change(p.positions), p.velocities, p.accelerations)
            for p in message.points
        )
        return replace(message, points=points)
    return replace(message, position=tuple(change(list(message.position))))


def index_of(message: Any, joint: str) -> int:
    """Return a joint's place in a message."""
    if joint not in message.joint_names:
        raise FaultError(f"{joint}: no such joint; there are {', '.join(message.joint_names)}")
    return int(message.joint_names.index(joint))


def _one(message: Any, joint: str, value: Callable[[float], float]) -> Any:
    """Return a message with one joint's position changed."""
    index = index_of(message, joint)

    def change(values: list[float]) -> list[float]:
        return [value(v) if i == index else v for i, v in enumerate(values)]

    return with_positions(message, change)


@dataclass
class StampShift(Operation):
    """Stamp by a clock that is off."""

    name = "stamp_shift"
    doc = "shifts the stamps"
    by_s: float = param("By how much, negative for the past.", "s")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it with another stamp."""
        return [(0, replace(message, stamp_ns=message.stamp_ns + round(self.by_s * 1e9)))]


@dataclass
class NotANumber(Operation):
    """Put a value that is not a finite number where a joint's position was."""

    name = "not_a_number"
    doc = "replaces a position by NaN or infinity"
    joint: str = param("Which joint.")
    value: float = param("`.nan`, `.inf` or `-.inf`.")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it spoilt."""
        return [(0, _one(message, self.joint, lambda _: self.value))]


@dataclass
class Offset(Operation):
    """Step a joint's position."""

    name = "offset"
    doc = "adds a constant to a position"
    joint: str = param("Which joint.")
    by_rad: float = param("How much.", "rad")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it off by a constant."""
        return [(0, _one(message, self.joint, lambda v: v + self.by_rad))]


@dataclass
class Drift(Operation):
    """Let a joint's position drift away."""

    name = "drift"
    doc = "lets a position drift away"
    joint: str = param("Which joint.")
    rate_rad_s: float = param("How fast.", "rad/s")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it off by what has come together."""
        by = self.rate_rad_s * (now_ns - self._since_ns) * 1e-9
        return [(0, _one(message, self.joint, lambda v: v + by))]


@dataclass
class Spike(Operation):
    """Disturb single messages."""

    name = "spike"
    doc = "adds a spike to single positions"
    joint: str = param("Which joint.")
    by_rad: float = param("How much.", "rad")
    every: int = param("Messages from one spike to the next.")

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        """Begin with a spike."""
        super().start(now_ns, random)
        self._count = 0

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it with a spike or without."""
        spike = self._count % self.every == 0
        self._count += 1
        if not spike:
            return [(0, message)]
        return [(0, _one(message, self.joint, lambda v: v + self.by_rad))]


@dataclass
class Noise(Operation):
    """Add white noise to every joint."""

    name = "noise"
    doc = "adds white noise to every position"
    sigma_rad: float = param("Standard deviation.", "rad")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it with noise."""

        def change(values: list[float]) -> list[float]:
            noise = self._random.normal(0.0, self.sigma_rad, len(values))
            return [float(v) for v in np.array(values) + noise]

        return [(0, with_positions(message, change))]


@dataclass
class Rattle(Operation):
    """Let one joint vibrate for a while, as a loose one does."""

    name = "rattle"
    doc = "lets one joint vibrate, then sit firmly again"
    joint: str = param("Which joint.")
    by_rad: float = param("Amplitude.", "rad")
    rate_hz: float = param("Frequency.", "Hz")
    lasts_s: float = param("For how long; it grows during the first second.", "s")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it with the vibration."""
        t = (now_ns - self._since_ns) * 1e-9
        if not (t <= self.lasts_s):
            return [(0, message)]
        by = self.by_rad * min(1.0, t) * math.sin(2.0 * math.pi * self.rate_hz * t)
        return [(0, _one(message, self.joint, lambda v: v + by))]


@dataclass
class Lag(Operation):
    """Let one joint come later and later, as a weak servo does, and then in time again."""

    name = "lag"
    doc = "lets one joint lag behind, then follow again"
    joint: str = param("Which joint.")
    by_s: float = param("Largest lag.", "s")
    lasts_s: float = param("For how long; the lag comes and goes within 1 s.", "s")

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        """Begin without a past."""
        super().start(now_ns, random)
        self._past: list[tuple[float, float]] = []

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it with the joint where it was a while ago."""
        t = (now_ns - self._since_ns) * 1e-9
        self._past.append((t, message.position[index_of(message, self.joint)]))
        if not (t <= self.lasts_s):
            return [(0, message)]
        x = min(1.0, t, self.lasts_s - t)
        lag = self.by_s * x * x * (3.0 - 2.0 * x)
        times, values = zip(*self._past, strict=True)
        late = float(np.interp(t - lag, times, values))
        return [(0, _one(message, self.joint, lambda _: late))]


@dataclass
class JointStuck(Operation):
    """Let one joint stand where it was, as in a collision or with a dead servo."""

    name = "joint_stuck"
    doc = "lets one joint stand still"
    joint: str = param("Which joint.")

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        """Begin without a value."""
        super().start(now_ns, random)
        self._value = math.nan

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it with the joint where it was."""
        if math.isnan(self._value):
            self._value = message.position[index_of(message, self.joint)]
        return [(0, _one(message, self.joint, lambda _: self._value))]


@dataclass
class Scale(Operation):
    """Multiply positions, as another unit does."""

    name = "scale"
    doc = "multiplies the positions, as a wrong unit does"
    by: float = param("Factor.")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it in another unit."""
        return [(0, with_positions(message, lambda values: [v * self.by for v in values]))]


@dataclass
class SwapJoints(Operation):
    """Exchange the values of the first two joints, not their names."""

    name = "swap_joints"
    doc = "exchanges the values of two joints"

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it with two joints exchanged."""
        return [(0, with_positions(message, lambda v: [v[1], v[0], *v[2:]]))]


@dataclass
class OmitJoint(Operation):
    """Leave a joint out."""

    name = "omit_joint"
    doc = "leaves a joint out"
    joint: str = param("Which joint.")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it without the joint."""
        gone = index_of(message, self.joint)

        def others(values: Sequence[Any]) -> list[Any]:
            return [v for i, v in enumerate(values) if i != gone]

        names = tuple(others(message.joint_names))
        if isinstance(message, Trajectory):
            points = tuple(
                Point(p.time_from_start_ns, *(others(column) for column in p[1:]))
                for p in message.points
            )
            return [(0, replace(message, joint_names=names, points=points))]
        changed = replace(message, joint_names=names, position=tuple(others(message.position)))
        if isinstance(message, ControllerState):
            changed = replace(
                changed,
                velocity=tuple(others(message.velocity)),
                acceleration=tuple(others(message.acceleration)),
            )
        return [(0, changed)]


@dataclass
class Shorten(Operation):
    """Leave the last value out, but not its joint's name."""

    name = "shorten"
    doc = "leaves the last position out, but not its name"

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it a value short."""
        return [(0, with_positions(message, lambda values: values[:-1]))]


@dataclass
class Truncate(Operation):
    """Leave the last points of a trajectory out: it ends in motion."""

    name = "truncate"
    doc = "leaves the last points of a trajectory out"
    points: int = param("How many.")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it cut off."""
        return [(0, replace(message, points=message.points[: -self.points]))]


@dataclass
class PositionsOnly(Operation):
    """Leave velocities and accelerations out of a trajectory."""

    name = "positions_only"
    doc = "leaves velocities and accelerations out of a trajectory"

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver the positions."""
        points = tuple(Point(p.time_from_start_ns, p.positions, [], []) for p in message.points)
        return [(0, replace(message, points=points))]


@dataclass
class TimeScale(Operation):
    """Run a trajectory at another speed."""

    name = "time_scale"
    doc = "runs a trajectory at another speed"
    by: float = param("Factor on its times: 0.5 is twice as fast.")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it faster or slower."""
        points = tuple(
            Point(
                round(p.time_from_start_ns * self.by),
                p.positions,
                [v / self.by for v in p.velocities],
                [a / self.by**2 for a in p.accelerations],
            )
            for p in message.points
        )
        return [(0, replace(message, points=points))]
