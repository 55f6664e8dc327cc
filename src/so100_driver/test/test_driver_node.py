# SPDX-License-Identifier: Apache-2.0
"""The driver as a process on a simulated bus, seen from another node.

Its time-outs are long: a busy host must not look like a dead arm.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from so100_driver.cli.prove import keep
from so100_driver.core.calibration import JOINTS
from so100_driver.sim_bus.arm import simulated_so101, so101_calibration
from so100_driver.sim_bus.port import SimulatedPort

ROBOT = Path(__file__).parents[3] / "config" / "robots" / "so101" / "robot.yaml"
POSE = (0.0, -0.4, 0.4, 0.3, 0.0, 0.5)
PATIENT = ("answer_timeout_s:=0.1", "stale_s:=1.0", "command_timeout_s:=2.0")


def until(ready, what="", timeout_s=240.0):
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def arm():
    """An arm that a person holds up: it falls only once its joints are let go."""
    bus = simulated_so101(POSE, now_s=time.monotonic())
    bus.plant.stuck = set(range(6))
    served = SimulatedPort(bus)
    yield served
    served.close()


@pytest.fixture
def proved(tmp_path):
    path = tmp_path / "arm.json"
    path.write_text(so101_calibration().to_text())
    keep(path, so101_calibration(), dict.fromkeys(JOINTS, 2048.0))
    return path


@pytest.fixture
def start(arm, proved):
    """Return what starts the driver; each is ended."""
    started = []

    def run(*parameters, **popen):
        given = (
            f"port:={arm.path}",
            f"calibration_file:={proved}",
            f"robot_file:={ROBOT}",
            *PATIENT,
            *parameters,
        )
        words = [word for each in given for word in ("-p", each)]
        command = "import sys; from so100_driver.node import main; sys.exit(main())"
        process = subprocess.Popen(
            [sys.executable, "-c", command, "--ros-args", *words], text=True, **popen
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=240)


class Client:
    """Hears what the driver publishes, and asks it for things."""

    def __init__(self):
        rclpy.init()
        self.node = rclpy.create_node("client")
        self.states, self.health = [], {}
        self.node.create_subscription(JointState, "joint_states_raw", self.states.append, 100)
        self.node.create_subscription(
            DiagnosticArray, "so100_driver/servo_health", self._on_health, 10
        )
        self.commands = self.node.create_publisher(JointState, "joint_commands", 1)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self):
        with contextlib.suppress(ExternalShutdownException):
            self.executor.spin()

    def _on_health(self, msg):
        self.health.update({status.name: status for status in msg.status})

    def call(self, kind, name, **fields):
        client = self.node.create_client(kind, f"so100_driver/{name}")
        assert client.wait_for_service(timeout_sec=240)
        return client.call_async(kind.Request(**fields))

    def ask(self, kind, name, **fields):
        future = self.call(kind, name, **fields)
        until(future.done, name)
        return future.result()

    def pose(self):
        until(lambda: self.states, "no joint_states_raw")
        return dict(zip(self.states[-1].name, self.states[-1].position, strict=True))

    def send(self, target):
        msg = JointState(name=list(target), position=[float(value) for value in target.values()])
        msg.header.stamp = self.node.get_clock().now().to_msg()
        self.commands.publish(msg)

    def level(self, joint):
        status = self.health.get(f"so100_driver/{joint}")
        return status.level if status else None

    def mode(self):
        status = self.health.get("so100_driver/arm")
        return status.message if status else ""

    def close(self):
        rclpy.try_shutdown()
        self.thread.join(30)
        self.node.destroy_node()


@pytest.fixture
def client():
    made = Client()
    yield made
    made.close()


def torques(arm):
    with arm.bus() as bus:
        return [servo.get("Torque_Enable") for servo in bus.servos]


def waits(client):
    """Return whether it takes commands; on a busy host an order may have been lost at first."""
    if "did not take an order" in client.mode():
        client.ask(Trigger, "clear_faults")
    return "waits for a command" in client.mode()


def let_go(arm):
    with arm.bus() as bus:
        bus.plant.stuck = set()


def test_it_holds_at_once_follows_what_is_near_and_refuses_what_is_far(arm, start, client):
    start()
    until(lambda: torques(arm) == [1] * 6, "no torque")
    let_go(arm)
    pose = client.pose()
    assert pose == pytest.approx(dict(zip(JOINTS, POSE, strict=True)), abs=0.1)
    assert list(pose) == list(JOINTS)
    stamps = [msg.header.stamp.sec + msg.header.stamp.nanosec * 1e-9 for msg in client.states]
    assert all(abs(stamp - time.time()) < 60.0 for stamp in stamps)
    until(lambda: waits(client), client.mode())

    def refusals():
        status = client.health["so100_driver/arm"]
        return {item.key: item.value for item in status.values}

    far = {**pose, "shoulder_pan": pose["shoulder_pan"] + 1.0}
    until(lambda: client.send(far) or "the first command" in refusals()["last refusal"])
    assert client.pose()["shoulder_pan"] == pytest.approx(pose["shoulder_pan"], abs=0.01)

    # Towards a goal in small steps, as a controller does.
    target = dict(client.pose())

    def moved():
        if "did not take an order" in client.mode():
            # A host so busy that an answer took longer than three tries: a person would go on.
            client.ask(Trigger, "clear_faults")
            target.update(client.pose())
        # No step is further than the gate lets it, however late the last reading is.
        ahead = target["shoulder_pan"] - client.pose()["shoulder_pan"]
        if ahead < 0.05:
            target["shoulder_pan"] += 0.01
        client.send(target)
        return client.pose()["shoulder_pan"] > 0.25

    until(moved, client.mode())


def test_on_request_it_goes_to_where_its_controllers_stand_however_far_that_is(arm, start, client):
    start("lowering_rad_s:=1.0")
    until(lambda: torques(arm) == [1] * 6, "no torque")
    let_go(arm)
    until(lambda: waits(client), client.mode())
    goal = client.pose()
    goal["shoulder_pan"] += 0.8
    approach = client.node.create_client(Trigger, "so100_driver/approach")
    assert approach.wait_for_service(timeout_sec=240)
    asked = []

    def there():
        """Command one and the same, and ask until it has been the same for long enough."""
        if "did not take an order" in client.mode():
            client.ask(Trigger, "clear_faults")
        client.send(goal)
        if not asked or asked[-1].done():
            asked[:] = [approach.call_async(Trigger.Request())]
        return abs(client.pose()["shoulder_pan"] - goal["shoulder_pan"]) < 0.05

    until(there, client.mode())
    until(lambda: client.send(goal) or "follows" in client.mode(), client.mode())


def test_hold_torque_and_clearing_are_services_with_reasons(arm, start, client):
    start()
    until(lambda: torques(arm) == [1] * 6, "no torque")
    assert client.ask(Trigger, "hold").success
    until(lambda: "takes no command" in client.mode(), client.mode())
    assert client.ask(Trigger, "clear_faults").success
    until(lambda: "waits for a command" in client.mode(), client.mode())
    answer = client.ask(SetBool, "torque", data=False)
    assert not answer.success
    assert "lower it first" in answer.message
    assert torques(arm) == [1] * 6
    let_go(arm)

    def lowered():
        # A busy host may keep the servos from answering: then the arm holds, and is told again.
        if "waits for a command" in client.mode():
            client.ask(Trigger, "lower")
        return "lowered" in client.mode()

    until(lowered, "not lowered")
    assert client.ask(SetBool, "torque", data=False).success
    until(lambda: torques(arm) == [0] * 6, "torque")
    assert client.ask(SetBool, "torque", data=True).success
    until(lambda: torques(arm) == [1] * 6, "no torque")


def test_an_end_by_ctrl_c_leaves_the_arm_holding(arm, start):
    process = start()
    until(lambda: torques(arm) == [1] * 6, "no torque")
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 0
    assert torques(arm) == [1] * 6


def test_a_cable_that_is_pulled_is_told_and_plugged_in_again_the_arm_holds(arm, start, client):
    start()
    until(lambda: torques(arm) == [1] * 6, "no torque")
    let_go(arm)
    client.pose()
    with arm.bus() as bus:
        bus.faults.unplugged = True
    until(
        lambda: all(client.level(name) == b"\x03" for name in JOINTS),
        "not stale",
    )
    count = len(client.states)
    with arm.bus() as bus:
        bus.faults.unplugged = False
    until(lambda: len(client.states) > count + 5, "no states")
    until(lambda: client.level("gripper") == b"\x00", "not well")
    assert torques(arm) == [1] * 6


def test_without_autostart_the_transitions_are_another_s(arm, start, client):
    start("autostart:=false")

    def change(transition):
        return client.ask(
            ChangeState, "change_state", transition=Transition(id=transition)
        ).success

    assert change(Transition.TRANSITION_CONFIGURE)
    client.pose()
    answer = client.ask(SetBool, "torque", data=True)
    assert not answer.success
    assert "activate it first" in answer.message
    assert torques(arm) == [0] * 6
    assert change(Transition.TRANSITION_ACTIVATE)
    until(lambda: torques(arm) == [1] * 6, "no torque")
    assert change(Transition.TRANSITION_DEACTIVATE)
    until(lambda: "deactivated" in client.mode(), client.mode())
    assert not client.ask(Trigger, "clear_faults").success
    assert not client.ask(Trigger, "approach").success
    assert client.ask(Trigger, "hold").success
    assert change(Transition.TRANSITION_ACTIVATE)
    until(lambda: "waits for a command" in client.mode(), client.mode())
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_CLEANUP)
    assert torques(arm) == [1] * 6


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda arm, path: path.unlink(), "so101 calibrate"),
        (lambda arm, path: path.with_suffix(".proof.json").unlink(), "so101 prove"),
        (lambda arm, path: path.write_text("{"), "arm.json"),
        (lambda arm, path: arm.unplug(), "there is no such port"),
        (
            lambda arm, path: _silence(arm),
            "so101 doctor",
        ),
        (
            lambda arm, path: _calibrate_anew(arm),
            "another program calibrated",
        ),
    ],
)
def test_what_cannot_be_driven_ends_with_one_line_and_no_torque(
    arm, proved, start, break_it, words
):
    break_it(arm, proved)
    process = start(stderr=subprocess.PIPE)
    _, text = process.communicate(timeout=240)
    assert process.returncode == 2, text
    line = [line for line in text.splitlines() if line.startswith("so100_driver: ")]
    assert len(line) == 1, text
    assert words in line[0]
    if arm._master >= 0:
        assert torques(arm) == [0] * 6


def _silence(arm):
    with arm.bus() as bus:
        bus.faults.silent = {2}


def _calibrate_anew(arm):
    with arm.bus() as bus:
        bus.servos[2].keep("Homing_Offset", 77)
