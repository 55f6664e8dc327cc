# SPDX-License-Identifier: Apache-2.0
"""What the messages look like where a bag does not say so itself.

Recordings in SQLite by ROS 2 Humble carry no definitions. Those of sensor_msgs come from the
library; the state of a joint_trajectory_controller has had four layouts, and the one that takes up
all bytes of a message is its.
"""

from __future__ import annotations

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

JOINT_STATE = "sensor_msgs/msg/JointState"
CONTROLLER_STATE = "control_msgs/msg/JointTrajectoryControllerState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
ARRAY = "std_msgs/msg/Float64MultiArray"
DYNAMIC = "control_msgs/msg/DynamicJointState"
WANTED = frozenset((JOINT_STATE, CONTROLLER_STATE, TRAJECTORY, ARRAY, DYNAMIC))

_POINT = "trajectory_msgs/JointTrajectoryPoint"
_MANY = "trajectory_msgs/MultiDOFJointTrajectoryPoint"
_DYNAMIC = (
    "std_msgs/Header header\nstring[] joint_names\nInterfaceValue[] interface_values\n"
    + "=" * 80
    + "\nMSG: control_msgs/InterfaceValue\nstring[] interface_names\nfloat64[] values\n"
)


def _layout(fields: list[str], scaling: bool = False) -> str:
    lines = ["std_msgs/Header header", "string[] joint_names"]
    lines += [f"{_POINT} {field}" for field in fields]
    lines += ["string[] multi_dof_joint_names"]
    lines += [f"{_MANY} multi_dof_{field}" for field in fields]
    return "\n".join(lines + ["float64 speed_scaling_factor"] * scaling)


_NOW = ["reference", "feedback", "error", "output"]
CONTROLLER_STATE_LAYOUTS = (
    _layout(_NOW, scaling=True),  # control_msgs from 5.3
    _layout(_NOW),  # Iron, Jazzy
    _layout([*_NOW, "desired", "actual"]),  # late Humble: the old names besides the new
    _layout(["desired", "actual", "error"]),  # early Humble
)


def typestores() -> list[Typestore]:
    """Return type stores that differ in the layout of the controller's state, newest first."""
    stores = []
    for layout in CONTROLLER_STATE_LAYOUTS:
        store = get_typestore(Stores.ROS2_HUMBLE)
        store.register(get_types_from_msg(layout, CONTROLLER_STATE))
        store.register(get_types_from_msg(_DYNAMIC, DYNAMIC))
        stores.append(store)
    return stores
