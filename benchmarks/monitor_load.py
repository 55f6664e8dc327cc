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
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from franka import FER
from monitor_load_nodes import (
    CUT_NS,
    FINGERS,
    HOME,
    JOINTS,
    MS,
    SETTLE_S,
    SWING,
    TICKS_PER_TURN,
    S,
)
from pages import DOCS, fill, machine, table

from smooth_motion import CheckConfig, Chunk, Plan, check, overlap, track
from strict_yaml import read_yaml

NODES = Path(__file__).with_name("monitor_load_nodes.py")
CPU_GOAL, DECISION_GOAL_MS, CHECK_GOAL_MS = 0.15, 2.0, 5.0

# A Panda, with the limits that its manufacturer publishes.
ROBOT = {
    "robot": "panda",
    "base_frame": "panda_link0",
    "tip_frame": "panda_link8",
    "arm": {
        "controller": "arm_controller",
        "joints": list(JOINTS),
        "limits": {
            name: {"position": [low, high], "velocity": v, "acceleration": a, "jerk": j}
            for name, low, high, v, a, j in zip(
                JOINTS,
                FER.position_lower.tolist(),
                FER.position_upper.tolist(),
                FER.velocity.tolist(),
                FER.acceleration.tolist(),
                FER.jerk.tolist(),
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
    # The plant has none that could be read.
    "controller_parameters": "none",
}


def _start(role, seconds, *rest, setup=None, **options):
    command = [sys.executable, str(NODES), "--role", role]
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
        "-p",
        f"latch_folder:={tempfile.mkdtemp(dir=folder)}",
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
    if report["missed"] or report["others"]:
        print(f"{report['missed']} bad messages stopped nothing, {report['others']} other stops")
    sent_ns, braked_ns = np.array(report["trips"], dtype=np.int64).reshape(-1, 2).T
    tripped_ns = np.load(seen)["trips"]
    first = tripped_ns[np.searchsorted(tripped_ns, sent_ns)]
    return {
        "found": _spread((first - sent_ns) / MS),
        "braked": _spread((braked_ns - sent_ns) / MS),
    }


def check_times(count):
    """Return the times of `check` on 7 joints x 90 knots, ms."""
    config = CheckConfig(min_overlap_ns=150 * MS, max_start_ahead_ns=0)
    hold = Plan.hold(JOINTS, HOME, 0)
    t = np.arange(100)[:, None] / 30.0
    rows = np.array(HOME) + SWING * np.sin(2.0 * t + np.arange(len(JOINTS)))
    tail = track(Chunk(JOINTS, 0, S // 30, rows), hold.state(0), FER, start_ns=0)
    times_ms, knots = [], 0
    for i in range(count):
        now_ns = 100 * MS + i % 500 * MS
        splice = tail.start_ns + int(tail.times_ns[np.searchsorted(tail.times_ns, now_ns) + 8])
        if i % 50 == 0:
            rest = 60
            chunk = Chunk(JOINTS, splice, S // 30, rows[:rest] + 0.01 * i / count)
            new = track(chunk, tail.state(splice), FER, start_ns=splice)
            plan = _cut_to(overlap(tail, new, cut_ns=now_ns - CUT_NS), 90)
            cut_now_ns = now_ns
        begun_ns = time.perf_counter_ns()
        found = check(plan, tail, FER, now_ns=cut_now_ns, config=config)
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
    options = parser.parse_args()
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
        runs = {
            "load": lambda: load(_files(folder), seconds),
            "floor": lambda: floor(seconds),
            "ordinary": lambda: ordinary(_files(folder), seconds, folder),
            "trips": lambda: trips(_files(folder), 2 * seconds, folder),
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
