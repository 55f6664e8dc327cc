# SPDX-License-Identifier: Apache-2.0
"""The gripper's tracker and gate: what its controller runs, and what may replace that.

Its controller joins positions by straight lines, so what is bounded is the rate. A trajectory that
replaces another must be where the other is until after its arrival, as for the arm: the controller
is a joint_trajectory_controller too, and a difference is a step.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from smooth_motion import GripperLimits, GripperPlan, MotionError
from smooth_motion.acknowledge import DISTINCT_NS, IDENTITY_TOLERANCE_NS
from smooth_motion.messages import ControllerState, Trajectory

# A gripper's trajectory that runs is one of the last few sent.
HISTORY = 16
# More points than any chunk needs, and a longer time.
MAX_POINTS = 1000
MAX_DURATION_NS = 600 * 1_000_000_000
# rad or m; a controller that runs a plan reports the plan itself, to rounding.
SAME_MOTION = 1e-5
# A plan reaches a controller within this time, in all but the rarest cases.
ADOPTED_NS = 60_000_000
# What the controller runs is known from a message that is no older than this.
HEARD_NS = 60_000_000
# So many messages in a row that tell of another motion, or of another time, are believed. A single
# one may be anybody's; where the controller goes on as it was, its next message says so.
BELIEVED = 3
# A stamp further ahead of the one before than the time that passed is of another clock.
MOST_AHEAD_NS = 500_000_000
_FOR_EVER_NS = 2**62


class GripperTracker:
    """Which trajectory the gripper's controller runs, by its own controller_state.

    Attributes:
        running: What it runs; None before it was heard.
        moves_foreign: It moves by something that was never sent from here.
        stamp_ns: Of its newest message that is believed.
        doubts: How many messages in a row told of what does not fit those before.
    """

    def __init__(self, joint: str) -> None:
        """Begin with nothing heard."""
        self._joint = joint
        self.running: GripperPlan | None = None
        self.moves_foreign = False
        self.stamp_ns = 0
        self.doubts = 0
        self._arrived_ns: int | None = None
        self._sent: deque[GripperPlan] = deque(maxlen=HISTORY)
        self._under_way: list[GripperPlan] = []
        self._sent_ns = 0

    def observe(self, message: ControllerState, now_ns: int) -> None:
        """Take in a message of the gripper's controller; one that cannot be used is passed over.

        Args:
            message: As received.
            now_ns: The monitor's own clock.
        """
        if self._joint not in message.joint_names:
            return
        index = message.joint_names.index(self._joint)
        if not (index < len(message.position) and math.isfinite(message.position[index])):
            return
        if self._arrived_ns is not None and message.stamp_ns == self.stamp_ns:
            return
        position = float(message.position[index])
        rests = not (index < len(message.velocity) and message.velocity[index])
        start_ns = message.stamp_ns - message.time_from_start_ns
        plan = self._identified(start_ns, message.time_from_start_ns, position)
        fits = self.running is None or plan is not None or (rests and self._stays_at(position))
        self.doubts = 0 if fits and self._timely(message.stamp_ns, now_ns) else self.doubts + 1
        if self.doubtful:
            return
        self.stamp_ns, self._arrived_ns = message.stamp_ns, now_ns
        self.moves_foreign = plan is None and not rests
        if plan is None:
            # A hold of the controller's own, or another's trajectory: known where it rests.
            if not (rests and self._stays_at(position)):
                self.running = GripperPlan.hold(self._joint, position, start_ns)
            ran = -1
        else:
            self.running = plan
            ran = next((i for i, each in enumerate(self._under_way) if each is plan), -1)
        running = self.running
        assert running is not None
        # What it is heard not to follow where that leaves the older one was lost.
        self._under_way = [
            each
            for each in self._under_way[ran + 1 :]
            if message.stamp_ns <= parts_ns(each, running)
        ]

    @property
    def doubtful(self) -> bool:
        """Whether the newest messages tell of another motion, and are too few to be believed."""
        return 0 < self.doubts < BELIEVED

    def _stays_at(self, position: float) -> bool:
        return self.running is not None and self.running.positions[-1] == position

    def _timely(self, stamp_ns: int, now_ns: int) -> bool:
        """Return whether a stamp follows the one before at about the pace of this clock."""
        if self._arrived_ns is None:
            return True
        return 0 < stamp_ns - self.stamp_ns <= now_ns - self._arrived_ns + MOST_AHEAD_NS

    def _identified(
        self, start_ns: int, time_from_start_ns: int, position: float
    ) -> GripperPlan | None:
        for plan in reversed(self._sent):
            if abs(plan.start_ns - start_ns) <= IDENTITY_TOLERANCE_NS:
                off = abs(plan.position(plan.start_ns + time_from_start_ns) - position)
                if off <= SAME_MOTION:
                    return plan
        return None

    def sent(self, plan: GripperPlan, ros_ns: int) -> None:
        """Note that a plan goes to the controller, at a ROS time."""
        self._sent.append(plan)
        self._sent_ns = ros_ns
        self._under_way.append(plan)
        del self._under_way[:-HISTORY]

    def withdraw(self, start_ns: int) -> None:
        """Take back `sent` for the plan under way with a start: it did not go out after all."""
        for plan in [each for each in self._under_way if each.start_ns == start_ns]:
            self._under_way.remove(plan)
            self._sent.remove(plan)

    def age_s(self, now_ns: int) -> float:
        """Return the time since the controller was heard, s; `now_ns` as for `observe`."""
        return math.inf if self._arrived_ns is None else (now_ns - self._arrived_ns) * 1e-9

    @property
    def rests(self) -> bool:
        """Whether all that was sent was heard to have ended, and nothing else moves."""
        running = self.running
        ended = running is None or self.stamp_ns >= running.start_ns + int(running.times_ns[-1])
        return ended and not (self._under_way or self.moves_foreign or self.doubtful)

    @property
    def may_run(self) -> list[GripperPlan]:
        """What the controller may be running when something new arrives there, oldest first."""
        running = [] if self.running is None else [self.running]
        return [*running, *self._under_way]

    def common(
        self, now_ns: int, overlap_ns: int, *, delivery_ns: int = ADOPTED_NS
    ) -> tuple[GripperPlan, int] | None:
        """Return what a hold has to continue, and for how long; None when nothing was sent.

        It is to fit whatever the controller may be running, as `ControllerTracker.common` says.

        Args:
            now_ns: ROS time.
            overlap_ns: How long the running motion is to go on.
            delivery_ns: How long delivery takes at most, by what was seen of it.
        """
        if not self._under_way:
            sent = any(plan is self.running for plan in self._sent)
            return (self.running, overlap_ns) if sent and self.running is not None else None
        # As for the arm: what was heard a while ago does not tell that the newest was lost.
        since_ns = max(self._sent_ns + delivery_ns, now_ns - max(HEARD_NS, delivery_ns))
        if self.running is not None and self.stamp_ns >= since_ns:
            return self.running, overlap_ns
        newest = self._under_way[-1]
        parted_ns = min(
            (parts_ns(newest, plan) for plan in self.may_run[:-1]), default=now_ns + overlap_ns
        )
        if parted_ns >= now_ns + delivery_ns:
            return newest, min(overlap_ns, parted_ns - now_ns)
        return newest, overlap_ns

    def distinct(self, start_ns: int) -> bool:
        """Return whether a start can be told from those of the plans that may be known."""
        known = [*self._sent, *([] if self.running is None else [self.running])]
        return all(abs(start_ns - plan.start_ns) >= DISTINCT_NS for plan in known)


def parts_ns(new: GripperPlan, old: GripperPlan) -> int:
    """Return the absolute time until which two plans are the same motion."""
    knots = np.concatenate((new.start_ns + new.times_ns, old.start_ns + old.times_ns))
    times = np.unique(knots[knots >= new.start_ns])
    same = np.abs(_at(new, times) - _at(old, times)) <= SAME_MOTION
    if same.all():
        # They stay where they end.
        return _FOR_EVER_NS
    return int(times[max(int(np.argmin(same)) - 1, 0)])


def plan_of(trajectory: Trajectory, joint: str) -> tuple[GripperPlan | None, str]:
    """Return the plan that a gripper's trajectory is, None and why where it is none.

    Counts come first, so that nothing large is worked on.
    """
    if tuple(trajectory.joint_names[:8]) != (joint,):
        return None, f"joints are [{', '.join(trajectory.joint_names[:8])}], not [{joint}]"
    count = len(trajectory.points)
    if not (count <= MAX_POINTS):
        return None, f"it has {count} points, {MAX_POINTS} are allowed"
    if not (trajectory.stamp_ns > 0):
        return None, "its stamp is not a time, and would be taken for now; stamp it with its start"
    for index, point in enumerate(trajectory.points):
        if len(point.positions) != 1 or len(point.velocities) or len(point.accelerations):
            return None, f"point {index} must have one position and nothing else"
    times = [point.time_from_start_ns for point in trajectory.points]
    if times and not (times[-1] <= MAX_DURATION_NS):
        return None, f"it lasts {times[-1] * 1e-9:.6g} s, {MAX_DURATION_NS * 1e-9:g} s are allowed"
    try:
        return GripperPlan(
            joint,
            trajectory.stamp_ns,
            np.array(times, dtype=np.int64),
            np.array([point.positions[0] for point in trajectory.points], dtype=np.float64),
        ), ""
    except (MotionError, OverflowError) as error:
        return None, str(error)


def fault_of(
    plan: GripperPlan,
    limits: GripperLimits,
    tracker: GripperTracker,
    *,
    now_ns: int,
    overlap_ns: int,
    step: float,
) -> str:
    """Return what is wrong with a plan for the gripper, empty when nothing is.

    Args:
        plan: The plan.
        limits: The gripper's limits.
        tracker: What its controller runs; heard.
        now_ns: ROS time.
        overlap_ns: How long from now the plan must be where the running one is.
        step: By how much the two may differ, rad or m.
    """
    joint = limits.joint
    slack = 1e-6 * (limits.position_upper - limits.position_lower)
    low, high = float(plan.positions.min()), float(plan.positions.max())
    if not (limits.position_lower - slack <= low and high <= limits.position_upper + slack):
        return (
            f"{joint} would go from {low:.4f} to {high:.4f} rad, its limits are "
            f"{limits.position_lower:.4f} to {limits.position_upper:.4f} rad"
        )
    rates = np.abs(np.diff(plan.positions)) / (np.diff(plan.times_ns) * 1e-9)
    rate = float(rates.max(initial=0.0))
    if not (rate <= limits.velocity * (1.0 + 1e-6)):
        return f"{joint} would move at {rate:.3f} rad/s, its limit is {limits.velocity:.3f}"
    end_ns = plan.start_ns + int(plan.times_ns[-1])
    if not (end_ns > now_ns):
        return "it has already ended"
    here_ns = min(now_ns, tracker.stamp_ns)
    if not (plan.start_ns <= here_ns):
        return "its first point lies in the future, or in its controller's; stamp it in the past"
    if not tracker.distinct(plan.start_ns):
        return "it starts within 2 ms of another: nobody could tell which of them runs"
    if tracker.moves_foreign:
        return f"{joint} moves by a trajectory that was never sent from here"
    if tracker.doubtful:
        return f"{joint}: its controller tells of a motion that does not fit what it ran before"
    for running in tracker.may_run:
        until_ns = now_ns + overlap_ns
        knots = np.concatenate(
            (plan.start_ns + plan.times_ns, running.start_ns + running.times_ns)
        )
        inner = knots[(knots > here_ns) & (knots < until_ns)]
        times = np.concatenate(([here_ns], inner, [until_ns]))
        off = np.abs(_at(plan, times) - _at(running, times))
        if not (off <= step).all():
            worst = int(np.argmax(~(off <= step)))
            return (
                f"{joint} would step: it is {off[worst]:.3f} rad off what runs "
                f"{(int(times[worst]) - now_ns) * 1e-6:.1f} ms from now; it must be there until "
                f"{overlap_ns * 1e-6:g} ms from now"
            )
    return ""


def _at(plan: GripperPlan, times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.interp(
        times - plan.start_ns, plan.times_ns, plan.positions
    )
    return found
