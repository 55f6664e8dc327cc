# SPDX-License-Identifier: Apache-2.0
"""The tick over the real physics: the joints follow, a NaN does not reach the servos."""

import ast
from pathlib import Path

import numpy as np
import pytest

from vla_sim.core.simulation import Simulation
from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.world import World

ROBOT = Path(__file__).parents[3] / "config" / "robots" / "so101" / "robot.yaml"
MS = 1_000_000
S = 1_000 * MS
T0 = 1_800_000_000 * S
PERIOD_NS = 10 * MS
ARM = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
HOME = (0.0, -1.2, 1.0, 1.25, 0.0, 0.1)


@pytest.fixture
def simulation():
    return Simulation(World(ROBOT), ARM, "gripper", period_ns=PERIOD_NS, steps_per_tick=5)


def ticks(simulation, count, start=0):
    for index in range(start, start + count):
        tick = simulation.tick(T0 + index * PERIOD_NS)
    return tick


def move(target, duration_ns, names=ARM):
    rest = np.zeros(len(names))
    point = TrajectoryPoint(duration_ns, np.array(target, float), rest, rest)
    return JointTrajectory(0, names, (point,))


def test_the_joints_hold_where_they_are_at_the_start(simulation):
    tick = ticks(simulation, 100)
    assert tick.position == pytest.approx(HOME, abs=0.02)
    assert simulation.moving() == ""


def test_the_joints_follow_a_trajectory(simulation):
    target = np.array(HOME[:5]) + 0.3
    simulation.arm.receive(move(target, S), T0)
    simulation.gripper.receive(move([1.0], S // 2, ("gripper",)), T0)
    middle = ticks(simulation, 50)
    assert np.abs(middle.arm.state.error.positions).max() < 0.05
    tick = ticks(simulation, 100, start=50)
    assert tick.position == pytest.approx([*target, 1.0], abs=0.02)


def test_an_arm_in_motion_says_why(simulation):
    simulation.arm.receive(move(np.array(HOME[:5]) + 0.3, S), T0)
    assert simulation.moving() == "a trajectory is running"
    ticks(simulation, 50)
    assert simulation.moving() == "a trajectory is running"
    ticks(simulation, 100, start=50)
    assert simulation.moving() == ""


def test_a_measured_speed_counts_as_motion(simulation):
    ticks(simulation, 3)
    simulation.arm.receive(move(np.array(HOME[:5]) + 0.5, 1), T0)
    ticks(simulation, 3, start=3)
    assert simulation.arm.resting
    assert "rad/s" in simulation.moving()


def test_a_command_that_is_not_finite_leaves_the_servo_its_target(simulation):
    ticks(simulation, 10)
    simulation.arm.receive(move([np.nan, -1.0, 1.0, 1.25, 0.0], S), T0)
    tick = ticks(simulation, 150, start=10)
    assert tick.not_finite == ("shoulder_pan",)
    assert tick.position == pytest.approx([0.0, -1.0, 1.0, 1.25, 0.0, 0.1], abs=0.02)


def test_after_a_gap_the_trajectory_goes_on_at_the_clocks_time(simulation):
    simulation.arm.receive(move(np.array(HOME[:5]) + 0.3, S), T0)
    ticks(simulation, 10)
    tick = simulation.tick(T0 + 2 * S)
    assert tick.arm.state.reference.positions == pytest.approx(np.array(HOME[:5]) + 0.3)


def test_the_core_imports_neither_ros_nor_a_clock():
    core = Path(__file__).parents[1] / "vla_sim" / "core"
    imported = set()
    for file in core.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(name.name.split(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    allowed = {
        "__future__",
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "numpy",
        "typing",
        "vla_sim",
    }
    assert imported
    assert imported <= allowed
