# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and what the core computes with."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from std_msgs.msg import Header
from vla_msgs.action import MoveTo
from vla_msgs.msg import ActionChunk, ExecutorStatus, MonitorStatus

from node_kit.messages import SECOND_NS, to_ns, to_time
from smooth_motion import State
from vla_moveit.core.arm_view import ArmView
from vla_moveit.core.goal import GoalError, MoveRequest, ToolGoal
from vla_moveit.core.move import Move
from vla_moveit.core.outcome import MoveResult, StampedRows
from vla_moveit.core.schedule import ROW_NS

MOST_JOINTS = 64


def to_request(goal: MoveTo.Goal) -> MoveRequest:
    """Return what is asked for.

    Raises:
        GoalError: It names more joints than any arm has.
    """
    if not max(len(goal.joint_names), len(goal.positions)) <= MOST_JOINTS:
        raise GoalError(f"joint_names: has more than {MOST_JOINTS}; write joints of the arm")
    frame, pose = goal.tool.header.frame_id, goal.tool.pose
    place, turn = pose.position, pose.orientation
    tool = ToolGoal((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
    return MoveRequest(
        named=goal.named,
        joints=tuple(goal.joint_names),
        positions=tuple(float(value) for value in goal.positions),
        tool=(frame, tool) if frame else None,
        speed=float(goal.speed),
        take_over=bool(goal.take_over),
        plan_only=bool(goal.plan_only),
    )


def to_led(msg: JointTrajectoryControllerState, joints: Sequence[str]) -> State | None:
    """Return where a controller leads the joints; None where it does not say so of each."""
    reference, rows = msg.reference, []
    if not set(joints) <= set(msg.joint_names):
        return None
    columns = [msg.joint_names.index(joint) for joint in joints]
    for name in ("positions", "velocities", "accelerations"):
        row = np.array(getattr(reference, name), dtype=np.float64)
        if row.size != len(msg.joint_names) or not np.isfinite(row).all():
            return None
        rows.append(row[columns])
    return State(*rows)


def take_executor(view: ArmView, msg: ExecutorStatus) -> None:
    """Note who holds the arm."""
    view.holder, view.lease = msg.holder, int(msg.lease)
    view.status_ns, view.last_end = to_ns(msg.header.stamp), msg.last_end
    view.last_refusal = msg.last_refusal if msg.chunks_refused else ""


def take_monitor(view: ArmView, msg: MonitorStatus) -> None:
    """Note whether the arm may move, and how fast."""
    scaling = float(msg.speed_scaling)
    view.permit = bool(msg.permit) and 0.0 < scaling <= 1.0
    view.scaling = scaling if 0.0 < scaling <= 1.0 else 1.0
    view.rejections, view.rejection = int(msg.plans_rejected), msg.last_rejection
    view.cause = ": ".join(filter(None, (msg.first_cause, msg.first_cause_detail)))
    view.cause = view.cause or ", ".join(msg.waiting_for)


def to_message(
    rows: StampedRows, source: str, lease: int, number: int, joints: Sequence[str]
) -> ActionChunk:
    """Return a chunk for the executor."""
    return ActionChunk(
        header=Header(stamp=to_time(rows.stamp_ns)),
        lease=lease,
        chunk_id=number,
        source=source,
        joint_names=list(joints),
        shape=np.array(rows.positions.shape, dtype=np.uint32),
        dt=ROW_NS / SECOND_NS,
        positions=array("d", np.ascontiguousarray(rows.positions).tobytes()),
    )


def to_result(ended: MoveResult, joints: Sequence[str]) -> MoveTo.Result:
    """Return how a move ended."""
    result = MoveTo.Result(
        reason=int(ended.reason), message=ended.message, planning_time=ended.planning_s
    )
    path = ended.schedule
    if path is not None:
        result.duration = path.motion.end_ns / SECOND_NS
        result.deviation = path.deviation
        result.joint_names = list(joints)
        result.shape = np.array(path.points.shape, dtype=np.uint32)
        result.path = array("d", np.ascontiguousarray(path.points).tobytes())
    return result


def to_feedback(move: Move, elapsed_s: float) -> MoveTo.Feedback:
    """Return how a move goes."""
    return MoveTo.Feedback(phase=int(move.phase), elapsed=elapsed_s, progress=move.progress())
