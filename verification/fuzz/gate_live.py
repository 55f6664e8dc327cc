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
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import rclpy
from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from rclpy.executors import SingleThreadedExecutor

from benchmarks.pages import DOCS, fill, machine, table
from smoothness_monitor.params import load_config
from verification.fuzz.gate import FUZZER, NAMES
from verification.fuzz.gate_verdict import Leg, judge
from verification.fuzz.live_attack import Live
from verification.fuzz.live_graph import LiveGraph
from verification.fuzz.runs import SECOND
from verification.live_faults import launcher
from verification.stop_trials import processes
from verification.stop_trials.processes import LAUNCH, TrialError, end
from vla_contract.robot import load_robot

CONFIG = Path(__file__).resolve().parents[2] / "config"
A_LEG = 1000
READY_S = 120.0
# Nice value of the sessions of the graph and of this program.
PREFERENCE = "-10"
ATTACKED = ("policy", *NAMES)


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
    from smoothness_monitor.core.plan_gate import PlanGate
    refuse = PlanGate.refuse
    PlanGate.refuse = lambda self, reason, trips, now: refuse(self, reason, "", now)
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
    leg = Leg(seed, system(lenient), FUZZER.hash())
    environment = dict(os.environ)
    if lenient:
        (folder / "sitecustomize.py").write_text(LENIENT, encoding="utf-8")
        path = [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
    name = "ros2_control" if real() else "so101_sim"
    words = [f"latch_folder:={folder / 'latch'}", f"black_box:={folder / 'black_box'}"]
    words += ["contract_file:=none"]
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
    overlap_ns = round(config.plan_overlap_s * SECOND)
    live = Live(graph, executor, seed, overlap_ns=overlap_ns, lenient=lenient)
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
        sent = {n for leg in own for n in leg.counts if n in ATTACKED}
        rows = [
            [f"`{n}`", *(counts[f"{n}{part}"] for part in ("", ": while READY", ": forwarded"))]
            for n in ATTACKED
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
