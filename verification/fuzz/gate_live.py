# SPDX-License-Identifier: Apache-2.0
"""Attack the running monitor in front of running controllers, and judge what those command.

    python -m verification.fuzz.gate_live [--trajectories 10000] [--lenient] [--results FILE]

Launches the SO-101 on ros2_control's mock hardware, or, where there is no ros2_control, in
the simulation (also with embedded_ros2), without a policy. Then it sends what a policy would
send, continuing what runs, and every kind of trajectory of `verification.fuzz.gate`: one at a time
and in floods, in mid-motion, while the arm is stopped, and after. After each trip it resets as a
person would. Stops come at random.

Every reference in the controllers' `controller_state` is put on the trajectory that it is a point
of; over the time of those trajectories position, velocity, acceleration and jerk (divided
differences) must keep the limits to 1.001. What does not is either a hole in the gate, or a
command that a loaded host carried out late. A step is the host's only if the trajectory was
published in time and the controller's first reference on it is later than where it leaves the
one before, by their own stamps. Those are listed too, and the monitor must have stopped the arm
for each.

Work is cut into legs of 1,000 trajectories, each with a launch and a seed of its own. Legs that
`--results` has are passed over; `--write` puts them into docs/measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import rclpy
from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import MonitorStatus

from benchmarks.pages import DOCS, fill, machine, table
from node_kit.messages import controller_state_from, trajectory_from, trajectory_to
from smooth_motion import Chunk, MotionError, Plan, overlap, splice_ns, track
from smooth_motion.clocks import Now
from smooth_motion.messages import Trajectory
from smoothness_monitor.core import gate, gripper
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.types import NOTHING, MonitorOutputs
from smoothness_monitor.params import load_config
from verification.fuzz.gate import ATTACKS, GateEpisode, Result, code
from verification.fuzz.gate_verdict import OWN, Command, Leg, LegRecord, judge, same
from verification.live_faults import end, launcher
from verification.stop_trials import processes
from verification.stop_trials.processes import LAUNCH, TrialError
from vla_contract.robot import Robot, load_robot

CONFIG = Path(__file__).resolve().parents[2] / "config"
A_LEG = 1000
MS, SECOND = 1_000_000, 1_000_000_000
READY_S = 120.0
# Nice value of the sessions of the graph and of this program.
PREFERENCE = "-10"
WAY_NS = 40 * MS
SPARES_MS = (0, 40, 80, 120, 200)


def flat(stamp: Any) -> int:
    """Return a Time or Duration in ns."""
    return int(stamp.sec) * SECOND + int(stamp.nanosec)


class LiveGraph(Node):
    """Ears and hands in the running graph."""

    def __init__(self, robot: Robot) -> None:
        super().__init__("fuzz_gate_live")
        self.record = LegRecord()
        self.robot = robot
        self.tracker = ControllerTracker(robot.limits.joint_names, 200 * MS)
        self.gripper = GripperTracker(robot.gripper.joint)
        self.safety = MonitorStatus(state=MonitorStatus.STARTUP)
        self.heard = 0
        self.by_stamp: dict[int, str] = {}
        self.counts: Counter[str] = Counter()
        controllers = {"arm": robot.arm_controller, "gripper": robot.gripper.controller}
        for topic, name in controllers.items():
            self._listen(topic, name)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_safety, latched
        )
        deep = QoSProfile(depth=10)
        self.plans = self.create_publisher(JointTrajectory, "arm/plan", deep)
        self.gripper_plans = self.create_publisher(JointTrajectory, "gripper/plan", deep)
        self.stop = self.create_client(Trigger, "smoothness_monitor/stop")
        self.reset = self.create_client(Trigger, "smoothness_monitor/reset")

    def _listen(self, topic: str, controller: str) -> None:
        def on_state(msg: JointTrajectoryControllerState) -> None:
            self._on_cycle(topic, msg)

        def on_command(msg: JointTrajectory, info: Any) -> None:
            self._on_command(topic, msg, info["source_timestamp"])

        self.create_subscription(
            JointTrajectoryControllerState,
            f"{controller}/controller_state",
            on_state,
            QoSProfile(depth=200),
        )
        self.create_subscription(
            JointTrajectory, f"{controller}/joint_trajectory", on_command, QoSProfile(depth=50)
        )

    def now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_safety(self, msg: MonitorStatus) -> None:
        if msg.state == MonitorStatus.READY and self.safety.state != MonitorStatus.READY:
            # A controller that was activated begins with a hold of its own.
            self.tracker.forget()
        if msg.plans_rejected != self.safety.plans_rejected:
            self.counts[f"rejected: {msg.last_rejection.partition(':')[0]}"] += 1
        self.safety, self.heard = msg, self.heard + 1
        self.record.states.append(
            (
                flat(msg.header.stamp),
                int(msg.state),
                tuple(msg.causes),
                f"{msg.first_cause}: {msg.first_cause_detail}" if msg.first_cause else "",
                int(msg.rung),
            )
        )

    def _on_cycle(self, topic: str, msg: JointTrajectoryControllerState) -> None:
        state = controller_state_from(msg)
        names = self.robot.limits.joint_names if topic == "arm" else (self.robot.gripper.joint,)
        places = [state.joint_names.index(name) for name in names]
        empty = np.zeros(len(names))
        position = np.array(state.position)[places]
        velocity = np.array(state.velocity)[places] if len(state.velocity) else empty
        acceleration = np.array(state.acceleration)[places] if len(state.acceleration) else empty
        self.record.cycles[topic].append(
            (state.stamp_ns, state.time_from_start_ns, position, velocity)
        )
        if topic == "gripper":
            self.gripper.observe(state, self.now_ns())
        elif np.isfinite(position).all():
            reference = np.stack((position, velocity, acceleration))
            self.tracker.observe(state, reference, self.now_ns())

    def _on_command(self, topic: str, msg: JointTrajectory, published_ns: int) -> None:
        trajectory = trajectory_from(msg)
        name = self.by_stamp.get(trajectory.stamp_ns, OWN)
        self.counts[f"{name}: forwarded" if topic == "arm" else "forwarded to the gripper"] += 1
        now_ns = self.now_ns()
        if topic == "arm":
            plan: Any = (arm_plan := gate.plan_of(trajectory))
            # A brake is sent twice.
            with suppress(MotionError):
                if self.tracker.running is not None:
                    self.tracker.sent(arm_plan, now_ns, now_ns)
        else:
            finger_plan, _ = gripper.plan_of(trajectory, self.robot.gripper.joint)
            assert finger_plan is not None
            self.gripper.sent(plan := finger_plan, now_ns)
        commands = self.record.commands[topic]
        if name != OWN or not (commands and same(commands[-1].plan, plan)):
            commands.append(Command(plan, published_ns, name))


class Live(GateEpisode):
    """The attacker of `fuzz_gate`, with a graph in place of an emulation."""

    def __init__(
        self, graph: LiveGraph, executor: SingleThreadedExecutor, seed: int, *, lenient: bool
    ) -> None:
        # None of the emulation's own state: only what the attacks look at.
        self.graph, self.executor, self.lenient = graph, executor, lenient
        self.rng = np.random.default_rng([seed, 77])
        self.robot, self.limits = graph.robot, graph.robot.limits
        self.monitor = SimpleNamespace(  # type: ignore[assignment]
            tracker=graph.tracker, gripper=graph.gripper, on_gripper=self._give_gripper
        )
        config = load_config(CONFIG / "robots" / "so101" / "monitor.yaml")
        # What comes too late for its way through a real graph says nothing about anything else.
        self.overlap_ns = round(config.plan_overlap_s * SECOND) + WAY_NS
        self.sent: deque[Trajectory] = deque(maxlen=40)
        self.bases: deque[Plan] = deque(maxlen=12)
        self.result = Result()
        self.result.counts = graph.counts
        self.now = graph.now_ns()

    def take(self, outputs: MonitorOutputs) -> None:
        """Nothing comes back: the graph carries it out."""

    @property
    def clocks(self) -> Now:
        return Now(self.now, self.now)

    @property
    def state(self) -> int:
        return int(self.graph.safety.state)

    def wait(self, seconds: float) -> None:
        """Let the graph go on for a time; in simulated time where that is the graph's."""
        begun_ns, begun_s = self.graph.now_ns(), time.monotonic()
        while True:
            gone = (self.graph.now_ns() - begun_ns) * 1e-9
            self.executor.spin_once(timeout_sec=max(0.0, min(0.02, seconds - gone)))
            # Simulated time may stand.
            gone = (self.graph.now_ns() - begun_ns) * 1e-9
            if gone >= seconds or time.monotonic() - begun_s > 20.0 * seconds + 1.0:
                break
        self.now = self.graph.now_ns()

    def until(self, done: Any, seconds: float, what: str) -> None:
        due = time.monotonic() + seconds
        while not done():
            if time.monotonic() > due:
                waits = "; ".join(self.graph.safety.waiting_for)
                raise TimeoutError(f"{what}: not within {seconds} s ({waits})")
            self.wait(0.01)

    def give(self, name: str, trajectory: Trajectory) -> None:
        """Publish a trajectory for the arm."""
        counts = self.graph.counts
        try:
            message = trajectory_to(trajectory)
        except (AssertionError, ValueError, OverflowError):
            counts["not to be put into a message"] += 1
            return
        counts["trajectories"] += 1
        counts[name] += 1
        if self.state == MonitorStatus.READY:
            counts["while READY"] += 1
            counts[f"{name}: while READY"] += 1
        self.sent.append(trajectory)
        self.graph.by_stamp[trajectory.stamp_ns] = name
        self.graph.plans.publish(message)

    def _give_gripper(self, trajectory: Trajectory, _: Now) -> MonitorOutputs:
        with suppress(AssertionError, ValueError, OverflowError):
            self.graph.gripper_plans.publish(trajectory_to(trajectory))
        return NOTHING

    def policy(self) -> Plan | None:
        """Return what a sound policy sends: it continues the newest plan it heard of."""
        rng, tracker = self.rng, self.graph.tracker
        if tracker.running is None:
            return None
        running = tracker.may_run[-1]
        spare = int(rng.choice(SPARES_MS)) * MS
        splice = splice_ns(running, self.now + self.overlap_ns + spare)
        try:
            state = running.state(splice)
            low, high = self.limits.position_lower, self.limits.position_upper
            goal = rng.uniform(low, high) * 0.9
            if rng.random() < 0.5:
                goal = state.position + rng.normal(0.0, 0.3, low.size)
            rows = np.linspace(state.position, np.clip(goal, low, high), int(rng.integers(4, 14)))
            chunk = Chunk(self.limits.joint_names, splice, 50 * MS, rows)
            tail = track(chunk, state, self.limits, start_ns=splice)
            plan = overlap(running, tail, cut_ns=max(self.now - 20 * MS, running.start_ns))
        except MotionError:
            self.graph.counts["without a plan"] += 1
            return None
        self.bases.append(plan)
        return plan

    def attack(self) -> None:
        """Send some of what is nearly right, or a flood of it."""
        count = int(self.rng.choice([1, 2, 3, 8, 30], p=[0.45, 0.25, 0.2, 0.07, 0.03]))
        base = self.fresh()
        for _ in range(count):
            attack = ATTACKS[self.rng.integers(len(ATTACKS))]
            trajectory = attack(self, base)
            if trajectory is not None:
                self.give(attack.__name__, trajectory)
                self.wait(0.001 if count > 3 else 0.01)

    def round(self) -> None:
        """Move for a while as a policy does it, attack, and come back from the stop."""
        rng = self.rng
        for _ in range(int(rng.integers(2, 12 if self.lenient else 50))):
            if self.state != MonitorStatus.READY:
                break
            plan = self.policy()
            if plan is not None:
                self.give("policy", Trajectory.of(plan))
            if rng.random() < 0.2:
                self.give_gripper()
            self.wait(float(rng.uniform(0.02, 0.08)))
        if rng.random() < 0.15:
            self.graph.counts["stops"] += 1
            self.graph.stop.call_async(Trigger.Request())
        for _ in range(int(rng.integers(1, 5))):
            self.attack()
            self.wait(0.02)
        self.wait(0.05)
        if self.state != MonitorStatus.READY:
            self.come_back()

    def come_back(self) -> None:
        """Attack what is being stopped, then reset as a person would."""
        graph = self.graph
        over = (MonitorStatus.STOPPED_LATCHED, MonitorStatus.FAULT)
        due = time.monotonic() + 20.0
        while self.state not in over:
            if time.monotonic() > due:
                raise TimeoutError("the stop does not end")
            self.attack()
            self.wait(0.1)
        graph.counts["gave up (FAULT)"] += self.state == MonitorStatus.FAULT
        self.attack()
        due = time.monotonic() + 60.0
        while self.state != MonitorStatus.READY:
            if time.monotonic() > due:
                raise TimeoutError(f"no reset: {'; '.join(graph.safety.waiting_for)}")
            self.wait(0.05)
            if graph.safety.waiting_for and self.state == MonitorStatus.STOPPED_LATCHED:
                continue
            future = graph.reset.call_async(Trigger.Request())
            graph.counts["resets asked for"] += 1
            with suppress(TimeoutError):
                self.until(future.done, 8.0, "an answer to ~/reset")
            self.wait(0.1)
        graph.counts["resets"] += 1
        # A person gives it a moment.
        self.wait(0.1)


# -- a leg ----------------------------------------------------------------------------------------


def real() -> bool:
    """Return whether there is a ros2_control to launch."""
    try:
        get_package_prefix("joint_trajectory_controller")
        get_package_prefix("controller_manager")
    except PackageNotFoundError:
        return False
    return shutil.which("ros2") is not None


# Seen by the monitor's process alone: its refusals stop nothing, all else is as it is.
LENIENT = """
import sys
if any(word.endswith("/smoothness_monitor") for word in sys.orig_argv[:4]):
    from smoothness_monitor.core.monitor import Monitor
    refuse = Monitor._refuse
    Monitor._refuse = lambda self, reason, trips, now: refuse(self, reason, "", now)
"""


def system(lenient: bool) -> str:
    """Return in words what the controllers are."""
    return controllers() + (", refusals stop nothing" if lenient else "")


def controllers() -> str:
    """Return their name and version."""
    if real():
        share = Path(get_package_prefix("joint_trajectory_controller"))
        text = (share / "share/joint_trajectory_controller/package.xml").read_text()
        version = text.partition("<version>")[2].partition("</version>")[0]
        return f"joint_trajectory_controller {version}"
    return f"vla_sim, {launcher()[0].rpartition('/')[2]}"


def prefer_session(process: int | str) -> None:
    """Let a session have the processor that it needs beside others' work, where that is allowed.

    The graph takes half of a core. With less, every message is late, and nothing is attacked but
    `clock_skew`.
    """
    with suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text(PREFERENCE)


def prefer(launch: int, program: str) -> None:
    """Let the controllers go first, where that is allowed: they are the arm."""
    with suppress(TrialError):
        processes.prefer(processes.child(launch, program))


def run(seed: int, count: int, folder: Path, lenient: bool) -> Leg:
    """Launch, attack, judge, end."""
    began = time.monotonic()
    leg = Leg(seed, system(lenient), code())
    environment = dict(os.environ)
    if lenient:
        (folder / "sitecustomize.py").write_text(LENIENT, encoding="utf-8")
        path = [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
    name = "ros2_control" if real() else "so101_sim"
    words = [f"latch_folder:={folder / 'latch'}", f"black_box:={folder / 'black_box'}"]
    # An empty argument cannot be given to `ros2 launch`.
    words += ["contract_file:="]
    words += ["hardware:=mock"] if real() else []
    log = folder / "launch.log"
    share = Path(get_package_share_directory("vla_bringup"))
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(share / "launch" / f"{name}.launch.py"), *words],
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
    prefer_session(process.pid)
    robot = load_robot(CONFIG / "robots" / "so101" / "robot.yaml")
    config = load_config(CONFIG / "robots" / "so101" / "monitor.yaml")
    simulated = [] if real() else ["--ros-args", "-p", "use_sim_time:=true", "-r", "/clock:=clock"]
    rclpy.init(args=simulated)
    graph = LiveGraph(robot)
    executor = SingleThreadedExecutor()
    executor.add_node(graph)
    live = Live(graph, executor, seed, lenient=lenient)
    try:
        live.until(lambda: graph.safety.permit or process.poll() is not None, READY_S, "a permit")
        live.until(lambda: bool(graph.record.cycles["gripper"]), 10.0, "the gripper")
        if real():
            prefer(process.pid, "ros2_control_node")
        live.wait(0.5)
        while graph.counts["trajectories"] < count:
            if process.poll() is not None:
                raise ChildProcessError("the launch ended")
            live.round()
        live.wait(3.0)
    except (TimeoutError, ChildProcessError) as error:
        leg.failures.append(f"{type(error).__name__}: {error}")
    finally:
        leg.counts = dict(graph.counts)
        leg.counts["states of the monitor"] = graph.heard
        leg.counts["its plans forwarded"] = int(graph.safety.plans_forwarded)
        leg.counts["its plans rejected"] = int(graph.safety.plans_rejected)
        told = log.read_text(encoding="utf-8", errors="replace").splitlines()
        executor.shutdown()
        graph.destroy_node()
        rclpy.try_shutdown()
        end(process)
    bad = ("process has died", "Traceback", "internal_error", "Segmentation")
    leg.failures += [line[:300] for line in told if any(word in line for word in bad)]
    judge(graph.record, robot, config, leg)
    leg.seconds = time.monotonic() - began
    return leg


def page(legs: list[Leg]) -> str:
    """Return the block of the page."""
    parts = []
    for name, hashed in dict.fromkeys((leg.system, leg.code) for leg in legs):
        own = [leg for leg in legs if (leg.system, leg.code) == (name, hashed)]
        counts: Counter[str] = Counter()
        trips: Counter[str] = Counter()
        worst: dict[str, float] = {}
        for leg in own:
            counts.update(leg.counts)
            trips.update(leg.trips)
            worst = {k: max(worst.get(k, 0.0), v) for k, v in {**worst, **leg.worst}.items()}
        failures = [f"seed {leg.seed}: {line}" for leg in own for line in leg.failures]
        host = [f"seed {leg.seed}: {line}" for leg in own for line in leg.host]
        minutes = sum(leg.seconds for leg in own) / 60.0
        sent = {n for leg in own for n in leg.counts if n in NAMES}
        rows = [
            [f"`{n}`", *(counts[f"{n}{part}"] for part in ("", ": while READY", ": forwarded"))]
            for n in NAMES
            if n in sent
        ]
        parts += [
            f"### {name}; code {hashed}",
            "",
            f"**{counts['trajectories']:,} trajectories for the arm, {len(failures)} failures, "
            f"{len(host)} events of the host**; {counts['while READY']:,} were sent while READY, "
            f"{counts['resets']} resets, {len(own)} launches, {minutes:.0f} minutes, seeds "
            f"{own[0].seed} to {own[-1].seed}. {machine()}.",
            "",
            table(["", "sent", "while READY", "forwarded"], rows),
            "",
            "Largest ratio of the limit: "
            + ", ".join(f"{k} {v:.6f}" for k, v in sorted(worst.items()))
            + ".",
            "First causes: " + ", ".join(f"`{k}` {v}" for k, v in trips.most_common()) + ".",
            "",
            *[f"- failure, {line}" for line in failures],
            *[f"- host, {line}" for line in host],
            "",
        ]
    return "\n".join(parts)


NAMES = ("policy", *dict.fromkeys(attack.__name__ for attack in ATTACKS))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trajectories", type=int, default=A_LEG)
    parser.add_argument("--seed", type=int, default=0, help="of the first leg")
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="the monitor's refusals stop nothing, so that the attack goes on in mid-motion",
    )
    parser.add_argument("--results", type=Path, help="JSON lines, one a leg; gone on with")
    parser.add_argument("--logs", type=Path, help="folder to keep each leg's launch log in")
    parser.add_argument("--write", action="store_true", help="the file into docs/measurements")
    given = parser.parse_args()
    if given.trajectories < 1:
        parser.error("--trajectories must be 1 or more")
    prefer_session("self")
    legs = []
    if given.results and given.results.exists():
        lines = given.results.read_text(encoding="utf-8").splitlines()
        legs = [Leg(**json.loads(line)) for line in lines]
    known = {(leg.seed, leg.system) for leg in legs}
    for number in range(-(-given.trajectories // A_LEG)):
        seed = given.seed + number
        if (seed, system(given.lenient)) in known:
            continue
        count = min(A_LEG, given.trajectories - number * A_LEG)
        with tempfile.TemporaryDirectory() as folder:
            leg = run(seed, count, Path(folder), given.lenient)
            if given.logs:
                given.logs.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path(folder) / "launch.log", given.logs / f"{seed}.log")
        legs.append(leg)
        print(json.dumps(asdict(leg), indent=1), flush=True)
        if given.results:
            with given.results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(leg)) + "\n")
    print(page(legs))
    if given.write:
        fill(DOCS / "fuzz_gate_live.md", {"live": page(legs)})
    return int(any(leg.failures for leg in legs))


if __name__ == "__main__":
    sys.exit(main())
