# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and what the core computes with."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTrajectoryControllerState
from geometry_msgs.msg import Point as PointMsg
from geometry_msgs.msg import Pose, Quaternion
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMsg
from trajectory_msgs.msg import JointTrajectoryPoint
from vla_msgs.msg import TaskState

from node_kit.messages import SECOND_NS, to_ns, to_time
from vla_sim.core.simulation import Tick
from vla_sim.core.tolerances import JointTolerance
from vla_sim.core.trajectory import FloatArray, JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import CycleState, Goal
from vla_sim.world import CameraModel, ObjectState


def to_trajectory(msg: JointTrajectoryMsg) -> JointTrajectory:
    """Take over a trajectory as it is: nothing is checked here."""
    points = tuple(
        TrajectoryPoint(
            to_ns(point.time_from_start),
            np.array(point.positions, dtype=np.float64),
            np.array(point.velocities, dtype=np.float64),
            np.array(point.accelerations, dtype=np.float64),
            np.array(point.effort, dtype=np.float64),
        )
        for point in msg.points
    )
    return JointTrajectory(to_ns(msg.header.stamp), tuple(msg.joint_names), points)


def to_goal(goal_id: bytes, msg: FollowJointTrajectory.Goal) -> Goal:
    """Take over an action goal."""
    return Goal(
        goal_id,
        to_trajectory(msg.trajectory),
        tuple(map(_to_tolerance, msg.path_tolerance)),
        tuple(map(_to_tolerance, msg.goal_tolerance)),
        to_ns(msg.goal_time_tolerance) / SECOND_NS,
    )


def fill_controller_state(msg: JointTrajectoryControllerState, state: CycleState) -> None:
    """Write a controller's state into its message, whose joint names stay as they are."""
    _fill_time(msg.header.stamp, state.stamp_ns)
    _fill_point(msg.reference, state.reference)
    _fill_point(msg.feedback, state.feedback)
    _fill_point(msg.error, state.error)
    _fill_point(msg.output, state.output)


def fill_joints(msg: JointState, tick: Tick) -> None:
    """Write what a tick read of the joints into its message, whose names stay as they are."""
    _fill_time(msg.header.stamp, tick.stamp_ns)
    msg.position = _doubles(tick.position)
    msg.velocity = _doubles(tick.velocity)
    msg.effort = _doubles(tick.effort)


def from_feedback(joint_names: Sequence[str], state: CycleState) -> FollowJointTrajectory.Feedback:
    """Return a controller's state as feedback of an action."""
    return FollowJointTrajectory.Feedback(
        header=Header(stamp=to_time(state.stamp_ns)),
        joint_names=list(joint_names),
        desired=_from_point(state.reference),
        actual=_from_point(state.feedback),
        error=_from_point(state.error),
    )


def from_image(header: Header, picture: NDArray[np.uint8]) -> Image:
    """Return a picture, rgb (H, W, 3), as its message."""
    height, width, _ = picture.shape
    data = array("B")
    data.frombytes(np.ascontiguousarray(picture).data)  # one copy; array("B", bytes) takes 1 ms
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=width * 3,
        data=data,
    )


def from_camera(header: Header, camera: CameraModel) -> CameraInfo:
    """Return a camera without distortion as its message."""
    projection = np.hstack([camera.K, np.zeros((3, 1))])
    return CameraInfo(
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
    )


def from_objects(
    stamp_ns: int, frame: str, seed: int, objects: Sequence[ObjectState]
) -> TaskState:
    """Return where the objects are."""
    return TaskState(
        header=Header(stamp=to_time(stamp_ns), frame_id=frame),
        seed=seed,
        object_names=[item.name for item in objects],
        object_poses=[_from_pose(item) for item in objects],
        in_bin=[item.in_bin for item in objects],
    )


def _to_tolerance(msg: object) -> JointTolerance:
    return JointTolerance(msg.name, msg.position, msg.velocity, msg.acceleration)  # type: ignore[attr-defined]


def _from_point(point: TrajectoryPoint) -> JointTrajectoryPoint:
    msg = JointTrajectoryPoint()
    _fill_point(msg, point)
    return msg


def _fill_point(msg: JointTrajectoryPoint, point: TrajectoryPoint) -> None:
    msg.positions = _doubles(point.positions)
    msg.velocities = _doubles(point.velocities)
    msg.accelerations = _doubles(point.accelerations)
    _fill_time(msg.time_from_start, point.time_from_start_ns)


def _fill_time(msg: Time | Duration, time_ns: int) -> None:
    msg.sec, msg.nanosec = divmod(time_ns, SECOND_NS)


def _doubles(values: FloatArray) -> array[float]:
    return array("d", values.tobytes())


def _from_pose(item: ObjectState) -> Pose:
    x, y, z = item.position.tolist()
    qw, qx, qy, qz = item.quaternion.tolist()
    return Pose(position=PointMsg(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
