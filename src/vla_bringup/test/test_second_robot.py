# SPDX-License-Identifier: Apache-2.0
"""A second robot is a folder: other joints, limits and controllers, and not a line of code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from smooth_motion import CheckConfig, Chunk, Plan
from smooth_motion.clocks import Now
from smooth_motion.messages import Trajectory
from smoothness_monitor.core import gate
from smoothness_monitor.core.controller_parameters import problem
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.params import load_config
from vla_contract.contract import load_contract
from vla_contract.observation import Assembled, ObservationBuffer
from vla_contract.robot import load_robot
from vla_policy_node.core.controller_reports import ControllerReport
from vla_policy_node.core.planner import Planner
from vla_sim.from_urdf.description import choose
from vla_sim.from_urdf.folder import write_folder
from vla_sim.from_urdf.reading import read_urdf

SO101 = Path(__file__).resolve().parents[3] / "config" / "robots" / "so101"
JOINTS = tuple(f"axis_{number}" for number in range(1, 8))
MS = 1_000_000
NOW = 10**12
HOME = np.linspace(-0.6, 0.6, 7)
ROBOT = {
    "robot": "seven",
    "base_frame": "plate",
    "tip_frame": "flange",
    "arm": {
        "controller": "seven_arm",
        "joints": list(JOINTS),
        "limits": {
            name: {"position": [-2.8, 2.8], "velocity": 1.5, "acceleration": 6.0, "jerk": 40.0}
            for name in JOINTS
        },
    },
    "gripper": {
        "controller": "seven_hand",
        "joint": "finger",
        "position": [0.0, 0.8],
        "velocity": 0.5,
    },
    "home": {**dict(zip(JOINTS, HOME.tolist(), strict=True)), "finger": 0.1},
    "encoder": {"ticks_per_turn": 16384},
}
JOINT_KEYS = {"joints": [*JOINTS, "finger"], "units": "deg"}
CONTRACT = {
    "policy": {"name": "mine", "options": {}},
    "observation": {
        "observation.state": {
            "topic": "joint_states",
            "type": "sensor_msgs/msg/JointState",
            "field": "position",
            "max_age_s": 0.2,
            **JOINT_KEYS,
        }
    },
    "action": JOINT_KEYS,
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Write the robot's folder: the SO-101's thresholds and controllers, with its own names."""
    made = tmp_path / "robots" / "seven"
    made.mkdir(parents=True)
    (made / "robot.yaml").write_text(yaml.safe_dump(ROBOT), encoding="utf-8")
    monitor = yaml.safe_load((SO101 / "monitor.yaml").read_text(encoding="utf-8"))
    monitor["measured_jerk_factor"] = 3.0
    (made / "monitor.yaml").write_text(yaml.safe_dump(monitor), encoding="utf-8")
    text = (SO101 / "controllers.yaml").read_text(encoding="utf-8")
    text = text.replace("arm_controller", "seven_arm").replace("gripper_controller", "seven_hand")
    controllers = yaml.safe_load(text)
    controllers["/**/seven_arm"]["ros__parameters"]["joints"] = list(JOINTS)
    (made / "controllers.yaml").write_text(yaml.safe_dump(controllers), encoding="utf-8")
    return made


@pytest.fixture
def robot(folder):
    return load_robot(folder / "robot.yaml")


def at(position, start_ns):
    """Return what a controller reports that holds a position."""
    zero = np.zeros(len(position))
    return ControllerReport(NOW, NOW - start_ns, np.asarray(position), zero, zero)


def test_its_observation_is_made_by_its_contract(robot, tmp_path):
    path = tmp_path / "seven_mine.yaml"
    path.write_text(json.dumps(CONTRACT), encoding="utf-8")  # without aliases
    contract = load_contract(path, robot.limits.joint_names, robot.gripper.joint)
    buffer = ObservationBuffer(contract, {})
    joints = list(robot.home)
    buffer.state("observation.state", joints, np.array(list(robot.home.values())), NOW, NOW)
    made = buffer.assemble(NOW, NOW, "wave")
    assert isinstance(made, Assembled)
    wanted = np.rad2deg([*HOME, 0.1])
    assert made.observation.state["observation.state"] == pytest.approx(wanted)


def test_its_chunks_become_plans_that_the_gate_forwards(robot):
    planner = Planner(
        robot,
        overlap_ns=200 * MS,
        margin_ns=60 * MS,
        acknowledge_timeout_ns=300 * MS,
        with_gripper=True,
    )
    start_ns = NOW - 10**9
    planner.observe_arm(at(HOME, start_ns), NOW, NOW)
    planner.observe_gripper(at([0.1], start_ns), NOW)
    rows = np.linspace(0.0, 0.5, 60)
    targets = np.column_stack([HOME + rows[:, None], 0.1 + rows])
    chunk = Chunk((*JOINTS, "finger"), NOW, 33 * MS, targets)
    motion = planner.plan(chunk, NOW)
    jerk = np.abs(motion.arm.segment_jerk()).max()
    assert 20.0 < jerk <= 40.0, "its own limit, and not that of another robot"
    assert motion.gripper.joint == "finger"

    def judged(plan):
        return gate.decide(
            Trajectory.of(plan),
            gate.Expected([Plan.hold(JOINTS, HOME, start_ns)]),
            robot.limits,
            now_ns=NOW,
            config=CheckConfig(),
        )

    assert judged(motion.arm).verdict is gate.GateVerdict.FORWARD
    renamed = Plan.hold(("pan", *JOINTS[1:]), HOME, NOW)
    assert judged(renamed).verdict is gate.GateVerdict.REJECT


def test_its_monitor_waits_for_its_controllers(robot, folder):
    config = load_config(folder / "monitor.yaml")
    assert config.measured_jerk_factor == 3.0
    monitor = Monitor(robot, config)
    monitor.tick(Now(NOW, NOW))
    waiting = " ".join(monitor.waiting_for())
    assert "seven_arm" in waiting
    assert "arm_controller" not in waiting


def test_its_controllers_are_judged_by_its_joints(robot, folder):
    controllers = yaml.safe_load((folder / "controllers.yaml").read_text(encoding="utf-8"))
    given = flat(controllers[f"/**/{robot.arm_controller}"]["ros__parameters"])
    assert problem(given, robot.limits.joint_names) == ""
    assert "axis_1" in problem({**given, "joints": ["pan"]}, robot.limits.joint_names)


def test_the_thresholds_written_from_a_urdf_can_be_used(tmp_path):
    links = "".join(f'<link name="l{number}"/>' for number in range(4))
    joints = "".join(
        f"""<joint name="j{number}" type="revolute"><axis xyz="0 {number % 2} {1 - number % 2}"/>
        <parent link="l{number}"/><child link="l{number + 1}"/><origin xyz="0 0 0.3"/>
        <limit lower="-2" upper="2" velocity="1.5" effort="40"/></joint>"""
        for number in range(3)
    )
    (tmp_path / "arm.urdf").write_text(f'<robot name="arm">{links}{joints}</robot>')
    urdf = read_urdf(tmp_path / "arm.urdf")
    write_folder(urdf, choose(urdf), "arm", tmp_path / "made")
    config = load_config(tmp_path / "made" / "monitor.yaml")
    assert config.tracking_error_rad == pytest.approx(4.0 * 1.5 / 30.0, abs=1e-3)
    robot = load_robot(tmp_path / "made" / "robot.yaml")
    controllers = yaml.safe_load((tmp_path / "made" / "controllers.yaml").read_text())
    given = flat(controllers[f"/**/{robot.arm_controller}"]["ros__parameters"])
    assert problem(given, robot.limits.joint_names) == ""


def flat(values, prefix=""):
    """Return nested parameters as a node has them: dotted names."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found
