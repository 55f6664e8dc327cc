# SPDX-License-Identifier: Apache-2.0
"""A leader arm takes the follower over from a policy in motion and gives it back, at random.

    python -m verification.leader_takeovers [--count 100] [--seed 1] [--folder FOLDER]

Launches `so101.launch.py hardware:=sim teleop:=true` with a leader arm on a simulated bus, whose
joints a simulated hand moves in the simulation's time. The policy goes on where it was stopped.
What the controller commands is judged at every cycle: its jerk over the limit, its velocity and
acceleration over theirs, and how the arm that was taken over moved. Writes leader_takeovers.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import SetBool
from vla_msgs.msg import ExecutorStatus, MonitorStatus
from vla_msgs.srv import ResetScene

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import to_ns
from smooth_motion import CommandJerk
from so100_driver.cli.prove import keep
from so100_driver.core.calibration import JOINTS
from so100_driver.sim_bus.arm import so101_calibration, so101_servos
from so100_driver.sim_bus.bus import SimulatedBus
from so100_driver.sim_bus.plant import FreeShafts
from so100_driver.sim_bus.port import SimulatedPort
from vla_contract.robot import load_robot

TOP = Path(__file__).resolve().parents[1]
INSTRUCTION = "put the red cube in the bin"
# Above the table and clear of the bin; each joint swings about it by this much.
MIDDLE = np.array([0.0, -0.9, 0.7, 1.1, 0.0, 0.6])
SWING = np.array([0.5, 0.25, 0.25, 0.3, 0.6, 0.4])
MOVING_RAD_S = 0.15
START_S, STEP_S = 300.0, 120.0
LEADER = "leader arm"


class Hand:
    """Moves the leader's joints: each swings with a period of its own, rad and s."""

    def __init__(self, generator: random.Random) -> None:
        self._periods_s = np.array([generator.uniform(2.0, 5.0) for _ in JOINTS])
        self._phases = np.array([generator.uniform(0.0, math.tau) for _ in JOINTS])

    def at(self, time_s: float) -> np.ndarray:
        """Return where the joints are, (J,), rad."""
        angles = math.tau * time_s / self._periods_s + self._phases
        return np.asarray(MIDDLE + SWING * np.sin(angles))


class HeldShafts(FreeShafts):
    """Joints in a hand: they are where they were put."""

    def put(self, angles: np.ndarray) -> None:
        """Put them there, rad."""
        self._angle = np.array(angles)

    def step(self, torque_nm: np.ndarray, dt_s: float) -> None:
        """Stay."""


class Witness(Node):
    """Moves the hand, asks the leader, and judges every command."""

    def __init__(self, port: SimulatedPort, shafts: HeldShafts, hand: Hand) -> None:
        simulated = Parameter("use_sim_time", Parameter.Type.BOOL, True)
        super().__init__("witness", parameter_overrides=[simulated])
        robot = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
        self._port, self._shafts, self._hand = port, shafts, hand
        self._limits = robot.limits
        self._jerk = CommandJerk(robot.limits.joint_names)
        self.holder, self.state, self.cause = "", -1, ""
        self.speed = 0.0
        self.worst = {"jerk": 0.0, "acceleration": 0.0, "velocity": 0.0}
        self.cycles = 0
        self._last: list[tuple[float, np.ndarray]] = []
        self.create_subscription(
            JointTrajectoryControllerState,
            f"{robot.arm_controller}/controller_state",
            self._on_state,
            qos.ALL_SENSED,
        )
        self.create_subscription(
            ExecutorStatus, "arm/executor_status", self._on_executor, qos.LATCHED
        )
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_monitor, qos.LATCHED
        )
        self.teleop = self.create_client(SetBool, "leader_arm/teleop")
        self.reset = self.create_client(ResetScene, "vla_sim/reset")
        self.instruction = self.create_publisher(String, "vla_policy_node/instruction", qos.EACH)
        self.motion = MotionClock(self)
        self.create_timer(0.01, self._on_period, clock=self.motion.timers)

    @property
    def now_s(self) -> float:
        """Return simulated time."""
        return self.motion.now().ros_ns * 1e-9

    def _on_period(self) -> None:
        with self._port.bus() as bus:
            self._shafts.put(self._hand.at(self.now_s))
            bus.advance(bus.now_s + 0.01)
        self.motion.acknowledge()

    def _on_state(self, msg: JointTrajectoryControllerState) -> None:
        given = dict(zip(msg.joint_names, msg.reference.positions, strict=True))
        position = np.array([given[name] for name in self._limits.joint_names])
        stamp_ns = to_ns(msg.header.stamp)
        self.cycles += 1
        jerk = self._jerk.update(stamp_ns, position)
        if jerk is not None:
            self._note("jerk", np.abs(jerk) / self._limits.jerk)
        self._last = [*self._last[-2:], (stamp_ns * 1e-9, position)]
        if len(self._last) == 3:
            (a_s, a), (b_s, b), (c_s, c) = self._last
            before, after = (b - a) / (b_s - a_s), (c - b) / (c_s - b_s)
            self.speed = float(np.abs(after).max())
            self._note("velocity", np.abs(after) / self._limits.velocity)
            change = 2.0 * (after - before) / (c_s - a_s)
            self._note("acceleration", np.abs(change) / self._limits.acceleration)

    def _note(self, what: str, ratios: np.ndarray) -> None:
        self.worst[what] = max(self.worst[what], float(ratios.max()))

    def _on_executor(self, msg: ExecutorStatus) -> None:
        self.holder = msg.holder

    def _on_monitor(self, msg: MonitorStatus) -> None:
        self.state, self.cause = msg.state, msg.first_cause


class Trials:
    """Carries the take-overs out."""

    def __init__(self, witness: Witness, launched: subprocess.Popen[bytes]) -> None:
        self._witness, self._launched = witness, launched
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(witness)
        self._scene = 0

    def until(self, ready: Callable[[], bool], what: str, host_s: float = STEP_S) -> None:
        """Spin until something holds.

        Raises:
            RuntimeError: It does not, or everything has ended.
        """
        ends_s = time.monotonic() + host_s
        while not ready():
            if time.monotonic() > ends_s or self._launched.poll() is not None:
                seen = self._witness
                raise RuntimeError(f"no {what}; {seen.holder!r} {seen.state} {seen.cause}")
            self._executor.spin_once(timeout_sec=0.1)

    def pass_s(self, seconds: float) -> None:
        """Let simulated time pass."""
        ends_s = self._witness.now_s + seconds
        self.until(lambda: self._witness.now_s >= ends_s, "passing of time")

    def ask(self, on: bool) -> None:
        """Have the leader take over or give back."""
        future = self._witness.teleop.call_async(SetBool.Request(data=on))
        self.until(future.done, "answer of ~/teleop")
        if not future.result().success:
            raise RuntimeError(f"~/teleop: {future.result().message}")

    def policy_moves(self) -> None:
        """Have the policy hold the arm in motion; a new scene where it is done."""
        seen = self._witness
        while True:
            self.until(
                lambda: seen.holder == "" or seen.speed > MOVING_RAD_S, "motion of the policy"
            )
            if seen.holder not in ("", LEADER) and seen.speed > MOVING_RAD_S:
                return
            # Done, or not begun: at rest it gets another cube to put away.
            self.pass_s(0.5)
            if seen.holder:
                continue
            self.until(lambda: seen.speed == 0.0, "rest")
            self._scene += 1
            self.until(
                seen.reset.call_async(ResetScene.Request(seed=self._scene)).done, "new scene"
            )
            seen.instruction.publish(String(data=INSTRUCTION))
            self.pass_s(0.5)


def _fresh(witness: Witness) -> None:
    witness.worst = dict.fromkeys(witness.worst, 0.0)


def measure(
    trials: Trials, witness: Witness, count: int, generator: random.Random, path: Path
) -> None:
    """Take over and give back; write what was seen after every tenth, and at the end."""
    worst = {way: dict.fromkeys(witness.worst, 0.0) for way in ("to the leader", "to the policy")}
    taken: list[float] = []
    given: list[float] = []
    for number in range(1, count + 1):
        trials.policy_moves()
        trials.pass_s(generator.uniform(0.0, 0.4))
        taken.append(witness.speed)
        _fresh(witness)
        trials.ask(True)
        trials.until(lambda: witness.holder == LEADER, "leader")
        trials.pass_s(generator.uniform(0.4, 2.0))
        _merge(worst["to the leader"], witness.worst)
        given.append(witness.speed)
        _fresh(witness)
        trials.ask(False)
        trials.until(lambda: witness.holder not in (LEADER, ""), "policy again")
        trials.pass_s(0.8)
        _merge(worst["to the policy"], witness.worst)
        if witness.state != MonitorStatus.READY:
            raise RuntimeError(f"take-over {number}: the monitor stopped: {witness.cause}")
        if number % 10 == 0 or number == count:
            outcome = {
                "take_overs": number,
                "cycles": witness.cycles,
                "largest_share_of_limit": worst,
                "speed_when_taken_over_rad_s": _summary(taken),
                "speed_when_given_back_rad_s": _summary(given),
                "load_average": os.getloadavg()[0],
            }
            path.write_text(json.dumps(outcome, indent=1) + "\n")
            print(json.dumps(outcome), flush=True)


def _summary(values: list[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "largest": max(values)}


def _merge(into: dict[str, float], worst: dict[str, float]) -> None:
    for name, value in worst.items():
        into[name] = max(into[name], value)


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=TOP / "docs" / "measurements")
    given = parser.parse_args()
    generator = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "leader.json"
        calibration = so101_calibration()
        file.write_text(calibration.to_text(), encoding="utf-8")
        keep(file, calibration, dict.fromkeys(JOINTS, 2048.0))
        hand = Hand(generator)
        shafts = HeldShafts(hand.at(0.0))
        port = SimulatedPort(SimulatedBus(so101_servos(), shafts), own_time=False)
        command = [
            *(sys.executable, "-m", "embedded_ros2.cli", "launch", "vla_bringup"),
            *("so101.launch.py", "hardware:=sim", "teleop:=true", "real_time_factor:=0.0"),
            *(f"leader_port:={port.path}", f"leader_calibration_file:={file}"),
            *(f"black_box:={scratch}/bags", "answer_timeout_s:=0.1"),
        ]
        with (Path(scratch) / "launch.log").open("w") as log:
            launched = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            rclpy.init(args=["witness"])
            witness = Witness(port, shafts, hand)
            trials = Trials(witness, launched)
            trials.until(lambda: witness.state == MonitorStatus.READY, "READY", START_S)
            trials.until(witness.teleop.service_is_ready, "leader", START_S)
            path = given.folder / "leader_takeovers.json"
            measure(trials, witness, given.count, generator, path)
        except RuntimeError:
            print((Path(scratch) / "launch.log").read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            if launched.poll() is None:
                launched.send_signal(signal.SIGINT)
                launched.wait(120)
            rclpy.try_shutdown()
            port.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
