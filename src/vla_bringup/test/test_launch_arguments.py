# SPDX-License-Identifier: Apache-2.0
"""What the launch files make of values that a person may well give them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext
from launch.actions import IncludeLaunchDescription
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from vla_bringup import cameras
from vla_contract.contract import load_contract
from vla_contract.robot import load_robot

LAUNCH = Path(__file__).resolve().parents[3] / "launch"


def launch_file(name):
    spec = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def context(**given):
    made = LaunchContext()
    made.launch_configurations.update(given)
    return made


@pytest.mark.parametrize("path", ["/it's/c.yaml", '/a "b"/c.yaml', "/a\\n/c.yaml", "/ä ö/c.yaml"])
def test_a_path_may_hold_any_character(path):
    given = launch_file("monitored_policy").given("contract_file")
    assert given.evaluate(context(contract_file=path))
    topic = launch_file("monitor").through_faults("joint_states", "joint_states")
    assert topic.perform(context(faults=path)) == "faults/joint_states"


@pytest.mark.parametrize("said", ["", "none"])
def test_no_path_is_no_policy_and_no_faults(said):
    """`ros2 launch` takes no empty argument, so `none` is what a person types."""
    given = launch_file("monitored_policy").given("contract_file")
    assert not given.evaluate(context(contract_file=said))
    topic = launch_file("monitor").through_faults("joint_states", "joint_states")
    assert topic.perform(context(faults="")) == "joint_states"


@pytest.mark.parametrize(("said", "meant"), [("none", ""), ("96x96", "96x96")])
def test_pictures_are_recorded_as_they_come_where_no_size_is_given(said, meant):
    size = launch_file("monitored_policy").picture_size()
    assert size.perform(context(record_picture_size=said)) == meant


@pytest.mark.parametrize("namespace", ["", "left", "/left", "house/left"])
def test_bags_stay_below_the_home_in_any_namespace(namespace):
    (argument,) = (
        each for each in launch_file("monitored_policy").ARGUMENTS if each.name == "black_box"
    )
    folder = perform_substitutions(context(namespace=namespace), argument.default_value)
    assert Path(folder) == Path("~/.ros/black_box") / namespace.strip("/")


@pytest.mark.parametrize("package", ["v4l2_camera", "usb_cam"])
def test_a_camera_without_the_package_that_reads_it_is_refused_by_name(package):
    arguments = {"front_camera": "/dev/null", "wrist_camera": "", "camera_driver": package}
    given = context(namespace="/left", **arguments)
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        debian = package.replace("_", "-")
        with pytest.raises(RuntimeError, match=f"apt install ros-.*-{debian}"):
            cameras.nodes(given, False)
    else:
        assert len(cameras.nodes(given, False)) == 1
    with pytest.raises(RuntimeError, match=r"front_camera:=.* draws its own"):
        cameras.nodes(given, True)


def test_without_a_device_there_is_no_camera():
    assert cameras.nodes(context(front_camera="", wrist_camera=""), False) == []


@pytest.mark.parametrize(
    ("front", "wrist", "words"),
    [
        ("/dev/no_camera", "", "front_camera:=/dev/no_camera: there is no such device"),
        ("", "video0", "wrist_camera:=video0: there is no such device"),
        ("/dev/null", "/dev/null", "are /dev/null both"),
    ],
)
def test_a_camera_that_is_not_there_is_one_line(front, wrist, words):
    given = context(front_camera=front, wrist_camera=wrist, camera_driver="v4l2_camera")
    with pytest.raises(RuntimeError, match=words) as told:
        cameras.nodes(given, False)
    assert "\n" not in str(told.value)


def test_a_file_is_no_camera_and_two_names_of_a_device_are_one(tmp_path):
    given = context(front_camera=str(tmp_path), wrist_camera="", camera_driver="usb_cam")
    with pytest.raises(RuntimeError, match=r"that is no device; .* /dev/v4l/by-id"):
        cameras.nodes(given, False)
    name = tmp_path / "by-id"
    name.symlink_to("/dev/null")
    given = context(front_camera="/dev/null", wrist_camera=str(name), camera_driver="usb_cam")
    with pytest.raises(RuntimeError, match="are /dev/null both"):
        cameras.nodes(given, False)


@pytest.mark.parametrize("hardware", ["sim", "bus"])
def test_a_simulation_with_ros2_control_s_controllers_is_refused(hardware):
    module, made = so101(hardware=hardware, controllers="ros2_control")
    with pytest.raises(RuntimeError, match="a simulation has emulated controllers"):
        module.bring_up(made)


def so101(**given):
    """Return so101.launch.py, and a context with its defaults and what is given."""
    module, made = launch_file("so101"), LaunchContext()
    made.launch_configurations.update(given)
    for argument in module.ARGUMENTS:
        argument.visit(made)
    return module, made


def contract_of(**given):
    """Return which contract so101.launch.py hands on."""
    module, made = so101(**given)
    (told,) = (
        perform_substitutions(made, normalize_to_list_of_substitutions(part))
        for action in module.bring_up(made)
        if isinstance(action, IncludeLaunchDescription)
        for name, part in action.launch_arguments
        if name == "contract_file"
    )
    return Path(told)


def test_a_simulated_arm_of_another_kind_gets_its_own_task():
    contract = contract_of(hardware="sim", robot="panda")
    assert contract.name == "panda_color_pick.yaml"
    assert contract.is_file()


@pytest.mark.parametrize("hardware", ["mock", "real"])
def test_an_arm_without_a_policy_can_be_moved_by_other_sources(hardware):
    """Nobody answers a source that asks for the arm where no node carries out its chunks."""
    given = {"hardware": hardware, "controllers": "emulated", "calibration_file": "/arm.json"}
    robot = load_robot(LAUNCH.parent / "config" / "robots" / "so101" / "robot.yaml")
    contract = load_contract(contract_of(**given), robot.limits.joint_names, robot.gripper.joint)
    assert contract.policy_name == "replay", "it knows home, and nobody instructs it"
    assert contract_of(**given, contract_file="none") == Path("none")


def test_a_robot_that_there_is_not_is_said_before_anything_else():
    module, made = so101(robot="nosuch", teleop="true", leader_calibration_file="/nowhere.json")
    with pytest.raises(RuntimeError, match="there are fr3, panda, so101"):
        module.bring_up(made)
