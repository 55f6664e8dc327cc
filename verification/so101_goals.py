# SPDX-License-Identifier: Apache-2.0
"""Goals that an SO-101 is sent to, through launch file, monitor and controllers.

    python -m verification.so101_goals --hardware mock|real|feetech [--count 10] [--folder FOLDER]
        [--launcher "ros2 launch"] [--namespace left] [-- LAUNCH ARGUMENTS]

A real arm is one that `so101 simulate` simulates at a port. Each goal is a plan of `smooth_motion`
on `arm/plan`, there and back. Measured: how far the reference and the joints are from the goal
when both rest, and the jerk of the reference over its limit. Writes so101_goals_HARDWARE.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from vla_msgs.msg import MonitorStatus

from smooth_motion import command_jerk
from verification.so101_in_host_time import PATIENT, TOP, simulated_arm
from verification.stop_trials.observer import TRAVEL_S, Observer
from vla_contract.robot import load_robot

# There and back, rad.
TRAVEL = np.array([0.5, 0.5, -0.5, -0.4, 0.6])
START_S, SETTLED_S = 300.0, 1.5
SINKS_S = 15.0
READINGS = 20
TRIES = 10


class GoalTrials:
    """Sends an arm to goals, and looks where it comes to rest."""

    def __init__(self, observer: Observer, launched: subprocess.Popen[bytes]) -> None:
        self._observer, self._launched = observer, launched
        self.refused = 0
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(observer)

    def until(self, ready: Callable[[], bool], what: str, patience_s: float = 60.0) -> None:
        """Spin until something holds.

        Raises:
            RuntimeError: It does not, or everything has ended.
        """
        ends_s = time.monotonic() + patience_s
        while not ready():
            if time.monotonic() > ends_s or self._launched.poll() is not None:
                seen = self._observer.safety
                raise RuntimeError(f"no {what}; {seen.state} {seen.first_cause_detail}")
            self._executor.spin_once(timeout_sec=0.1)

    def begin(self) -> None:
        """Wait until the monitor lets the arm move."""
        seen = self._observer
        self.until(lambda: seen.safety.permit, "permit", START_S)
        self.until(lambda: bool(seen.references and seen.joints), "states")

    def reach(self, travel: np.ndarray) -> dict[str, float]:
        """Send the arm that far from where its reference is; return what was seen."""
        seen = self._observer
        begin = len(seen.references)
        goal = np.array(seen.newest().reference.positions) + travel
        self._send(travel)
        ends_s = time.monotonic() + TRAVEL_S + SETTLED_S
        self.until(lambda: time.monotonic() >= ends_s, "end")
        if seen.safety.state != MonitorStatus.READY:
            raise RuntimeError(f"the monitor stopped the arm: {seen.safety.first_cause_detail}")
        times, positions, _ = seen.references_between(begin, len(seen.references))
        _, jerk = command_jerk(times, positions)
        joints = np.median([row for _, row in seen.joints[-READINGS:]], axis=0)
        return {
            "jerk_over_limit": float((np.abs(jerk) / seen.robot.limits.jerk).max()),
            "reference_error_rad": float(np.abs(positions[-1] - goal).max()),
            "joint_error_rad": float(np.abs(joints - goal).max()),
            "mean_joint_error_rad": float(np.abs(joints - goal).mean()),
        }

    def _judged_more_than(self, plans: int) -> bool:
        safety = self._observer.safety
        return bool(safety.plans_forwarded + safety.plans_rejected > plans)

    def _send(self, travel: np.ndarray) -> None:
        """Send the plan, and again where a busy computer brings it too late for the monitor."""
        seen = self._observer
        for _ in range(TRIES):
            forwarded = seen.safety.plans_forwarded
            judged = forwarded + seen.safety.plans_rejected
            seen.send_motion(travel)
            self.until(partial(self._judged_more_than, judged), "word of the plan")
            if seen.safety.plans_forwarded > forwarded:
                return
            self.refused += 1
        raise RuntimeError(f"no plan was let through: {seen.safety.last_rejection}")


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hardware", choices=("mock", "real", "feetech"), required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=TOP / "docs" / "measurements")
    parser.add_argument("--launcher", default=f"{sys.executable} -m embedded_ros2.cli launch")
    parser.add_argument("--robot-file", type=Path, default=None, help="in place of the SO-101's")
    parser.add_argument("--namespace", default="", help="of an arm beside others")
    parser.add_argument("more", nargs="*", help="arguments of the launch file")
    given = parser.parse_args()
    robot_file = given.robot_file or TOP / "config" / "robots" / "so101" / "robot.yaml"
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        arm = () if given.hardware == "mock" else (*PATIENT, *simulated_arm(folder, stack))
        if given.hardware == "feetech":
            # Without torque it sinks, and is not where it was read; ours waits for nothing.
            time.sleep(SINKS_S)
        command = [
            *(*shlex.split(given.launcher), "vla_bringup", "so101.launch.py"),
            *(f"hardware:={given.hardware}", f"robot_file:={robot_file}", "contract_file:=none"),
            *(f"black_box:={scratch}/bags", f"latch_folder:={scratch}/latch", *arm, *given.more),
            *([f"namespace:={given.namespace}"] if given.namespace else []),
        ]
        log = stack.enter_context((folder / "launch.log").open("w"))
        launched = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            own = ["--ros-args", "-r", f"__ns:=/{given.namespace}"] if given.namespace else []
            rclpy.init(args=["goals", *own])
            topic = "joint_states_raw" if given.hardware == "real" else "joint_states"
            goals = GoalTrials(Observer(load_robot(robot_file), topic), launched)
            goals.begin()
            reached = [goals.reach(TRAVEL * (-1) ** number) for number in range(given.count)]
        except RuntimeError:
            print((folder / "launch.log").read_text()[-6000:], file=sys.stderr)
            raise
        finally:
            if launched.poll() is None:
                launched.send_signal(signal.SIGINT)
                launched.wait(120)
            rclpy.try_shutdown()
        told = (folder / "launch.log").read_text()
    outcome = {
        "goals": len(reached),
        "plans_refused_as_late": goals.refused,
        "controllers": "emulated" if "controllers are emulated" in told else "ros2_control",
        "largest": {name: max(row[name] for row in reached) for name in reached[0]},
        "load_average": os.getloadavg()[0],
    }
    name = "_".join(filter(None, ("so101_goals", given.hardware, given.namespace)))
    path = given.folder / f"{name}.json"
    path.write_text(json.dumps(outcome, indent=1) + "\n")
    print(json.dumps(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main())
