# SPDX-License-Identifier: Apache-2.0
"""An arm behind libfranka's wire, here without the wire: what it does and what ends its motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_contract.robot import load_robot
from vla_sim.fci.joints import FciAbortError, FciJoints
from vla_sim.fci.reflexes import PERIOD_S, Reflexes, published
from vla_sim.world import World

ROBOT_FILE = Path(__file__).resolve().parents[3] / "config" / "robots" / "fr3" / "robot.yaml"


class Direct:
    """An arm with the published reflexes that is at once where it is commanded."""

    def __init__(self):
        home = load_robot(ROBOT_FILE).home_position
        self.last = ()
        self._reflexes = Reflexes(published(ROBOT_FILE), np.array(home))

    def start(self):
        return self._reflexes.position

    def exchange(self, command):
        errors = self._reflexes.take(command)
        self.last = tuple(error.name.lower() for error in errors)
        return None if errors else command


@pytest.fixture
def joints():
    world = World(ROBOT_FILE, randomise=False, timestep_s=PERIOD_S)
    return FciJoints(world, Direct()), world, load_robot(ROBOT_FILE)


def test_the_world_s_arm_goes_where_the_one_behind_the_wire_goes(joints):
    arm, world, robot = joints
    start, _, _ = arm.joint_readings()
    assert start[:7] == pytest.approx(robot.home_position)
    # 0.1 rad of joint 1 in a second, by a motion that is smooth to its jerk.
    for step in range(1, 1501):
        share = min(step / 1000.0, 1.0)
        smooth = share**4 * (35.0 - 84.0 * share + 70.0 * share**2 - 20.0 * share**3)
        target = start.copy()
        target[0] += 0.1 * smooth
        target[7] = 0.01
        arm.command(target)
        arm.step(1)
    position, velocity, _ = arm.joint_readings()
    assert position[0] == pytest.approx(start[0] + 0.1, abs=1e-9)
    assert np.abs(velocity[:7]).max() < 1e-6
    seen, _ = world.joint_truth()
    assert seen[:7] == pytest.approx(position[:7], abs=2e-3)
    assert seen[7] == pytest.approx(0.01, abs=2e-3), "the gripper is the world's"


def test_a_step_of_the_command_ends_the_motion_by_its_name(joints):
    arm, _, _ = joints
    position, _, _ = arm.joint_readings()
    position[0] += 0.01
    arm.command(position)
    with pytest.raises(FciAbortError, match="joint_motion_generator_velocity_discontinuity"):
        arm.step(1)
