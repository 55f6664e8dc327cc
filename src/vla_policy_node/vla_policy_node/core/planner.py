# SPDX-License-Identifier: Apache-2.0
"""Chunk scheduling: when a chunk becomes a plan, where it leaves the running one, and what runs.

Every plan repeats the running one until after its own delivery, so it cannot step; the
controller's state tells which plan runs. One plan is under way at a time. Whatever goes wrong,
nothing is sent and the running plan ends at rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smooth_motion import (
    Acknowledged,
    Chunk,
    GripperPlan,
    MotionError,
    Plan,
    RunningPlan,
    TrackerConfig,
    blended,
    overlap,
    splice_ns,
    track,
    track_gripper,
    within_from_ns,
)
from smooth_motion.check import MAX_KNOTS
from vla_contract.robot import Robot
from vla_policy_node.core.controller_reports import (
    SAME_START_NS,
    ControllerReport,
    Event,
    GripperInForce,
    stale,
)

# The first point lies this long before the controller's newest cycle: a controller that lags
# behind the clock enters the trajectory in the middle. It would draw a line of its own to a first
# point that still lay in its future.
START_BACK_NS = 50_000_000
# Of the margin, what is left to delivery once planning is over.
DELIVERY_NS = 10_000_000
# A controller's state that is this old by its own stamp does not say what runs now.
HELD_BACK_NS = 500_000_000
# While the speed changes no plan is made that would leave the running one this much later.
SETTLING_NS = 50_000_000


class RefusalError(Exception):
    """A chunk yields no plan. The message says why."""


@dataclass(frozen=True)
class Motion:
    """What to publish for one chunk.

    Attributes:
        arm: The arm's plan.
        gripper: The gripper's, or None when the chunk does not command it.
        splice_ns: From when on the arm follows the chunk.
    """

    arm: Plan
    gripper: GripperPlan | None
    splice_ns: int


class Planner:
    """Makes plans of chunks, one under way at a time, from what the controllers report.

    Attributes:
        scaling: Share of its speed at which a motion is carried out, above 0 and at most 1.
            Plans are as at full speed, stretched: limits, knots and cutoff follow.
    """

    def __init__(
        self,
        robot: Robot,
        *,
        overlap_ns: int,
        margin_ns: int,
        acknowledge_timeout_ns: int,
        with_gripper: bool,
    ) -> None:
        """Begin without knowledge of the controllers.

        Args:
            robot: Joints and limits.
            overlap_ns: A plan equals the running one for this long after its publication.
            margin_ns: Added to the overlap for planning and delivery.
            acknowledge_timeout_ns: After this a plan that does not run is lost.
            with_gripper: Whether the policy commands the gripper.
        """
        self.scaling = 1.0
        self._robot = robot
        self._overlap_ns = overlap_ns
        self._margin_ns = margin_ns
        self._timeout_ns = acknowledge_timeout_ns
        self._running: RunningPlan | None = None
        self._arrival_ns = 0
        self._controller_ns = 0
        # Start of the plan that was sent and does not run yet.
        self._in_flight: int | None = None
        self._sent_ns = 0
        # Another's plan was heard that the controller may not have taken yet.
        self._overtaken = False
        self._foreign_start_ns: int | None = None
        self._gripper = GripperInForce(robot.gripper.joint) if with_gripper else None

    # -- what the controllers report --------------------------------------------------------------

    def observe_arm(self, report: ControllerReport, now_ns: int, steady_ns: int) -> Event:
        """Take in a message of the arm's controller.

        Raises:
            MotionError: Its reference is not finite or has another number of joints.
        """
        if self._running is None:
            hold = Plan.hold(self._robot.limits.joint_names, report.position, report.start_ns)
            self._running = RunningPlan(hold, timeout_ns=self._timeout_ns)
        verdict = self._running.observe(
            report.stamp_ns, report.time_from_start_ns, report.position, report.velocity, now_ns
        )
        self._arrival_ns = steady_ns
        self._controller_ns = report.stamp_ns
        self._overtaken &= verdict.kind is Acknowledged.PENDING
        if verdict.kind is Acknowledged.FOREIGN:
            return self._observe_foreign(self._running, report)
        self._foreign_start_ns = None
        if self._in_flight is None:
            return Event.NOTHING
        if self._running.plan.start_ns == self._in_flight:
            self._in_flight = None
            return Event.ACKNOWLEDGED
        if now_ns - self._sent_ns > self._timeout_ns:
            self._in_flight = None
            return Event.LOST
        return Event.NOTHING

    def forget(self) -> None:
        """Begin without knowledge of the controllers again, as after the clock was set.

        Where the controller moves then is nobody's plan; its rest is waited for.
        """
        self._running = self._in_flight = self._foreign_start_ns = None
        self._overtaken = False
        if self._gripper is not None:
            self._gripper = GripperInForce(self._robot.gripper.joint)

    def heard(self, plan: Plan, now_ns: int) -> None:
        """Take in a plan that went to the controller, from whomever it came.

        The monitor slows motions down: it sends plans of its own, and a plan of this node in
        another form. The next plan continues those.
        """
        if self._running is None:
            return
        try:
            self._running.heard(plan, now_ns)
        except MotionError:
            # Other joints, or hardly to be told from the one before: its run will look foreign.
            return
        self._overtaken = self._running.newest.start_ns != self._in_flight

    def _observe_foreign(self, running: RunningPlan, report: ControllerReport) -> Event:
        self._in_flight = None
        before_ns, self._foreign_start_ns = self._foreign_start_ns, report.start_ns
        if before_ns is None:
            return Event.FOREIGN
        # Seen twice, because a trajectory that begins at rest looks like rest in its first cycle.
        if not report.at_rest or abs(before_ns - report.start_ns) > SAME_START_NS:
            return Event.NOTHING
        hold = Plan.hold(self._robot.limits.joint_names, report.position, report.start_ns)
        running.rebase(hold)
        self._foreign_start_ns = None
        return Event.REBASED

    def observe_gripper(self, report: ControllerReport, steady_ns: int) -> None:
        """Take in a message of the gripper's controller.

        Raises:
            MotionError: Its reference is not finite.
        """
        if self._gripper is not None:
            self._gripper.observe(report, steady_ns)

    def problems(self, steady_ns: int) -> tuple[str, ...]:
        """List why no plan can be made now, empty when one can or one is under way."""
        found = []
        if self._running is None:
            found.append(f"{self._robot.arm_controller}/controller_state: no message yet")
        else:
            found += stale(self._robot.arm_controller, steady_ns - self._arrival_ns)
            if self._foreign_start_ns is not None:
                found.append(f"{self._robot.arm_controller}: {Event.FOREIGN.value}")
        if self._gripper is not None:
            controller = self._robot.gripper.controller
            if self._gripper.arrival_ns is None:
                found.append(f"{controller}/controller_state: no message yet")
            else:
                found += stale(controller, steady_ns - self._gripper.arrival_ns)
        return tuple(found)

    # -- plans ------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> bool:
        """Whether a plan was sent that the controller has not taken yet."""
        return self._in_flight is not None

    @property
    def budget_ns(self) -> int:
        """How long planning may take; a plan that took longer could be delivered too late."""
        return self._margin_ns - DELIVERY_NS

    def remaining_ns(self, now_ns: int) -> int:
        """Return how long the newest plan still lasts, 0 when it has ended."""
        if self._running is None:
            return 0
        plan = self._running.newest if self.in_flight else self._running.plan
        return max(0, plan.end_ns - now_ns)

    def resting(self, now_ns: int) -> bool:
        """Whether everything that was sent has been carried out."""
        if self._gripper is not None:
            running = self._gripper.running
            if now_ns < running.start_ns + int(running.times_ns[-1]):
                return False
        return not self.in_flight and self.remaining_ns(now_ns) == 0

    def lead_ns(self, latency_ns: int) -> int:
        """Return how long before a plan's end the next observation must go to the policy.

        Args:
            latency_ns: How long an answer takes, in all but the rarest cases.
        """
        return latency_ns + self._overlap_ns + self._margin_ns

    @property
    def settling(self) -> bool:
        """Whether what runs is about to change by itself, so that a plan would be in vain.

        The monitor has sent a plan that does not run yet, or what runs is still faster than
        `scaling` allows: the monitor slows it down at once.
        """
        if self._overtaken:
            return True
        if self._running is None or self.scaling == 1.0:
            return False
        soon_ns = self._controller_ns + self._overlap_ns + self._margin_ns + SETTLING_NS
        slow = self._robot.limits.slowed(self.scaling)
        return within_from_ns(self._running.plan, slow) > soon_ns

    def position(self, at_ns: int) -> dict[str, float]:
        """Return where each joint is led at a time, rad; of what was heard of the controllers."""
        found = {}
        if self._running is not None:
            led = self._running.plan.sample(at_ns).position
            names = self._robot.limits.joint_names
            found = {name: float(value) for name, value in zip(names, led, strict=True)}
        if self._gripper is not None:
            found[self._robot.gripper.joint] = self._gripper.running.position(at_ns)
        return found

    def earliest_ns(self, now_ns: int) -> int:
        """Return from when on a plan that is made now can follow a chunk, at the earliest."""
        return now_ns + self._overlap_ns + self._margin_ns

    def plan(self, chunk: Chunk, now_ns: int, *, blend_ns: int = 0, whole: bool = False) -> Motion:
        """Make a plan of a chunk. `sent` must be told if it is published.

        Args:
            chunk: Of the arm's joints, and the gripper's where it is commanded, in any order.
            now_ns: ROS time.
            blend_ns: Over how long the arm's difference from the running plan fades; 0 for none.
            whole: The chunk is carried out from row 0 on, whenever the plan begins.

        Raises:
            RefusalError: The chunk is too old, or no plan within the limits follows it.
            RuntimeError: A plan is under way, or `problems` names something.
        """
        if self._running is None or self.in_flight or self._foreign_start_ns is not None:
            raise RuntimeError("no plan can be made now; ask `problems` and `in_flight` first")
        late_ns = now_ns - self._controller_ns
        if not late_ns <= HELD_BACK_NS:
            raise RefusalError(
                f"what {self._robot.arm_controller} says is {late_ns / 1e9:.3f} s old on arrival: "
                "it was held back on its way, or its clock is another"
            )
        running = self._running.plan
        earliest_ns = self.earliest_ns(now_ns)
        limits, config = self._robot.limits, TrackerConfig()
        if self.scaling < 1.0:
            limits = limits.slowed(self.scaling)
            config = TrackerConfig(
                knot_dt_ns=round(config.knot_dt_ns / self.scaling),
                cutoff_hz=config.cutoff_hz * self.scaling,
            )
            earliest_ns = max(earliest_ns, within_from_ns(running, limits))
        splice = splice_ns(running, earliest_ns)
        if whole:
            chunk = replace(chunk, start_ns=splice)
        elif not chunk.end_ns > splice:
            late_s = (splice - chunk.end_ns) / 1e9
            raise RefusalError(
                f"the chunk ends {late_s:.3f} s before a plan could follow it: its source is too "
                "slow for the length of its chunks; send longer ones, or sooner (a policy: a "
                "faster computer, or execution: stop_and_go under policy in the contract)"
            )
        cut = max(min(now_ns, self._controller_ns) - START_BACK_NS, running.start_ns)
        cut = self._running.distinct_start(cut)
        try:
            begin, rows = running.state(splice), _columns(chunk, limits.joint_names)
            if blend_ns > 0:
                rows = np.clip(rows, limits.position_lower, limits.position_upper)
                rows = blended(rows, chunk.times_ns, splice, begin.position, blend_ns)
            arm_chunk = Chunk(limits.joint_names, chunk.start_ns, chunk.dt_ns, rows)
            tail = track(arm_chunk, begin, limits, start_ns=splice, config=config)
            arm = overlap(running, tail, cut_ns=cut)
            gripper = None
            joint = self._robot.gripper.joint
            if self._gripper is not None and joint in chunk.joint_names:
                gripper = track_gripper(
                    _columns(chunk, (joint,))[:, 0],
                    chunk.start_ns,
                    chunk.dt_ns,
                    self._gripper.running,
                    self._robot.gripper,
                    cut_ns=cut,
                    splice_ns=splice,
                )
        except MotionError as error:
            raise RefusalError(f"no plan follows the chunk: {error}") from error
        most = max(arm.times_ns.size, 0 if gripper is None else gripper.times_ns.size)
        if not most <= MAX_KNOTS:
            raise RefusalError(f"its plan has {most} knots, the monitor takes {MAX_KNOTS}")
        return Motion(arm, gripper, splice)

    def sent(self, motion: Motion, now_ns: int) -> None:
        """Note that a plan is published."""
        if self._running is None:
            raise RuntimeError("a plan was sent before the controller was heard")
        self._running.sent(motion.arm, now_ns)
        self._in_flight, self._sent_ns = motion.arm.start_ns, now_ns
        if self._gripper is not None and motion.gripper is not None:
            self._gripper.sent(motion.gripper)


def _columns(chunk: Chunk, joints: Sequence[str]) -> NDArray[np.float64]:
    return chunk.positions[:, [chunk.joint_names.index(joint) for joint in joints]]
