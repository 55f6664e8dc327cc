# SPDX-License-Identifier: Apache-2.0
"""so101.launch.py: with nothing plugged in, and with an arm that is simulated at its port."""

from __future__ import annotations

import importlib.util
import re
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from vla_msgs.msg import ExecutorStatus, MonitorStatus

from so100_driver.bus import ServoBus
from so100_driver.cli.prove import keep
from so100_driver.core.calibration import JOINTS, load
from so100_driver.core.description import RANGES_RAD
from so100_driver.core.proved import load_proof
from so100_driver.core.scale import scales_of
from so100_driver.sim_bus.arm import simulated_so101, so101_calibration
from so100_driver.sim_bus.port import SimulatedPort
from so100_driver.sim_bus.world import ServosInTheWorld
from vla_bringup.resting import resting_contract
from vla_contract.contract import load_contract
from vla_contract.robot import load_robot
from vla_policies import load_policy

TOP = Path(__file__).resolve().parents[3]
ROBOT = TOP / "config" / "robots" / "so101"
PATIENT_S = 240.0
PORT_S = 2.0
ARM_POSE = (0.0, -0.4, 0.4, 0.3, 0.0, 0.5)
# A busy host must not look like a dead arm.
PATIENT = {"answer_timeout_s": "0.1", "stale_s": "1.0", "command_timeout_s": "2.0"}

# This folder is no package: its conftest is found by its path.
_SPEC = importlib.util.spec_from_file_location(
    "launched_graph", Path(__file__).with_name("conftest.py")
)
_CONFTEST = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CONFTEST)
LaunchedGraph = _CONFTEST.LaunchedGraph


class Observer(Node):
    """What a person sees of the arm."""

    def __init__(self, context: Context) -> None:
        super().__init__("observer", context=context)
        self.monitor: MonitorStatus | None = None
        self.controller: JointTrajectoryControllerState | None = None
        self.raw: JointState | None = None
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._hear(MonitorStatus, "smoothness_monitor/state", "monitor", latched)
        self._hear(
            JointTrajectoryControllerState, "arm_controller/controller_state", "controller", 10
        )
        self._hear(JointState, "joint_states_raw", "raw", 10)

        self.holder: str | None = None
        self.create_subscription(ExecutorStatus, "arm/executor_status", self._on_executor, latched)
        self.teleop = self.create_client(SetBool, "leader_arm/teleop")

    def _on_executor(self, msg):
        self.holder = msg.holder

    def led(self):
        positions = dict(
            zip(self.controller.joint_names, self.controller.reference.positions, strict=True)
        )
        return np.array([positions[name] for name in JOINTS[:5]])

    def asked(self, on):
        """Ask the leader to take over or give back; of no use before it has begun."""
        if self.teleop.service_is_ready():
            self.teleop.call_async(SetBool.Request(data=on))
        return False

    def _hear(self, kind, topic, name, qos):
        self.create_subscription(kind, topic, lambda msg: setattr(self, name, msg), qos)


def torques(port):
    with port.bus() as bus:
        return [servo.get("Torque_Enable") for servo in bus.servos]


@pytest.fixture
def observed():
    """Return what spins until a condition holds."""
    context = Context()
    rclpy.init(context=context)
    observer = Observer(context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(observer)

    def until(condition, graph):
        ends = time.monotonic() + PATIENT_S
        while not condition(observer):
            assert graph.process.poll() is None, graph.log.read_text()
            assert time.monotonic() < ends, graph.log.read_text()
            executor.spin_once(timeout_sec=0.1)

    yield until
    executor.shutdown()
    observer.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def launched(tmp_path):
    started = []

    def start(**arguments):
        graph = LaunchedGraph(
            TOP / "launch" / "so101.launch.py",
            tmp_path / "launch.log",
            latch_folder=str(tmp_path / "latch"),
            black_box=str(tmp_path / "bags"),
            **arguments,
        )
        started.append(graph)
        return graph

    yield start
    for graph in started:
        graph.stop()


def test_with_nothing_plugged_in_the_monitor_is_ready(launched, observed):
    graph = launched(hardware="mock", controllers="emulated")
    observed(lambda seen: seen.monitor and seen.monitor.state == MonitorStatus.READY, graph)
    observed(lambda seen: seen.controller, graph)


def test_a_real_port_is_held_and_the_controllers_begin_where_the_arm_is(
    launched, observed, tmp_path
):
    path = tmp_path / "arm.json"
    path.write_text(so101_calibration().to_text())
    keep(path, so101_calibration(), dict.fromkeys(JOINTS, 2048.0))
    bus = simulated_so101(ARM_POSE, now_s=time.monotonic())
    bus.plant.stuck = set(range(6))
    port = SimulatedPort(bus)
    try:
        graph = launched(
            hardware="real",
            controllers="emulated",
            port=str(port.path),
            calibration_file=str(path),
            **PATIENT,
        )
        observed(lambda seen: seen.controller and seen.raw, graph)
        expected = dict(zip(JOINTS[:5], ARM_POSE[:5], strict=True))
        observed(
            lambda seen: (
                dict(
                    zip(
                        seen.controller.joint_names,
                        seen.controller.reference.positions,
                        strict=True,
                    )
                )
                == pytest.approx(expected, abs=0.01)
            ),
            graph,
        )
        observed(lambda _: torques(port) == [1] * 6, graph)
        graph.stop()
        assert torques(port) == [1] * 6
    finally:
        port.close()


def test_servos_on_a_bus_move_the_simulated_arm_and_feel_what_is_in_its_way(tmp_path):
    mujoco_world = pytest.importorskip("vla_sim.world")
    world = mujoco_world.World(ROBOT / "robot.yaml", timestep_s=0.001)
    world.take_out_servos()
    servos = ServosInTheWorld(world, tmp_path)
    proof = load_proof(tmp_path / "arm.json", load(tmp_path / "arm.json"))
    scale = scales_of(load(tmp_path / "arm.json"), RANGES_RAD, proof.zeros)["shoulder_lift"]
    try:
        # Time stands where nobody advances it: an answer is of that time, however late it comes.
        with ServoBus(str(tmp_path / "port"), PORT_S) as bus:
            servos.advance(1.0)
            held = world.joint_truth()[0]
            assert np.abs(held - world.home).max() < 0.06, "held, but for its sag"
            shown = bus.read_states(range(1, 7))
            assert scale.radians(shown[2].position) == pytest.approx(held[1], abs=0.002)
            bus.write_goals({2: scale.ticks(held[1] + 0.3)})
            assert bus.read(2, "Goal_Position") == scale.ticks(held[1] + 0.3)
            servos.advance(3.0)
            assert world.joint_truth()[0][1] == pytest.approx(held[1] + 0.3, abs=0.06)
            free = abs(bus.read_states([2])[2].load)
            # Down, onto the table.
            bus.write_goals({2: scale.ticks(1.0)})
            assert bus.read(2, "Goal_Position") == scale.ticks(1.0)
            servos.advance(5.0)
            assert world.joint_truth()[0][1] < 0.9
            assert abs(bus.read_states([2])[2].load) > free + 0.2
    finally:
        servos.close()


def test_the_driver_commands_the_simulated_arm_through_its_port(launched, observed):
    graph = launched(hardware="bus", controllers="emulated", real_time_factor="0.0")
    observed(lambda seen: seen.monitor and seen.monitor.state == MonitorStatus.READY, graph)
    observed(lambda seen: seen.raw and seen.controller, graph)
    # In the simulation's time, of which there has not been much yet.
    observed(lambda seen: 1000 <= seen.raw.header.stamp.sec < 2000, graph)


def test_a_leader_arm_takes_the_arm_over_is_followed_and_gives_it_back(
    launched, observed, tmp_path
):
    path = tmp_path / "leader.json"
    path.write_text(so101_calibration().to_text())
    keep(path, so101_calibration(), dict.fromkeys(JOINTS, 2048.0))
    bus = simulated_so101(ARM_POSE, now_s=time.monotonic())
    # In a hand: it stays where it is put.
    bus.plant.stuck = set(range(6))
    port = SimulatedPort(bus)
    try:
        graph = launched(
            hardware="sim",
            real_time_factor="0.0",
            teleop="true",
            leader_port=str(port.path),
            leader_calibration_file=str(path),
            **PATIENT,
        )
        observed(lambda seen: seen.monitor and seen.monitor.permit and seen.controller, graph)
        observed(lambda seen: seen.asked(True) or seen.holder == "leader arm", graph)
        observed(lambda seen: np.abs(seen.led() - ARM_POSE[:5]).max() < 0.01, graph)
        observed(lambda seen: seen.asked(False) or seen.holder == "", graph)
        assert torques(port) == [0] * 6
    finally:
        port.close()


def test_a_robot_without_a_policy_has_a_contract_that_asks_for_its_joints_alone(tmp_path):
    robot = load_robot(ROBOT / "robot.yaml")
    path = resting_contract(ROBOT / "robot.yaml", tmp_path / "resting")
    contract = load_contract(path, robot.limits.joint_names, robot.gripper.joint)
    spec = load_policy(contract.policy_name, contract.policy_options).spec
    assert spec.joint_names == JOINTS
    assert not spec.observation


def test_a_real_arm_without_its_calibration_is_refused_by_name(launched, tmp_path):
    graph = launched(hardware="real", controllers="emulated")
    graph.process.wait(PATIENT_S)
    told = graph.log.read_text()
    assert "hardware:=real needs calibration_file:=" in told
    # What had started would be left behind.
    assert "process started" not in told


def test_the_driver_s_monitor_file_is_the_robot_s_but_for_what_a_driver_tells():
    plain = yaml.safe_load((ROBOT / "monitor.yaml").read_text())
    driver = yaml.safe_load((ROBOT / "monitor_driver.yaml").read_text())
    assert list(plain) == list(driver)
    differing = {key for key in plain if plain[key] != driver[key]}
    assert differing == {"driver_states_topic", "servo_status", "driver_hold_service"}


def test_the_driver_and_the_robot_file_say_the_same_of_the_joints():
    robot = load_robot(ROBOT / "robot.yaml")
    limits = robot.limits
    ends = {
        name: (low, high)
        for name, low, high in zip(
            limits.joint_names, limits.position_lower, limits.position_upper, strict=True
        )
    }
    ends[robot.gripper.joint] = (robot.gripper.position_lower, robot.gripper.position_upper)
    assert ends == dict(RANGES_RAD)
    assert tuple(ends) == JOINTS


def test_the_directions_and_the_weight_that_the_proof_goes_by_are_the_model_s():
    """Which way a joint turns, and what it carries, come out of the MuJoCo model alike."""
    mujoco_world = pytest.importorskip("vla_sim.world")
    from so100_driver.core.description import TURNS, gravity_nm

    world = mujoco_world.World(ROBOT / "robot.yaml")

    def tip(**angles):
        world.place_arm([angles.get(name, 0.0) for name in world.joint_names])
        return world.tip()

    zero = tip()
    # Upper arm upright, forearm level and forward, the hand in line with it.
    assert zero[0, 3] > 0.3
    assert abs(zero[1, 3]) < 0.01
    moved = {name: tip(**{name: 0.4 * TURNS[name].sign})[:3, 3] - zero[:3, 3] for name in JOINTS}
    assert moved["shoulder_pan"][1] > 0.1, "to its left"
    assert moved["shoulder_lift"][2] < -0.1, "forward and down"
    assert moved["elbow_flex"][2] > 0.1, "up"
    assert moved["wrist_flex"][2] < -0.03, "down"
    turned = tip(wrist_roll=0.4 * TURNS["wrist_roll"].sign)[:3, :3] @ zero[:3, :3].T
    # About the axis that points forward: clockwise, looked at from behind.
    assert turned[2, 1] - turned[1, 2] > 0.5
    # The weight bends every joint the way its angle grows, here.
    weights = gravity_nm(dict.fromkeys(JOINTS, 0.0))
    assert all(weights[name] > 0.05 for name in ("shoulder_lift", "elbow_flex", "wrist_flex"))


def test_every_launch_file_that_is_included_is_there():
    text = (TOP / "launch" / "so101.launch.py").read_text()
    names = re.findall(r'included\("(\w+)"', text)
    assert len(set(names)) == 5
    assert all((TOP / "launch" / f"{name}.launch.py").is_file() for name in names)


def test_ros2_control_is_taken_where_it_is_installed():
    spec = importlib.util.spec_from_file_location("so101", TOP / "launch" / "so101.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from launch import LaunchContext

    context = LaunchContext()
    context.launch_configurations["controllers"] = "auto"
    try:
        get_package_prefix("controller_manager")
    except PackageNotFoundError:
        expected = "emulated"
    else:
        expected = "ros2_control"
    assert module.whose_controllers(context) == expected
    context.launch_configurations["controllers"] = "emulated"
    assert module.whose_controllers(context) == "emulated"
