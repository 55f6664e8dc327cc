# SPDX-License-Identifier: Apache-2.0
"""What each `hardware:=` brings up: the plugin behind the joints, and which launch files."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext
from launch.actions import IncludeLaunchDescription
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions

from vla_bringup import launch_parts
from vla_bringup.franka_hand import RestingPlaces
from vla_contract.robot import load_robot

TOP = Path(__file__).resolve().parents[3]
CONFIG, LAUNCH = TOP / "config" / "robots", TOP / "launch"
ARMS = ("so101", "panda", "fr3")
PLUGINS = {
    "mock": "mock_components/GenericSystem",
    "topic_based": "joint_state_topic_hardware_interface/JointStateTopicSystem",
    "gazebo": "gz_ros2_control/GazeboSimSystem",
    "mujoco": "mujoco_ros2_control/MujocoSystemInterface",
    "franka": "franka_hardware/FrankaHardwareInterface",
}


def urdf(arm, hardware, **more):
    """Return an arm's description as text."""
    xacro = pytest.importorskip("xacro", reason="needs xacro: the description is written in it")
    folder = CONFIG / arm
    given = {"robot_file": str(folder / "robot.yaml"), "hardware": hardware, **more}
    if (folder / "workspace.yaml").is_file():
        given["shapes_file"] = str(folder / "workspace.yaml")
    path = TOP / "src" / "vla_bringup" / "urdf" / f"{arm}.urdf.xacro"
    return xacro.process_file(str(path), mappings=given).toxml()


def described(arm, hardware, **more):
    return ElementTree.fromstring(urdf(arm, hardware, **more))


def systems(root):
    """Return what ros2_control has: plugin, parameters, joints."""
    return [
        (
            system.find("hardware/plugin").text,
            {each.get("name"): each.text for each in system.findall("hardware/param")},
            {joint.get("name"): joint for joint in system.findall("joint")},
        )
        for system in root.findall("ros2_control")
    ]


def interfaces(joint, kind):
    return [each.get("name") for each in joint.findall(f"{kind}_interface")]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("hardware", ["mock", "topic_based", "gazebo", "mujoco"])
def test_every_joint_is_behind_the_plugin_with_what_its_controller_uses(arm, hardware):
    robot = load_robot(CONFIG / arm / "robot.yaml")
    ((plugin, _, joints),) = systems(described(arm, hardware))
    assert plugin == PLUGINS[hardware]
    driven = {name: each for name, each in joints.items() if interfaces(each, "command")}
    assert tuple(driven) == (*robot.limits.joint_names, robot.gripper.joint)
    controllers = yaml.safe_load((CONFIG / arm / "controllers.yaml").read_text())
    for name in (robot.arm_controller, robot.gripper.controller):
        asked = controllers[f"/**/{name}"]["ros__parameters"]
        for joint in asked["joints"]:
            assert interfaces(driven[joint], "command") == asked["command_interfaces"]
            assert interfaces(driven[joint], "state") == asked["state_interfaces"]
            begins = driven[joint].find("state_interface/param")
            simulated = hardware != "topic_based"
            assert (begins is not None) is simulated
            if simulated:
                assert float(begins.text) == robot.home[joint]


@pytest.mark.parametrize("arm", ARMS)
def test_limits_are_the_robot_file_s_and_stand_nowhere_else(arm):
    robot = load_robot(CONFIG / arm / "robot.yaml")
    joints = described(arm, "gazebo").findall("joint")
    limits = {each.get("name"): each.find("limit") for each in joints}
    found = [
        [float(limits[joint].get(key)) for key in ("lower", "upper", "velocity")]
        for joint in robot.limits.joint_names
    ]
    own = robot.limits
    assert found == np.stack([own.position_lower, own.position_upper, own.velocity], 1).tolist()
    text = (TOP / "src" / "vla_bringup" / "urdf" / f"{arm}.urdf.xacro").read_text()
    for value in (*own.position_upper, *own.velocity, *own.jerk):
        assert f'"{value:g}"' not in text


def test_an_arm_of_franka_gets_what_its_plugin_reads_and_its_hand_a_place_of_its_own():
    """As ros2_control/franka_arm.ros2_control.xacro of franka_ros2 3.4 has it."""
    (arm, hand) = systems(described("fr3", "franka", robot_ip="172.16.0.2"))
    plugin, parameters, joints = arm
    assert plugin == PLUGINS["franka"]
    assert parameters["robot_ip"] == "172.16.0.2"
    assert parameters["robot_type"] == "fr3"
    # The plugin takes no description of another major version.
    assert parameters["version"].split(".")[0] == "1"
    robot = load_robot(CONFIG / "fr3" / "robot.yaml")
    assert tuple(joints) == robot.limits.joint_names
    for joint in joints.values():
        assert interfaces(joint, "command") == ["position"]
        assert interfaces(joint, "state") == ["position", "velocity", "effort"]
        assert not joint.findall(".//param"), "it is where it is"
    assert hand[0] == PLUGINS["mock"]
    assert tuple(hand[2]) == (robot.gripper.joint,)


def test_the_second_finger_follows_in_gazebo_and_is_told_nothing():
    root = described("panda", "gazebo")
    ((_, _, joints),) = systems(root)
    assert interfaces(joints["panda_finger_joint2"], "command") == []
    assert interfaces(joints["panda_finger_joint2"], "state") == ["position", "velocity"]
    finger = root.find("joint[@name='panda_finger_joint2']")
    assert finger.find("mimic").get("joint") == "panda_finger_joint1"


def test_mujoco_is_told_its_model_and_how_fast():
    ((_, parameters, _),) = systems(described("panda", "mujoco", mujoco_model="/w.xml"))
    assert parameters == {
        "mujoco_model": "/w.xml",
        "sim_speed_factor": "1.0",
        "headless": "true",
    }
    ((_, fast, _),) = systems(described("so101", "mujoco", real_time_factor="0.0"))
    assert float(fast["sim_speed_factor"]) > 100.0, "as fast as the host can"


# -- masses and shapes ----------------------------------------------------------------------------


def simulated(arm):
    """Return MuJoCo's reading of an arm's description, every link kept and nothing mended."""
    mujoco = pytest.importorskip("mujoco")
    root = described(arm, "gazebo")
    extension = ElementTree.SubElement(root, "mujoco")
    ElementTree.SubElement(extension, "compiler", fusestatic="false", discardvisual="true")
    model = mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))
    return mujoco, model, mujoco.MjData(model)


@pytest.mark.parametrize(("arm", "kg"), [("panda", 16.9), ("fr3", 18.6), ("so101", 0.63)])
def test_an_arm_weighs_what_its_maker_says_and_every_part_could_be_a_body(arm, kg):
    """MuJoCo refuses moments that no body has: not positive, or one above the others' sum."""
    _, model, _ = simulated(arm)
    assert model.body_subtreemass[0] == pytest.approx(kg, abs=0.05)
    moving = model.body_jntnum > 0
    assert (model.body_mass[moving] > 0.0).all()
    assert (model.body_inertia[moving] > 0.0).all()


@pytest.mark.parametrize("arm", ["panda", "fr3"])
def test_what_carries_a_franka_arm_at_home_is_what_carries_the_simulated_one(arm):
    """The simulated Panda's masses were identified by others than the maker's."""
    mujoco, model, data = simulated(arm)
    robot = load_robot(CONFIG / arm / "robot.yaml")
    torque = held(mujoco, model, data, robot, robot.limits.joint_names)
    path = TOP / "src" / "vla_sim" / "vla_sim" / "world" / "panda.xml"
    world = mujoco.MjModel.from_xml_path(str(path))
    world.body_gravcomp[:] = 0.0
    names = [f"joint{number}" for number in range(1, 8)]
    other = held(mujoco, world, mujoco.MjData(world), robot, names)
    assert torque == pytest.approx(other, abs=GRAVITY_APART_NM)
    assert abs(torque[3]) > 10.0, "the elbow carries the forearm, over a shoulder in balance"
    assert (np.abs(torque) < [87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0]).all()


# By how much two identifications of an arm of 17 kg differ, N m.
GRAVITY_APART_NM = 4.0


def held(mujoco, model, data, robot, names):
    """Return the torque (7,) that holds the arm at home against gravity, N m."""
    for name, angle in zip(names, robot.home_position, strict=True):
        data.qpos[model.joint(name).qposadr[0]] = angle
    mujoco.mj_forward(model, data)
    return np.array([data.qfrc_bias[model.joint(name).dofadr[0]] for name in names])


@pytest.mark.parametrize("arm", ["panda", "fr3"])
def test_the_fingers_meet_at_the_tip_and_hold_what_is_between_them(arm):
    mujoco, model, data = simulated(arm)
    robot = load_robot(CONFIG / arm / "robot.yaml")
    for number in (1, 2):
        data.qpos[model.joint(f"{arm}_finger_joint{number}").qposadr[0]] = 0.02
    mujoco.mj_forward(model, data)
    tip = data.body(robot.tip_frame)
    turn = tip.xmat.reshape(3, 3)
    fingers = [data.body(f"{arm}_{each}finger").xpos for each in ("left", "right")]
    ys = [(place - tip.xpos) @ turn[:, 1] for place in fingers]
    assert ys == pytest.approx([0.02, -0.02], abs=1e-9)


@pytest.mark.parametrize("arm", ARMS)
def test_gazebo_s_own_validator_takes_the_description(arm, tmp_path):
    tool = shutil.which("gz") or shutil.which("ign")
    if tool is None:
        pytest.skip("neither gz nor ign is installed: the validator of Gazebo is theirs")
    path = tmp_path / "arm.urdf"
    path.write_text(urdf(arm, "gazebo", controllers_file="/controllers.yaml"), encoding="utf-8")
    made = subprocess.run([tool, "sdf", "-p", str(path)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "Error" not in made.stderr, made.stderr
    model = tmp_path / "arm.sdf"
    model.write_text(made.stdout, encoding="utf-8")
    done = subprocess.run([tool, "sdf", "--check", str(model)], capture_output=True, text=True)
    assert "Valid" in done.stdout, done.stdout + done.stderr
    links = {each.get("name") for each in ElementTree.fromstring(made.stdout).iter("link")}
    assert load_robot(CONFIG / arm / "robot.yaml").base_frame in links


# -- launch files ---------------------------------------------------------------------------------


def launch_file(name):
    spec = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def brought_up(name, **given):
    """Return the launch files that one of them includes, with their arguments."""
    return bring_up(launch_file(name), **given)


def bring_up(module, **given):
    context = LaunchContext()
    context.launch_configurations.update(given)
    for argument in module.ARGUMENTS:
        argument.visit(context)
    found = {}
    for action in module.bring_up(context):
        if isinstance(action, IncludeLaunchDescription):
            arguments = {
                key: perform_substitutions(context, normalize_to_list_of_substitutions(value))
                for key, value in action.launch_arguments
            }
            location = str(action.launch_description_source.location).strip("'")
            found[Path(location).name.removesuffix(".launch.py")] = arguments
    return found


@pytest.mark.parametrize("name", ["panda", "so101"])
@pytest.mark.parametrize("hardware", ["gazebo", "mujoco"])
def test_a_simulator_behind_ros2_control_gets_the_task_and_the_thresholds_of_its_rate(
    name, hardware
):
    ((included, given),) = brought_up(name, hardware=hardware, seed="4").items()
    assert included == hardware
    assert Path(given["contract_file"]).name == f"{name}_color_pick.yaml"
    controllers = yaml.safe_load((CONFIG / name / "controllers.yaml").read_text())
    rate = controllers["/**/controller_manager"]["ros__parameters"]["update_rate"]
    monitor = yaml.safe_load(Path(given["monitor_file"]).read_text())
    assert monitor["joint_states_rate_hz"] == rate
    assert given["seed"] == "4"
    # A simulation is another arm each time.
    assert given["latch_folder"] != ""


def test_a_simulated_franka_arm_behind_its_wire_runs_at_its_own_rate(monkeypatch):
    wired = launch_file("panda")
    monkeypatch.setattr(wired, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install franky-sim pylibfranka"):
        bring_up(wired, hardware="fake_fci")
    monkeypatch.setattr(wired, "find_spec", lambda name: "there")
    given = bring_up(wired, hardware="fake_fci", robot="fr3")["sim"]
    assert (given["simulation"], given["controller_rate_hz"]) == ("vla_sim_fci", "1000")
    assert Path(given["monitor_file"]).name == "monitor_1000hz.yaml"


def test_an_arm_of_franka_needs_its_address_and_then_what_drives_it(monkeypatch):
    with pytest.raises(RuntimeError, match="hardware:=franka needs robot_ip:=ADDRESS"):
        brought_up("panda", hardware="franka", robot="fr3")
    monkeypatch.setattr(launch_parts, "installed", lambda package: package != "franka_hardware")
    with pytest.raises(RuntimeError, match=r"'franka_hardware' is not installed .*franka_ros2"):
        brought_up("panda", hardware="franka", robot="fr3", robot_ip="172.16.0.2")
    monkeypatch.setattr(launch_parts, "need", lambda *_: None)
    found = brought_up("panda", hardware="franka", robot="fr3", robot_ip="172.16.0.2")
    given = found["ros2_control"]
    assert (given["hardware"], given["robot_ip"]) == ("franka", "172.16.0.2")
    assert Path(given["monitor_file"]).name == "monitor_1000hz.yaml"


@pytest.mark.parametrize("hardware", ["gazebo", "mujoco"])
def test_a_simulator_behind_ros2_control_has_no_emulated_controllers(hardware):
    with pytest.raises(RuntimeError, match="the simulator has ros2_control's"):
        brought_up("so101", hardware=hardware, controllers="emulated")


def test_without_mujoco_ros2_control_it_is_said_in_one_line_what_to_install():
    module = launch_file("mujoco")
    try:
        get_package_prefix("mujoco_ros2_control")
    except PackageNotFoundError:
        with pytest.raises(RuntimeError, match=r"apt install .*-mujoco-ros2-control\)") as told:
            module.find_mujoco(LaunchContext())
        assert "\n" not in str(told.value)
    else:
        pytest.skip("mujoco_ros2_control is installed here")


def test_mujoco_s_controllers_run_at_the_rate_of_their_file_and_both_cameras_are_seen():
    module = launch_file("mujoco")
    assert module.update_rate_hz(str(CONFIG / "panda" / "controllers.yaml")) == 1000
    given = module.camera_parameters()
    for camera in ("front", "wrist"):
        topic = given[f"mujoco_plugins.cameras.{camera}.image_topic"]
        assert topic == f"/{camera}_camera/image_raw"


# -- the hand -------------------------------------------------------------------------------------


def test_a_hand_goes_where_its_reference_rests_and_nowhere_at_the_start():
    places = RestingPlaces(0.001)
    start = [places.hear(0.035) for _ in range(5)]
    assert start == [None] * 5, "where the controllers begin was nobody's wish"
    closing = [places.hear(0.035 - 0.001 * step) for step in range(1, 21)]
    assert closing == [None] * 20, "it is on its way"
    assert [places.hear(0.015) for _ in range(4)] == [None, 0.015, None, None]
    assert [places.hear(0.0154) for _ in range(3)] == [None] * 3, "that is the same place"
    assert [places.hear(0.035) for _ in range(3)] == [None, 0.035, None]
