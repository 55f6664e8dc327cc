# SPDX-License-Identifier: Apache-2.0
"""The node as a process, among real messages: an arm, a camera and a monitor are played to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from action_msgs.msg import GoalStatus  # noqa: E402
from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rosgraph_msgs.msg import Clock as ClockMsg  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Header, String  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402
from vla_msgs.action import RunPolicy  # noqa: E402
from vla_msgs.msg import ActionChunk, MonitorStatus, PolicyStatus  # noqa: E402

from node_kit import qos  # noqa: E402
from smooth_motion import CheckConfig, Limits, Plan, check  # noqa: E402
from vla_contract.robot import load_robot  # noqa: E402
from vla_policy_node import convert  # noqa: E402

DOMAIN = str(101 + os.getpid() % 100)  # of its own, so that graphs of other tests stay away
ARM = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
JOINTS = (*ARM, "gripper")
HOME = (0.0, -1.2, 1.0, 1.25, 0.0)
JERK = 100.0

LIMITS = "velocity: 2.0, acceleration: 10.0, jerk: 100.0"
ROBOT = f"""
robot: so101
base_frame: base_link
tip_frame: gripper_frame_link
arm:
  controller: arm_controller
  joints: [{", ".join(ARM)}]
  limits:
    shoulder_pan: {{position: [-1.91986, 1.91986], {LIMITS}}}
    shoulder_lift: {{position: [-1.74533, 1.74533], {LIMITS}}}
    elbow_flex: {{position: [-1.69, 1.69], {LIMITS}}}
    wrist_flex: {{position: [-1.65806, 1.65806], {LIMITS}}}
    wrist_roll: {{position: [-2.74385, 2.84121], {LIMITS}}}
gripper:
  controller: gripper_controller
  joint: gripper
  position: [-0.174533, 1.74533]
  velocity: 2.5
home: {{shoulder_pan: 0.0, shoulder_lift: -1.2, elbow_flex: 1.0, wrist_flex: 1.25,
        wrist_roll: 0.0, gripper: 0.1}}
encoder:
  ticks_per_turn: 4096
"""

CONTRACT = f"""
policy:
  name: walker
  options: {{factor: 1.0}}
observation:
  observation.images.front:
    topic: front_camera/image_raw
    type: sensor_msgs/msg/Image
    max_age_s: 1.0
    frozen_after_s: 1.0
  observation.state:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    field: position
    joints: [{", ".join(JOINTS)}]
    units: rad
    max_age_s: 1.0
action:
  joints: [{", ".join(JOINTS)}]
  units: rad
"""

# A policy of another package: registered by an entry point, as anybody's would be.
# It cannot be loaded while a file named `away` lies beside it.
WALKER = """
import time
from pathlib import Path

import numpy as np
from vla_policies import Action, FeatureKind, FeatureSpec, Options, PolicySpec

JOINTS = %r
SPEC = PolicySpec(
    "walker 1",
    (
        FeatureSpec("observation.images.front", FeatureKind.IMAGE, (480, 640, 3)),
        FeatureSpec("observation.state", FeatureKind.STATE, (6,), "rad"),
    ),
    JOINTS, "rad", 1 / 30, 30,
)


class Walker:
    spec = SPEC

    def __init__(self, factor):
        self.random, self.factor = np.random.default_rng(0), factor

    def reset(self):
        pass

    def infer(self, observation):
        rows = observation.state["observation.state"] + self.random.normal(0.0, 0.5, (30, 6))
        return Action(rows * self.factor, SPEC.dt_s, JOINTS, "walk")

    def close(self):
        pass


def make(options):
    given = Options("walker", options)
    factor = float(given.take("factor"))
    given.end()
    while Path(__file__).with_name("away").exists():
        time.sleep(0.02)
    return Walker(factor)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a process in which the walker is installed."""
    site = tmp_path / "site"
    info = site / "walker-1.dist-info"
    info.mkdir(parents=True)
    (site / "walker.py").write_text(WALKER % (JOINTS,))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: walker\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vla_policies]\nwalker = walker:make\n")
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "ROS_DOMAIN_ID": DOMAIN, "PYTHONPATH": path}


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., list[str]]:
    """Write the robot file and the contract; return the arguments that name them."""

    def write(old: str = "", new: str = "", **parameters: object) -> list[str]:
        (tmp_path / "robot.yaml").write_text(ROBOT)
        assert old in CONTRACT
        contract = CONTRACT.replace(old, new) if old else CONTRACT
        (tmp_path / "contract.yaml").write_text(contract)
        arguments = ["--ros-args"]
        given = {
            "robot_file": tmp_path / "robot.yaml",
            "contract_file": tmp_path / "contract.yaml",
            **parameters,
        }
        for name, value in given.items():
            arguments += ["-p", f"{name}:={value}"]
        return arguments

    return write


@pytest.fixture
def run(environment) -> Callable[[list[str]], tuple[int, list[str]]]:
    """Run the node until it leaves; return its exit code and what it wrote on standard error."""

    def start(arguments: list[str]) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-m", "vla_policy_node.node", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stderr.strip().splitlines()

    return start


FAST = "walker:make failed with ValueError: could not convert string to float: 'fast' at "
MISTAKES = [
    ("  options: {factor: 1.0}", "  options: {factor: fast}", FAST),
    ("  options: {factor: 1.0}", "  options: {factor: fast}\n  process: own", FAST),
    ("  name: walker", "  name: wanderer", "there is no policy 'wanderer'"),
    (
        "\n  joints: [shoulder_pan,",
        "\n  joints: [shoulder_pen,",
        "contract.yaml: action.joints: 'shoulder_pen' is not a joint of the robot",
    ),
    (
        "    frozen_after_s: 1.0",
        "    frozen_after: 1.0",
        "contract.yaml: observation.observation.images.front.frozen_after: unknown key",
    ),
]


@pytest.mark.parametrize(("old", "new", "problem"), MISTAKES)
def test_a_mistake_in_the_contract_is_one_line_and_exit_code_2(run, files, old, new, problem):
    code, lines = run(files(old, new))
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("vla_policy_node: ")
    assert problem in lines[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("replan_period_s", 9.0),
        ("max_failures", "many"),
        ("robot_file", "''"),
    ],
)
def test_a_wrong_parameter_is_one_line_and_exit_code_2(run, files, name, value):
    code, lines = run(files(**{name: value}))
    assert code == 2
    assert len(lines) == 1
    assert name in lines[0]


@pytest.mark.parametrize("domain_id", ["abc", "300"])
def test_an_impossible_domain_is_one_line_and_exit_code_2(run, files, environment, domain_id):
    environment["ROS_DOMAIN_ID"] = domain_id
    code, lines = run(files())
    assert code == 2
    # A middleware may have had a word before.
    assert lines[-1].startswith("vla_policy_node: ROS cannot be started: ")
    assert not any("Traceback" in line for line in lines)


def test_a_camera_without_a_publisher_is_one_line_and_exit_code_2(run, files):
    code, lines = run(files(startup_timeout_s=1.0))
    assert code == 2
    assert "contract.yaml: observation.observation.images.front.topic: " in lines[-1]
    assert "no publisher on /front_camera/image_raw after 1 s" in lines[-1]


# Simulated time begins here.
START_NS = 1_000_000_000_000


class Robot(Node):
    """An arm whose controller follows exactly, its camera, its monitor, and the time they live in.

    Time goes on when the node has dealt with the cycle before, however busy the host is.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__("robot")
        self.limits = limits
        self.permit = True
        self.camera = True
        self.running = Plan.hold(ARM, HOME, 1)
        self.start_ns = START_NS
        self.tick = 0
        self.commands: list[tuple[int, np.ndarray]] = []
        self.plans: list[Plan] = []
        self.raw: list[JointTrajectory] = []
        self.grippers: list[JointTrajectory] = []
        self.chunks: list[ActionChunk] = []
        self.statuses: list[PolicyStatus] = []
        self._random = np.random.default_rng(0)
        state = JointTrajectoryControllerState
        name = "vla_policy_node"
        self._arm = self.create_publisher(state, "arm_controller/controller_state", qos.SENSED)
        self._grip = self.create_publisher(
            state, "gripper_controller/controller_state", qos.SENSED
        )
        self._joints = self.create_publisher(JointState, "joint_states", qos.SENSED)
        self._image = self.create_publisher(Image, "front_camera/image_raw", qos.IMAGE)
        self._monitor = self.create_publisher(
            MonitorStatus, "smoothness_monitor/state", qos.LATCHED
        )
        self.instruct = self.create_publisher(String, f"{name}/instruction", qos.EACH)
        subscribe = self.create_subscription
        subscribe(JointTrajectory, "arm/plan", self._on_plan, qos.TRAJECTORY)
        subscribe(JointTrajectory, "gripper/plan", self.grippers.append, qos.TRAJECTORY)
        subscribe(ActionChunk, f"{name}/action_chunk", self.chunks.append, qos.EACH)
        subscribe(PolicyStatus, f"{name}/status", self.statuses.append, qos.LATCHED)
        self.action = ActionClient(self, RunPolicy, f"{name}/run_policy")
        self.parameters = self.create_client(SetParameters, f"{name}/set_parameters")
        self._clock_publisher = self.create_publisher(ClockMsg, "/clock", 10)
        subscribe(Header, "clock_acknowledgement", self._on_word, 10)
        # Told again and again: the node may come later, and its subscription is best effort.
        self.create_timer(0.02, self._tell_the_time)
        # While something of the host's time is waited for: no faster than twice real time.
        self.hurried = True
        self._dealt_with = False
        self.create_timer(0.005, self._stroll)

    @property
    def state(self) -> int | None:
        return self.statuses[-1].state if self.statuses else None

    @property
    def instruction(self) -> str | None:
        return self.statuses[-1].instruction if self.statuses else None

    def _on_plan(self, msg: JointTrajectory) -> None:
        if len(msg.points[0].velocities) == 0:
            self.raw.append(msg)
            return
        points = [
            (convert.to_ns(p.time_from_start), p.positions, p.velocities, p.accelerations)
            for p in msg.points
        ]
        plan = Plan.from_points(msg.joint_names, convert.to_ns(msg.header.stamp), points)
        # As the monitor does: on a busy machine a plan may come too late to be taken over.
        now_ns = self.start_ns + self.tick * 10_000_000
        config = CheckConfig(min_overlap_ns=20_000_000)
        if not check(plan, self.running, self.limits, now_ns=now_ns, config=config):
            self.running = plan
            self.plans.append(plan)

    @property
    def now_ns(self) -> int:
        return self.start_ns + self.tick * 10_000_000

    def _tell_the_time(self) -> None:
        self._clock_publisher.publish(ClockMsg(clock=convert.to_time(self.now_ns)))

    def _on_word(self, msg: Header) -> None:
        """Let time go on by one cycle when the node has dealt with this one."""
        if convert.to_ns(msg.stamp) == self.now_ns:
            self._dealt_with = True
            if self.hurried:
                self._go_on()

    def _stroll(self) -> None:
        if self._dealt_with:
            self._go_on()

    def _go_on(self) -> None:
        self._dealt_with = False
        self.tick += 1
        self._tell_the_time()
        self._publish(self.now_ns)

    def _publish(self, now_ns: int) -> None:
        header = Header(stamp=convert.to_time(now_ns))
        sample = self.running.sample(now_ns)
        self.commands.append((now_ns, sample.position))
        self._arm.publish(self._state(header, ARM, sample, now_ns - self.running.start_ns))
        rest = Plan.hold(("gripper",), [0.1], 1).sample(now_ns)
        self._grip.publish(self._state(header, ("gripper",), rest, now_ns - self.start_ns))
        self._joints.publish(
            JointState(
                header=header,
                name=list(JOINTS),
                position=array("d", [*sample.position, 0.1]),
            )
        )
        if self.tick % 3 == 0 and self.camera:
            pixels = self._random.integers(0, 255, (480, 640, 3), dtype=np.uint8)
            data = array("B")
            data.frombytes(pixels.tobytes())
            self._image.publish(
                Image(header=header, height=480, width=640, encoding="rgb8", step=1920, data=data)
            )
        if self.tick % 2 == 0:
            self._monitor.publish(
                MonitorStatus(
                    header=header,
                    state=MonitorStatus.READY if self.permit else MonitorStatus.STOPPED_LATCHED,
                    permit=self.permit,
                )
            )

    @staticmethod
    def _state(header, names, sample, since_ns) -> JointTrajectoryControllerState:
        return JointTrajectoryControllerState(
            header=header,
            joint_names=list(names),
            reference=JointTrajectoryPoint(
                positions=array("d", sample.position),
                velocities=array("d", sample.velocity),
                accelerations=array("d", sample.acceleration),
                time_from_start=convert.to_duration(since_ns),
            ),
        )


@pytest.fixture
def robot_node(monkeypatch, tmp_path) -> Iterator[Robot]:
    monkeypatch.setenv("ROS_DOMAIN_ID", DOMAIN)
    rclpy.init()
    executor = SingleThreadedExecutor()
    (tmp_path / "limits.yaml").write_text(ROBOT)
    node = Robot(load_robot(tmp_path / "limits.yaml").limits)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(60.0)
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def launch(environment, files, tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the node with a policy; it must leave without a complaint when interrupted."""
    started: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "log").open("wb")

    def start(**parameters: object) -> subprocess.Popen[bytes]:
        arguments = files(**{"use_sim_time": True, **parameters})
        process = subprocess.Popen(
            [sys.executable, "-m", "vla_policy_node.node", *arguments],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    codes = []
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            codes.append(process.wait(120))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append("did not leave when interrupted")
    log.close()
    text = (tmp_path / "log").read_text()
    assert codes == [0] * len(started), text
    assert "Traceback" not in text, text


def until(
    ready: Callable[[], bool],
    what: str,
    timeout_s: float = 180.0,
    seen: Callable[[], str] = str,
) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, f"no {what} after {timeout_s:.0f} s; {seen()}"
        time.sleep(0.01)


def instruct(robot_node, text: str) -> None:
    """Say it until it is heard: a publisher may know of a reader that does not know of it."""

    def heard() -> bool:
        robot_node.instruct.publish(String(data=text))
        time.sleep(0.1)
        return robot_node.instruction == text

    until(heard, "instruction")


def result(future, what: str):
    until(future.done, what)
    return future.result()


def worst_jerk(commands: list[tuple[int, np.ndarray]]) -> float:
    positions = np.array([position for _, position in commands])
    return float(np.abs(np.diff(positions, n=3, axis=0)).max() / 0.01**3)


# Quoted twice: the option is a text that holds YAML, on a command line that is YAML too.
NAN = "'{factor: .nan}'"


def test_an_instruction_becomes_plans_that_keep_the_jerk_limit(robot_node, launch):
    launch()
    until(lambda: robot_node.state == PolicyStatus.IDLE, "status")
    instruct(robot_node, "behave badly")
    until(lambda: len(robot_node.plans) >= 10, "plans")
    status = robot_node.statuses[-1]
    assert status.state == PolicyStatus.RUNNING
    assert status.instruction == "behave badly"
    assert status.plans_acknowledged > 0
    assert (robot_node.chunks[-1].shape == [30, 6]).all()
    assert robot_node.grippers[-1].joint_names == ["gripper"]
    robot_node.instruct.publish(String(data=""))
    until(lambda: robot_node.state == PolicyStatus.IDLE, "idle after an empty instruction")
    sent = len(robot_node.plans)
    until(
        lambda: (robot_node.commands[-1][1] == robot_node.commands[-20][1]).all(),
        "rest at the end of the plan",
    )
    assert len(robot_node.plans) == sent
    assert worst_jerk(robot_node.commands) <= JERK * 1.000001
    assert worst_jerk(robot_node.commands) > JERK / 2


def test_a_goal_runs_until_its_time_is_up_and_is_rejected_when_it_makes_no_sense(
    robot_node, launch
):
    launch()
    until(robot_node.action.server_is_ready, "action")
    for instruction, duration in (("", 5.0), ("x", 0.0), ("x", float("nan"))):
        goal = RunPolicy.Goal(instruction=instruction, max_duration=duration)
        assert not result(robot_node.action.send_goal_async(goal), "answer").accepted
    feedback: list[RunPolicy.Feedback] = []
    goal = RunPolicy.Goal(instruction="behave badly", max_duration=2.0)
    handle = result(
        robot_node.action.send_goal_async(
            goal, feedback_callback=lambda msg: feedback.append(msg.feedback)
        ),
        "answer",
    )
    assert handle.accepted
    reply = result(handle.get_result_async(), "result")
    assert reply.status == GoalStatus.STATUS_ABORTED
    assert reply.result.termination_reason == RunPolicy.Result.TIMED_OUT
    assert reply.result.plans > 2
    assert reply.result.plans_acknowledged > 0
    assert 0.0 < reply.result.plan_time_p50 <= reply.result.plan_time_p99
    assert reply.result.inference_latency_p50 > 0.0
    assert len(feedback) > 5
    assert feedback[-1].plans > 0


def test_a_goal_can_be_cancelled_and_preempted(robot_node, launch):
    launch()
    until(robot_node.action.server_is_ready, "action")

    def start(instruction: str):
        goal = RunPolicy.Goal(instruction=instruction, max_duration=60.0)
        handle = result(robot_node.action.send_goal_async(goal), "answer")
        until(lambda: robot_node.instruction == instruction, "instruction")
        return handle, handle.get_result_async()

    _, first = start("one")
    handle, second = start("two")
    assert result(first, "result").result.termination_reason == RunPolicy.Result.PREEMPTED
    result(handle.cancel_goal_async(), "answer")
    reply = result(second, "result")
    assert reply.status == GoalStatus.STATUS_CANCELED
    assert reply.result.termination_reason == RunPolicy.Result.CANCELED
    _, third = start("three")
    robot_node.instruct.publish(String(data="four"))
    assert result(third, "result").result.termination_reason == RunPolicy.Result.PREEMPTED
    until(lambda: robot_node.instruction == "four", "instruction")


def test_a_latched_stop_ends_the_run_and_a_reset_does_not_resume_it(robot_node, launch):
    launch()
    until(robot_node.action.server_is_ready, "action")
    goal = RunPolicy.Goal(instruction="behave badly", max_duration=60.0)
    handle = result(robot_node.action.send_goal_async(goal), "answer")
    until(lambda: len(robot_node.plans) > 3, "plans")
    robot_node.permit = False
    reply = result(handle.get_result_async(), "result")
    assert reply.result.termination_reason == RunPolicy.Result.STOPPED
    assert "STOPPED_LATCHED" in reply.result.message
    robot_node.permit = True

    def let_half_a_second_pass():
        since_ns = robot_node.now_ns
        until(lambda: robot_node.now_ns > since_ns + 500_000_000, "half a second")

    let_half_a_second_pass()  # the answer may overtake a plan that was sent before it
    sent = len(robot_node.plans)
    let_half_a_second_pass()
    assert len(robot_node.plans) == sent


def test_chunks_that_are_not_finite_yield_no_plan_but_are_recorded(robot_node, launch):
    launch(policy_options=NAN, max_failures=5)
    until(robot_node.action.server_is_ready, "action")
    goal = RunPolicy.Goal(instruction="behave badly", max_duration=60.0)
    handle = result(robot_node.action.send_goal_async(goal), "answer")
    reply = result(handle.get_result_async(), "result")
    assert reply.result.termination_reason == RunPolicy.Result.POLICY_FAILED
    assert "nan" in reply.result.message
    assert robot_node.plans == []
    assert np.isnan(robot_node.chunks[-1].positions).any()


def test_the_raw_planner_can_be_set_while_the_node_runs_and_nothing_else_can(robot_node, launch):
    launch(policy_options=NAN, max_failures=1000)
    until(robot_node.action.server_is_ready, "action")
    instruct(robot_node, "behave badly")
    until(lambda: len(robot_node.chunks) > 3, "chunks")
    assert robot_node.raw == []
    text, number = ParameterType.PARAMETER_STRING, ParameterType.PARAMETER_DOUBLE
    for name, value, accepted in (
        ("planner", ParameterValue(type=text, string_value="wild"), False),
        ("overlap_s", ParameterValue(type=number, double_value=0.2), False),
        ("planner", ParameterValue(type=text, string_value="raw"), True),
    ):
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
        reply = result(robot_node.parameters.call_async(request), "answer")
        assert reply.results[0].successful is accepted
    until(lambda: len(robot_node.raw) > 0, "raw rows")
    positions = np.array([point.positions for point in robot_node.raw[0].points])
    assert positions.shape == (30, 5)
    assert all(len(point.velocities) == 0 for point in robot_node.raw[0].points)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def rests(robot_node: Robot) -> bool:
    """Whether the command has been the same for 25 cycles."""
    newest = robot_node.commands[-25:]
    return all((position == newest[0][1]).all() for _, position in newest)


def test_a_policy_process_that_is_killed_or_hangs_lets_the_arm_rest_and_comes_back(
    robot_node, launch, tmp_path
):
    # Simulated time stands while an answer is due, so a plan ends only after the process that
    # hangs was killed; on a slow host it ends later than a new process would be there.
    away = tmp_path / "site" / "away"
    node = launch(policy_python=sys.executable, policy_timeout_s=3600.0)
    until(lambda: robot_node.state == PolicyStatus.IDLE, "status")
    instruct(robot_node, "behave badly")
    until(lambda: len(robot_node.plans) >= 5, "plans")
    for sent in (signal.SIGKILL, signal.SIGSTOP):
        (child,) = children(node.pid)
        told = len(robot_node.statuses)
        away.touch()
        os.kill(child, sent)
        # Named among the reasons: on a busy host an old input may be another one.
        until(
            lambda told=told: any(
                "walker in its own process" in reason
                for status in robot_node.statuses[told:]
                if status.state == PolicyStatus.WAITING
                for reason in status.waiting_for
            ),
            "word of the lost policy",
        )
        until(lambda: rests(robot_node), "rest of the arm while the policy is away")
        robot_node.hurried = False
        away.unlink()
        until(
            lambda: robot_node.state == PolicyStatus.RUNNING,
            f"return of the policy after {sent!r}",
            seen=lambda: (
                f"{robot_node.tick} cycles, at last {robot_node.statuses[-1]}, log: "
                + (tmp_path / "log").read_text()[-2000:]
            ),
        )
        robot_node.hurried = True
        assert children(node.pid) != [child]
        before = len(robot_node.plans)
        until(lambda before=before: len(robot_node.plans) >= before + 5, "plans after that")
    assert worst_jerk(robot_node.commands) <= JERK * 1.000001
