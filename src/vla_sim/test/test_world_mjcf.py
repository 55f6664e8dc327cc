# SPDX-License-Identifier: Apache-2.0
"""The world as a file, for another who runs MuJoCo, is the world that is simulated here."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from vla_contract.robot import load_robot
from vla_sim.world import World
from vla_sim.world.mjcf import world_mjcf

CONFIG = Path(__file__).resolve().parents[3] / "config" / "robots"


@pytest.fixture(scope="module", params=["so101", "panda", "fr3"])
def both(request):
    robot_file = CONFIG / request.param / "robot.yaml"
    written = world_mjcf(robot_file, seed=5, step_s=0.001)
    return robot_file, World(robot_file, seed=5, randomise=False), written


def test_joints_and_what_drives_them_have_the_robot_file_s_names_and_ranges(both):
    robot_file, _, written = both
    robot = load_robot(robot_file)
    model = mujoco.MjModel.from_xml_string(written)
    names = (*robot.limits.joint_names, robot.gripper.joint)
    assert tuple(model.actuator(index).name for index in range(model.nu)) == names
    driven = model.actuator_trnid[:, 0]
    assert tuple(model.joint(index).name for index in driven) == names
    low, high = model.jnt_range[driven].T
    assert low[:-1] == pytest.approx(robot.limits.position_lower)
    assert high[:-1] == pytest.approx(robot.limits.position_upper)
    assert model.opt.timestep == 0.001
    assert all(model.joint(index).name for index in range(model.njnt))


def test_the_arm_and_the_cubes_are_where_the_simulation_has_them(both):
    robot_file, world, written = both
    robot = load_robot(robot_file)
    model = mujoco.MjModel.from_xml_string(written)
    data = mujoco.MjData(model)
    names = (*robot.limits.joint_names, robot.gripper.joint)
    for name in names:
        data.qpos[model.joint(name).qposadr[0]] = robot.home[name]
    mujoco.mj_forward(model, data)
    other = mujoco.MjData(world.model)
    other.qpos[:] = world.snapshot().positions
    mujoco.mj_forward(world.model, other)
    assert [each.name for each in world.objects()] == list(world.object_names)
    for body in range(1, model.nbody):
        name = model.body(body).name
        if "finger" in name:  # the second one is drawn after the first
            continue
        assert data.body(name).xpos == pytest.approx(other.body(name).xpos, abs=1e-6), name
    assert np.allclose(model.body_mass.sum(), world.model.body_mass.sum())


def test_it_holds_the_arm_at_home(both):
    """With the actuators at home nothing sinks: the file brings gravity's counterweight along."""
    robot_file, _, written = both
    robot = load_robot(robot_file)
    model = mujoco.MjModel.from_xml_string(written)
    data = mujoco.MjData(model)
    for index in range(model.nu):
        name = model.actuator(index).name
        data.qpos[model.joint(name).qposadr[0]] = data.ctrl[index] = robot.home[name]
    mujoco.mj_step(model, data, 500)
    arm = [data.qpos[model.joint(name).qposadr[0]] for name in robot.limits.joint_names]
    assert arm == pytest.approx(robot.home_position, abs=0.02)
