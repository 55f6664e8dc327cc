# SPDX-License-Identifier: Apache-2.0
"""The whole graph, launched as users launch it: the task, the stops, and what bad input says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_msgs.msg import Header
from std_srvs.srv import Empty
from vla_msgs.action import RunPolicy
from vla_msgs.msg import ExecutorStatus, MonitorStatus, PolicyStatus

from node_kit import qos
from vla_bringup.episode_runner import EpisodeRunner

RATIO = 1.001
# In simulated time, like every other time here.
TAIL_S = 4.0
# Of the host's time: not what is expected, but what proves that something hangs.
pytestmark = pytest.mark.timeout(900)


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vla_bringup.demo", "--real-time-factor", "0", *words],
        capture_output=True,
        text=True,
        timeout=800,
    )


@pytest.fixture
def observer(graph, share: Path, tmp_path: Path) -> Iterator[EpisodeRunner]:
    """The demonstration's own node, used as eyes and hands on the launched graph."""
    robot = share / "config" / "robots" / "so101" / "robot.yaml"
    parameters = [f"robot_file:={robot}", f"output_dir:={tmp_path}", "use_sim_time:=true"]
    words = [word for each in parameters for word in ("-p", each)]
    rclpy.init(args=["test", "--ros-args", *words])
    node = EpisodeRunner()
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    node._await_graph()
    yield node
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    thread.join(60)


def let_pass(observer: EpisodeRunner, seconds: float) -> None:
    """Let simulated time pass."""
    until_ns = observer._now_ns() + round(seconds * 1e9)
    observer._until(lambda: observer._now_ns() >= until_ns, 2.0 * seconds, "passing of time")


@contextlib.contextmanager
def time_stands(observer: EpisodeRunner) -> Iterator[None]:
    """Pause the simulation, so that nothing ends while a process starts."""
    for name in ("pause", "unpause"):
        client = observer.create_client(Empty, f"vla_sim/{name}_physics")
        assert client.wait_for_service(400.0), name
        observer._until(client.call_async(Empty.Request()).done, 10.0, name)
        if name == "pause":
            yield


def start_moving(observer: EpisodeRunner) -> None:
    goal = RunPolicy.Goal(instruction="put the red cube in the bin", max_duration=60.0)
    handle = observer._result(observer.run_policy.send_goal_async(goal), 10.0)
    assert handle.accepted
    observer._until(lambda: observer._reference_speed() > 0.3, 20.0, "motion")


def test_the_arm_puts_the_named_cube_in_the_bin(domain, tmp_path):
    done = demo("--episodes", "1", "--seed", "3", "--output", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["success_rate"] == 1.0
    assert summary["peak_command_jerk_ratio"] <= RATIO
    assert summary["trips"] == []
    assert summary["inference_ms_p99"] > 0.0
    assert summary["plan_ms_p99"] > 0.0
    assert (tmp_path / "report.png").stat().st_size > 10_000
    assert (tmp_path / "episode.mp4").stat().st_size > 10_000


def test_the_monitor_stops_and_latches_a_hostile_policy(domain, tmp_path):
    done = demo("--policy", "adversary", "--output", str(tmp_path))
    assert done.returncode == 3, done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["peak_command_jerk_ratio"] <= RATIO
    assert summary["monitor_state"] == MonitorStatus.STOPPED_LATCHED
    assert summary["first_cause"] == "plan_rejected"


def test_a_policy_killed_in_motion_leaves_a_smooth_stop_and_no_trip(graph, observer):
    start_moving(observer)
    os.kill(graph.pid_of("vla_policy_node"), signal.SIGKILL)
    killed_ns = observer._now_ns()
    observer._until(observer._at_rest, TAIL_S, "rest")
    assert observer._now_ns() - killed_ns > 50_000_000
    let_pass(observer, 0.5)
    assert observer._at_rest()
    assert observer.recording.peak_command_jerk_ratio() <= RATIO
    assert observer.recording.trips == []
    assert observer.safety.permit


def test_a_monitor_killed_in_motion_stops_the_planning(graph, observer):
    start_moving(observer)
    os.kill(graph.pid_of("smoothness_monitor"), signal.SIGKILL)
    observer._until(
        lambda: observer.status.state in (PolicyStatus.NO_PERMIT, PolicyStatus.IDLE),
        2.0,
        "NO_PERMIT",
    )
    observer._until(observer._at_rest, TAIL_S, "rest")
    plans = observer.status.plans
    let_pass(observer, 1.0)
    assert observer.status.plans == plans
    assert observer._at_rest()
    assert observer.recording.peak_command_jerk_ratio() <= RATIO
    # The launch starts it again; it waits for a person, and the policy with it.
    observer._until(lambda: observer.safety.first_cause == "restarted", 200.0, "the monitor again")
    assert observer.safety.state == MonitorStatus.STOPPED_LATCHED
    assert not observer.safety.permit
    assert observer._at_rest()


WAVE = (Path(__file__).parents[3] / "docs" / "how-to" / "add_a_source.md").read_text("utf-8")
# A source that lives in simulated time has it wait, however fast or busy the host is.
DEALT_WITH = """
from rclpy.qos import DurabilityPolicy, QoSProfile
kept = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
dealt_with = node.create_publisher(Header, "clock_acknowledgement", kept)
node.create_timer(0.01, lambda: dealt_with.publish(
    Header(stamp=node.get_clock().now().to_msg(), frame_id="/wave")))
"""


# On a busy host it may take its time: simulated time waits for it.
@pytest.mark.parametrize("graph", [{"lockstep_timeout_s": "120.0"}], indirect=True)
def test_the_source_of_the_how_to_takes_over_in_motion_and_gives_back_without_a_jump(
    graph, observer, tmp_path
):
    lines = WAVE.partition("```python\n")[2].partition("```")[0]
    begins = 'node = rclpy.create_node("wave")\n'
    assert lines.count(begins) == 1
    (tmp_path / "wave.py").write_text(lines.replace(begins, begins + DEALT_WITH))
    told: list[ExecutorStatus] = []
    observer.create_subscription(ExecutorStatus, "arm/executor_status", told.append, qos.LATCHED)
    start_moving(observer)
    with time_stands(observer):
        source = subprocess.Popen(
            [sys.executable, "wave.py", "--ros-args", "-p", "use_sim_time:=true"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        there = threading.Event()
        observer.create_subscription(
            Header,
            "clock_acknowledgement",
            lambda msg: there.set() if msg.frame_id == "/wave" else None,
            qos.LATCHED,
        )
        assert there.wait(400.0), source.poll()
    answers, trouble = source.communicate(timeout=400)
    assert source.returncode == 0, trouble
    asked, gave_back = answers.splitlines()
    assert asked.startswith("True taken over from color_pick"), answers
    # It still held the arm at the end.
    assert gave_back == "True", (told[-1].last_end, told[-1].last_refusal)
    observer._until(lambda: observer.status.state == PolicyStatus.IDLE, 2.0, "end of the run")
    plans = [status.plans_acknowledged for status in told if status.holder == "wave"]
    assert max(plans) > 10
    start_moving(observer)
    assert observer.recording.peak_command_jerk_ratio() <= RATIO
    assert observer.recording.trips == []
    assert observer.safety.permit


def edited(source: Path, target: Path, edit) -> Path:
    content = yaml.safe_load(source.read_text())
    edit(content)
    target.write_text(yaml.safe_dump(content))
    return target


def unknown_policy(contract):
    contract["policy"]["name"] = "dance"


def unknown_joint(contract):
    contract["action"]["joints"][0] = "tail"


def unknown_key(contract):
    contract["observation"]["observation.state"]["max_aeg_s"] = 0.2


def no_such_camera(contract):
    contract["observation"]["observation.images.front"]["topic"] = "rear_camera/image_raw"


@pytest.mark.parametrize(
    ("edit", "key", "value"),
    [
        (unknown_policy, "policy.name", "dance"),
        (unknown_joint, "action.joints", "tail"),
        (unknown_key, "observation.observation.state", "max_aeg_s"),
        (no_such_camera, "observation.observation.images.front.topic", "rear_camera/image_raw"),
    ],
)
def test_a_bad_contract_ends_the_demo_with_one_line(domain, share, tmp_path, edit, key, value):
    source = share / "config" / "policies" / "so101_color_pick.yaml"
    contract = edited(source, tmp_path / "mine.yaml", edit)
    # No faster than real time: it leaves the host to those that start.
    pace = ("--real-time-factor", "1")
    done = demo("--contract", str(contract), "--output", str(tmp_path), *pace)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "mine.yaml" in line]
    assert len(lines) == 1, done.stdout + done.stderr
    assert key in lines[0]
    assert value in lines[0]
    # The others are interrupted at once, some of them while they still import rclpy.
    own = [line for line in done.stdout.splitlines() if line.startswith("[vla_policy_node-")]
    assert not [line for line in own if "Traceback" in line], done.stdout + done.stderr


@pytest.mark.parametrize("executable", ["vla_sim", "smoothness_monitor", "vla_policy_node"])
def test_missing_limits_end_every_node_with_one_line(domain, share, tmp_path, executable):
    def no_jerk(robot):
        del robot["arm"]["limits"]["elbow_flex"]["jerk"]

    robot = edited(
        share / "config" / "robots" / "so101" / "robot.yaml", tmp_path / "arm.yaml", no_jerk
    )
    files = {
        "vla_sim": [],
        "smoothness_monitor": [f"monitor_file:={share}/config/robots/so101/monitor.yaml"],
        "vla_policy_node": [f"contract_file:={share}/config/policies/so101_color_pick.yaml"],
    }[executable]
    parameters = [f"robot_file:={robot}", *files]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; from {executable}.node import main; sys.exit(main())",
            "--ros-args",
            *(word for each in parameters for word in ("-p", each)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "arm.yaml" in lines[0]
    assert "arm.limits.elbow_flex.jerk" in lines[0]
