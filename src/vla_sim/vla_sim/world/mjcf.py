# SPDX-License-Identifier: Apache-2.0
"""The simulated world as one MJCF file, for whoever else runs MuJoCo: mujoco_ros2_control."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from vla_contract.robot import load_robot
from vla_sim.world import scene as scenes
from vla_sim.world.model import arm_on_table, build, is_empty, table_top

SIZE = (640, 480)


def world_mjcf(robot_file: Path, *, seed: int = 0, step_s: float = 0.001) -> str:
    """Return the arm on its table, with the cubes where they lie in the simulation.

    Joints and actuators have the robot file's names. The arm stands at zero: who runs it puts it
    where it is to begin.

    Args:
        robot_file: Of a robot that is modelled here, or has a `model.xml` beside it.
        seed: Of the scene.
        step_s: Physics step, s.

    Raises:
        RobotConfigError: The robot file cannot be read.
        WorldError: There is no model of this arm.
    """
    robot = load_robot(robot_file)
    spec = arm_on_table(robot_file, robot)
    table = table_top(spec, robot_file)
    _name_joints(spec, (*robot.limits.joint_names, robot.gripper.joint))
    lower = np.append(robot.limits.position_lower, robot.gripper.position_lower)
    upper = np.append(robot.limits.position_upper, robot.gripper.position_upper)
    if not is_empty(spec):
        scene = scenes.sample_scene(seed, randomise=False, table=table)
        for name, place, yaw in zip(scenes.CUBES, scene.positions, scene.yaws, strict=True):
            body = spec.body(name)
            body.pos = place
            body.quat = [np.cos(0.5 * yaw), 0.0, 0.0, np.sin(0.5 * yaw)]
    for name in scenes.CAMERAS:
        spec.camera(name).resolution = SIZE
    build(spec, table, lower, upper, step_s)
    return str(spec.to_xml())


def _name_joints(spec: mujoco.MjSpec, names: tuple[str, ...]) -> None:
    """Give the joints that are driven the robot file's names; the two are in the same order."""
    for actuator, name in zip(spec.actuators, names, strict=True):
        modelled = actuator.name
        spec.joint(modelled).name = actuator.name = actuator.target = name
        for equality in spec.equalities:
            if equality.type == mujoco.mjtEq.mjEQ_JOINT:
                for end in ("name1", "name2"):
                    if getattr(equality, end) == modelled:
                        setattr(equality, end, name)
