# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and what the core computes with."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from control_msgs.msg import JointTrajectoryControllerState
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_msgs.action import RunPolicy
from vla_msgs.msg import ActionChunk, ExecutorStatus, MonitorStatus, PolicyStatus

from node_kit.messages import SECOND_NS, to_ns, to_time
from smooth_motion import GripperPlan, MotionError, Plan
from smooth_motion.check import MAX_KNOTS
from vla_contract.images import ImageError, decompressed, to_rgb
from vla_policy_node.core.arm_lease import NAME_LENGTH
from vla_policy_node.core.chunk_executor import Execution
from vla_policy_node.core.controller_reports import ControllerReport
from vla_policy_node.core.outputs import Status
from vla_policy_node.core.permit import MonitorReport, MonitorState
from vla_policy_node.core.received_chunk import MAX_ROWS, ReceivedChunk
from vla_policy_node.core.session import Ended, percentile

MAX_JOINTS = 64


class MessageError(ValueError):
    """A message cannot be used. The text says what is wrong with it."""


def to_duration(duration_ns: int) -> Duration:
    """Return ns, possibly negative, as a duration."""
    return Duration(sec=duration_ns // SECOND_NS, nanosec=duration_ns % SECOND_NS)


def to_pixels(
    msg: Image | CompressedImage, encoding: str | None, read_as: str | None = None
) -> NDArray[np.uint8]:
    """Return an image as RGB, (H, W, 3) uint8; without a copy where it is rgb8.

    Args:
        msg: The image.
        encoding: The only one accepted, or None for any that is known.
        read_as: What an encoding without an order of colours (8UC3) is.

    Raises:
        MessageError: The encoding is unknown or another, or the size does not fit the data.
    """
    try:
        if isinstance(msg, CompressedImage):
            return decompressed(bytes(msg.data))
        if encoding is not None and msg.encoding != encoding:
            raise MessageError(f"encoding is {msg.encoding}, the contract says {encoding}")
        return to_rgb(msg.data, msg.encoding, msg.height, msg.width, msg.step, read_as)
    except ImageError as error:
        raise MessageError(str(error)) from None


def to_report(msg: JointTrajectoryControllerState, joints: Sequence[str]) -> ControllerReport:
    """Return a controller's reference, its joints in the order given.

    Raises:
        MessageError: A joint or a value of the reference is missing.
    """
    missing = [joint for joint in joints if joint not in msg.joint_names]
    if missing:
        raise MessageError(f"lacks {', '.join(missing)}")
    columns = [msg.joint_names.index(joint) for joint in joints]
    reference = msg.reference
    values = []
    for name in ("positions", "velocities", "accelerations"):
        row = np.array(getattr(reference, name), dtype=np.float64)
        if row.size != len(msg.joint_names):
            raise MessageError(
                f"reference has {row.size} {name} for {len(msg.joint_names)} joints"
            )
        values.append(row[columns])
    return ControllerReport(to_ns(msg.header.stamp), to_ns(reference.time_from_start), *values)


def to_monitor(msg: MonitorStatus) -> MonitorReport:
    """Return the monitor's message. A state that is not known counts as a fault."""
    known = msg.state in MonitorState.__members__.values()
    cause = msg.first_cause
    if cause and msg.first_cause_detail:
        cause += f" ({msg.first_cause_detail})"
    scaling = float(msg.speed_scaling)
    sound = 0.0 < scaling <= 1.0
    if not sound:
        cause = f"speed_scaling is {scaling:g}, not above 0 and at most 1"
    return MonitorReport(
        to_ns(msg.header.stamp),
        MonitorState(msg.state) if known else MonitorState.FAULT,
        bool(msg.permit) and sound,
        cause or ", ".join(msg.waiting_for),
        int(msg.plans_rejected),
        msg.last_rejection,
        scaling if sound else 1.0,
    )


def to_plan(msg: JointTrajectory) -> Plan:
    """Return the plan that a trajectory is.

    Raises:
        MotionError: It is none, as when another node sends positions only, or too long.
    """
    if not len(msg.points) <= MAX_KNOTS:
        raise MotionError(f"it has {len(msg.points)} points, {MAX_KNOTS} at most are a plan")
    points = (
        (to_ns(point.time_from_start), point.positions, point.velocities, point.accelerations)
        for point in msg.points
    )
    return Plan.from_points(msg.joint_names, to_ns(msg.header.stamp), points)


def from_plan(plan: Plan) -> JointTrajectory:
    """Return a plan as the trajectory that a controller reproduces exactly."""
    return JointTrajectory(
        header=Header(stamp=to_time(plan.start_ns)),
        joint_names=list(plan.joint_names),
        points=[
            JointTrajectoryPoint(
                positions=array("d", point.positions),
                velocities=array("d", point.velocities),
                accelerations=array("d", point.accelerations),
                time_from_start=to_duration(point.time_from_start_ns),
            )
            for point in plan.points()
        ],
    )


def from_rows(rows: ReceivedChunk | GripperPlan) -> JointTrajectory:
    """Return a trajectory that has positions only, of as many rows as anybody takes."""
    planned = isinstance(rows, GripperPlan)
    return JointTrajectory(
        header=Header(stamp=to_time(rows.start_ns if planned else rows.stamp_ns)),
        joint_names=[rows.joint] if planned else list(rows.joint_names),
        points=[
            JointTrajectoryPoint(
                positions=array("d", np.atleast_1d(position)), time_from_start=to_duration(int(t))
            )
            for t, position in zip(
                rows.times_ns[:MAX_KNOTS], rows.positions[:MAX_KNOTS], strict=True
            )
        ],
    )


def to_chunk(msg: ActionChunk) -> tuple[ReceivedChunk, str]:
    """Return a chunk, and why its positions are no table, empty where they are one.

    Counts are looked at before anything is copied. A chunk that is no table has no rows.
    """
    rows, columns = (int(count) for count in msg.shape)
    names, size, problem = msg.joint_names, len(msg.positions), ""
    if not len(names) <= MAX_JOINTS:
        names, problem = [], f"it has {len(names)} joint_names, {MAX_JOINTS} at most are taken"
    elif not 1 <= rows <= MAX_ROWS:
        problem = f"shape says {rows} rows; write 1 to {MAX_ROWS}"
    elif columns != len(names) or rows * columns != size:
        problem = (
            f"shape is ({rows}, {columns}), with {len(names)} joint_names and {size} positions; "
            "write shape (T, J), J names and T * J positions, row by row"
        )
    positions = np.zeros((0, len(names)))
    if not problem:
        positions = np.array(msg.positions, dtype=np.float64).reshape(rows, columns)
    chunk = ReceivedChunk(
        source=msg.source[:NAME_LENGTH],
        lease=int(msg.lease),
        chunk_id=int(msg.chunk_id),
        stamp_ns=to_ns(msg.header.stamp),
        dt_s=float(msg.dt),
        joint_names=tuple(names),
        positions=positions,
    )
    return chunk, problem


def from_chunk(chunk: ReceivedChunk) -> ActionChunk:
    """Return a chunk for the record."""
    return ActionChunk(
        header=Header(stamp=to_time(chunk.stamp_ns)),
        chunk_id=chunk.chunk_id,
        lease=chunk.lease,
        source=chunk.source,
        joint_names=list(chunk.joint_names),
        shape=np.array(chunk.positions.shape, dtype=np.uint32),
        dt=chunk.dt_s,
        positions=array("d", chunk.positions.tobytes()),
        inference_latency=chunk.latency_s,
        phase=chunk.phase,
        done=chunk.done,
    )


def from_status(status: Status, now_ns: int) -> PolicyStatus:
    """Return what the node is doing; durations are NaN while there is none."""
    statistics = status.statistics
    return PolicyStatus(
        header=Header(stamp=to_time(now_ns)),
        state=int(status.state),
        instruction=status.instruction,
        policy_id=status.policy_id,
        phase=status.phase,
        waiting_for=list(status.waiting_for),
        remarks=list(status.remarks),
        chunks=statistics.chunks,
        plans=statistics.plans,
        plans_acknowledged=statistics.plans_acknowledged,
        plans_refused=statistics.plans_refused,
        last_refusal=statistics.last_refusal,
        inference_latency=_newest(statistics.latencies_s),
        plan_time=_newest(statistics.plan_times_s),
    )


def from_executor(status: Execution, now_ns: int) -> ExecutorStatus:
    """Return who holds the arm, and what becomes of chunks."""
    statistics = status.statistics
    return ExecutorStatus(
        header=Header(stamp=to_time(now_ns)),
        holder=status.holder,
        lease=status.lease,
        last_end=status.last_end,
        waiting_for=list(status.waiting_for),
        chunks=statistics.chunks,
        plans=statistics.plans,
        plans_acknowledged=statistics.plans_acknowledged,
        chunks_refused=statistics.plans_refused,
        last_refusal=statistics.last_refusal,
        chunks_without_lease=status.strangers,
        last_without_lease=status.stranger,
    )


def from_ended(ended: Ended) -> RunPolicy.Result:
    """Return how a run ended; percentiles are NaN where nothing was counted."""
    statistics = ended.statistics
    return RunPolicy.Result(
        termination_reason=int(ended.termination),
        message=ended.message,
        duration=ended.duration_s,
        chunks=statistics.chunks,
        plans=statistics.plans,
        plans_acknowledged=statistics.plans_acknowledged,
        inference_latency_p50=percentile(statistics.latencies_s, 0.5),
        inference_latency_p99=percentile(statistics.latencies_s, 0.99),
        plan_time_p50=percentile(statistics.plan_times_s, 0.5),
        plan_time_p99=percentile(statistics.plan_times_s, 0.99),
    )


def from_progress(status: Status) -> RunPolicy.Feedback:
    """Return how a run goes."""
    return RunPolicy.Feedback(
        phase=status.phase,
        elapsed=status.elapsed_s,
        chunks=status.statistics.chunks,
        plans=status.statistics.plans,
        inference_latency=_newest(status.statistics.latencies_s),
    )


def _newest(values: Sequence[float]) -> float:
    return values[-1] if values else float("nan")
