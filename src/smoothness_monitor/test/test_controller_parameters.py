# SPDX-License-Identifier: Apache-2.0
"""What a controller's own parameters must be."""

from pathlib import Path

import pytest
import yaml

from smoothness_monitor.core.controller_parameters import WANTED, names, problem
from vla_contract.robot import load_robot

CONFIG = Path(__file__).resolve().parents[3] / "config"
JOINTS = ("pan", "lift")
# What a controller of ros2_controllers 6.9 has where its file says nothing.
DEFAULTS = {
    "joints": ["pan", "lift"],
    "allow_trajectory_replacement": True,
    "interpolation_method": "splines",
    "positions_upsampling.enable": False,
    "allow_nonzero_velocity_at_trajectory_end": False,
    "cmd_timeout": 0.0,
    "constraints.goal_time": 0.0,
    "constraints.pan.trajectory": 0.0,
    "constraints.lift.trajectory": 0.0,
    "speed_scaling.initial_scaling_factor": 1.0,
    "speed_scaling.state_interface": "",
    "set_last_command_interface_value_as_state_on_activation": True,
}
RIGHT = {**DEFAULTS, "allow_trajectory_replacement": False}


def test_the_newest_controllers_default_is_wrong_and_named_with_its_remedy():
    """H30."""
    found = problem(DEFAULTS, JOINTS)
    assert "allow_trajectory_replacement is true" in found
    assert "set it to false" in found
    assert problem(RIGHT, JOINTS) == ""


def test_a_parameter_that_a_release_does_not_have_is_right():
    older = {name: value for name, value in RIGHT.items() if name == "joints"}
    assert problem(older, JOINTS) == ""
    assert problem({**older, "allow_trajectory_replacement": None}, JOINTS) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interpolation_method", "none"),
        ("positions_upsampling.enable", True),
        ("allow_nonzero_velocity_at_trajectory_end", True),
        ("cmd_timeout", 0.5),
        ("constraints.goal_time", 0.6),
        ("constraints.lift.trajectory", 0.2),
        ("speed_scaling.initial_scaling_factor", 0.5),
        ("speed_scaling.state_interface", "speed_scaling/factor"),
        ("set_last_command_interface_value_as_state_on_activation", False),
        ("cmd_timeout", float("nan")),
        ("cmd_timeout", "0.0"),
        ("allow_trajectory_replacement", 0),
    ],
)
def test_each_other_value_is_named(name, value):
    """H30."""
    assert name in names(JOINTS)
    assert name in problem({**RIGHT, name: value}, JOINTS)


def test_several_wrong_ones_are_all_named():
    found = problem({**RIGHT, "cmd_timeout": 1.0, "interpolation_method": "none"}, JOINTS)
    assert "cmd_timeout" in found
    assert "interpolation_method" in found


@pytest.mark.parametrize("joints", [["pan"], ["pan", "lift", "third"], ["pan", "other"]])
def test_a_controller_of_other_joints_is_wrong(joints):
    """H30."""
    assert "joints is" in problem({**RIGHT, "joints": joints}, JOINTS)


def test_the_order_of_the_joints_is_the_controllers_own():
    assert problem({**RIGHT, "joints": ["lift", "pan"]}, JOINTS) == ""


@pytest.mark.parametrize("joints", [None, "pan", 3, True])
def test_what_has_no_joints_is_no_trajectory_controller(joints):
    """H30. Whatever else it answers."""
    assert "no joint_trajectory_controller" in problem({**RIGHT, "joints": joints}, JOINTS)
    assert "no joint_trajectory_controller" in problem({}, JOINTS)


@pytest.mark.parametrize("path", sorted(CONFIG.glob("robots/*/controllers.yaml")))
def test_every_controllers_file_has_them_right(path):
    """H30. Written out where a release's default is wrong."""
    robot = load_robot(path.with_name("robot.yaml"))
    content = yaml.safe_load(path.read_text())
    for name, joints in (
        (robot.arm_controller, robot.limits.joint_names),
        (robot.gripper.controller, (robot.gripper.joint,)),
    ):
        key = next(key for key in content if key.split("/")[-1] == name)
        flat = flattened(content[key]["ros__parameters"])
        assert problem(flat, joints) == ""
        for wanted in ("allow_trajectory_replacement", "positions_upsampling.enable"):
            assert flat[wanted] is False
        for wanted in WANTED:
            assert "<joint>" in wanted.name or wanted.name in flat, wanted.name


def flattened(values, prefix=""):
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
