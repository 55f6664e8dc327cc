# SPDX-License-Identifier: Apache-2.0
"""The account of trajectories: which one the controller runs, and which it may turn to."""

from __future__ import annotations

import numpy as np

from smooth_motion import (
    Acknowledged,
    Acknowledgement,
    GripperPlan,
    Plan,
    RunningPlan,
    kernels,
)
from smoothness_monitor.core import brakes
from smoothness_monitor.core.detectors.base import Cycle
from smoothness_monitor.core.types import ControllerState, FloatArray

# How far the plan may be continued past the controller's newest cycle to compare joints with it.
REFERENCE_AHEAD_NS = 100_000_000
RECENT_PLANS = 4
# rad; a controller that holds at a plan's end holds the very number.
_SAME_PLACE = 1e-9


class _Path:
    """A plan, as the compiled arithmetic wants it."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan apart; that is done once for each."""
        self.plan = plan
        self._start_ns = plan.start_ns
        self._knots_ns = plan.times_ns.copy()
        jerk = np.vstack((plan.segment_jerk(), np.zeros((1, len(plan.joint_names)))))
        rows = (plan.positions, plan.velocities, plan.accelerations / 2.0, jerk / 6.0)
        self._pieces = np.ascontiguousarray(np.stack(rows, axis=1))

    def compare(self, t_ns: int, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where the plan is at a time, and a position minus that, each (J,) rad."""
        planned, deviation = np.empty_like(position), np.empty_like(position)
        since_ns = t_ns - self._start_ns
        kernels.follow(self._knots_ns, self._pieces, since_ns, position, planned, deviation)
        return planned, deviation


class Account:
    """What was sent to the controller, and what it says that it runs.

    Attributes:
        running: Account of the plans sent; None before the controller was heard.
        cycle: The controller's newest cycle; None before it was heard.
        newest: The plan that was sent last, None when none was.
        recent: Plans that ran or were sent before, oldest first.
        gripper: What the gripper was commanded last, None before the first.
        held: The plan at whose end the controller holds by itself, None when it does not.
    """

    def __init__(self, names: tuple[str, ...], timeout_ns: int) -> None:
        """Begin without knowledge of the controller.

        Args:
            names: J joint names.
            timeout_ns: Time after which a plan that does not run counts as lost.
        """
        self._names, self._timeout_ns = names, timeout_ns
        self.gripper: GripperPlan | None = None
        self._path: _Path | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after the controller was activated."""
        self.running: RunningPlan | None = None
        self.cycle: Cycle | None = None
        self.newest: Plan | None = None
        self.recent: list[Plan] = []
        self.held: Plan | None = None

    def observe(self, message: ControllerState, reference: FloatArray, now_ns: int) -> Cycle:
        """Take in a cycle of the controller.

        Args:
            message: As received.
            reference: Its position, velocity and acceleration in the robot's joint order, (3, J).
            now_ns: The monitor's own clock.
        """
        position, velocity, acceleration = reference[0], reference[1], reference[2]
        if self.running is None:
            start = message.stamp_ns - message.time_from_start_ns
            hold = Plan.hold(self._names, position, start)
            self.running = RunningPlan(hold, timeout_ns=self._timeout_ns)
        verdict = self._identify(self.running, message, position, velocity, now_ns)
        time_ns = message.stamp_ns
        if verdict.kind is not Acknowledged.FOREIGN:
            # The controller adds up its periods, so its stamp wanders against the time that its
            # reference was evaluated for. The plan's start is exact.
            time_ns = self.running.plan.start_ns + message.time_from_start_ns
        self.cycle = Cycle(
            message.stamp_ns, time_ns, position, velocity, acceleration, verdict, reference
        )
        return self.cycle

    def _identify(
        self,
        running: RunningPlan,
        message: ControllerState,
        position: FloatArray,
        velocity: FloatArray,
        now_ns: int,
    ) -> Acknowledgement:
        start_ns = message.stamp_ns - message.time_from_start_ns
        kind = running.identify(start_ns, position, velocity, now_ns)
        plan = running.plan
        if (
            kind is Acknowledged.FOREIGN
            and not velocity.any()
            and message.stamp_ns >= plan.end_ns
            and (np.abs(position - plan.positions[-1]) <= _SAME_PLACE).all()
        ):
            # After an action goal the controller holds by itself, at the goal's end.
            running.rebase(Plan.hold(self._names, position, start_ns))
            self.held, self.newest = plan, None
            kind = running.identify(start_ns, position, velocity, now_ns)
        elif kind is not Acknowledged.HOLDING:
            self.held = None
        deviation = self._path_of(running.plan).compare(message.stamp_ns, position)[1]
        return Acknowledgement(kind, start_ns, deviation)

    def sent(self, plan: Plan, now_ns: int) -> None:
        """Note that a plan goes to the controller; `now_ns` is of the monitor's own clock."""
        assert self.running is not None
        self.recent = [*self.recent, self.running.plan, plan][-RECENT_PLANS:]
        self.running.sent(plan, now_ns)
        self.newest = plan

    def rebase(self) -> None:
        """Forget every plan sent: what counts is where the reference is."""
        assert self.running is not None
        assert self.cycle is not None
        start = self.cycle.verdict.start_ns
        self.running.rebase(Plan.hold(self._names, self.cycle.position, start))
        self.newest = None
        self.recent = []

    @property
    def known(self) -> list[Plan]:
        """The plans that the controller may know: what runs and what was sent last."""
        assert self.running is not None
        return [plan for plan in (self.running.plan, self.newest) if plan is not None]

    @property
    def pending(self) -> Plan | None:
        """The plan that was sent last, while the controller may still turn to it."""
        assert self.running is not None
        assert self.cycle is not None
        return brakes.may_run(self.running.plan, self.newest, self.cycle.time_ns)

    @property
    def foreign(self) -> bool:
        """Whether the controller runs what was never sent."""
        return self.cycle is not None and self.cycle.verdict.kind is Acknowledged.FOREIGN

    @property
    def rests(self) -> bool:
        """Whether the reference stands still, exactly."""
        cycle = self.cycle
        return cycle is not None and not (cycle.velocity.any() or cycle.acceleration.any())

    def runs(self, plan: Plan) -> bool:
        """Return whether the controller runs a plan, or holds at its end, by its newest cycle."""
        if self.held is plan:
            return True
        return self.running is not None and self.running.plan is plan and not self.foreign

    def compare(
        self, stamp_ns: int, position: FloatArray
    ) -> tuple[FloatArray | None, FloatArray | None]:
        """Compare a position (J,) with the arm's reference at a time.

        Returns:
            The reference (J,), and the position minus it; None twice when it is not known.
        """
        cycle = self.cycle
        if cycle is None or self.running is None:
            return None, None
        if stamp_ns > cycle.time_ns + REFERENCE_AHEAD_NS:
            return None, None
        if cycle.verdict.kind is Acknowledged.FOREIGN:
            return cycle.position, position - cycle.position
        return self._path_of(self.running.plan).compare(stamp_ns, position)

    def _path_of(self, plan: Plan) -> _Path:
        if self._path is None or self._path.plan is not plan:
            self._path = _Path(plan)
        return self._path
