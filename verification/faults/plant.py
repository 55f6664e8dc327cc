# SPDX-License-Identifier: Apache-2.0
"""The bench's plant: the emulation of a joint_trajectory_controller, and servos that lag."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from smooth_motion.messages import ControllerState, Trajectory
from smoothness_monitor.core.types import FloatArray
from verification.faults.clock import MS, PERIOD_NS
from vla_contract.robot import Robot
from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import (
    ControllerConfig,
    Goal,
    TrajectoryController,
)

# The joints are where the command was this long ago, which is what a hobby servo makes of it.
SERVO_LAG_NS = 30 * MS


class Plant(Protocol):
    """A controller and the joints behind it."""

    active: bool

    def receive(self, trajectory: Trajectory, now_ns: int) -> None:
        """Take a trajectory from the topic."""

    def goal(self, trajectory: Trajectory, now_ns: int) -> bool:
        """Take an action goal; return whether it is accepted."""

    def update(self, now_ns: int) -> ControllerState | None:
        """Run a control cycle; return what the controller reports, None when inactive."""

    def reference(self, now_ns: int) -> FloatArray:
        """Return the command in force, (J,) rad."""

    def measured(self, t_ns: int) -> FloatArray:
        """Return where the joints are, (J,) rad."""

    def deactivate(self) -> None:
        """Run no more cycles; the command stays."""

    def activate(self, now_ns: int) -> None:
        """Begin with a hold at the command."""

    def hold(self) -> None:
        """Let the driver keep the joints where they are."""


class EmulatedPlant:
    """A controller with the pitfalls of the real one, and joints that follow it late.

    Attributes:
        active: The controller runs.
        speed: Share of the trajectory's speed at which it runs, as by speed scaling.
        deaf: It takes neither trajectories nor goals.
    """

    def __init__(self, robot: Robot, now_ns: int) -> None:
        """Activate the controller at the robot's home."""
        self._names = robot.limits.joint_names
        home = robot.home_position
        self._controller = self._new(home)
        self.active = True
        self.speed = 1.0
        self.deaf = False
        self._goals = 0
        self._held: FloatArray | None = None
        # Reference of the newest cycles, for joints that follow.
        self._past: deque[tuple[int, FloatArray]] = deque([(now_ns, home)], maxlen=16)

    def _new(self, position: FloatArray) -> TrajectoryController:
        config = ControllerConfig(self._names, PERIOD_NS)
        return TrajectoryController(config, position, np.zeros(position.size))

    def receive(self, trajectory: Trajectory, now_ns: int) -> None:
        """Take a trajectory from the topic, unless it is deaf, inactive or refuses it."""
        if self.active and not self.deaf:
            self._controller.receive(message_of(trajectory), now_ns)

    def goal(self, trajectory: Trajectory, now_ns: int) -> bool:
        """Take an action goal; return whether it is accepted."""
        message = message_of(trajectory)
        if not self.active or self.deaf or self._controller.check(message, now_ns) is not None:
            return False
        self._goals += 1
        self._controller.accept(Goal(self._goals, message))
        return True

    def update(self, now_ns: int) -> ControllerState | None:
        """Run a control cycle."""
        if not self.active:
            self._past.append((now_ns, self._past[-1][1]))
            return None
        position = self.measured(now_ns)
        period_ns = round(PERIOD_NS * self.speed)
        velocity = (position - self.measured(now_ns - PERIOD_NS)) / (PERIOD_NS * 1e-9)
        cycle = self._controller.update(now_ns, period_ns, position, velocity)
        reference = cycle.state.reference
        self._past.append((now_ns, reference.positions))
        return ControllerState(
            cycle.state.stamp_ns,
            reference.time_from_start_ns,
            self._names,
            tuple(reference.positions.tolist()),
            tuple(reference.velocities.tolist()),
            # A hold point has none; the real controller reports zeros.
            tuple(reference.accelerations.tolist()) or (0.0,) * len(self._names),
        )

    def reference(self, now_ns: int) -> FloatArray:
        """Return the reference of the newest cycle, (J,) rad."""
        return self._past[-1][1]

    def measured(self, t_ns: int) -> FloatArray:
        """Return where the joints are, (J,) rad."""
        if self._held is not None:
            return self._held
        due_ns = t_ns - SERVO_LAG_NS
        before, after = self._past[0], self._past[-1]
        for item in self._past:
            if item[0] <= due_ns:
                before = item
            else:
                after = item
                break
        span = after[0] - before[0]
        share = min(max((due_ns - before[0]) / span, 0.0), 1.0) if span else 0.0
        return np.asarray(before[1] + share * (after[1] - before[1]))

    def deactivate(self) -> None:
        """Run no more cycles; the command stays."""
        self.active = False

    def activate(self, now_ns: int) -> None:
        """Begin anew with a hold at the command."""
        self._controller = self._new(self._past[-1][1])
        self.active = True

    def hold(self) -> None:
        """Keep the joints where they are, whatever is commanded."""
        self._held = self.measured(self._past[-1][0])


def message_of(trajectory: Trajectory) -> JointTrajectory:
    """Return a trajectory as the emulated controller takes it."""
    return JointTrajectory(
        trajectory.stamp_ns,
        trajectory.joint_names,
        tuple(
            TrajectoryPoint(
                point.time_from_start_ns,
                np.array(point.positions),
                np.array(point.velocities),
                np.array(point.accelerations),
            )
            for point in trajectory.points
        ),
    )
