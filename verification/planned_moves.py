# SPDX-License-Identifier: Apache-2.0
"""The arm is brought to a pose and home again, around a post or not, and judged at every cycle.

    python -m verification.planned_moves [--robot panda] [--planner straight|moveit] [--times 20]
        [--hardware mock|sim|fake_fci] [--rate 100] [--real-time-factor 0.2] [--post] [--stop]
        [--folder FOLDER] [--launcher "ros2 launch"]

Launches `panda.launch.py`. `mock` is ros2_control where it is installed, in the host's time, at
1000 Hz, or 100 for a host that cannot keep up with that; for one that cannot keep up with 100,
`--real-time-factor` has time pass more slowly, told on /clock. `sim` is MuJoCo, whose time waits
for a host that is slow, and `fake_fci` the same at 1000 Hz with the arm behind libfranka's wire.
With `--post` a post stands between the two poses, so that the straight way is not clear: written
into a copy of the workspace file, which both the planner and the monitor get. With `--stop` the
monitor is told to stop the arm in the middle of one more move.

Writes planned_moves.json: how the moves ended, how near the arm came to anything, the jerk of the
controller's reference over its limit, as the monitor measures it, and how long the reference still
moved after the monitor had decided to stop, in the graph's time. Ends with 1 where a move did not
arrive.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from builtin_interfaces.msg import Time
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger
from vla_msgs.action import MoveTo
from vla_msgs.msg import MonitorStatus
from vla_msgs.srv import AcquireArm

from node_kit import qos
from vla_bringup.resting import resting_contract
from vla_contract.clearance import ArmClearances
from vla_contract.robot import Robot, load_robot
from vla_contract.workspace import load_workspace

TOP = Path(__file__).resolve().parents[1]
START_S, MOVE_S = 120.0, 120.0
# A graph that has just started is busy with itself.
SETTLED_S = 3.0
# Of ros2_control's controllers: those that there are thresholds of the monitor for.
SLOW_HZ, FAST_HZ = 100, 1000
STOPPED = MonitorStatus.STOPPED_LATCHED
RESTING = 200  # cycles
# By joint 1 the hand goes from one side to the other, at a height at which the post stands.
AWAY = (1.3, -0.3, 0.0, -2.0, 0.0, 1.7, 0.785398)
POST = {"lower": [0.28, 0.28, 0.0], "upper": [0.36, 0.36, 0.62]}


Until = Callable[[Callable[[], bool], float], None]


def nanoseconds(stamp: Any) -> int:
    """Return a message's stamp in ns."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


# What is launched in place of panda.launch.py where time passes more slowly.
SLOWED = """
from pathlib import Path
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch_ros.actions import SetParameter

FILE = Path(get_package_share_directory("vla_bringup"), "launch", "panda.launch.py")


def generate_launch_description():
    return LaunchDescription(
        [SetParameter("use_sim_time", True), IncludeLaunchDescription(str(FILE))]
    )
"""
TOLD_NS = 5_000_000  # of simulated time, each time it is told


class SlowTime(Node):
    """Tells the time on /clock, by a share of the host's."""

    def __init__(self, factor: float) -> None:
        super().__init__("slow_time")
        self._now_ns, self._told = 0, self.create_publisher(Clock, "/clock", 10)
        self.create_timer(TOLD_NS * 1e-9 / factor, self._tell)

    def _tell(self) -> None:
        self._now_ns += TOLD_NS
        seconds, ns = divmod(self._now_ns, 1_000_000_000)
        self._told.publish(Clock(clock=Time(sec=seconds, nanosec=ns)))


class Judge(Node):
    """Asks for moves and keeps where the controller leads the arm."""

    def __init__(self, robot: Robot) -> None:
        super().__init__("judge")
        self.led: list[list[float]] = []
        self.led_ns: list[int] = []
        self.monitor: MonitorStatus | None = None
        self._permitted_s = math.inf
        state = f"{robot.arm_controller}/controller_state"
        self.create_subscription(
            JointTrajectoryControllerState, state, self._on_state, qos.ALL_SENSED
        )
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_monitor, qos.LATCHED
        )
        self.mover = ActionClient(self, MoveTo, "motion_planner/move_to")
        self.stop = self.create_client(Trigger, "smoothness_monitor/stop")
        self.arm = self.create_client(AcquireArm, "arm/acquire")

    @property
    def ready(self) -> bool:
        """Whether the graph is there, and the monitor has permitted motion for a while."""
        servers = self.mover.server_is_ready() and self.arm.service_is_ready()
        settled = time.monotonic() - self._permitted_s >= SETTLED_S
        return bool(self.led) and servers and settled

    def _on_state(self, msg: JointTrajectoryControllerState) -> None:
        self.led_ns.append(nanoseconds(msg.header.stamp))
        self.led.append(list(msg.reference.positions))

    def _on_monitor(self, msg: MonitorStatus) -> None:
        self.monitor = msg
        self._permitted_s = min(self._permitted_s, time.monotonic()) if msg.permit else math.inf


def moves(judge: Judge, robot: Robot, times: int, until: Until) -> list[dict[str, Any]]:
    """Go away and home, so often; return how each move ended."""
    joints = list(robot.limits.joint_names)
    goals = ({"joint_names": joints, "positions": list(AWAY)}, {"named": "home"})
    found = []
    for number in range(times):
        for goal in goals:
            until(lambda: judge.ready, MOVE_S)
            begun_s = time.monotonic()
            asked = judge.mover.send_goal_async(MoveTo.Goal(**goal, speed=0.8))
            until(asked.done, MOVE_S)
            ending = asked.result().get_result_async()
            until(ending.done, MOVE_S)
            result = ending.result().result
            found.append(
                {
                    "reason": int(result.reason),
                    "message": result.message,
                    "took_s": time.monotonic() - begun_s,
                    "planning_s": result.planning_time,
                    "motion_s": result.duration,
                    "points": int(result.shape[0]),
                    "deviation_rad": result.deviation,
                }
            )
            print(f"{number + 1}: {found[-1]}", flush=True)
    return found


def stop_in_motion(judge: Judge, robot: Robot, until: Until) -> dict[str, Any]:
    """Stop the arm on its way; return what came of it."""
    goal = MoveTo.Goal(joint_names=list(robot.limits.joint_names), positions=list(AWAY), speed=0.8)
    begun_at = judge.led[-1][0]
    asked = judge.mover.send_goal_async(goal)
    until(lambda: abs(judge.led[-1][0] - begun_at) > 0.5 * abs(AWAY[0] - begun_at), MOVE_S)
    told = judge.stop.call_async(Trigger.Request())
    until(told.done, MOVE_S)
    until(lambda: judge.monitor is not None and judge.monitor.state == STOPPED, MOVE_S)
    rests_from = len(judge.led)
    until(lambda: len(judge.led) >= rests_from + RESTING, MOVE_S)
    ending = asked.result().get_result_async()
    until(ending.done, MOVE_S)
    assert judge.monitor is not None
    led, at_ns = np.array(judge.led), np.array(judge.led_ns)
    speed = np.abs(np.diff(led, axis=0)).max(axis=1) / (np.diff(at_ns) * 1e-9)
    trip_ns = nanoseconds(judge.monitor.trip_stamp)
    moved = np.flatnonzero(speed > 0.0)[-1] + 1
    return {
        "accepted": bool(told.result().success),
        "speed_rad_s": float(speed[np.searchsorted(at_ns, trip_ns) - 1]),
        "standstill_s": float(at_ns[moved] - trip_ns) * 1e-9,
        "rung": int(judge.monitor.rung),
        "move_ended_as": int(ending.result().result.reason),
    }


def workspace_with(robot: str, post: bool, folder: Path) -> Path:
    """Return the robot's workspace file, with a post if there is to be one."""
    file = TOP / "config" / "robots" / robot / "workspace.yaml"
    space = yaml.safe_load(file.read_text(encoding="utf-8"))
    if post:
        space["obstacles"] = {"post": POST}
    made = folder / "workspace.yaml"
    made.write_text(yaml.safe_dump(space), encoding="utf-8")
    return made


def at_rate(robot: str, rate_hz: int, folder: Path) -> dict[str, str]:
    """Return the launch's arguments for ros2_control at another rate than the arm's own."""
    config = TOP / "config" / "robots" / robot
    controllers = yaml.safe_load((config / "controllers.yaml").read_text(encoding="utf-8"))
    controllers["/**/controller_manager"]["ros__parameters"]["update_rate"] = rate_hz
    made = folder / "controllers.yaml"
    made.write_text(yaml.safe_dump(controllers), encoding="utf-8")
    monitor = config / ("monitor.yaml" if rate_hz == SLOW_HZ else "monitor_1000hz.yaml")
    return {"controllers_file": str(made), "monitor_file": str(monitor)}


def main() -> int:
    """Run it; return 1 where a move did not arrive, or the arm came too near to something."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--robot", default="panda", choices=("panda", "fr3"))
    parser.add_argument("--planner", default="straight", choices=("straight", "moveit"))
    parser.add_argument("--hardware", default="mock", choices=("mock", "sim", "fake_fci"))
    parser.add_argument("--rate", type=int, default=FAST_HZ, choices=(SLOW_HZ, FAST_HZ))
    parser.add_argument("--real-time-factor", type=float, help="of time; for mock")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--post", action="store_true")
    parser.add_argument("--stop", action="store_true", help="one more move, stopped on its way")
    parser.add_argument("--folder", type=Path, default=Path("out"))
    parser.add_argument("--launcher", default="ros2 launch")
    given = parser.parse_args()
    factor = given.real_time_factor
    if factor is not None and not (given.hardware == "mock" and 0.01 <= factor <= 1.0):
        parser.error("--real-time-factor is from 0.01 to 1, and for mock: simulations wait anyway")
    robot_file = TOP / "config" / "robots" / given.robot / "robot.yaml"
    robot = load_robot(robot_file)
    given.folder.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp())
    space_file = workspace_with(given.robot, given.post, own)
    words = {
        "robot": given.robot,
        "hardware": given.hardware,
        "motion_planner": given.planner,
        "workspace_file": str(space_file),
        "black_box": str(own / "bags"),
        "latch_folder": str(own / "latch"),
    }
    if given.hardware == "mock" and given.rate != FAST_HZ:
        words |= at_rate(given.robot, given.rate, own)
    if given.hardware in ("sim", "fake_fci"):
        words["contract_file"] = str(resting_contract(robot_file, own / "resting"))
        words["real_time_factor"] = "0.0"
    command = [*shlex.split(given.launcher), "vla_bringup", "panda.launch.py"]
    if factor is not None:
        (own / "slowed.launch.py").write_text(SLOWED)
        command[-2:] = [str(own / "slowed.launch.py")]
    command += [f"{name}:={value}" for name, value in words.items()]
    rclpy.init()
    judge, executor = Judge(robot), SingleThreadedExecutor()
    executor.add_node(judge)
    if factor is not None:
        executor.add_node(SlowTime(factor))
    with (given.folder / "planned_moves.log").open("w") as log:
        graph = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def until(condition: Callable[[], bool], most_s: float) -> None:
        ends = time.monotonic() + most_s
        while not condition():
            if graph.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"see {given.folder / 'planned_moves.log'}: {judge.monitor}")
            executor.spin_once(timeout_sec=0.2)

    try:
        until(lambda: judge.ready, START_S)
        ended = moves(judge, robot, given.times, until)
        stopped = stop_in_motion(judge, robot, until) if given.stop else None
    finally:
        os.killpg(graph.pid, signal.SIGINT)
        try:
            code = graph.wait(60.0)
        except subprocess.TimeoutExpired:
            os.killpg(graph.pid, signal.SIGKILL)
            code = graph.wait()
    monitor = judge.monitor
    assert monitor is not None
    clear = ArmClearances(load_workspace(space_file, robot.limits.joint_names))
    led = np.array(judge.led)
    nearest = min(float(clear.of(part).min()) for part in np.array_split(led, 1 + len(led) // 500))
    peak = np.array(monitor.command_jerk_peak) / np.array(monitor.jerk_limit)
    summary = {
        "robot": given.robot,
        "planner": given.planner,
        "hardware": given.hardware,
        "rate_hz": given.rate if given.hardware == "mock" else None,
        "real_time_factor": factor,
        "post": given.post,
        "moves": len(ended),
        "arrived": sum(each["reason"] == MoveTo.Result.REACHED for each in ended),
        "cycles_judged": len(led),
        "nearest_m": nearest,
        "jerk_ratio": float(peak.max()),
        "monitor_state": int(monitor.state),
        "plans_forwarded": int(monitor.plans_forwarded),
        "plans_rejected": int(monitor.plans_rejected),
        "last_rejection": monitor.last_rejection,
        "exit_code": code,
        "stop": stopped,
        "each": ended,
    }
    (given.folder / "planned_moves.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps({key: value for key, value in summary.items() if key != "each"}, indent=1))
    return 0 if summary["arrived"] == len(ended) and nearest > 0.0 else 1


if __name__ == "__main__":
    sys.exit(main())
