# SPDX-License-Identifier: Apache-2.0
"""Two arms in one graph, each in a namespace; and what the launch files say of themselves."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger
from vla_msgs.msg import MonitorStatus

from vla_bringup.episode_runner import EpisodeRunner

ARMS = ("left", "right")
PATIENT_S = 240.0
# What ROS has in no namespace.
SHARED = {"/rosout", "/parameter_events", "/diagnostics", "/tf", "/tf_static"}

# This folder is no package: its conftest is found by its path.
_SPEC = importlib.util.spec_from_file_location(
    "launched_graph", Path(__file__).with_name("conftest.py")
)
_CONFTEST = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CONFTEST)
LaunchedGraph = _CONFTEST.LaunchedGraph


class Observer(Node):
    """What a person sees of both arms."""

    def __init__(self, context: Context) -> None:
        super().__init__("observer", context=context)
        self.states: dict[str, MonitorStatus] = {}
        self.hardware: dict[str, str] = {}
        self.levels: dict[str, bytes] = {}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for arm in ARMS:
            topic = f"/{arm}/smoothness_monitor/state"
            self.create_subscription(
                MonitorStatus, topic, lambda msg, arm=arm: self.states.update({arm: msg}), latched
            )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.hardware.update({status.name: status.hardware_id for status in msg.status})
        self.levels.update({status.name: status.level for status in msg.status})

    def state_of(self, arm: str) -> int | None:
        return self.states[arm].state if arm in self.states else None


@pytest.fixture
def observer(domain):
    context = Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    node = Observer(context)
    executor.add_node(node)

    def until(condition, what):
        deadline = time.monotonic() + PATIENT_S
        while not condition():
            assert time.monotonic() < deadline, what
            executor.spin_once(timeout_sec=0.1)

    def call(kind, name, request):
        client = node.create_client(kind, name)
        until(client.service_is_ready, f"nobody serves {name}")
        future = client.call_async(request)
        until(future.done, f"{name} does not answer")
        return future.result()

    node.until, node.call = until, call
    yield node
    executor.remove_node(node)
    node.destroy_node()
    executor.shutdown()
    rclpy.shutdown(context=context)


@pytest.fixture
def arms(share, domain, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    graphs = [
        LaunchedGraph(
            share / "launch" / "so101_sim.launch.py",
            tmp_path / f"{arm}.log",
            namespace=arm,
        )
        for arm in ARMS
    ]
    with ExitStack() as stack:
        for graph in graphs:
            stack.callback(graph.stop)
        yield graphs


def outside(observer: Observer) -> set[str]:
    """Return the topics that are in no arm's namespace."""
    topics = dict(observer.get_topic_names_and_types())
    return {name for name in topics if name.split("/")[1] not in ARMS}


def test_the_demonstrations_node_leaves_nothing_in_the_graph(observer, share, tmp_path):
    robot = share / "config" / "robots" / "so101" / "robot.yaml"
    parameters = [f"robot_file:={robot}", f"output_dir:={tmp_path}"]
    words = [word for each in parameters for word in ("-p", each)]
    rclpy.init(args=["test", "--ros-args", *words])
    node = EpisodeRunner()
    action = "/vla_policy_node/run_policy/_action/feedback"
    observer.until(lambda: action in outside(observer), "the node is not seen")
    node.destroy_node()
    # Named, the default context would stay the default one, and no test after this could begin.
    rclpy.shutdown()
    observer.until(lambda: outside(observer) <= SHARED, "something of it stays")


@pytest.mark.timeout(900)
def test_two_arms_live_in_one_graph_and_one_stops_alone(arms, observer, tmp_path):
    for arm in ARMS:
        observer.until(
            lambda arm=arm: observer.state_of(arm) == MonitorStatus.READY, f"{arm} waits"
        )
        box = f"{arm}/black_box: black box"
        observer.until(
            lambda box=box: observer.levels.get(box) == DiagnosticStatus.OK,
            f"{box}: does not hear the monitor",
        )
    assert outside(observer) <= SHARED
    for arm in ARMS:
        # Of the policy node's own file: it applies in any namespace.
        names = ["planning_margin_s", "use_sim_time"]
        values = observer.call(
            GetParameters,
            f"/{arm}/vla_policy_node/get_parameters",
            GetParameters.Request(names=names),
        ).values
        assert [values[0].double_value, values[1].bool_value] == [0.1, True]
    assert observer.call(Trigger, "/left/smoothness_monitor/stop", Trigger.Request()).success
    observer.until(
        lambda: observer.state_of("left") == MonitorStatus.STOPPED_LATCHED, "left goes on"
    )
    assert observer.state_of("right") == MonitorStatus.READY
    folders = tmp_path / ".ros" / "black_box"
    observer.until(lambda: list(folders.glob("left/*/metadata.yaml")), "no bag of the left arm")
    assert {path.name for path in folders.iterdir()} == set(ARMS)
    names = [f"{arm}/smoothness_monitor: stop" for arm in ARMS]
    observer.until(lambda: set(names) <= set(observer.hardware), "diagnostics without an arm")
    assert [observer.hardware[name] for name in names] == ["left/so101", "right/so101"]


LAUNCH_FILES = [
    "gazebo",
    "monitor",
    "monitored_policy",
    "mujoco",
    "panda",
    "ros2_control",
    "sim",
    "so101",
    "so101_sim",
]


@pytest.mark.parametrize("name", LAUNCH_FILES)
def test_a_launch_file_says_what_it_takes(name):
    """Also where something that it starts is not installed."""
    embedded = Path(sys.executable).with_name("embedded-ros2")
    command = str(embedded) if embedded.exists() else shutil.which("ros2")
    found = subprocess.run(
        [command, "launch", "--show-args", "vla_bringup", f"{name}.launch.py"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    arguments = {
        line.strip().strip("':") for line in found.stdout.splitlines() if line.startswith("    '")
    }
    assert {"namespace", "robot_file", "monitor_file", "latch_folder"} <= arguments
    assert ("contract_file" in arguments) == (name != "monitor")
    assert ("description_file" in arguments) == (name != "monitor")


def test_every_launch_file_is_asked(share):
    files = {path.name.removesuffix(".launch.py") for path in (share / "launch").glob("*.py")}
    assert files == set(LAUNCH_FILES)
