# SPDX-License-Identifier: Apache-2.0
"""A joint_trajectory_controller at 1 kHz, and behind it the arm at the end of libfranka's wire."""

from __future__ import annotations

from collections import Counter

import numpy as np

from smooth_motion.messages import ControllerState, Trajectory
from verification.faults.clock import MS, S
from verification.faults.plant import message_of
from vla_contract.robot import Robot
from vla_sim.core.trajectory_controller import ControllerConfig, Goal, TrajectoryController
from vla_sim.fci.joints import Bridge
from vla_sim.fci.reflexes import Array, FciLimits, shares_of

PERIOD_NS = 1 * MS
# After an abort somebody or something has to recover the arm and activate its controller again.
RECOVERY_NS = 1 * S
LOOKED = 1000  # commands at once


class FciArm:
    """The plant of a bench: controller, wire and arm.

    Attributes:
        active: The controller runs.
        aborts: How often the arm ended the motion, by the first error.
        first_abort_s: When it did so first, s from the start; None where it did not.
        shares: Largest share of the published limits of velocity, acceleration and jerk that
            was commanded.
        travel: Way of the command, (7,) rad.
    """

    def __init__(self, robot: Robot, limits: FciLimits, bridge: Bridge, now_ns: int) -> None:
        """Begin a motion, at rest.

        Args:
            robot: Its joints.
            limits: Published ones.
            bridge: The way to the arm.
            now_ns: Time.
        """
        self._names, self._bridge, self._began_ns = robot.limits.joint_names, bridge, now_ns
        self._command = self._measured = self._before = bridge.start()
        self._controller = self._new()
        self._limits, self.shares = limits, np.zeros(3)
        self._looked: list[Array] = [self._command] * 4
        self.aborts: Counter[str] = Counter()
        self.first_abort_s: float | None = None
        self.travel = np.zeros(len(self._names))
        self.active = True
        self._recovered_ns = now_ns
        self._goals = 0

    def _new(self) -> TrajectoryController:
        config = ControllerConfig(self._names, PERIOD_NS)
        return TrajectoryController(config, self._command, np.zeros(self._command.size))

    def receive(self, trajectory: Trajectory, now_ns: int) -> None:
        """Take a trajectory from the topic, unless inactive or it is refused."""
        if self.active:
            self._controller.receive(message_of(trajectory), now_ns)

    def goal(self, trajectory: Trajectory, now_ns: int) -> bool:
        """Take an action goal; return whether it is accepted."""
        message = message_of(trajectory)
        if not self.active or self._controller.check(message, now_ns) is not None:
            return False
        self._goals += 1
        self._controller.accept(Goal(self._goals, message))
        return True

    def update(self, now_ns: int) -> ControllerState | None:
        """Run a control cycle and a millisecond of the arm."""
        if not self.active and now_ns >= self._recovered_ns > 0:
            self._command = self._bridge.start()
            self._look()
            self._looked = [self._command] * 4
            self.activate(now_ns)
        if not self.active:
            return None
        velocity = (self._measured - self._before) / (PERIOD_NS * 1e-9)
        cycle = self._controller.update(now_ns, PERIOD_NS, self._measured, velocity)
        reference = cycle.state.reference
        answer = self._bridge.exchange(reference.positions)
        if answer is None:
            self._abort(now_ns)
            return None
        self._looked.append(reference.positions)
        if len(self._looked) >= LOOKED:
            self._look()
        self.travel += np.abs(reference.positions - self._command)
        self._command, self._before, self._measured = reference.positions, self._measured, answer
        none = (0.0,) * len(self._names)
        return ControllerState(
            cycle.state.stamp_ns,
            reference.time_from_start_ns,
            self._names,
            tuple(reference.positions.tolist()),
            tuple(reference.velocities.tolist()) or none,
            tuple(reference.accelerations.tolist()) or none,
        )

    def _look(self) -> None:
        """Take the commands since the last look into `shares`."""
        self.shares = np.maximum(self.shares, shares_of(np.array(self._looked), self._limits))
        self._looked = self._looked[-4:]

    def finish(self) -> None:
        """Look at what is left."""
        self._look()

    def _abort(self, now_ns: int) -> None:
        self.aborts[self._bridge.last[0]] += 1
        if self.first_abort_s is None:
            self.first_abort_s = (now_ns - self._began_ns) * 1e-9
        self.active = False
        self._recovered_ns = now_ns + RECOVERY_NS

    def reference(self, now_ns: int) -> Array:
        """Return the command in force, (7,) rad."""
        return self._command

    def measured(self, t_ns: int) -> Array:
        """Return where the joints were measured last, (7,) rad."""
        return self._measured

    def deactivate(self) -> None:
        """Run no more cycles; the command stays."""
        self.active = False
        self._recovered_ns = 0

    def activate(self, now_ns: int) -> None:
        """Begin anew with a hold at the command."""
        self._controller = self._new()
        self.active = True

    def hold(self) -> None:
        """There is no driver that could hold the joints."""
