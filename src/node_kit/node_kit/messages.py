# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and what computes with them. Nothing is judged here."""

from __future__ import annotations

from typing import TypeVar

from builtin_interfaces.msg import Duration, Time
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from smooth_motion.messages import ControllerState, JointStates, Trajectory
from smooth_motion.plan import Point

SECOND_NS = 1_000_000_000
# Of what says how the rest is encoded (CDR's encapsulation), bytes.
_HEADER_BYTES = 4
_Message = TypeVar("_Message")


def to_ns(value: Time | Duration) -> int:
    """Return nanoseconds."""
    return int(value.sec) * SECOND_NS + int(value.nanosec)


def to_time(ns: int) -> Time:
    """Return a time."""
    sec, nanosec = divmod(ns, SECOND_NS)
    return Time(sec=sec, nanosec=nanosec)


def read_message(data: bytes, kind: type[_Message]) -> _Message:
    """Return the message that bytes are.

    Raises:
        Exception: They are none, in words of whatever it is that reads them. Without bytes some
            (rmw_cyclonedds_cpp on Jazzy) end the process.
    """
    if not len(data) >= _HEADER_BYTES:
        raise ValueError(f"{len(data)} bytes are no message")
    message: _Message = deserialize_message(bytes(data), kind)
    return message


def distinct(namespace: str, name: str) -> str:
    """Return a name as /diagnostics has it: with its namespace, for that topic has none."""
    return f"{namespace}/{name}".strip("/")


def trajectory_from(msg: JointTrajectory) -> Trajectory:
    """Return a trajectory as received. Efforts are dropped: nobody here checks them."""
    return Trajectory(
        to_ns(msg.header.stamp),
        tuple(msg.joint_names),
        tuple(
            Point(
                to_ns(point.time_from_start),
                list(point.positions),
                list(point.velocities),
                list(point.accelerations),
            )
            for point in msg.points
        ),
    )


def trajectory_to(trajectory: Trajectory) -> JointTrajectory:
    """Return the message. It is built anew, so that it carries what was checked and no more."""
    msg = JointTrajectory(joint_names=list(trajectory.joint_names))
    msg.header.stamp = to_time(trajectory.stamp_ns)
    for point in trajectory.points:
        sec, nanosec = divmod(point.time_from_start_ns, SECOND_NS)
        msg.points.append(
            JointTrajectoryPoint(
                positions=point.positions,
                velocities=point.velocities,
                accelerations=point.accelerations,
                time_from_start=Duration(sec=sec, nanosec=nanosec),
            )
        )
    return msg


def controller_state_from(msg: JointTrajectoryControllerState) -> ControllerState:
    """Return the controller's reference."""
    # The arrays are the message's own: it is new each time, and nobody changes it.
    reference = msg.reference
    return ControllerState(
        to_ns(msg.header.stamp),
        to_ns(reference.time_from_start),
        tuple(msg.joint_names),
        reference.positions,
        reference.velocities,
        reference.accelerations,
    )


def controller_state_to(state: ControllerState) -> JointTrajectoryControllerState:
    """Return a message with a reference and nothing else."""
    msg = JointTrajectoryControllerState(joint_names=list(state.joint_names))
    msg.header.stamp = to_time(state.stamp_ns)
    sec, nanosec = divmod(state.time_from_start_ns, SECOND_NS)
    msg.reference = JointTrajectoryPoint(
        positions=list(state.position),
        velocities=list(state.velocity),
        accelerations=list(state.acceleration),
        time_from_start=Duration(sec=sec, nanosec=nanosec),
    )
    return msg


def joint_states_to(states: JointStates) -> JointState:
    """Return a message with positions and nothing else."""
    msg = JointState(name=list(states.joint_names), position=list(states.position))
    msg.header.stamp = to_time(states.stamp_ns)
    return msg


def joint_states_from(msg: JointState) -> JointStates:
    """Return the measured positions."""
    return JointStates(to_ns(msg.header.stamp), tuple(msg.name), msg.position)
