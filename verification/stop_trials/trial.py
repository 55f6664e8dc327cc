# SPDX-License-Identifier: Apache-2.0
"""One trial: bring everything up, move, make something go wrong, and measure the stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory
from builtin_interfaces.msg import Duration, Time
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_msgs.msg import MonitorStatus

from smooth_motion import Chunk, Plan, command_jerk, overlap, track
from strict_yaml import read_yaml
from verification.stop_trials.cases import Case
from vla_contract.robot import Robot, load_robot

LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import SetRemap
words = [word.split(":=", 1) for word in sys.argv[2:]]
remaps = [SetRemap(*word[1].split("=>")) for word in words if word[0] == "remap"]
arguments = [(name, value) for name, value in words if name != "remap"]
service = LaunchService(argv=[])
service.include_launch_description(LaunchDescription([*remaps, IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)]))
sys.exit(service.run())
"""
DRIVER = f"""
import sys
sys.path.append({str(Path(__file__).resolve().parents[2])!r})
from verification.stop_trials.driver import main
sys.exit(main())
"""
# The joint states stay at this rate, whatever the controllers' is: the monitor's estimator is
# configured for it.
JOINT_STATES_HZ = 100
BRAKE_AS_GOAL, PERSON = MonitorStatus.RUNG_BRAKE_AS_GOAL, MonitorStatus.RUNG_POWER_CUT
TRAVEL = (1.6, 0.8, -0.8, -0.8, 1.6)
TRAVEL_S = 2.4
# Later than a plan would need, so that a loaded host has the time.
SPLICE_NS = 600_000_000
PAST_NS = 20_000_000
# Far enough that the arm is at its speed, and every fault has begun.
STOP_AT_S = 1.2
STANDS_RAD = 0.005
RESETS = 5
BRING_UP_S = 60.0
# Starts of trajectories, as controller_state tells them, wander by less, and none are this near.
SAME_START_NS = 20_000_000


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial. Times are seconds after the first cause.

    Attributes:
        case: Its name.
        hardware: `mock` or `topic_based`.
        rate_hz: Update rate of the controllers.
        cause: First cause.
        state: The monitor's state afterwards.
        rung: Highest rung.
        rung_log: One line a step of the ladder.
        jerk_ratio: Largest |jerk| of the controller's reference as a ratio of its limit, from
            the first motion to the last reference of the stop.
        references: How many references that is over.
        speed: Speed of the reference at its end, rad/s: what ends at once. 0 after a brake.
        stands_s: Until the joints stay where they end.
        travel: Largest way of a joint after the cause, rad.
        locked_out: The controller was deactivated after the stop.
        reset_step: Largest step of a joint or a reference by the reset, rad; None without one.
        again_ratio: As jerk_ratio, for the motion after the reset.
    """

    case: str
    hardware: str
    rate_hz: int
    cause: str
    state: str
    rung: int
    rung_log: tuple[str, ...]
    jerk_ratio: float
    references: int
    speed: float
    stands_s: float
    travel: float
    locked_out: bool
    reset_step: float | None = None
    again_ratio: float | None = None


# As in the monitor: no more than rounding.
JERK_RATIO = 1.001


def shortcomings(measured: TrialResult, case: Case) -> list[str]:
    """Return in which ways a trial did not go as it should."""
    found = []
    rung = case.rung[measured.hardware]
    if measured.rung != rung:
        found.append(f"the stop went to rung {measured.rung}, not {rung}")
    state = "FAULT" if rung == PERSON else "STOPPED_LATCHED"
    if measured.state != state:
        found.append(f"the monitor is in {measured.state}, not {state}")
    if rung <= BRAKE_AS_GOAL:
        if not measured.jerk_ratio <= JERK_RATIO:
            found.append(f"jerk of the reference: {measured.jerk_ratio:.4f} of its limit")
        if measured.speed != 0.0:
            found.append(f"the reference ends at {measured.speed:.3g} rad/s")
        if not measured.locked_out:
            found.append("the controller was not locked out")
    if measured.reset_step is not None and not measured.reset_step <= STANDS_RAD:
        found.append(f"the reset steps by {measured.reset_step:.3g} rad")
    if measured.again_ratio is not None and not measured.again_ratio <= JERK_RATIO:
        found.append(f"jerk after the reset: {measured.again_ratio:.4f} of its limit")
    return found


class TrialError(RuntimeError):
    """The trial could not be carried out."""


def _ns(stamp: Time | Duration) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class Observer(Node):
    """Eyes and hands on the running graph."""

    def __init__(self, robot: Robot, joints: str) -> None:
        """Subscribe to everything that is measured.

        Args:
            robot: The arm.
            joints: Topic of its joints, as near to them as there is one.
        """
        super().__init__("ladder_trial")
        self.robot = robot
        self.safety = MonitorStatus()
        self.joints: list[tuple[int, np.ndarray]] = []
        self.references: list[bytes] = []
        self.starts: set[int] = set()
        arm = robot.arm_controller
        self._states = self.create_subscription(
            JointTrajectoryControllerState,
            f"{arm}/controller_state",
            self._on_state,
            QoSProfile(depth=1000),
            raw=True,
        )
        self.create_subscription(JointState, joints, self._on_joints, QoSProfile(depth=100))
        for topic in (f"{arm}/joint_trajectory", "faults/commands"):
            self.create_subscription(JointTrajectory, topic, self._on_command, QoSProfile(depth=1))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_safety, latched
        )
        self._plans = self.create_publisher(JointTrajectory, "arm/plan", QoSProfile(depth=1))
        self.stop = self.create_client(Trigger, "smoothness_monitor/stop")
        self.reset = self.create_client(Trigger, "smoothness_monitor/reset")
        self.run_away = self.create_client(Trigger, "trial_driver/run_away")

    def now_ns(self) -> int:
        """Return ROS time."""
        return int(self.get_clock().now().nanoseconds)

    def _on_safety(self, msg: MonitorStatus) -> None:
        self.safety = msg

    def _on_state(self, raw: bytes) -> None:
        self.references.append(raw)
        # The executor takes one at a time, which is too slow for 1 kHz on a loaded host.
        with self._states.handle:
            while taken := self._states.handle.take_message(self._states.msg_type, True):
                self.references.append(taken[0])

    def _on_command(self, msg: JointTrajectory) -> None:
        self.starts.add(_ns(msg.header.stamp))

    def _on_joints(self, msg: JointState) -> None:
        places = dict(zip(msg.name, msg.position, strict=True))
        row = np.array([places[name] for name in self.robot.limits.joint_names])
        self.joints.append((_ns(msg.header.stamp), row))

    def newest(self) -> JointTrajectoryControllerState:
        """Return the newest state of the controller."""
        return deserialize_message(self.references[-1], JointTrajectoryControllerState)

    def send_motion(self, travel: np.ndarray) -> None:
        """Send a plan from where the reference rests to somewhere else."""
        state = self.newest()
        start_ns = _ns(state.header.stamp) - _ns(state.reference.time_from_start)
        names = self.robot.limits.joint_names
        hold = Plan.hold(names, np.array(state.reference.positions), start_ns)
        now_ns = self.now_ns()
        begin = hold.state(now_ns + SPLICE_NS)
        rows = np.linspace(begin.position, begin.position + travel, int(TRAVEL_S / 0.1))
        chunk = Chunk(names, now_ns + SPLICE_NS, 100_000_000, rows)
        tail = track(chunk, begin, self.robot.limits, start_ns=now_ns + SPLICE_NS)
        plan = overlap(hold, tail, cut_ns=now_ns - PAST_NS)
        msg = JointTrajectory(joint_names=list(names))
        sec, nanosec = divmod(plan.start_ns, 1_000_000_000)
        msg.header.stamp = Time(sec=sec, nanosec=nanosec)
        for point in plan.points():
            sec, nanosec = divmod(point.time_from_start_ns, 1_000_000_000)
            msg.points.append(
                JointTrajectoryPoint(
                    positions=point.positions,
                    velocities=point.velocities,
                    accelerations=point.accelerations,
                    time_from_start=Duration(sec=sec, nanosec=nanosec),
                )
            )
        self._plans.publish(msg)


@contextmanager
def _process(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process, and end it as Ctrl-C does."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _child(parent: int, program: str) -> int:
    """Return the process id of a child that runs a program."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            stat = (entry / "stat").read_text(errors="replace") if entry.name.isdigit() else ""
            if not stat or int(stat.rpartition(")")[2].split()[1]) != parent:
                continue
            if program in (entry / "cmdline").read_text(errors="replace").split("\0")[0]:
                return int(entry.name)
    raise TrialError(f"no process {program} was started")


def _prefer(process: int) -> None:
    """Let a process's threads go first, where that is allowed: they are the arm.

    On a loaded host a controller drops states while its publishing thread waits for a processor,
    and a driver reads its joints at odd times.
    """
    with suppress(PermissionError, ProcessLookupError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -15)


def _edited(source: Path, target: Path, edit: Callable[[Any], None]) -> Path:
    content = read_yaml(source)
    edit(content)
    target.write_text(yaml.safe_dump(content, sort_keys=False))
    return target


class Trial:
    """A trial in a folder of its own."""

    def __init__(
        self, case: Case, hardware: str, rate_hz: int, folder: Path, robot: str = "so101"
    ) -> None:
        """Write the files of the trial.

        Args:
            case: What goes wrong.
            hardware: `mock` or `topic_based`.
            rate_hz: Update rate of the controllers.
            folder: For its files and logs.
            robot: Which robot's files are taken.
        """
        self.case, self.hardware, self.rate_hz, self.folder = case, hardware, rate_hz, folder
        folder.mkdir(parents=True, exist_ok=True)
        share = Path(get_package_share_directory("vla_bringup"))
        files = share / "config" / "robots" / robot
        self.launch_file = share / "launch" / "ros2_control.launch.py"
        self.robot_file = files / "robot.yaml"
        self.robot = load_robot(self.robot_file)

        def rates(controllers: Any) -> None:
            manager = controllers["/**/controller_manager"]["ros__parameters"]
            manager["update_rate"] = rate_hz
            controllers["/**/joint_state_broadcaster"] = {
                "ros__parameters": {"update_rate": JOINT_STATES_HZ}
            }

        def driver(monitor: Any) -> None:
            if hardware == "topic_based":
                monitor["driver_hold_service"] = "trial_driver/hold"

        self.arguments = {
            "robot": robot,
            "hardware": hardware,
            "robot_file": self.robot_file,
            "controllers_file": _edited(
                files / "controllers.yaml", folder / "controllers.yaml", rates
            ),
            "monitor_file": _edited(files / "monitor.yaml", folder / "monitor.yaml", driver),
            "black_box": folder / "black_box",
            "latch_folder": folder / "latch",
        }
        if case.faults:
            (folder / "faults.yaml").write_text(case.faults)
            self.arguments["faults"] = folder / "faults.yaml"

    def run(self) -> TrialResult:
        """Carry it out.

        Raises:
            TrialError: Something did not come up, or did not end.
        """
        words = [f"{name}:={value}" for name, value in self.arguments.items()]
        words += [f"remap:={source}=>{target}" for source, target in self.case.remaps]
        launch = [sys.executable, "-c", LAUNCH, str(self.launch_file), *words]
        robot = ["--ros-args", "-p", f"robot_file:={self.robot_file}"]
        with ExitStack() as stack:
            if self.hardware == "topic_based":
                driver = [sys.executable, "-c", DRIVER, *robot]
                process = stack.enter_context(_process(driver, self.folder / "driver.log"))
                _prefer(process.pid)
            launched = stack.enter_context(_process(launch, self.folder / "launch.log"))
            rclpy.init()
            stack.callback(rclpy.try_shutdown)
            joints = "joint_states" if self.hardware == "mock" else "joint_states_raw"
            observer = self._observer = Observer(self.robot, joints)
            stack.callback(observer.destroy_node)
            self._executor = SingleThreadedExecutor()
            self._executor.add_node(observer)
            stack.callback(self._executor.shutdown)
            return self._measure(observer, launched.pid)

    def _until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        def told() -> str:
            return f"the monitor waits for {'; '.join(self._observer.safety.waiting_for)}"

        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TrialError(f"{what}: not within {seconds} s; {told()}; see {self.folder}")
            self._executor.spin_once(timeout_sec=0.02)

    def _spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)

    def _call(self, client: Any, what: str) -> Any:
        self._until(client.service_is_ready, 10.0, what)
        future = client.call_async(Trigger.Request())
        self._until(future.done, 10.0, what)
        return future.result()

    def _reset(self, observer: Observer) -> None:
        """Reset, and again: on a loaded host messages have gaps, which speak against it."""
        for _ in range(RESETS):
            self._until(lambda: not observer.safety.waiting_for, 20.0, "what a reset waits for")
            answer = self._call(observer.reset, "an answer to ~/reset")
            if answer.success:
                return
            self._spin(1.0)
        raise TrialError(f"no reset: {answer.message}")

    def _await_the_end(self, observer: Observer) -> None:
        """Wait until the stop has been over for a second: what still moves is stopped again."""
        over = (MonitorStatus.STOPPED_LATCHED, MonitorStatus.FAULT)
        since = [time.monotonic()]

        def lasts() -> bool:
            if observer.safety.state not in over:
                since[0] = time.monotonic()
            return time.monotonic() - since[0] > 1.0

        self._until(lasts, 15.0, "the end of the stop")

    def _measure(self, observer: Observer, launch_pid: int) -> TrialResult:
        case = self.case
        self._until(lambda: observer.safety.permit, BRING_UP_S, "a permit")
        self._until(lambda: bool(observer.references and observer.joints), 10.0, "states")
        _prefer(_child(launch_pid, "ros2_control_node"))
        self._spin(0.3)
        begin = len(observer.references)
        observer.send_motion(np.array(TRAVEL))
        self._until(
            lambda: observer.safety.plans_forwarded > 0 or observer.safety.plans_rejected > 0,
            5.0,
            "a plan at the monitor",
        )
        if observer.safety.plans_rejected:
            raise TrialError(f"the plan was rejected: {observer.safety.last_rejection}")
        self._spin(STOP_AT_S)
        if case.manager_dies:
            os.kill(_child(launch_pid, "ros2_control_node"), signal.SIGKILL)
        if not case.trips:
            if observer.safety.first_cause:
                raise TrialError(f"tripped too early: {observer.safety.first_cause_detail}")
            if case.runs_away:
                self._call(observer.run_away, "an answer to ~/run_away")
            self._call(observer.stop, "an answer to ~/stop")
        self._await_the_end(observer)
        stopped = observer.safety
        end, joints_end = len(observer.references), len(observer.joints)
        times, positions, velocities = self._references(observer, begin, end)
        trip_ns = _ns(stopped.trip_stamp)
        stands_s, travel = _standstill(observer.joints, trip_ns)
        measured = TrialResult(
            case=case.name,
            hardware=self.hardware,
            rate_hz=self.rate_hz,
            cause=stopped.first_cause,
            state=_state_name(stopped.state),
            rung=stopped.rung,
            rung_log=tuple(stopped.rung_log),
            jerk_ratio=self._ratio(times, positions),
            references=len(times),
            speed=float(np.abs(velocities[-1]).max()),
            stands_s=stands_s,
            travel=travel,
            locked_out=stopped.locked_out,
        )
        if not case.resets:
            return measured
        # Every fault is over by then.
        self._spin(5.0)
        self._reset(observer)
        self._until(lambda: observer.safety.permit, 5.0, "a permit after the reset")
        self._spin(0.5)
        _, held, _ = self._references(observer, end, len(observer.references))
        rows = np.array([row for _, row in observer.joints[joints_end - 1 :]])
        step = float(np.abs(np.diff(rows, axis=0)).max())
        if measured.speed == 0.0:
            step = max(step, float(np.abs(held - positions[-1]).max()))
        begin = len(observer.references) - 20
        observer.send_motion(-0.5 * np.array(TRAVEL))
        self._spin(TRAVEL_S + 1.0)
        times, positions, _ = self._references(observer, begin, len(observer.references))
        if not np.abs(positions[-1] - positions[0]).max() > 0.1:
            raise TrialError(f"it does not move after the reset: {observer.safety.last_rejection}")
        return replace(measured, reset_step=step, again_ratio=self._ratio(times, positions))

    def _references(
        self, observer: Observer, begin: int, end: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return trajectory times (N,) ns, positions and velocities (N, J) of the reference.

        The time is that for which the controller evaluated its trajectory: the trajectory's own
        stamp plus the time since its start.
        """
        times, positions, velocities = [], [], []
        start_ns = 0
        for raw in observer.references[begin:end]:
            msg = deserialize_message(raw, JointTrajectoryControllerState)
            since_ns = _ns(msg.reference.time_from_start)
            seen_ns = _ns(msg.header.stamp) - since_ns
            if abs(seen_ns - start_ns) > SAME_START_NS:
                known = (each for each in observer.starts if abs(each - seen_ns) <= SAME_START_NS)
                start_ns = min(known, key=lambda each: abs(each - seen_ns), default=seen_ns)
            times.append(start_ns + since_ns)
            positions.append(msg.reference.positions)
            velocities.append(msg.reference.velocities)
        return np.array(times), np.array(positions), np.array(velocities)

    def _ratio(self, times: np.ndarray, positions: np.ndarray) -> float:
        """Return the largest |jerk| over its limit."""
        _, jerk = command_jerk(times, positions)
        return float((np.abs(jerk) / self.robot.limits.jerk).max())


def _state_name(state: int) -> str:
    names = ("STARTUP", "READY", "STOPPING", "STOPPED_LATCHED", "FAULT")
    return next(name for name in names if getattr(MonitorStatus, name) == state)


def _standstill(joints: list[tuple[int, np.ndarray]], trip_ns: int) -> tuple[float, float]:
    """Return when the joints came to where they stayed, s after the trip, and how far that was."""
    times = np.array([time_ns for time_ns, _ in joints])
    rows = np.array([row for _, row in joints])
    away = np.abs(rows - rows[-1]).max(axis=1) > STANDS_RAD
    last = int(np.flatnonzero(away)[-1]) + 1 if away.any() else 0
    at_trip = int(np.searchsorted(times, trip_ns))
    travel = np.abs(rows[-1] - rows[min(at_trip, len(rows) - 1)]).max()
    return max(0.0, float(times[last] - trip_ns) * 1e-9), float(travel)
