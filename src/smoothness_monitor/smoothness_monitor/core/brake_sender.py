# SPDX-License-Identifier: Apache-2.0
"""Sends what brings the arm and the gripper to rest, by what the stop sees."""

from __future__ import annotations

from dataclasses import dataclass

from node_kit.log import LogLevel
from smooth_motion import Limits, MotionError, Plan, limit_violations
from smooth_motion import State as MotionState
from smooth_motion.clocks import Now
from smooth_motion.messages import Trajectory
from smoothness_monitor.core import brakes
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.types import FloatArray, Outbox

# What is sent now reaches the controller in this time, unless the link is seen to be slower.
DELIVERY_NS = 60_000_000
# By how much a trajectory may be later than what was seen of the link.
_LATER_NS = 30_000_000
# A controller's cycle that is further than this from now is not late, its clock is another.
OTHER_CLOCK_NS = 300_000_000


@dataclass(frozen=True)
class StopInputs:
    """What the monitor sees when the stop is to move on.

    Attributes:
        now: The clocks.
        own_ns: The monitor's own clock.
        late_ns: How late the controller is heard; what is known of it is of so long ago.
        link_ns: Largest delay between the controller and this node that was seen lately.
        lead_ns: For how long a brake has to continue what runs, at least.
        limits: Of the arm.
        controller_fresh: controller_state is not stale.
        joints_fresh: joint_states is not stale.
        joints_rest: The measured joints stand, by fresh measurements.
        measured: (J,) rad, None before the first.
    """

    now: Now
    own_ns: int
    late_ns: int
    link_ns: int
    lead_ns: int
    limits: Limits
    controller_fresh: bool
    joints_fresh: bool
    joints_rest: bool
    measured: FloatArray | None

    @property
    def way_ns(self) -> int:
        """How much longer than usual a trajectory is on its way."""
        return max(0, min(self.link_ns, self.lead_ns) - DELIVERY_NS)

    @property
    def delivery_ns(self) -> int:
        """In which time what is sent now reaches the controller, by what was seen."""
        return max(DELIVERY_NS, min(self.link_ns + _LATER_NS, self.lead_ns))


class BrakeSender:
    """Makes the trajectories of a stop and sends them.

    Attributes:
        leaves_ns: ROS time at which the newest brake leaves what runs.
    """

    def __init__(
        self, tracker: ControllerTracker, gripper: GripperTracker, outbox: Outbox
    ) -> None:
        """Begin without a brake."""
        self.leaves_ns = 0
        self._tracker, self._gripper, self._out = tracker, gripper, outbox

    def brake(self, inputs: StopInputs) -> Plan | None:
        """Send the brake; return the plan that now stops the arm, None when there is none."""
        tracker = self._tracker
        cycle, running = tracker.cycle, tracker.running
        assert cycle is not None
        assert running is not None
        foreign = tracker.foreign
        now_ns = inputs.now.ros_ns
        base, overlap_ns = tracker.common(now_ns, inputs.lead_ns, delivery_ns=inputs.delivery_ns)
        self.leaves_ns = now_ns + overlap_ns
        state_ns = cycle.time_ns
        if abs(state_ns - inputs.now.ros_ns) > OTHER_CLOCK_NS:
            # Its stamps are of another clock, so all that is known is that the state is of now.
            state_ns = inputs.now.ros_ns
        try:
            if foreign:
                plan = brakes.brake_from_state(
                    MotionState(cycle.position, cycle.velocity, cycle.acceleration),
                    inputs.limits,
                    state_ns=state_ns,
                    now_ns=inputs.now.ros_ns,
                    foreign_start_ns=cycle.verdict.start_ns,
                )
                # What was sent before no longer matters, and must not be taken for the brake.
                tracker.rebase()
            else:
                plan = brakes.brake_in_plan(
                    base,
                    inputs.limits,
                    now_ns=inputs.now.ros_ns,
                    controller_ns=cycle.time_ns,
                    overlap_ns=overlap_ns,
                    sent=tracker.known,
                )
        except MotionError as error:
            if foreign:
                self._out.log(LogLevel.ERROR, f"no brake trajectory exists: {error}")
                return None
            self._out.log(LogLevel.ERROR, f"no brake exists ({error}): the plan runs to its end")
            return base
        for violation in limit_violations(plan, inputs.limits):
            self._out.log(LogLevel.WARN, f"the brake cannot keep a limit: {violation}")
        self._send(plan, inputs)
        return plan

    def hold(self, inputs: StopInputs) -> tuple[Plan, str] | None:
        """Send a hold. It steps an arm that moves, which is better than going on.

        Returns:
            The hold and where it is in words, None where nothing is known of the arm.
        """
        cycle = self._tracker.cycle
        position = None
        if cycle is not None and inputs.controller_fresh:
            position, where = cycle.position, "at the reference"
        elif cycle is not None and inputs.joints_fresh and not inputs.joints_rest:
            position, where = inputs.measured, "at the measured joints"
        if position is None:
            return None
        names = inputs.limits.joint_names
        hold = brakes.hold(names, position, now_ns=inputs.now.ros_ns, sent=self._tracker.known)
        self._send(hold, inputs)
        return hold, where

    def _send(self, plan: Plan, inputs: StopInputs) -> None:
        self._tracker.sent(plan, inputs.own_ns, inputs.now.ros_ns)
        self._out.arm.append(Trajectory.of(plan))
        self._out.made_ns = inputs.now.ros_ns

    def hold_gripper(self, inputs: StopInputs) -> None:
        """Send the gripper a hold at what it is commanded: a grasp keeps its force."""
        now_ns = inputs.now.ros_ns
        commanded = self._gripper.common(now_ns, inputs.lead_ns, delivery_ns=inputs.delivery_ns)
        if commanded is None:
            return
        running, overlap_ns = commanded
        hold = brakes.hold_gripper(
            running,
            now_ns=now_ns,
            controller_ns=self._gripper.stamp_ns,
            overlap_ns=overlap_ns,
        )
        self._gripper.sent(hold, now_ns)
        self._out.gripper.append(Trajectory.of_gripper(hold))
        self._out.made_ns = now_ns
