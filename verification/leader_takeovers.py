# SPDX-License-Identifier: Apache-2.0
"""A leader arm takes the follower over from a policy in motion and gives it back, at random.

    python -m verification.leader_takeovers [--hardware sim|mock|real] [--count 100] [--seed 1]
        [--folder FOLDER] [--launcher "ros2 launch"]

Launches `so101.launch.py hardware:=... teleop:=true` with a leader arm on a simulated bus, whose
joints a simulated hand moves: in the simulation's time, for mock and real in the host's, where the
policy plays a recorded motion and a real arm is one that `so101 simulate` simulates. The policy
goes on where it was stopped. What the controller commands is judged at every cycle: its jerk over
the limit, its velocity and acceleration over theirs, and how the arm that was taken over moved.
Writes leader_takeovers.json, or leader_takeovers_mock.json and so on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shlex
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
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import ExecutorStatus, MonitorStatus
from vla_msgs.srv import ResetScene

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.messages import to_ns, trajectory_from
from smooth_motion import CommandJerk, MotionError, Plan
from so100_driver.cli.prove import keep
from so100_driver.core.calibration import JOINTS
from so100_driver.sim_bus.arm import so101_calibration, so101_servos
from so100_driver.sim_bus.bus import SimulatedBus
from so100_driver.sim_bus.port import SimulatedPort
from verification.leader_hand import HAND_S, Hand, HeldShafts, HostHand
from verification.so101_in_host_time import PATIENT, TOP, moving_policy, simulated_arm
from verification.stop_trials.timeline import trajectory_times
from vla_contract.robot import load_robot

INSTRUCTION = "put the red cube in the bin"
MOVING_RAD_S = 0.15
START_S, STEP_S = 300.0, 120.0
LEADER = "leader arm"
GRANTED_S = 3.0
KEPT_PLANS = 20


class Witness(Node):
    """Moves the hand, asks the leader, and judges every command."""

    def __init__(
        self, port: SimulatedPort, shafts: HeldShafts, hand: Hand, *, simulated: bool
    ) -> None:
        sim_time = Parameter("use_sim_time", Parameter.Type.BOOL, simulated)
        super().__init__("witness", parameter_overrides=[sim_time])
        robot = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
        self._port, self._shafts, self._hand = port, shafts, hand
        self._limits = robot.limits
        self._jerk = CommandJerk(robot.limits.joint_names)
        self.holder, self.last_end, self.state, self.cause = "", "", -1, ""
        self.speed = 0.0
        self.worst = {"jerk": 0.0, "acceleration": 0.0, "velocity": 0.0}
        self.cycles = 0
        self._last: list[tuple[int, np.ndarray]] = []
        self._plans: dict[int, Plan | None] = {}
        self.create_subscription(
            JointTrajectory,
            f"{robot.arm_controller}/joint_trajectory",
            self._on_plan,
            qos.TRAJECTORY,
        )
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
        self.reset = self.create_client(ResetScene, "vla_sim/reset") if simulated else None
        self.again = self.create_client(Trigger, "smoothness_monitor/reset")
        self.approach = self.create_client(Trigger, "so100_driver/approach")
        self.instruction = self.create_publisher(String, "vla_policy_node/instruction", qos.EACH)
        self.motion = MotionClock(self)
        if simulated:
            self.create_timer(HAND_S, self._on_period, clock=self.motion.timers)

    @property
    def now_s(self) -> float:
        """Return simulated time."""
        return self.motion.now().ros_ns * 1e-9

    def _on_period(self) -> None:
        with self._port.bus() as bus:
            self._shafts.put(self._hand.at(self.now_s))
            bus.advance(bus.now_s + HAND_S)
        self.motion.acknowledge()

    def _on_plan(self, msg: JointTrajectory) -> None:
        given = trajectory_from(msg)
        try:
            plan = given.plan()
        except MotionError:
            plan = None
        self._plans[given.stamp_ns] = plan
        while len(self._plans) > KEPT_PLANS:
            del self._plans[min(self._plans)]

    def _time_ns(self, msg: JointTrajectoryControllerState) -> int:
        """Return the time for which the reference was evaluated.

        ros2_control evaluates it for the time at which its cycle began, and stamps it with that at
        which the hardware had been read: some 0.2 us of difference are 0.3 rad/s^3.
        """
        times = trajectory_times(
            tuple(msg.joint_names),
            np.array([to_ns(msg.header.stamp)]),
            np.array([to_ns(msg.reference.time_from_start)]),
            np.array([msg.reference.positions]),
            self._plans,
        )
        return int(times[0])

    def _on_state(self, msg: JointTrajectoryControllerState) -> None:
        given = dict(zip(msg.joint_names, msg.reference.positions, strict=True))
        position = np.array([given[name] for name in self._limits.joint_names])
        stamp_ns = self._time_ns(msg)
        self.cycles += 1
        jerk = self._jerk.update(stamp_ns, position)
        if jerk is not None:
            self._note("jerk", np.abs(jerk) / self._limits.jerk)
        self._last = [*self._last[-2:], (stamp_ns, position)]
        if len(self._last) == 3:
            # Nanoseconds as they are: a float of today's seconds is too coarse for this.
            (a_ns, a), (b_ns, b), (c_ns, c) = self._last
            before, after = (b - a) / (b_ns - a_ns) * 1e9, (c - b) / (c_ns - b_ns) * 1e9
            self.speed = float(np.abs(after).max())
            self._note("velocity", np.abs(after) / self._limits.velocity)
            change = 2.0 * (after - before) / (c_ns - a_ns) * 1e9
            self._note("acceleration", np.abs(change) / self._limits.acceleration)

    def _note(self, what: str, ratios: np.ndarray) -> None:
        self.worst[what] = max(self.worst[what], float(ratios.max()))

    def _on_executor(self, msg: ExecutorStatus) -> None:
        self.holder, self.last_end = msg.holder, msg.last_end

    def _on_monitor(self, msg: MonitorStatus) -> None:
        self.state, self.cause = msg.state, msg.first_cause


class Trials:
    """Carries the take-overs out."""

    def __init__(self, witness: Witness, launched: subprocess.Popen[bytes]) -> None:
        self._witness, self._launched = witness, launched
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(witness)
        self._scene = 0
        self.stopped: list[str] = []

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

    def goes_on(self) -> None:
        """Reset the monitor where it has stopped the arm, and note why it had.

        Raises:
            RuntimeError: A simulation's time waits for every node: nothing is the host's fault.
        """
        seen = self._witness
        if seen.state == MonitorStatus.READY:
            return
        if seen.reset is not None:
            raise RuntimeError(f"the monitor stopped the arm: {seen.cause}")
        self.stopped.append(seen.cause)
        print(f"the monitor stopped the arm: {seen.cause}", flush=True)
        self.until(lambda: seen.state == MonitorStatus.STOPPED_LATCHED, "end of the stop")
        while seen.state != MonitorStatus.READY:
            if seen.approach.service_is_ready():
                # A real arm may hold elsewhere than its controllers stand.
                self.until(seen.approach.call_async(Trigger.Request()).done, "~/approach")
                self.pass_s(2.0)
            self.until(seen.again.call_async(Trigger.Request()).done, "answer of ~/reset")
            self.pass_s(1.0)

    def pass_s(self, seconds: float) -> None:
        """Let simulated time pass."""
        ends_s = self._witness.now_s + seconds
        self.until(lambda: self._witness.now_s >= ends_s, "passing of time")

    def ask(self, on: bool) -> str:
        """Have the leader take over or give back; return why it does not, empty where it does."""
        future = self._witness.teleop.call_async(SetBool.Request(data=on))
        self.until(future.done, "answer of ~/teleop")
        return "" if future.result().success else future.result().message

    def led(self, seconds: float) -> str:
        """Have the leader take over and lead for this long; return why it did not.

        In the host's time a computer that is too busy costs a source the arm, which comes to rest.
        """
        seen = self._witness
        refused = self.ask(True)
        if refused:
            return refused
        # It is granted after the answer; a policy that ends meanwhile leaves nobody there.
        granted_s = seen.now_s + GRANTED_S
        self.until(lambda: seen.holder == LEADER or seen.now_s > granted_s, "leader")
        ends_s = seen.now_s + seconds
        self.until(lambda: seen.holder != LEADER or seen.now_s >= ends_s, "passing of time")
        return "" if seen.holder == LEADER else seen.last_end

    def policy_moves(self) -> None:
        """Have the policy hold the arm in motion; a new scene where it is done."""
        seen = self._witness
        while True:
            self.goes_on()
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
            if seen.reset is not None:
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
    lost: list[str] = []
    number = 0
    while number < count:
        trials.policy_moves()
        trials.pass_s(generator.uniform(0.0, 0.4))
        speed = witness.speed
        _fresh(witness)
        failed = trials.led(generator.uniform(0.4, 2.0))
        _merge(worst["to the leader"], witness.worst)
        if failed:
            lost.append(failed)
            print(f"lost: {failed}", flush=True)
            if len(lost) > count:
                raise RuntimeError("more were lost than were asked for")
            continue
        number += 1
        taken.append(speed)
        given.append(witness.speed)
        _fresh(witness)
        trials.ask(False)
        trials.until(lambda: witness.holder != LEADER, "end of the leader")
        trials.until(
            lambda: witness.holder != "" or witness.state != MonitorStatus.READY, "policy again"
        )
        trials.pass_s(0.8)
        _merge(worst["to the policy"], witness.worst)
        trials.goes_on()
        if number % 10 == 0 or number == count:
            outcome = {
                "take_overs": number,
                "lost": lost,
                "stopped_by_the_monitor": trials.stopped,
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
    parser.add_argument("--hardware", choices=("sim", "mock", "real"), default="sim")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=TOP / "docs" / "measurements")
    parser.add_argument("--launcher", default=f"{sys.executable} -m embedded_ros2.cli launch")
    given = parser.parse_args()
    generator = random.Random(given.seed)
    simulated = given.hardware == "sim"
    name = "leader_takeovers.json" if simulated else f"leader_takeovers_{given.hardware}.json"
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        file = folder / "leader.json"
        calibration = so101_calibration()
        file.write_text(calibration.to_text(), encoding="utf-8")
        keep(file, calibration, dict.fromkeys(JOINTS, 2048.0))
        hand = Hand(generator)
        shafts = HeldShafts(hand.at(0.0))
        bus = SimulatedBus(so101_servos(), shafts, now_s=0.0 if simulated else time.monotonic())
        port = SimulatedPort(bus, own_time=not simulated)
        stack.callback(port.close)
        if not simulated:
            stack.callback(HostHand(port, shafts, hand).end)
        command = [
            *(*shlex.split(given.launcher), "vla_bringup", "so101.launch.py"),
            *(f"hardware:={given.hardware}", "teleop:=true", f"leader_port:={port.path}"),
            *(f"leader_calibration_file:={file}", f"black_box:={scratch}/bags"),
            f"latch_folder:={scratch}/latch",
            *hardware_arguments(given.hardware, folder, stack),
        ]
        log = stack.enter_context((folder / "launch.log").open("w"))
        launched = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            rclpy.init(args=["witness"])
            witness = Witness(port, shafts, hand, simulated=simulated)
            trials = Trials(witness, launched)
            trials.until(lambda: witness.state == MonitorStatus.READY, "READY", START_S)
            trials.until(witness.teleop.service_is_ready, "leader", START_S)
            measure(trials, witness, given.count, generator, given.folder / name)
        except RuntimeError:
            print((folder / "launch.log").read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            if launched.poll() is None:
                launched.send_signal(signal.SIGINT)
                launched.wait(120)
            rclpy.try_shutdown()
    return 0


def hardware_arguments(
    hardware: str, folder: Path, stack: contextlib.ExitStack
) -> tuple[str, ...]:
    """Return what a launch of this hardware is told; a real arm is simulated from now on."""
    if hardware == "sim":
        return "real_time_factor:=0.0", "answer_timeout_s:=0.1"
    contract = f"contract_file:={moving_policy(folder / 'policy')}"
    if hardware == "mock":
        return contract, *PATIENT
    return contract, *PATIENT, *simulated_arm(folder, stack)


if __name__ == "__main__":
    sys.exit(main())
