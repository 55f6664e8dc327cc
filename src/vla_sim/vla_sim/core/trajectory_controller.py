# SPDX-License-Identifier: Apache-2.0
"""An emulation of ros2_control's joint_trajectory_controller (4.42, Jazzy).

Emulated is one configuration: position command interface, position and velocity state interfaces,
no partial goals, no integration of goals, no `decelerate_on_cancel`, no `cmd_timeout`, no speed
scaling, no continuous joints; and, of the newest release (6.9), `allow_trajectory_replacement`.

Its pitfalls are part of it, because plans must be made to survive them:

- A stamp of 0 means "start at the next cycle".
- With `allow_trajectory_replacement` any stamp in the past means that too.
- A new trajectory replaces the old one at once and forgets it. One whose first points are past is
  entered in its middle: a step, unless it agrees there with what ran before.
- Positions are not checked: a NaN, or a target far away, is accepted and commanded.
- Points with accelerations but no velocities command 0 rad.
- A hold (on cancel or a violated tolerance) stops the reference within one control cycle.
- A trajectory on the topic does not end a running action goal: the goal is then judged by that
  trajectory. The goal's tolerances stay in force after it.
- A joint named twice is accepted; the joint that it displaces takes a left-over value.

Differences: updates and messages are strictly one after the other, so the races of the original
between its threads do not occur.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from vla_sim.core.tolerances import JointTolerance, Tolerances, exceeded, for_goal
from vla_sim.core.trajectory import (
    FloatArray,
    JointTrajectory,
    RunningTrajectory,
    TrajectoryPoint,
    TrajectorySample,
)
from vla_sim.core.validation import Rejection, check


class GoalStatus(enum.Enum):
    """How an action goal ended."""

    SUCCEEDED = enum.auto()
    ABORTED = enum.auto()
    CANCELED = enum.auto()


class ErrorCode(enum.IntEnum):
    """`error_code` of control_msgs/action/FollowJointTrajectory."""

    SUCCESSFUL = 0
    INVALID_GOAL = -1
    PATH_TOLERANCE_VIOLATED = -4
    GOAL_TOLERANCE_VIOLATED = -5


@dataclass(frozen=True)
class Goal:
    """An action goal, already accepted."""

    goal_id: Hashable
    trajectory: JointTrajectory
    path_tolerance: tuple[JointTolerance, ...] = ()
    goal_tolerance: tuple[JointTolerance, ...] = ()
    goal_time_tolerance_s: float = 0.0


@dataclass(frozen=True)
class GoalEnd:
    """The end of an action goal."""

    goal_id: Hashable
    status: GoalStatus
    error_code: ErrorCode
    message: str


@dataclass(frozen=True)
class CycleState:
    """What `controller_state` reports of one control cycle.

    Attributes:
        stamp_ns: Time of the cycle.
        reference: The trajectory at `stamp_ns`; its `time_from_start_ns` counts from the start of
            the running trajectory or hold, also beyond the last point.
        feedback: Measured positions and velocities.
        error: Position: reference minus feedback. Velocity: always 0 with position commands.
        output: The position command, which is the trajectory one cycle ahead; the last finite one.
    """

    stamp_ns: int
    reference: TrajectoryPoint
    feedback: TrajectoryPoint
    error: TrajectoryPoint
    output: TrajectoryPoint


@dataclass(frozen=True)
class CycleOutcome:
    """Outcome of one control cycle.

    Attributes:
        state: What to publish as `controller_state`.
        goal_id: The goal that was active when the cycle began, which `state` is feedback for.
        ended: That goal's end, if it ended in this cycle.
        warning: Something a person should read, or empty.
    """

    state: CycleState
    goal_id: Hashable | None = None
    ended: GoalEnd | None = None
    warning: str = ""


@dataclass(frozen=True)
class ControllerConfig:
    """Parameters of the controller.

    Attributes:
        joint_names: The controller's joints, J of them.
        update_period_ns: Its control period; the command is sampled that far ahead.
        interpolate_from_desired_state: Approach a first point that is still to come from the last
            command (true) or from the measured state (false).
        allow_trajectory_replacement: Take a trajectory that arrives while another runs for one
            that starts at its stamp, or now where that is past, and lead over to it.
        interpolation_method: "splines", or "none" to jump from point to point.
        allow_nonzero_velocity_at_trajectory_end: Accept a trajectory that ends in motion.
        tolerances: Enforced unless a goal brings its own; None enforces nothing.
    """

    joint_names: tuple[str, ...]
    update_period_ns: int = 10_000_000
    interpolate_from_desired_state: bool = False
    allow_trajectory_replacement: bool = False
    interpolation_method: str = "splines"
    allow_nonzero_velocity_at_trajectory_end: bool = False
    tolerances: Tolerances | None = None


class TrajectoryController:
    """Follows one trajectory at a time; `update` is one control cycle.

    Times are absolute ROS time in nanoseconds. Calls must not overlap.
    """

    def __init__(
        self, config: ControllerConfig, position: FloatArray, velocity: FloatArray
    ) -> None:
        """Activate the controller: it holds the given position.

        Args:
            config: Parameters.
            position: (J,) measured, rad.
            velocity: (J,) measured, rad/s.
        """
        joints = len(config.joint_names)
        self.config = config
        self._defaults = config.tolerances or Tolerances.none(joints)
        self._tolerances = self._defaults
        self._running: RunningTrajectory | None = None
        self._next: JointTrajectory | None = None
        self._holding = True
        self._goal_id: Hashable | None = None
        self._trajectory_ns = 0
        self._hold_point = TrajectoryPoint(0, position)
        self._measured = TrajectoryPoint(0, position, velocity)
        self._commanded = TrajectoryPoint(0, position, velocity)
        self._commanded_ns = 0
        self._desired = TrajectoryPoint(0, np.zeros(joints), np.zeros(joints))
        self._error = np.zeros(joints)
        self._command = position
        self._output = position
        self._remapped = np.zeros(joints)
        self._hold()

    @property
    def command(self) -> FloatArray:
        """The position command in force, (J,) rad."""
        return self._command

    @property
    def resting(self) -> bool:
        """Whether the reference stands still, with nothing waiting to start."""
        at_rest = not np.any(self._desired.velocities) and self._next is None
        return bool(at_rest and np.array_equal(self._desired.positions, self._command))

    def check(self, trajectory: JointTrajectory, now_ns: int) -> Rejection | None:
        """Tell why a trajectory, from the topic or in a goal, would be rejected, if it would."""
        return check(
            trajectory,
            self.config.joint_names,
            now_ns,
            may_end_moving=self.config.allow_nonzero_velocity_at_trajectory_end,
        )

    def receive(self, trajectory: JointTrajectory, now_ns: int) -> Rejection | None:
        """Take a trajectory from the topic; the next cycle runs it."""
        rejection = self.check(trajectory, now_ns)
        if rejection is None:
            self._next = trajectory
            self._holding = False
        return rejection

    def accept(self, goal: Goal) -> GoalEnd | None:
        """Take an action goal that `check` found nothing against.

        Returns:
            The end of the goal that this one preempts.
        """
        preempted = self._end(
            GoalStatus.ABORTED, ErrorCode.INVALID_GOAL, "preempted by a new action goal"
        )
        self._next = goal.trajectory
        self._holding = False
        self._goal_id = goal.goal_id
        self._tolerances = for_goal(
            self._defaults,
            self.config.joint_names,
            goal.path_tolerance,
            goal.goal_tolerance,
            goal.goal_time_tolerance_s,
        )
        return preempted

    def cancel(self, goal_id: Hashable) -> GoalEnd | None:
        """Cancel a goal: hold the measured position. None when that goal is not the active one."""
        if self._goal_id is None or goal_id != self._goal_id:
            return None
        ended = self._end(GoalStatus.CANCELED, ErrorCode.SUCCESSFUL, "")
        self._hold()
        return ended

    def update(
        self, time_ns: int, period_ns: int, position: FloatArray, velocity: FloatArray
    ) -> CycleOutcome:
        """Run one control cycle.

        Args:
            time_ns: Time of the cycle.
            period_ns: Time since the last one.
            position: (J,) measured, rad.
            velocity: (J,) measured, rad/s.
        """
        goal_id = self._goal_id
        if self._next is not None:
            new, self._next = self._in_own_order(self._next), None
            if self.config.allow_trajectory_replacement and not self._holding:
                new = self._led_over(new, time_ns)
            splines = self.config.interpolation_method == "splines"
            self._running = RunningTrajectory(new, interpolates=splines)
        running = self._running
        assert running is not None
        first = not running.started
        if first:
            self._approach(running, time_ns, TrajectoryPoint(0, position, velocity))
            self._trajectory_ns = time_ns
        else:
            self._trajectory_ns += period_ns
        desired = running.sample(self._trajectory_ns)
        elapsed_ns = self._trajectory_ns - running.start_ns
        if desired is not None:
            self._desired = _point(desired, elapsed_ns)
        else:
            self._desired = replace(self._desired, time_from_start_ns=elapsed_ns)
        ahead = running.sample(self._trajectory_ns + self.config.update_period_ns, advance=False)
        self._measured = TrajectoryPoint(time_ns - running.start_ns, position, velocity)
        ended, warning = None, ""
        if ahead is not None:
            self._error = self._desired.positions - position
            ended, warning = self._judge(running, ahead, first, time_ns)
        return CycleOutcome(self._state(time_ns), goal_id, ended, warning)

    def _judge(
        self, running: RunningTrajectory, ahead: TrajectorySample, first: bool, time_ns: int
    ) -> tuple[GoalEnd | None, str]:
        """Hold the error against the tolerances, then command `ahead` or end the trajectory."""
        off_path = off_goal = late = False
        overdue_ns = self._trajectory_ns - (
            running.start_ns + running.points[ahead.segment].time_from_start_ns
        )
        if not self._holding:
            if first or not ahead.at_end:
                off_path = exceeded(self._error, self._tolerances.path)
            if ahead.at_end:
                off_goal = exceeded(self._error, self._tolerances.goal)
                allowed_s = self._tolerances.goal_time_s
                late = off_goal and allowed_s != 0.0 and overdue_ns / 1e9 > allowed_s
        if not off_path and not late:
            self._command = ahead.position
            self._commanded = _point(ahead, 0)
            self._commanded_ns = time_ns
        if off_path:
            ended = self._end(
                GoalStatus.ABORTED, ErrorCode.PATH_TOLERANCE_VIOLATED, "path tolerance violated"
            )
            self._hold()
            return ended, "path tolerance violated: holding position"
        if late:
            ended = self._end(
                GoalStatus.ABORTED,
                ErrorCode.GOAL_TOLERANCE_VIOLATED,
                f"goal tolerance not met {overdue_ns / 1e9:.6f} s after the end",
            )
            self._hold()
            return ended, "goal tolerance not met in time: holding position"
        if self._goal_id is not None and ahead.at_end and not off_goal:
            ended = self._end(GoalStatus.SUCCEEDED, ErrorCode.SUCCESSFUL, "goal reached")
            self._repeat_last_point()
            return ended, ""
        return None, ""

    def _approach(
        self, running: RunningTrajectory, time_ns: int, measured: TrajectoryPoint
    ) -> None:
        if self.config.interpolate_from_desired_state:
            if self._commanded_ns == 0:
                self._commanded_ns = time_ns
            running.start(self._commanded_ns, self._commanded)
        else:
            running.start(time_ns, measured)

    def _led_over(self, new: JointTrajectory, time_ns: int) -> JointTrajectory:
        """Return the trajectory that starts now, and leads from what runs over to a new one.

        As in `JointTrajectoryController::blend_with_active_trajectory` of release 6.9.
        """
        old = self._running
        if old is None or len(old.points) < 2:
            return new
        cursor_ns = self._trajectory_ns
        start_ns = cursor_ns + max(new.stamp_ns - time_ns, 0)
        bridge = old.sample(start_ns, advance=False)
        points = [
            point
            for point in old.points
            if cursor_ns < old.start_ns + point.time_from_start_ns < start_ns
        ]
        points = [
            replace(p, time_from_start_ns=old.start_ns + p.time_from_start_ns - cursor_ns)
            for p in points
        ]
        offset_ns = start_ns - cursor_ns
        if bridge is not None and new.points[0].time_from_start_ns > 0:
            points.append(_point(bridge, offset_ns))
        points += [
            replace(p, time_from_start_ns=p.time_from_start_ns + offset_ns) for p in new.points
        ]
        return JointTrajectory(0, new.joint_names, tuple(points))

    def _end(self, status: GoalStatus, code: ErrorCode, message: str) -> GoalEnd | None:
        if self._goal_id is None:
            return None
        ended = GoalEnd(self._goal_id, status, code, message)
        self._goal_id = None
        return ended

    def _hold(self) -> None:
        # Velocities and accelerations of the point stay what `_repeat_last_point` left there.
        self._run_hold_point(replace(self._hold_point, positions=self._measured.positions))

    def _repeat_last_point(self) -> None:
        assert self._running is not None
        self._run_hold_point(replace(self._running.points[-1], time_from_start_ns=0))

    def _run_hold_point(self, point: TrajectoryPoint) -> None:
        self._hold_point = point
        self._next = JointTrajectory(0, self.config.joint_names, (point,))
        self._holding = True

    def _in_own_order(self, trajectory: JointTrajectory) -> JointTrajectory:
        own = self.config.joint_names
        order = np.array([own.index(name) for name in trajectory.joint_names])

        def remap(values: FloatArray) -> FloatArray:
            if values.size == 0:
                return values
            # One buffer for all arrays: where a joint is named twice, another keeps what was here.
            self._remapped[order] = values
            return self._remapped.copy()

        points = tuple(
            TrajectoryPoint(
                point.time_from_start_ns,
                remap(point.positions),
                remap(point.velocities),
                remap(point.accelerations),
            )
            for point in trajectory.points
        )
        return JointTrajectory(trajectory.stamp_ns, own, points)

    def _state(self, time_ns: int) -> CycleState:
        if np.isfinite(self._command).all():
            self._output = self._command
        return CycleState(
            stamp_ns=time_ns,
            reference=self._desired,
            feedback=self._measured,
            error=TrajectoryPoint(0, self._error, np.zeros(self._error.size)),
            output=TrajectoryPoint(0, self._output),
        )


def _point(sample: TrajectorySample, time_from_start_ns: int) -> TrajectoryPoint:
    return TrajectoryPoint(
        time_from_start_ns, sample.position, sample.velocity, sample.acceleration
    )
