# SPDX-License-Identifier: Apache-2.0
"""Keeps track of trajectories: which one the controller runs, and which it may turn to."""

from __future__ import annotations

from collections import deque

import numpy as np

from smooth_motion import (
    Acknowledged,
    Acknowledgement,
    Plan,
    RunningPlan,
    kernels,
    part_ns,
)
from smooth_motion.messages import ControllerState
from smoothness_monitor.core.detectors.base import Cycle
from smoothness_monitor.core.types import FloatArray

# How far the plan may be continued past the controller's newest cycle to compare joints with it.
REFERENCE_AHEAD_NS = 100_000_000
RECENT_PLANS = 4
# So many plans that ran before are remembered, for joints that are stamped behind.
PAST_PLANS = 16
# rad; a controller that holds at a plan's end holds the very number.
_SAME_PLACE = 1e-9
# rad; a controller that runs a plan reports the plan itself, to rounding. Whatever lies further
# away is something else, whatever its stamp says.
SAME_MOTION = 1e-5
# A plan reached a controller within this time in all but one of 1,900 sends, within 95 ms then.
ADOPTED_NS = 60_000_000
# So many messages in a row that tell of a motion never sent are believed. A single one may be
# anybody's; where the controller goes on as it was, its next message says so.
BELIEVED = 3
# What the controller runs is known from a cycle that is no older than this.
HEARD_NS = 60_000_000


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


class ControllerTracker:
    """What was sent to the controller, and what it says that it runs.

    Attributes:
        running: The plans sent; None before the controller was heard.
        cycle: The controller's newest cycle; None before it was heard.
        newest: The plan that was sent last, None when none was.
        recent: Plans that ran or were sent before, oldest first.
        lost: How many plans one after the other never ran, though the controller went on.
        held: The plan at whose end the controller holds by itself, None when it does not.
        foreign_cycles: How many messages in a row told of a motion that was never sent.
        adopted_sent_ns: ROS time at which the plan was sent that the controller turned to in its
            newest cycle, None when it went on with what it ran.
    """

    def __init__(self, names: tuple[str, ...], timeout_ns: int) -> None:
        """Begin without knowledge of the controller.

        Args:
            names: J joint names.
            timeout_ns: Time after which a plan that does not run counts as lost.
        """
        self._names, self._timeout_ns = names, timeout_ns
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after the controller was activated."""
        self._path: _Path | None = None
        self._past: deque[_Path] = deque(maxlen=PAST_PLANS)
        self.running: RunningPlan | None = None
        self.cycle: Cycle | None = None
        self.newest: Plan | None = None
        self.recent: list[Plan] = []
        self.held: Plan | None = None
        # Plans sent that the controller may still turn to, oldest first.
        self._under_way: list[Plan] = []
        self._sent_ns = self._sent_steady_ns = 0
        # When they were sent, by their starts.
        self._sent_at: dict[int, int] = {}
        self.adopted_sent_ns: int | None = None
        self.lost = 0
        self.foreign_cycles = 0

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
        foreign = verdict.kind is Acknowledged.FOREIGN
        self.foreign_cycles = self.foreign_cycles + 1 if foreign else 0
        if not foreign:
            # The controller adds up its periods, so its stamp wanders against the time that its
            # reference was evaluated for. The plan's start is exact.
            time_ns = self.running.plan.start_ns + message.time_from_start_ns
        self.cycle = Cycle(
            message.stamp_ns, time_ns, position, velocity, acceleration, verdict, reference
        )
        self.adopted_sent_ns = None
        if self._under_way and not foreign:
            self._drop_those_gone_by(self.running.plan, time_ns)
        return self.cycle

    def _drop_those_gone_by(self, running: Plan, time_ns: int) -> None:
        """Forget what the controller turned to, or was heard to pass by."""
        ran = next((i for i, plan in enumerate(self._under_way) if plan is running), -1)
        if ran >= 0:
            self.adopted_sent_ns = self._sent_at.get(running.start_ns)
        if ran == len(self._under_way) - 1:
            self.lost = 0
        ahead = self._under_way[ran + 1 :]
        # One that the controller is heard not to follow where it leaves the older plan was lost.
        self._under_way = [plan for plan in ahead if time_ns <= part_ns(plan, running)]
        if len(self._under_way) < len(ahead) and self.newest not in self._under_way:
            self.lost += 1

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
            # After an action goal the controller holds by itself, at the goal's end. What was sent
            # before that was heard may still arrive there.
            running.rebase(Plan.hold(self._names, position, start_ns))
            for sent in self._under_way:
                running.sent(sent, self._sent_steady_ns)
            self.held, self.newest = plan, self.pending
            kind = running.identify(start_ns, position, velocity, now_ns)
        elif not running.holds:
            self.held = None
        if kind is Acknowledged.FOREIGN:
            deviation = self._path_of(running.plan).compare(message.stamp_ns, position)[1]
            return Acknowledgement(kind, start_ns, deviation)
        # In the plan's own time, in which it is what the controller reports, to rounding.
        time_ns = running.plan.start_ns + message.time_from_start_ns
        deviation = self._path_of(running.plan).compare(time_ns, position)[1]
        if not (np.abs(deviation) <= SAME_MOTION).all():
            # It has a plan's start and is another motion: a stamp alone is no identity.
            kind = Acknowledged.FOREIGN
        return Acknowledgement(kind, start_ns, deviation)

    def sent(self, plan: Plan, now_ns: int, ros_ns: int) -> None:
        """Note that a plan goes to the controller.

        Args:
            plan: The plan.
            now_ns: The monitor's own clock.
            ros_ns: ROS time.
        """
        assert self.running is not None
        self.recent = [*self.recent, self.running.plan, plan][-RECENT_PLANS:]
        self.running.sent(plan, now_ns)
        self.newest = plan
        self._under_way.append(plan)
        starts = (each.start_ns for each in self._under_way)
        self._sent_at = {start_ns: self._sent_at.get(start_ns, ros_ns) for start_ns in starts}
        self._sent_ns, self._sent_steady_ns = ros_ns, now_ns

    def withdraw(self, start_ns: int) -> None:
        """Take back `sent` for the plan under way with a start: it did not go out after all."""
        for plan in [each for each in self._under_way if each.start_ns == start_ns]:
            assert self.running is not None
            self.running.withdraw(plan)
            self._under_way.remove(plan)
            self.recent = [each for each in self.recent if each is not plan]
            self.newest = self.pending

    def rebase(self) -> None:
        """Forget every plan sent: what counts is where the reference is."""
        assert self.running is not None
        assert self.cycle is not None
        start = self.cycle.verdict.start_ns
        self.running.rebase(Plan.hold(self._names, self.cycle.position, start))
        self.newest = None
        self.recent = []
        self._under_way = []
        self.lost = 0

    @property
    def known(self) -> list[Plan]:
        """The plans that the controller may know, from which a new one must be told."""
        assert self.running is not None
        return self.running.known

    @property
    def may_run(self) -> list[Plan]:
        """What the controller may be running when something new arrives there, oldest first.

        The first is the plan that ran when it was last heard.
        """
        assert self.running is not None
        return [self.running.plan, *self._under_way]

    @property
    def pending(self) -> Plan | None:
        """The newest plan that the controller may still turn to."""
        return self._under_way[-1] if self._under_way else None

    def common(
        self, now_ns: int, overlap_ns: int, *, delivery_ns: int = ADOPTED_NS
    ) -> tuple[Plan, int]:
        """Return what a brake has to continue, and for how long.

        It is to fit whatever the controller may be running. Where that parts before a brake could
        arrive, it has to fit what most likely runs: a plan that the controller is heard not to
        have turned to in the time that delivery takes was lost. What was heard a while ago says
        nothing about that: on a loaded host a plan is late much more often than lost, and so is
        the controller's word.

        Args:
            now_ns: ROS time.
            overlap_ns: How long the running motion is to go on.
            delivery_ns: How long delivery takes at most, by what was seen of it.
        """
        assert self.cycle is not None
        running, *others = self.may_run
        if not others:
            return running, overlap_ns
        heard_ns = self.cycle.time_ns
        if heard_ns >= max(self._sent_ns + delivery_ns, now_ns - max(HEARD_NS, delivery_ns)):
            # It had the time to turn to the newest one, and did not.
            return running, overlap_ns
        newest = others[-1]
        parts_ns = min(part_ns(newest, plan) for plan in (running, *others[:-1]))
        if parts_ns >= now_ns + delivery_ns:
            return newest, min(overlap_ns, parts_ns - now_ns)
        return newest, overlap_ns

    @property
    def foreign(self) -> bool:
        """Whether the controller runs what was never sent."""
        return self.cycle is not None and self.cycle.verdict.kind is Acknowledged.FOREIGN

    @property
    def doubtful(self) -> bool:
        """Whether that is the word of too few messages to build a brake on."""
        return 0 < self.foreign_cycles < BELIEVED

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
        path = self._path_of(self.running.plan)
        if stamp_ns < path.plan.start_ns:
            # A plan is the same as the one before it until after it was sent.
            before = (each for each in reversed(self._past) if stamp_ns >= each.plan.start_ns)
            earlier = next(before, None)
            if earlier is None:
                return None, None
            path = earlier
        return path.compare(stamp_ns, position)

    def _path_of(self, plan: Plan) -> _Path:
        if self._path is None or self._path.plan is not plan:
            if self._path is not None:
                self._past.append(self._path)
            self._path = _Path(plan)
        return self._path
