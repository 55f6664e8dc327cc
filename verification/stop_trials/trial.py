# SPDX-License-Identifier: Apache-2.0
"""One trial: bring everything up, move, make something go wrong, and measure the stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger
from vla_msgs.msg import MonitorStatus

from node_kit.messages import to_ns
from smooth_motion import command_jerk
from strict_yaml import read_yaml
from verification.stop_trials.cases import Case
from verification.stop_trials.observer import TRAVEL_S, Observer
from verification.stop_trials.processes import LAUNCH, TrialError, child, prefer, running
from verification.stop_trials.result import TrialResult, standstill, state_name
from vla_contract.robot import load_robot

DRIVER = f"""
import sys
sys.path.append({str(Path(__file__).resolve().parents[2])!r})
from verification.stop_trials.driver import main
sys.exit(main())
"""
# The joint states stay at this rate, whatever the controllers' is: the monitor's estimator is
# configured for it.
JOINT_STATES_HZ = 100
TRAVEL = (1.6, 0.8, -0.8, -0.8, 1.6)
# Far enough that the arm is at its speed, and every fault has begun.
STOP_AT_S = 1.2
RESETS = 5
BRING_UP_S = 60.0


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
                process = stack.enter_context(running(driver, self.folder / "driver.log"))
                prefer(process.pid)
            launched = stack.enter_context(running(launch, self.folder / "launch.log"))
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
        prefer(child(launch_pid, "ros2_control_node"))
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
            os.kill(child(launch_pid, "ros2_control_node"), signal.SIGKILL)
        if not case.trips:
            if observer.safety.first_cause:
                raise TrialError(f"tripped too early: {observer.safety.first_cause_detail}")
            if case.runs_away:
                self._call(observer.run_away, "an answer to ~/run_away")
            self._call(observer.stop, "an answer to ~/stop")
        self._await_the_end(observer)
        stopped = observer.safety
        end, joints_end = len(observer.references), len(observer.joints)
        times, positions, velocities = observer.references_between(begin, end)
        trip_ns = to_ns(stopped.trip_stamp)
        stands_s, travel = standstill(observer.joints, trip_ns)
        measured = TrialResult(
            case=case.name,
            hardware=self.hardware,
            rate_hz=self.rate_hz,
            cause=stopped.first_cause,
            state=state_name(stopped.state),
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
        _, held, _ = observer.references_between(end, len(observer.references))
        rows = np.array([row for _, row in observer.joints[joints_end - 1 :]])
        step = float(np.abs(np.diff(rows, axis=0)).max())
        if measured.speed == 0.0:
            step = max(step, float(np.abs(held - positions[-1]).max()))
        begin = len(observer.references) - 20
        observer.send_motion(-0.5 * np.array(TRAVEL))
        self._spin(TRAVEL_S + 1.0)
        times, positions, _ = observer.references_between(begin, len(observer.references))
        if not np.abs(positions[-1] - positions[0]).max() > 0.1:
            raise TrialError(f"it does not move after the reset: {observer.safety.last_rejection}")
        return replace(measured, reset_step=step, again_ratio=self._ratio(times, positions))

    def _ratio(self, times: np.ndarray, positions: np.ndarray) -> float:
        """Return the largest |jerk| over its limit."""
        _, jerk = command_jerk(times, positions)
        return float((np.abs(jerk) / self.robot.limits.jerk).max())
