# SPDX-License-Identifier: Apache-2.0
"""What ros2_control is told about the arm, against the robot file and the simulated arm."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from smoothness_monitor.params import load_config
from vla_contract.robot import load_robot

TOP = Path(__file__).resolve().parents[3]
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService(argv=[])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]),
    launch_arguments=[word.split(":=") for word in sys.argv[2:]])]))
sys.exit(service.run())
"""
ROBOT_FILE = TOP / "config" / "robots" / "so101" / "robot.yaml"


def description(hardware="mock", arm="so101", **more):
    xacro = pytest.importorskip("xacro", reason="needs xacro: the description is written in it")
    path = TOP / "src" / "vla_bringup" / "urdf" / f"{arm}.urdf.xacro"
    mappings = {"robot_file": str(ROBOT_FILE), "hardware": hardware, **more}
    return ElementTree.fromstring(xacro.process_file(str(path), mappings=mappings).toxml())


def test_every_limit_is_that_of_the_robot_file():
    robot = load_robot(ROBOT_FILE)
    limits = {j.get("name"): j.find("limit") for j in description().findall("joint")}
    for i, name in enumerate(robot.limits.joint_names):
        limit = limits[name]
        assert float(limit.get("lower")) == robot.limits.position_lower[i]
        assert float(limit.get("upper")) == robot.limits.position_upper[i]
        assert float(limit.get("velocity")) == robot.limits.velocity[i]
    assert float(limits["gripper"].get("upper")) == robot.gripper.position_upper


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_a_franka_arm_is_described_by_its_own_names_and_limits(name):
    file = TOP / "config" / "robots" / name / "robot.yaml"
    robot = load_robot(file)
    described = description(arm=name, robot_file=str(file))
    limits = {each.get("name"): each.find("limit") for each in described.findall("joint")}
    upper = [float(limits[joint].get("upper")) for joint in robot.limits.joint_names]
    assert upper == robot.limits.position_upper.tolist()
    joints = [each.get("name") for each in described.find("ros2_control").findall("joint")]
    assert joints == [*robot.limits.joint_names, robot.gripper.joint]
    assert {robot.base_frame, robot.tip_frame} <= {
        each.get("name") for each in described.findall("link")
    }


@pytest.mark.parametrize("name", ["so101", "panda", "fr3"])
def test_every_monitor_file_of_a_robot_can_be_used(name):
    for path in (TOP / "config" / "robots" / name).glob("monitor*.yaml"):
        config = load_config(path)
        rate = 1000.0 if path.stem.endswith("_1000hz") else 100.0
        assert config.joint_states_rate_hz == rate


def test_every_joint_has_the_interfaces_that_the_controllers_use():
    robot = load_robot(ROBOT_FILE)
    joints = description().find("ros2_control").findall("joint")
    names = [joint.get("name") for joint in joints]
    assert names == [*robot.limits.joint_names, robot.gripper.joint]
    for joint in joints:
        assert [each.get("name") for each in joint.findall("command_interface")] == ["position"]
        states = [each.get("name") for each in joint.findall("state_interface")]
        assert states == ["position", "velocity"]


def test_a_mock_begins_at_home_and_a_real_arm_where_it_is():
    home = load_robot(ROBOT_FILE).home
    for joint in description("mock").find("ros2_control").findall("joint"):
        assert float(joint.find(".//param").text) == home[joint.get("name")]
    system = description("topic_based").find("ros2_control")
    assert system.findall("joint//param") == []
    # At rest too, so that a driver can tell a dead controller from a still arm.
    parameters = {each.get("name"): each.text for each in system.findall("hardware/param")}
    assert parameters["trigger_joint_command_threshold"] == "-1"


@pytest.mark.parametrize("name", ["so101", "panda", "fr3"])
def test_the_controllers_are_those_of_the_robot_file(name):
    folder = TOP / "config" / "robots" / name
    robot = load_robot(folder / "robot.yaml")
    controllers = yaml.safe_load((folder / "controllers.yaml").read_text())
    arm = controllers[f"/**/{robot.arm_controller}"]["ros__parameters"]
    assert tuple(arm["joints"]) == robot.limits.joint_names
    gripper = controllers[f"/**/{robot.gripper.controller}"]["ros__parameters"]
    assert gripper["joints"] == [robot.gripper.joint]
    managed = controllers["/**/controller_manager"]["ros__parameters"]
    assert {robot.arm_controller, robot.gripper.controller} <= set(managed)


def test_the_tip_is_where_the_simulated_arms_is():
    mujoco = pytest.importorskip("mujoco")
    world = mujoco.MjModel.from_xml_path(str(TOP / "src/vla_sim/vla_sim/world/so101.xml"))
    robot = load_robot(ROBOT_FILE)
    joints = {joint.get("name"): joint for joint in description().findall("joint")}
    random = np.random.default_rng(0)
    for _ in range(20):
        q = random.uniform(robot.limits.position_lower, robot.limits.position_upper)
        data = mujoco.MjData(world)
        for name, angle in zip(robot.limits.joint_names, q, strict=True):
            data.qpos[world.joint(name).qposadr[0]] = angle
        mujoco.mj_forward(world, data)
        pose = np.eye(4)
        angles = dict(zip(robot.limits.joint_names, q, strict=True))
        for name in (*robot.limits.joint_names, "gripper_frame_joint"):
            pose = pose @ origin(joints[name]) @ turned(2, angles.get(name, 0.0))
        site = data.site(robot.tip_frame)
        assert pose[:3, 3] == pytest.approx(site.xpos, abs=1e-6)
        assert pose[:3, :3] == pytest.approx(site.xmat.reshape(3, 3), abs=1e-5)


def zero_pose(arm):
    """Return where each link is with all joints at zero, m, in base_link."""
    places = {"base_link": np.eye(4)}
    joints = description(arm=arm).findall("joint")
    for joint in joints:
        parent, child = (joint.find(end).get("link") for end in ("parent", "child"))
        places[child] = places[parent] @ origin(joint)
    return places


def test_an_so_100_has_its_own_lengths_and_the_joints_of_an_so_101():
    so100, so101 = zero_pose("so100"), zero_pose("so101")
    # Upper arm upright, forearm level, hand in line: the maker's SO-100 in that pose.
    expected = {
        "shoulder_link": (0.0452, 0.0, 0.0165),
        "upper_arm_link": (0.0758, 0.0, 0.1190),
        "lower_arm_link": (0.1038, 0.0, 0.23157),
        "wrist_link": (0.2387, 0.0, 0.23677),
        "gripper_link": (0.2988, 0.0, 0.23677),
        "moving_jaw_link": (0.3232, 0.0, 0.2570),
    }
    for link, place in expected.items():
        assert so100[link][:3, 3] == pytest.approx(place, abs=2e-4), link
    # Every joint turns about the same axis.
    for link in expected:
        same = link.replace("moving_jaw", "moving_jaw_so101_v1")
        assert so100[link][:3, 2] == pytest.approx(so101[same][:3, 2], abs=0.05), link
    far = so100["gripper_frame_link"][:3, 3] - so101["gripper_frame_link"][:3, 3]
    assert 0.001 < np.abs(far).max() < 0.01


@pytest.mark.parametrize("arm", ["so100", "so101"])
def test_each_link_has_weight_and_a_shape_of_ours_or_the_maker_s(arm):
    boxes, meshes = description(arm=arm), description(arm=arm, meshes="package://maker/assets")
    bodies = [link for link in boxes.findall("link") if link.get("name") != "gripper_frame_link"]
    assert len(bodies) == 7
    for link in bodies:
        inertia = link.find("inertial/inertia")
        moments = sorted(float(inertia.get(axis)) for axis in ("ixx", "iyy", "izz"))
        assert moments[0] > 0.0
        assert float(link.find("inertial/mass").get("value")) > 0.01
        assert link.find("visual/geometry/box") is not None
    assert not boxes.findall(".//mesh")
    files = {mesh.get("filename") for mesh in meshes.findall(".//visual/geometry/mesh")}
    assert len(files) > 10
    assert all(file.startswith("package://maker/assets/") for file in files)
    assert len(meshes.findall(".//collision/geometry/box")) == 7


def test_each_hardware_names_its_plugin_and_what_it_needs(tmp_path):
    servos = tmp_path / "servos.yaml"
    names = [*load_robot(ROBOT_FILE).limits.joint_names, "gripper"]
    servos.write_text(str({name: {"id": i, "offset": 2000 + i} for i, name in enumerate(names)}))
    feetech = description("feetech", port="/dev/so101_follower", servos_file=str(servos))
    system = feetech.find("ros2_control")
    assert system.find("hardware/plugin").text == "feetech_ros2_driver/FeetechHardwareInterface"
    assert system.find("hardware/param").text == "/dev/so101_follower"
    for i, joint in enumerate(system.findall("joint")):
        given = {param.get("name"): param.text for param in joint.findall("param")}
        assert given == {"id": str(i), "offset": str(2000 + i)}
    gazebo = description("gazebo", controllers_file="/my/controllers.yaml")
    assert gazebo.find("ros2_control/hardware/plugin").text == "gz_ros2_control/GazeboSimSystem"
    assert gazebo.find("gazebo/plugin/parameters").text == "/my/controllers.yaml"
    assert gazebo.find("joint[@name='base_on_world']/parent").get("link") == "world"
    for hardware in ("mock", "topic_based"):
        assert description(hardware).find("gazebo") is None
        assert description(hardware).find("joint[@name='base_on_world']") is None


def turned(axis, angle):
    pose = np.eye(4)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    pose[i, i] = pose[j, j] = np.cos(angle)
    pose[j, i] = np.sin(angle)
    pose[i, j] = -pose[j, i]
    return pose


def origin(joint):
    element = joint.find("origin")
    roll, pitch, yaw = (float(word) for word in element.get("rpy").split())
    pose = turned(2, yaw) @ turned(1, pitch) @ turned(0, roll)
    pose[:3, 3] = [float(word) for word in element.get("xyz").split()]
    return pose


@pytest.mark.parametrize("name", ["monitor", "sim"])
def test_a_robot_that_there_is_not_is_an_error_that_lists_those_there_are(domain, name):
    words = [str(TOP / "launch" / f"{name}.launch.py"), "robot:=nosuch"]
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, *words], capture_output=True, text=True, timeout=300
    )
    told = done.stdout + done.stderr
    assert done.returncode != 0, told
    lines = [line for line in told.splitlines() if "robot:=nosuch: there is no file" in line]
    assert len(lines) == 1, told
    assert "there are fr3, panda, so101" in lines[0]
    assert "process started" not in told


def test_gazebo_s_wrist_camera_is_the_simulated_one():
    mujoco = pytest.importorskip("mujoco")
    from vla_sim.world import World

    world = World(ROBOT_FILE)
    data = mujoco.MjData(world.model)
    mujoco.mj_forward(world.model, data)
    camera, hand = world.model.camera("wrist"), world.model.body("gripper_link").id
    to_hand = data.xmat[hand].reshape(3, 3).T
    place = to_hand @ (data.cam_xpos[camera.id] - data.xpos[hand])
    optical = to_hand @ data.cam_xmat[camera.id].reshape(3, 3)
    sensor = description("gazebo").find("gazebo[@reference='gripper_link']/sensor")
    x, y, z, roll, pitch, yaw = (float(word) for word in sensor.findtext("pose").split())
    pose = turned(2, yaw) @ turned(1, pitch) @ turned(0, roll)
    assert np.array([x, y, z]) == pytest.approx(place, abs=1e-6)
    assert pose[:3, 0] == pytest.approx(-optical[:, 2], abs=1e-6)
    assert pose[:3, 2] == pytest.approx(optical[:, 1], abs=1e-6)
    wide = float(sensor.findtext("camera/horizontal_fov"))
    high = 2.0 * np.arctan(np.tan(wide / 2.0) * 480 / 640)
    assert np.rad2deg(high) == pytest.approx(float(camera.fovy[0]), abs=1e-6)


def test_without_gazebo_the_launch_file_says_what_to_install(domain):
    try:
        get_package_prefix("ros_gz_sim")
    except PackageNotFoundError:
        pass
    else:
        pytest.skip("Gazebo is installed here")
    words = [str(TOP / "launch" / "gazebo.launch.py")]
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, *words], capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    told = done.stdout + done.stderr
    lines = [line for line in told.splitlines() if "needs Gazebo" in line]
    assert len(lines) == 1, told
    assert "package 'ros_gz_sim' is not installed (apt install" in lines[0]
    assert "process started" not in told


def test_without_ros2_control_the_launch_file_says_what_to_install(domain, monkeypatch):
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    without = [each for each in prefixes if not Path(each, "share/controller_manager").exists()]
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(without))
    words = [str(TOP / "launch" / "ros2_control.launch.py"), "hardware:=mock"]
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, *words], capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    told = done.stdout + done.stderr
    lines = [line for line in told.splitlines() if "needs ros2_control" in line]
    assert len(lines) == 1, told
    assert "package 'controller_manager' is not installed (apt install" in lines[0]
    assert "process started" not in told
