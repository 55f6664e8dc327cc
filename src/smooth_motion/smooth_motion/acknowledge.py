# SPDX-License-Identifier: Apache-2.0
"""Which plan does the controller run?

A joint_trajectory_controller publishes the time since the start of the trajectory that it runs.
Its stamp minus that time is the trajectory's start, which is a plan's identity here. So each
message of `controller_state` says which plan runs, that a plan was lost on the way, or that
the controller follows something that was never sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

import numpy as np

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, frozen_array
from smooth_motion.plan import Plan

# A controller adds up its periods, so the difference wanders by a fraction of a millisecond.
IDENTITY_TOLERANCE_NS = 1_000_000
# Trajectories whose starts are this far apart are never taken for one another.
DISTINCT_NS = 2 * IDENTITY_TOLERANCE_NS + 1
ACKNOWLEDGE_TIMEOUT_NS = 300_000_000
# Plans older than this many are not remembered; a controller runs one of the last few.
HISTORY = 64


def distinct_start(
    start_ns: int,
    plans: Iterable[Plan],
    *,
    apart_ns: int = DISTINCT_NS,
    earliest_ns: int | None = None,
    latest_ns: int | None = None,
) -> int:
    """Return a start near to that one which cannot be taken for that of one of `plans`.

    Args:
        start_ns: The start that is wanted.
        plans: From whose starts it must be told.
        apart_ns: By how much.
        earliest_ns: The first start that will do, where an earlier one will do at all.
        latest_ns: The last start that will do, if there is one.

    Returns:
        That or a little later; a little earlier where later is too late. Where neither will do,
        the later one: told apart it must be.
    """
    starts = sorted(plan.start_ns for plan in plans)
    later_ns = start_ns
    for other_ns in starts:
        if abs(later_ns - other_ns) < apart_ns:
            later_ns = other_ns + apart_ns
    if latest_ns is None or earliest_ns is None or later_ns <= latest_ns:
        return later_ns
    earlier_ns = start_ns
    for other_ns in reversed(starts):
        if abs(earlier_ns - other_ns) < apart_ns:
            earlier_ns = other_ns - apart_ns
    return earlier_ns if earlier_ns >= earliest_ns else later_ns


class Acknowledged(Enum):
    """What one message of the controller's state says."""

    HOLDING = "holding"
    """No plan has run yet; the controller holds its own reference at rest."""
    RUNNING = "running"
    """The plan that was sent last runs."""
    PENDING = "pending"
    """The plan that was sent last does not run yet; the one before it does."""
    LOST = "lost"
    """The plan that was sent last does not run, and the time for it has passed."""
    FOREIGN = "foreign"
    """Something runs that was never sent from here (or time itself is scaled)."""


class Acknowledgement(NamedTuple):
    """The verdict on one message of the controller's state.

    Attributes:
        kind: What it says.
        start_ns: Start of the trajectory that the controller runs.
        deviation: (J,) rad, the controller's reference minus `RunningPlan.plan` at that time.
    """

    kind: Acknowledged
    start_ns: int
    deviation: FloatArray


class RunningPlan:
    """Keeps track of the plans sent and of the one that the controller runs.

    Attributes:
        plan: The plan that runs, by the last observation. Until one is acknowledged it is a hold
            at the controller's reference.
    """

    def __init__(
        self,
        hold: Plan,
        *,
        tolerance_ns: int = IDENTITY_TOLERANCE_NS,
        timeout_ns: int = ACKNOWLEDGE_TIMEOUT_NS,
    ) -> None:
        """Start from a hold.

        Args:
            hold: A plan at rest where the controller's reference is.
            tolerance_ns: How far an observed start may lie from a plan's.
            timeout_ns: How long after sending a plan must run.
        """
        self._tolerance_ns = tolerance_ns
        self._timeout_ns = timeout_ns
        self.rebase(hold)

    def rebase(self, hold: Plan) -> None:
        """Forget every plan sent and start again from a hold, as after a foreign trajectory."""
        self.plan = hold
        self._acknowledged = False
        self._sent: deque[Plan] = deque(maxlen=HISTORY)
        self._starts: list[int] = []
        self._by_start: list[Plan] = []
        self._sent_ns = 0
        self._newest_ran = False

    @property
    def holds(self) -> bool:
        """Whether no plan sent has run yet."""
        return not self._acknowledged

    @property
    def newest(self) -> Plan:
        """The plan that was sent last, or the hold if none was."""
        return self._sent[-1] if self._sent else self.plan

    def distinct_start(self, start_ns: int) -> int:
        """Return a start, that or a little later, that no plan sent could be taken for."""
        return distinct_start(start_ns, self._sent, apart_ns=2 * self._tolerance_ns + 1)

    @property
    def known(self) -> list[Plan]:
        """The plan that runs and those sent, which a new one must be told from."""
        return [self.plan, *self._sent]

    def sent(self, plan: Plan, now_ns: int) -> None:
        """Note that a plan was sent to the controller.

        Raises:
            MotionError: It has other joints than the hold, or nearly the start of another plan
                sent, so that the two could not be told apart.
        """
        if plan.joint_names != self.plan.joint_names:
            raise MotionError(
                f"a plan for {', '.join(plan.joint_names)} was sent, but the "
                f"controller moves {', '.join(self.plan.joint_names)}"
            )
        if any(abs(plan.start_ns - s.start_ns) <= 2 * self._tolerance_ns for s in self._sent):
            raise MotionError(
                "two plans start within "
                f"{2 * self._tolerance_ns} ns and cannot be told apart; send fewer"
            )
        self._sent.append(plan)
        self._sort()
        self._sent_ns = now_ns
        self._newest_ran = False

    def withdraw(self, plan: Plan) -> None:
        """Take back `sent`: the plan did not go out after all."""
        self._sent = deque((each for each in self._sent if each is not plan), maxlen=HISTORY)
        self._sort()

    def _sort(self) -> None:
        by_start = {plan.start_ns: plan for plan in reversed(self._sent)}
        self._starts = sorted(by_start)
        self._by_start = [by_start[start_ns] for start_ns in self._starts]

    def heard(self, plan: Plan, now_ns: int) -> None:
        """Note a plan that was heard on its way to the controller, from whomever it came.

        One with the start of a plan sent takes its place: somebody in between changed it.

        Raises:
            MotionError: As in `sent`.
        """
        for index, sent in enumerate(self._sent):
            if abs(plan.start_ns - sent.start_ns) <= self._tolerance_ns:
                if plan.joint_names != sent.joint_names:
                    break
                self._sent[index] = plan
                self._sort()
                if self.plan is sent:
                    self.plan = plan
                return
        self.sent(plan, now_ns)

    def observe(
        self,
        stamp_ns: int,
        time_from_start_ns: int,
        position: FloatArray,
        velocity: FloatArray,
        now_ns: int,
    ) -> Acknowledgement:
        """Take in one message of the controller's state.

        Args:
            stamp_ns: Its header's stamp.
            time_from_start_ns: Its reference's time from start.
            position: Its reference's positions, (J,) rad.
            velocity: Its reference's velocities, (J,) rad/s.
            now_ns: The time now, on the clock given to `sent`.

        Raises:
            MotionError: The reference is not finite or has another number of joints.
        """
        shape = (len(self.plan.joint_names),)
        position = frozen_array(position, "reference.positions", shape)
        velocity = frozen_array(velocity, "reference.velocities", shape)
        start_ns = stamp_ns - time_from_start_ns
        kind = self.identify(start_ns, position, velocity, now_ns)
        deviation = np.asarray(position - self.plan.position_at(stamp_ns))
        return Acknowledgement(kind, start_ns, deviation)

    def identify(
        self, start_ns: int, position: FloatArray, velocity: FloatArray, now_ns: int
    ) -> Acknowledged:
        """Do what `observe` does, for a caller that knows its arrays to be sound.

        Args:
            start_ns: The message's stamp minus its reference's time from start.
            position: Its reference's positions, (J,) rad, finite.
            velocity: Its reference's velocities, (J,) rad/s, finite.
            now_ns: The time now, on the clock given to `sent`.

        Returns:
            What the message says.
        """
        match = self._started_at(start_ns)
        overdue = bool(self._sent) and now_ns - self._sent_ns > self._timeout_ns

        if match is not None:
            self.plan, self._acknowledged = match, True
            if match is self._sent[-1]:
                self._newest_ran = True
                kind = Acknowledged.RUNNING
            else:
                # A plan that came back after a newer one had run was delivered out of order.
                late = overdue or self._newest_ran
                kind = Acknowledged.LOST if late else Acknowledged.PENDING
        elif self._acknowledged or velocity.any():
            kind = Acknowledged.FOREIGN
        else:
            self.plan = Plan.hold(self.plan.joint_names, position, start_ns)
            if overdue:
                kind = Acknowledged.LOST
            else:
                kind = Acknowledged.PENDING if self._sent else Acknowledged.HOLDING
        return kind

    def _started_at(self, start_ns: int) -> Plan | None:
        """Return the plan sent that starts nearest to a time, None if none is near enough."""
        starts = self._starts
        at = bisect_left(starts, start_ns)
        # The earlier of two that are equally near.
        if at == len(starts) or (at and start_ns - starts[at - 1] <= starts[at] - start_ns):
            at -= 1
        if at < 0 or abs(starts[at] - start_ns) > self._tolerance_ns:
            return None
        return self._by_start[at]
