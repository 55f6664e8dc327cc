# SPDX-License-Identifier: Apache-2.0
"""The smoothness monitor under load: 7 joints at 1 kHz, what it costs and how soon it decides.

    python benchmarks/monitor_load.py --docs

Three processes beside the monitor: a plant that publishes `joint_states` and `controller_state`
at 1 kHz, as a Panda's controllers do, and follows what the gate forwards; a policy that sends a
plan three times a second. Each figure comes from a run of its own:

- `load`: CPU time of the unaltered node, all threads. Beside it what receiving the same messages
  costs a subscriber that does nothing with them (`floor`). The two take turns, `--rounds` times.
- `ordinary`: from just before a message is published until the monitor has judged it. The node
  runs with a stopwatch behind the two methods that judge.
- `trips`: from just before a message that must trip is published until the trip is found (same
  stopwatch), and until the plant has received the brake.
- `check`: of 7 joints x 90 knots, in process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

# The floor is measured with real rclpy too, where the suite need not be installed.
with contextlib.suppress(ImportError):
    from node_kit.messages import trajectory_from
    from smooth_motion import CheckConfig, Chunk, Limits, Plan, check, overlap, splice_ns, track

S = 1_000_000_000
MS = 1_000_000
PERIOD_NS = MS
HOME = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785)
JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
FINGERS = ("panda_finger_joint1", "panda_finger_joint2")
TICKS_PER_TURN = 1_638_400
SETTLE_S = 4.0
PLAN_S = 1 / 3
OVERLAP_NS = 250 * MS
CUT_NS = 20 * MS
# rad: swing of each joint about its home.
SWING = 0.3
TRIP_S = 1.2
CPU_GOAL, DECISION_GOAL_MS, CHECK_GOAL_MS = 0.15, 2.0, 5.0

# The manufacturer's published limits.
ROBOT = {
    "robot": "panda",
    "base_frame": "panda_link0",
    "tip_frame": "panda_link8",
    "arm": {
        "controller": "arm_controller",
        "joints": list(JOINTS),
        "limits": {
            name: {"position": list(p), "velocity": v, "acceleration": a, "jerk": j}
            for name, p, v, a, j in zip(
                JOINTS,
                (
                    (-2.8973, 2.8973),
                    (-1.7628, 1.7628),
                    (-2.8973, 2.8973),
                    (-3.0718, -0.0698),
                    (-2.8973, 2.8973),
                    (-0.0175, 3.7525),
                    (-2.8973, 2.8973),
                ),
                (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
                (15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0),
                (7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0),
                strict=True,
            )
        },
    },
    "gripper": {
        "controller": "gripper_controller",
        "joint": FINGERS[0],
        "position": [0.0, 0.04],
        "velocity": 0.1,
    },
    "home": {**dict(zip(JOINTS, HOME, strict=True)), FINGERS[0]: 0.04},
    "encoder": {"ticks_per_turn": TICKS_PER_TURN},
}
# What differs from the thresholds of the SO-101.
MONITOR = {
    "joint_states_rate_hz": 1000.0,
    "measured_jerk_window": 41,
    "controller_manager": "",
}


# -- the processes around the monitor -------------------------------------------------------------


def _node(name):
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    rclpy.init(args=[])
    node = rclpy.create_node(name)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    return rclpy, node, executor


def _reliable(depth, **changes):
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        **changes,
    )


def _transient(depth=1):
    from rclpy.qos import DurabilityPolicy

    return _reliable(depth, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class CycleMessages:
    """The two messages of a control cycle, full as the real ones are."""

    def __init__(self, node):
        from control_msgs.msg import JointTrajectoryControllerState
        from rclpy.serialization import serialize_message
        from sensor_msgs.msg import JointState

        self._serialize = serialize_message
        self._joints = node.create_publisher(JointState, "joint_states", _reliable(10))
        self._state = node.create_publisher(
            JointTrajectoryControllerState, "arm_controller/controller_state", _reliable(10)
        )
        zero = [0.0] * len(JOINTS)
        self._joint_state = JointState(
            name=[*JOINTS, *FINGERS], velocity=[0.0] * 9, effort=[0.1] * 9
        )
        self._controller_state = JointTrajectoryControllerState(joint_names=list(JOINTS))
        for part in ("reference", "feedback", "error", "output"):
            point = getattr(self._controller_state, part)
            point.positions, point.velocities, point.accelerations = zero, zero, zero

    def heard(self):
        """Return whether somebody listens to both."""
        publishers = (self._joints, self._state)
        return all(publisher.get_subscription_count() for publisher in publishers)

    def publish(self, stamp_ns, since_ns, reference, measured):
        """Publish a cycle; return when each of its messages left, ns."""
        position, velocity, acceleration = reference
        joints, state = self._joint_state, self._controller_state
        for stamp in (joints.header.stamp, state.header.stamp):
            stamp.sec, stamp.nanosec = divmod(stamp_ns, S)
        joints.position = [*measured, 0.04, 0.04]
        since = state.reference.time_from_start
        since.sec, since.nanosec = divmod(since_ns, S)
        state.reference.positions = position
        state.reference.velocities = velocity
        state.reference.accelerations = acceleration
        state.feedback.positions = measured
        # Both leave at the end of the cycle, one right after the other, as a controller manager's.
        joints, state = self._serialize(joints), self._serialize(state)
        first_ns = time.time_ns()
        self._joints.publish(joints)
        second_ns = time.time_ns()
        self._state.publish(state)
        return first_ns, second_ns


class IdealController:
    """A controller that holds at home, or follows the trajectory that it received last."""

    def __init__(self):
        zero = [0.0] * len(JOINTS)
        self.start_ns = time.time_ns() // PERIOD_NS * PERIOD_NS
        self._table = self._hold = [(list(HOME), zero, zero)]
        self._from_ns = self.start_ns
        self._next = None
        self._past = [list(HOME)] * 3

    def receive(self, plan, now_ns):
        """Take a trajectory; what it commands is computed at once, for the cycles to come."""
        first_ns = -(-now_ns // PERIOD_NS) * PERIOD_NS
        last_ns = max(first_ns, plan.end_ns) + 2 * PERIOD_NS
        times = np.arange(first_ns, last_ns, PERIOD_NS)
        sample = plan.sample(times)
        rows = (sample.position.tolist(), sample.velocity.tolist(), sample.acceleration.tolist())
        self._next = plan.start_ns, first_ns, list(zip(*rows, strict=True))

    def cycle(self, stamp_ns):
        """Return the time since the trajectory's start, the reference and where the joints are."""
        if self._next is not None and stamp_ns >= self._next[1]:
            (self.start_ns, self._from_ns, self._table), self._next = self._next, None
        row = min((stamp_ns - self._from_ns) // PERIOD_NS, len(self._table) - 1)
        reference = self._table[max(row, 0)]
        self._past = [*self._past[1:], reference[0]]
        tick = 2 * np.pi / TICKS_PER_TURN
        measured = [round(value / tick) * tick for value in self._past[0]]
        return stamp_ns - self.start_ns, reference, measured


def plant(options):
    """Publish at 1 kHz; with trips, break a limit now and then and reset."""
    from std_srvs.srv import Trigger
    from trajectory_msgs.msg import JointTrajectory
    from vla_msgs.msg import MonitorStatus

    rclpy, node, executor = _node("plant")
    stream, arm = CycleMessages(node), IdealController()
    states, plans, sent = queue.SimpleQueue(), [], []

    def follow(message):
        now_ns = time.time_ns()
        plan = _plan_of(message)
        arm.receive(plan, now_ns)
        plans.append((now_ns, len(plan.times_ns)))

    def note(message):
        states.put((time.time_ns(), message.state, message.first_cause))

    node.create_subscription(
        JointTrajectory, "arm_controller/joint_trajectory", follow, _reliable(1)
    )
    node.create_subscription(MonitorStatus, "smoothness_monitor/state", note, _transient())
    reset = node.create_client(Trigger, "smoothness_monitor/reset")
    threading.Thread(target=executor.spin, daemon=True).start()

    trips = TripSchedule(reset) if options.trips else None
    state, cause, begun_s = MonitorStatus.STARTUP, "", time.monotonic()
    next_ns, late = time.time_ns() // PERIOD_NS * PERIOD_NS, 0
    while time.monotonic() < begun_s + options.seconds:
        next_ns += PERIOD_NS
        left_ns = next_ns - time.time_ns()
        if left_ns > 0:
            time.sleep(left_ns * 1e-9)
        late += left_ns < -PERIOD_NS
        since_ns, reference, measured = arm.cycle(next_ns)
        while not states.empty():
            at_ns, state, cause = states.get()
            if trips is not None:
                trips.heard(at_ns, state, plans)
        bad = trips is not None and trips.due(state)
        if bad:
            reference = (reference[0], [9.0] * len(JOINTS), reference[2])
        left = stream.publish(next_ns, since_ns, reference, measured)
        if bad:
            trips.sent_ns = left[1]
        sent.append((next_ns, *left))
    print(
        json.dumps(
            {
                "late": late,
                "cycles": len(sent),
                "state": int(state),
                "cause": cause,
                "plans": len(plans),
                "knots": float(np.median([knots for _, knots in plans])) if plans else 0.0,
                "trips": [] if trips is None else trips.times_ns,
            }
        ),
        flush=True,
    )
    if options.sent:
        np.save(options.sent, np.array(sent[int(SETTLE_S * S / PERIOD_NS) :]))
    executor.shutdown()
    rclpy.try_shutdown()


class TripSchedule:
    """When a limit is broken, what came of it, and the reset after it."""

    def __init__(self, reset):
        from std_srvs.srv import Trigger

        self._reset, self._request = reset, Trigger.Request()
        self._next_s = time.monotonic() + SETTLE_S
        self._reset_s = float("inf")
        self.sent_ns = None
        self.times_ns = []

    def due(self, state):
        """Return whether the next cycle breaks a limit; ask for a reset when it is time."""
        now_s = time.monotonic()
        if now_s > self._reset_s:
            self._reset.call_async(self._request)
            self._reset_s = now_s + TRIP_S / 4
        if now_s < self._next_s or self.sent_ns is not None or state != 1:
            return False
        self._next_s = now_s + TRIP_S * (1.0 + 0.2 * np.random.default_rng().random())
        return True

    def heard(self, at_ns, state, plans):
        """Take in a state of the monitor, and the trajectories that came up to now."""
        if state == 1:
            self._reset_s = float("inf")
        elif self.sent_ns is not None and state in (2, 3):
            # The state follows the brake, and nothing is forwarded in between.
            brakes = [when for when, _ in plans[-3:] if self.sent_ns < when <= at_ns]
            self.times_ns.append((self.sent_ns, max(brakes, default=at_ns)))
            self.sent_ns = None
            self._reset_s = time.monotonic() + 0.4


def policy(options):
    """Send a plan three times a second that continues what was forwarded last."""
    from builtin_interfaces.msg import Duration
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
    from vla_msgs.msg import MonitorStatus, PolicyStatus

    rclpy, node, executor = _node("vla_policy_node")
    limits = _limits()
    random = np.random.default_rng(1)
    seen = {"plan": Plan.hold(JOINTS, HOME, time.time_ns()), "permit": False}

    def follow(message):
        seen["plan"] = _plan_of(message)

    def note(message):
        seen["permit"] = message.permit

    def send():
        if not seen["permit"]:
            return
        now_ns, running = time.time_ns(), seen["plan"]
        splice = splice_ns(running, now_ns + OVERLAP_NS)
        t = splice * 1e-9 % 1e4 + np.arange(50)[:, None] / 30.0
        phase = np.arange(len(JOINTS)) + 0.3 * random.standard_normal()
        rows = np.array(HOME) + SWING * np.sin(2.0 * t + phase)
        chunk = Chunk(JOINTS, splice, S // 30, rows)
        tail = track(chunk, running.state(splice), limits, start_ns=splice)
        plan = overlap(running, tail, cut_ns=max(now_ns - CUT_NS, running.start_ns))
        message = JointTrajectory(joint_names=list(JOINTS))
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(plan.start_ns, S)
        for point in plan.points():
            sec, nanosec = divmod(point.time_from_start_ns, S)
            message.points.append(
                JointTrajectoryPoint(
                    positions=point.positions,
                    velocities=point.velocities,
                    accelerations=point.accelerations,
                    time_from_start=Duration(sec=sec, nanosec=nanosec),
                )
            )
        publisher.publish(message)

    publisher = node.create_publisher(JointTrajectory, "arm/plan", _reliable(1))
    status = node.create_publisher(PolicyStatus, "~/status", _transient())
    node.create_subscription(
        JointTrajectory, "arm_controller/joint_trajectory", follow, _reliable(1)
    )
    node.create_subscription(MonitorStatus, "smoothness_monitor/state", note, _transient())
    node.create_timer(PLAN_S, send)
    node.create_timer(0.1, lambda: status.publish(PolicyStatus(state=PolicyStatus.RUNNING)))
    _spin_for(executor, options.seconds)
    rclpy.try_shutdown()


def listener(options):
    """Receive what the monitor receives at 1 kHz, and do nothing with it."""
    from control_msgs.msg import JointTrajectoryControllerState
    from sensor_msgs.msg import JointState

    rclpy, node, executor = _node("listener")
    counts = [0, 0]

    def hear(index):
        def count(message):
            counts[index] += 1

        return count

    node.create_subscription(JointState, "joint_states", hear(0), _reliable(10))
    node.create_subscription(
        JointTrajectoryControllerState,
        "arm_controller/controller_state",
        hear(1),
        _reliable(10),
    )
    _spin_for(executor, options.seconds)
    print(json.dumps({"received": sum(counts)}), flush=True)
    rclpy.try_shutdown()


def source(options):
    """Publish the plant's messages and nothing else, for the floor."""
    rclpy, node, _ = _node("plant")
    stream, arm = CycleMessages(node), IdealController()
    end_s = time.monotonic() + options.seconds
    next_ns = time.time_ns() // PERIOD_NS * PERIOD_NS
    while time.monotonic() < end_s:
        next_ns += PERIOD_NS
        time.sleep(max(0.0, (next_ns - time.time_ns()) * 1e-9))
        stream.publish(next_ns, *arm.cycle(next_ns))
    rclpy.try_shutdown()


def watched(options):
    """Run the node with a stopwatch behind the methods that judge its 1 kHz inputs."""
    from smoothness_monitor import node
    from smoothness_monitor.core.monitor import Monitor

    seen = {"on_joint_states": [], "on_controller_state": []}
    for name, times in seen.items():
        judge = getattr(Monitor, name)

        def timed(self, message, now, judge=judge, times=times):
            outputs = judge(self, message, now)
            times.append((message.stamp_ns, time.time_ns()))
            return outputs

        setattr(Monitor, name, timed)
    trips, trip = [], Monitor._trip

    def noted(self, *args):
        trips.append(time.time_ns())
        return trip(self, *args)

    Monitor._trip = noted
    code = node.main(["monitor", *options.rest])
    joints, states = (np.array(times).reshape(-1, 2) for times in seen.values())
    np.savez(options.seen, joints=joints, states=states, trips=np.array(trips))
    return code


def _spin_for(executor, seconds):
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left_s)
    executor.shutdown()


def _plan_of(message):
    trajectory = trajectory_from(message)
    return Plan.from_points(trajectory.joint_names, trajectory.stamp_ns, trajectory.points)


def _limits():
    rows = [ROBOT["arm"]["limits"][name] for name in JOINTS]
    lower, upper = np.array([row["position"] for row in rows]).T
    rest = (np.array([row[key] for row in rows]) for key in ("velocity", "acceleration", "jerk"))
    return Limits(JOINTS, lower, upper, *rest)


ROLES = {role.__name__: role for role in (plant, policy, listener, source, watched)}


# -- the runs -------------------------------------------------------------------------------------


def _start(role, seconds, *rest, setup=None, **options):
    command = [sys.executable, os.path.abspath(__file__), "--role", role]
    command += ["--seconds", str(seconds)]
    for name, value in options.items():
        command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    if rest:
        command += ["--", *rest]
    if setup:
        command[0] = "python3"
        command = ["bash", "-c", f"source {shlex.quote(setup)} && exec {shlex.join(command)}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _cpu_s(pid):
    """Return the CPU time that a process has used, all of its threads, s."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _share(pid, seconds):
    """Return the share of a core that a process uses."""
    before_s, begun_s = _cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (_cpu_s(pid) - before_s) / (time.monotonic() - begun_s)


def _files(folder):
    import yaml

    from strict_yaml import read_yaml

    (folder / "robot.yaml").write_text(yaml.safe_dump(ROBOT), encoding="utf-8")
    like = Path(__file__).resolve().parents[1] / "config" / "robots" / "so101" / "monitor.yaml"
    values = {**read_yaml(like), **MONITOR}
    (folder / "monitor.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return [
        "--ros-args",
        "-p",
        f"robot_file:={folder / 'robot.yaml'}",
        "-p",
        f"monitor_file:={folder / 'monitor.yaml'}",
    ]


def _end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _with_monitor(monitor, seconds, measure=None, **options):
    """Run the monitor between plant and policy; return the plant's report and the measure."""
    started = []
    try:
        time.sleep(1.0)
        started.append(_start("plant", seconds, **options))
        started.append(_start("policy", seconds))
        value = None if measure is None else measure()
        text, _ = started[0].communicate(timeout=seconds + 60)
        report = json.loads(text)
    finally:
        for process in (*started[::-1], monitor):
            _end(process)
    if report["late"] > report["cycles"] / 100:
        print(f"{report['late']} of {report['cycles']} cycles of the plant were late")
    return report, value


RUNS = ["load", "floor", "ordinary", "trips", "check"]
# Their result is a share of a core, which other work on the machine changes: they take turns.
SHARES = ("load", "floor", "floor_rclpy")


def load(arguments, seconds):
    """Return the CPU share of the node."""
    command = [sys.executable, "-m", "smoothness_monitor.node", *arguments]
    monitor = subprocess.Popen(command)

    def measure():
        time.sleep(SETTLE_S)
        return _share(monitor.pid, seconds)

    report, share = _with_monitor(monitor, seconds + SETTLE_S + 1.0, measure)
    if report["state"] != 1 or not report["plans"]:
        sys.exit(f"the monitor was not READY or forwarded nothing: {report}")
    return {
        "cpu": share,
        "plans_per_s": report["plans"] / (seconds + SETTLE_S),
        "knots": report["knots"],
    }


def floor(seconds, setup=None):
    """Return the CPU share of a subscriber that does nothing, and the messages that it got."""
    ear = _start("listener", seconds + 2 * SETTLE_S, setup=setup)
    mouth = _start("source", seconds + 2 * SETTLE_S, setup=setup)
    try:
        time.sleep(SETTLE_S)
        share = _share(ear.pid, seconds)
        text, _ = ear.communicate(timeout=seconds + 60)
        return {"cpu": share, "received": json.loads(text)["received"]}
    finally:
        for process in (mouth, ear):
            _end(process)


def ordinary(arguments, seconds, folder):
    """Return the times from publishing to decision, ms, of both inputs."""
    seen, sent = folder / "seen.npz", folder / "sent.npy"
    monitor = _start("watched", 0, *arguments, seen=seen)
    report, _ = _with_monitor(monitor, seconds + SETTLE_S, sent=sent)
    if report["state"] != 1:
        sys.exit(f"the monitor was not READY: {report}")
    left, found = np.load(sent), np.load(seen)
    result = {}
    for name, column in (("joints", 1), ("states", 2)):
        decided = dict(found[name].tolist())
        known = np.array([decided.get(stamp, 0) for stamp in left[:, 0].tolist()])
        got = known > 0
        result[name] = _spread((known[got] - left[got, column]) / MS)
        result[name]["lost"] = int(len(got) - got.sum())
    return result


def trips(arguments, seconds, folder):
    """Return the times from a bad message to the trip, and to the brake at the plant, ms."""
    seen = folder / "trips.npz"
    monitor = _start("watched", 0, *arguments, seen=seen)
    report, _ = _with_monitor(monitor, seconds + SETTLE_S, trips=True)
    sent_ns, braked_ns = np.array(report["trips"], dtype=np.int64).reshape(-1, 2).T
    tripped_ns = np.load(seen)["trips"]
    first = tripped_ns[np.searchsorted(tripped_ns, sent_ns)]
    return {
        "found": _spread((first - sent_ns) / MS),
        "braked": _spread((braked_ns - sent_ns) / MS),
    }


def check_times(count):
    """Return the times of `check` on 7 joints x 90 knots, ms."""
    limits, config = _limits(), CheckConfig(min_overlap_ns=150 * MS, max_start_ahead_ns=0)
    hold = Plan.hold(JOINTS, HOME, 0)
    t = np.arange(100)[:, None] / 30.0
    rows = np.array(HOME) + SWING * np.sin(2.0 * t + np.arange(len(JOINTS)))
    tail = track(Chunk(JOINTS, 0, S // 30, rows), hold.state(0), limits, start_ns=0)
    times_ms, knots = [], 0
    for i in range(count):
        now_ns = 100 * MS + i % 500 * MS
        splice = tail.start_ns + int(tail.times_ns[np.searchsorted(tail.times_ns, now_ns) + 8])
        if i % 50 == 0:
            rest = 60
            chunk = Chunk(JOINTS, splice, S // 30, rows[:rest] + 0.01 * i / count)
            new = track(chunk, tail.state(splice), limits, start_ns=splice)
            plan = _cut_to(overlap(tail, new, cut_ns=now_ns - CUT_NS), 90)
            cut_now_ns = now_ns
        begun_ns = time.perf_counter_ns()
        found = check(plan, tail, limits, now_ns=cut_now_ns, config=config)
        times_ms.append((time.perf_counter_ns() - begun_ns) / MS)
        if found:
            sys.exit(f"check refuses: {found[0]}")
        knots = len(plan.times_ns)
    return {**_spread(np.array(times_ms)), "knots": knots}


def _cut_to(plan, knots):
    """Return the plan with knots added in its last interval at rest, to a number of knots."""
    missing = knots - len(plan.times_ns)
    if missing < 0:
        sys.exit(f"the plan has {len(plan.times_ns)} knots, more than {knots}")
    more = plan.times_ns[-1] + 33_333_333 * np.arange(1, missing + 1)
    zero = np.zeros((missing, len(JOINTS)))
    return Plan(
        plan.joint_names,
        plan.start_ns,
        np.concatenate((plan.times_ns, more)),
        np.vstack((plan.positions, zero + plan.positions[-1])),
        np.vstack((plan.velocities, zero)),
        np.vstack((plan.accelerations, zero)),
    )


def _spread(times_ms):
    if not len(times_ms):
        return {"count": 0, "p50": float("nan"), "p99": float("nan"), "max": float("nan")}
    p50, p99 = np.percentile(times_ms, [50, 99])
    return {
        "count": len(times_ms),
        "p50": float(p50),
        "p99": float(p99),
        "max": float(np.max(times_ms)),
    }


def report(results, arguments):
    """Write the page of the documentation."""
    from pages import DOCS, fill, machine, table

    load_, floor_, check_ = results["load"], results["floor"], results["check"]
    joints, states = (results["ordinary"][name] for name in ("joints", "states"))
    found, braked = results["trips"]["found"], results["trips"]["braked"]
    goals = {
        "cpu": float(np.median(load_["cpu"])) <= CPU_GOAL,
        "decision": max(joints["p99"], states["p99"], found["p99"]) <= DECISION_GOAL_MS,
        "check": check_["p99"] <= CHECK_GOAL_MS,
    }

    def times(name, what):
        values = [f"{what[key]:.2f} ms" for key in ("p50", "p99", "max")]
        return [name, *values, what["count"]]

    def shares(name, result):
        values = result["cpu"]
        share = f"{np.median(values):.1%}"
        return [name, share, f"{min(values):.1%} to {max(values):.1%}", len(values)]

    cpu = [
        shares("the monitor", load_),
        shares("floor: a subscriber that does nothing", floor_),
    ]
    if "floor_rclpy" in results:
        cpu.append(shares("the same with real rclpy", results["floor_rclpy"]))
    lost = joints["lost"] + states["lost"]
    goal_rows = [
        ["CPU of the monitor, median", f"<= {CPU_GOAL:.0%} of a core", _met(goals["cpu"])],
        ["decision, p99", f"<= {DECISION_GOAL_MS:g} ms", _met(goals["decision"])],
        ["check, p99", f"<= {CHECK_GOAL_MS:g} ms", _met(goals["check"])],
    ]
    blocks = [
        table(["process", "of a core, median", "range", "runs"], cpu),
        table(
            ["time", "median", "p99", "largest", "number"],
            [
                times("decision, `joint_states`", joints),
                times("decision, `controller_state`", states),
                times("decision, trip", found),
                times("brake received", braked),
                times(f"check, 7 joints x {check_['knots']} knots", check_),
            ],
        ),
        f"{lost} of {joints['count'] + states['count'] + lost} ordinary messages were lost. "
        f"{load_['plans_per_s']:.1f} plans a second of {load_['knots']:.0f} knots were forwarded.",
        table(["goal", "", ""], goal_rows),
    ]
    load_average = os.getloadavg()[0]
    run = (
        f"`python benchmarks/monitor_load.py {arguments}`: {machine()}, "
        f"load average {load_average:.1f} at the end."
    )
    fill(DOCS / "monitor_load.md", {"run": run, "figures": "\n\n".join(blocks)})


def _met(goal):
    return "met" if goal else "NOT met"


def main():
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=45.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5, help="of the runs that take CPU time")
    parser.add_argument("--only", nargs="+", choices=RUNS, default=RUNS, help="some of the runs")
    parser.add_argument("--ros-setup", help="setup file of a real ROS 2: its floor beside ours")
    parser.add_argument(
        "--fifo", action="store_true", help="real-time priority (SCHED_FIFO) for all processes"
    )
    parser.add_argument("--results", type=Path, help="file that keeps the figures of other runs")
    parser.add_argument("--docs", action="store_true", help="into docs/measurements")
    parser.add_argument("--role", choices=list(ROLES), help=argparse.SUPPRESS)
    parser.add_argument("--sent", help=argparse.SUPPRESS)
    parser.add_argument("--seen", help=argparse.SUPPRESS)
    parser.add_argument("--trips", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        return ROLES[options.role](options) or 0
    os.environ.setdefault("ROS_DOMAIN_ID", "77")
    if options.fifo:
        # Inherited by what is started from here.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
    results = {}
    if options.results and options.results.exists():
        results = json.loads(options.results.read_text(encoding="utf-8"))
    seconds, setup = options.seconds, options.ros_setup
    for run in options.only:
        results.pop(run, None)
    if setup:
        results.pop("floor_rclpy", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = _files(folder)
        runs = {
            "load": lambda: load(arguments, seconds),
            "floor": lambda: floor(seconds),
            "ordinary": lambda: ordinary(arguments, seconds, folder),
            "trips": lambda: trips(arguments, 2 * seconds, folder),
            "check": lambda: check_times(5000),
        }
        if setup and "floor" in options.only:
            options.only = [*options.only, "floor_rclpy"]
            runs["floor_rclpy"] = lambda: floor(seconds, setup)
        shared = [run for run in options.only if run in SHARES]
        for _ in range(options.rounds):
            for run in shared:
                found = runs[run]()
                print(run, json.dumps(found), flush=True)
                results.setdefault(run, {}).setdefault("cpu", []).append(found.pop("cpu"))
                results[run].update(found)
        for run in options.only:
            if run not in SHARES:
                results[run] = runs[run]()
                print(run, json.dumps(results[run]), flush=True)
    if options.results:
        options.results.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if options.docs:
        flags = " --fifo" * options.fifo + " --ros-setup SETUP" * bool(setup)
        report(results, f"--seconds {seconds:g} --rounds {options.rounds}{flags} --docs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
