# SPDX-License-Identifier: Apache-2.0
"""Write the description of a robot's folder: the URDF, and what ros2_control needs of it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import quoteattr

from vla_sim.from_urdf.description import ArmChoice, UrdfTree
from vla_sim.from_urdf.model import STAND_IN, STAND_IN_MIRRORED, STAND_IN_RANGE

# Of a stand-in finger. The arm has none: it has next to no mass, and nothing to collide with.
_MASS, _INERTIA = 0.001, 1e-6  # kg and kg m^2
_FINGER = (0.016, 0.012, 0.06)  # m, as in the simulation


def _plain(text: str) -> str:
    """Return text in which xacro finds no expressions of its own: a dollar begins one."""
    return text.replace("${", "$${").replace("$(", "$$(")


def description_xacro(urdf: UrdfTree, choice: ArmChoice) -> str:
    """Return the URDF as it was, with every joint of the robot file and what ros2_control needs.

    Args:
        urdf: The description.
        choice: What of it moves; where it has no gripper, the stand-in is written to its tip.
    """
    tree = ElementTree.fromstring(ElementTree.tostring(urdf.tree))
    for tag in ("ros2_control", "gazebo", "transmission", "mujoco"):
        for element in tree.findall(tag):
            tree.remove(element)
    if choice.gripper is None:
        tree.extend(_stand_in(choice.tip))
    body = _plain("".join(ElementTree.tostring(each, encoding="unicode") for each in tree))
    arguments = "\n".join(
        f'  <xacro:arg name="{name}" default="{default}"/>'
        for name, default in (
            ("robot_file", ""),
            ("hardware", "mock"),
            ("joint_commands_topic", "joint_commands"),
            ("joint_states_topic", "joint_states_raw"),
            ("port", ""),
            ("servos_file", ""),
            ("controllers_file", ""),
        )
    )
    return f"""<?xml version="1.0"?>
<!-- The description that the folder was made of, and what ros2_control needs of it. -->
<robot name={quoteattr(_plain(urdf.name or "robot"))} xmlns:xacro="http://www.ros.org/wiki/xacro">
{arguments}
  <xacro:property name="robot_file" value="$(arg robot_file)"/>
  <xacro:property name="file" value="${{xacro.load_yaml(robot_file)}}"/>
  {body.strip()}
  <xacro:include filename="$(find vla_bringup)/urdf/ros2_control.xacro"/>
  <xacro:position_servos file="${{file}}" hardware="$(arg hardware)"
                         joint_commands_topic="$(arg joint_commands_topic)"
                         joint_states_topic="$(arg joint_states_topic)"
                         port="$(arg port)" servos_file="$(arg servos_file)"
                         controllers_file="$(arg controllers_file)"/>
</robot>
"""


def _stand_in(tip: str) -> ElementTree.Element:
    """Return the links and joints, in one element, of the fingers that stand in at a tip."""
    low, high = STAND_IN_RANGE
    length = _FINGER[2]
    fingers = []
    for name, side in ((STAND_IN, 1), (STAND_IN_MIRRORED, -1)):
        mimic = "" if name == STAND_IN else f'<mimic joint="{STAND_IN}"/>'
        fingers.append(f"""
  <link name="{name}_link">
    <inertial>
      <mass value="{_MASS}"/>
      <inertia ixx="{_INERTIA}" iyy="{_INERTIA}" izz="{_INERTIA}" ixy="0" ixz="0" iyz="0"/>
    </inertial>
    <visual>
      <origin xyz="0 {0.5 * _FINGER[1] * side:g} {0.5 * length:g}"/>
      <geometry><box size="{" ".join(map(str, _FINGER))}"/></geometry>
    </visual>
  </link>
  <joint name="{name}" type="prismatic">
    <parent link={quoteattr(tip)}/>
    <child link="{name}_link"/>
    <axis xyz="0 {side} 0"/>
    <limit lower="{low}" upper="{high}" velocity="{high - low}" effort="1"/>
    {mimic}
  </joint>""")
    return ElementTree.fromstring(f"<fingers>{''.join(fingers)}</fingers>")
