# SPDX-License-Identifier: Apache-2.0
"""Let faults happen to the running system, one at a time, and write down what its processes do.

    python -m verification.live_faults [--only NAME...] [--results FILE] [--write]

Every trial launches the simulated SO-101 with a fault file (`so101_sim.launch.py faults:=...`),
gives an instruction, and watches the controller and the monitor from outside: what tripped, how
long after the fault, when the command stood still, how large its jerk was, whether it moved again.
Runs with ROS 2 where it is sourced, with embedded_ros2 elsewhere. `--results` keeps the trials, so
that what was run is not run again; `--write` fills the page docs/measurements/faults.md from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import rclpy
import yaml
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from vla_msgs.msg import MonitorStatus

from benchmarks.pages import DOCS, fill, machine, table
from verification.stop_trials.processes import end

INSTRUCTION = "put the red cube in the bin"
AT_S, FOR_S = 1.5, 2.5
READY_S, MOVING_S, ASK_S = 60.0, 40.0, 5.0
REST_S, WATCHED_S = 4.0, 2.0
END_S = 15.0
SAME_START_NS = 1_000_000
JOINT = "shoulder_pan"
TRIPPED = (MonitorStatus.STOPPING, MonitorStatus.STOPPED_LATCHED, MonitorStatus.FAULT)
STATES = ("STARTUP", "READY", "STOPPING", "STOPPED_LATCHED", "FAULT")


@dataclass(frozen=True)
class Trial:
    """One fault.

    Attributes:
        name: In the table.
        entry: Of the fault file, without its time.
        stops: Whether the monitor must stop the arm; None where either is right.
        launch_ends: The launch file ends everything.
    """

    name: str
    entry: Mapping[str, object]
    stops: bool | None
    launch_ends: bool = False


def _stream(stream: str, do: str, stops: bool | None, **values: object) -> Trial:
    entry = {"for_s": FOR_S, "stream": stream, "do": do, **values}
    return Trial(f"`{stream}`: `{do}`", entry, stops)


def _process(node: str, name: str, stops: bool | None, *, launch_ends: bool = False) -> Trial:
    entry = {"process": node, "signal": name}
    return Trial(f"`{node}`: {name}", entry, stops, launch_ends)


TRIALS = (
    _stream("joint_states", "drop", True, probability=1.0),
    _stream("joint_states", "delay", None, delay_s=0.1, jitter_s=0.0),
    _stream("joint_states", "hold", False, every_s=0.25),
    _stream("joint_states", "duplicate", False, copies=3, apart_s=0.0),
    _stream("joint_states", "swap", True),
    _stream("joint_states", "stuck", True),
    _stream("joint_states", "freeze", True),
    _stream("joint_states", "stamp_shift", True, by_s=-1.0),
    _stream("joint_states", "not_a_number", True, joint=JOINT, value=float("nan")),
    _stream("joint_states", "offset", True, joint=JOINT, by_rad=0.5),
    _stream("joint_states", "drift", True, joint=JOINT, rate_rad_s=0.5),
    _stream("joint_states", "spike", True, joint=JOINT, by_rad=0.3, every=4),
    _stream("joint_states", "noise", True, sigma_rad=0.02),
    _stream("joint_states", "rattle", None, joint=JOINT, by_rad=0.02, rate_hz=8.0, lasts_s=2.0),
    _stream("joint_states", "lag", None, joint=JOINT, by_s=0.3, lasts_s=2.0),
    _stream("joint_states", "joint_stuck", None, joint="shoulder_lift"),
    _stream("joint_states", "scale", True, by=57.3),
    _stream("joint_states", "swap_joints", True),
    _stream("joint_states", "omit_joint", True, joint=JOINT),
    _stream("joint_states", "shorten", True),
    _stream("controller_state", "drop", True, probability=1.0),
    _stream("plans", "drop", False, probability=1.0),
    _stream("plans", "truncate", True, points=3),
    _stream("plans", "positions_only", True),
    _stream("plans", "time_scale", True, by=0.5),
    _stream("commands", "delay", False, delay_s=0.05, jitter_s=0.0),
    Trial("another publisher", {"for_s": 0.5, "intrude_every_s": 0.033}, True),
    _process("vla_policy_node", "KILL", False),
    _process("vla_policy_node", "STOP", False),
    _process("smoothness_monitor", "KILL", None),
    _process("smoothness_monitor", "STOP", None),
    _process("vla_sim", "STOP", True),
    _process("vla_sim", "KILL", None, launch_ends=True),
)


@dataclass(frozen=True)
class Seen:
    """What came of a trial.

    Attributes:
        name: The trial's.
        cause: Detector that tripped first, "" when none did.
        after_s: From the fault to the trip, NaN without one.
        rest_s: From the fault to the last motion of the command; NaN when nobody could see it.
        jerk: Largest jerk of the command from the fault on, over its limit.
        rung: Highest rung climbed.
        state: The monitor's last state.
        again_rad: How far the command moved in the 2 s after it was at rest.
        ended: The launch ended everything.
        log: What the monitor says of the stop, step by step.
        problem: What was not as it must be, or "".
    """

    name: str
    cause: str = ""
    after_s: float = float("nan")
    rest_s: float = float("nan")
    jerk: float = float("nan")
    rung: int = 0
    state: str = ""
    again_rad: float = float("nan")
    ended: bool = False
    log: str = ""
    problem: str = ""


class Watcher(Node):
    """Gives the instruction and notes what is said."""

    def __init__(self) -> None:
        super().__init__("live_faults")
        latched = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self.state: MonitorStatus | None = None
        self.heard_s = 0.0
        self.tripped_s: float | None = None
        self.began_s: float | None = None
        # Starts of the trajectories sent, which the controller's reports give to 0.2 ms only.
        self.starts: list[int] = []
        # (s on the steady clock, reported start in ns, time from it in ns, positions)
        self.cycles: list[tuple[float, int, int, np.ndarray]] = []
        self.create_subscription(
            MonitorStatus, "smoothness_monitor/state", self._on_state, latched
        )
        self.create_subscription(
            JointTrajectoryControllerState, "arm_controller/controller_state", self._on_cycle, 100
        )
        self.create_subscription(JointTrajectory, "faults/commands", self._on_command, 10)
        self.instruction = self.create_publisher(String, "vla_policy_node/instruction", 10)

    def _on_state(self, msg: MonitorStatus) -> None:
        self.state, self.heard_s = msg, time.monotonic()
        if self.tripped_s is None and msg.state in TRIPPED:
            self.tripped_s = self.heard_s

    def _on_command(self, msg: JointTrajectory) -> None:
        stamp = msg.header.stamp
        self.starts.append(stamp.sec * 10**9 + stamp.nanosec)
        if self.began_s is None:
            self.began_s = time.monotonic()

    def _on_cycle(self, msg: JointTrajectoryControllerState) -> None:
        stamp = msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec
        since = msg.reference.time_from_start
        since_ns = since.sec * 10**9 + since.nanosec
        position = np.array(msg.reference.positions)
        self.cycles.append((time.monotonic(), stamp - since_ns, since_ns, position))

    def wait(self, what: object, seconds: float) -> bool:
        """Spin until `what()` holds; return whether it does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if what():  # type: ignore[operator]
                return True
            rclpy.spin_once(self, timeout_sec=0.02)
        return bool(what())  # type: ignore[operator]

    def motion(self, since_s: float, until_s: float = np.inf) -> float:
        """Return how far the command moved between two times, rad."""
        rows = [row[3] for row in self.cycles if since_s <= row[0] <= until_s]
        return float(np.max(np.ptp(rows, axis=0))) if len(rows) > 1 else 0.0

    def _trajectory_ns(self, row: tuple[float, int, int, np.ndarray]) -> int:
        near = [start for start in self.starts if abs(start - row[1]) <= SAME_START_NS]
        return (near[-1] if near else row[1]) + row[2]

    def last_motion_s(self, since_s: float) -> float:
        """Return when the command moved last."""
        last = since_s
        for before, row in zip(self.cycles, self.cycles[1:], strict=False):
            if row[0] >= since_s and (row[3] != before[3]).any():
                last = row[0]
        return last

    def jerk(self, since_s: float, limit: np.ndarray) -> float:
        """Return the largest jerk of the command over its limit: in trajectory time."""
        rows = [row for row in self.cycles if row[0] >= since_s - 0.05]
        worst = 0.0
        for four in zip(rows, rows[1:], rows[2:], rows[3:], strict=False):
            t = np.array([self._trajectory_ns(row) for row in four], dtype=np.int64)
            t = (t - t[0]) * 1e-9
            # A cycle that was not heard is no difference.
            if np.min(np.diff(t)) < 0.005 or np.max(np.diff(t)) > 0.015:
                continue
            table = np.array([row[3] for row in four])
            for order in (1, 2, 3):
                table = (table[1:] - table[:-1]) / (t[order:] - t[:-order])[:, None]
            worst = max(worst, float(np.max(6.0 * np.abs(table[0]) / limit)))
        return worst


def launcher() -> list[str]:
    """Return the command that launches."""
    beside = Path(sys.executable).with_name("embedded-ros2")
    if shutil.which("ros2"):
        return ["ros2"]
    return [str(beside) if beside.exists() else "embedded-ros2"]


def run(trial: Trial, folder: Path) -> Seen:
    """Launch, let it happen, watch, end."""
    path = folder / "faults.yaml"
    path.write_text(yaml.safe_dump([{"at_s": AT_S, **trial.entry}]), encoding="utf-8")
    command = [*launcher(), "launch", "vla_bringup", "so101_sim.launch.py"]
    command += [f"faults:={path}", f"black_box:={folder}"]
    # As on a robot, time waits for nobody: what a process misses, it misses.
    command += ["lockstep_timeout_s:=0.0"]
    with (folder / "launch.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    watcher = Watcher()
    try:
        return watch(trial, watcher, process)
    finally:
        watcher.destroy_node()
        end(process, END_S)


def watch(trial: Trial, watcher: Watcher, process: subprocess.Popen[bytes]) -> Seen:
    """Watch one trial."""
    seen = Seen(trial.name)
    ready = watcher.wait(
        lambda: (
            watcher.state is not None
            and watcher.state.permit
            and watcher.instruction.get_subscription_count() > 0
        ),
        READY_S,
    )
    if not ready:
        return replace(seen, problem="the system did not become ready")
    # A policy that is still being loaded does not hear it.
    for _ in range(round(MOVING_S / ASK_S)):
        watcher.instruction.publish(String(data=INSTRUCTION))
        if watcher.wait(lambda: watcher.began_s is not None, ASK_S):
            break
    else:
        return replace(seen, problem="the arm was not commanded")
    assert watcher.began_s is not None
    assert watcher.state is not None
    fault_s = watcher.began_s + AT_S
    limit = np.array(watcher.state.jerk_limit)
    watcher.wait(lambda: time.monotonic() >= fault_s, 2.0 * AT_S)
    early = watcher.tripped_s is not None
    watcher.wait(
        lambda: watcher.tripped_s is not None or process.poll() is not None,
        FOR_S + (1.0 if trial.stops is not False else 2.5),
    )
    tripped_s = watcher.tripped_s
    if tripped_s is not None or trial.stops is not False:
        watcher.wait(lambda: process.poll() is not None, REST_S)
    rest_s = watcher.last_motion_s(fault_s)
    watched_s = time.monotonic()
    watcher.wait(lambda: process.poll() is not None, WATCHED_S)
    state = watcher.state
    ended = process.poll() is not None
    silent = time.monotonic() - watcher.heard_s > 1.0
    seen = replace(
        seen,
        cause=state.first_cause,
        after_s=tripped_s - fault_s if tripped_s is not None else float("nan"),
        rest_s=rest_s - fault_s,
        jerk=watcher.jerk(fault_s, limit),
        rung=int(state.rung),
        state="silent" if silent else STATES[state.state],
        again_rad=watcher.motion(watched_s),
        ended=ended,
        log="; ".join(state.rung_log),
    )
    problems = []
    if early:
        problems.append(f"tripped before the fault: {state.first_cause_detail}")
    if trial.stops is True and tripped_s is None:
        problems.append("nothing tripped")
    if trial.stops is False and watcher.tripped_s is not None:
        late_s = watcher.tripped_s - fault_s
        problems.append(f"tripped after {late_s:.2f} s: {state.first_cause_detail}")
    if tripped_s is not None and seen.again_rad != 0.0:
        problems.append(f"moved {seen.again_rad:.4f} rad after the stop")
    if ended != trial.launch_ends:
        problems.append("the launch ended" if ended else "the launch did not end")
    return replace(seen, problem="; ".join(problems))


def number(value: float, digits: int, scale: float = 1.0) -> str:
    """Return a number for the table, "-" for none."""
    return "-" if np.isnan(value) else f"{value * scale:.{digits}f}"


def page(found: list[Seen]) -> str:
    """Return the block of the page."""
    wrong = [seen for seen in found if seen.problem]

    def goes_on(seen: Seen) -> bool:
        return not seen.cause and seen.again_rad > 0.0

    rows = [
        [
            seen.name,
            f"`{seen.cause}`" if seen.cause else "-",
            number(seen.after_s, 0, 1e3),
            "goes on" if goes_on(seen) else number(seen.rest_s, 2),
            number(seen.jerk, 3),
            seen.rung or "-",
            "the launch ended" if seen.ended else seen.state,
            "goes on" if goes_on(seen) else number(seen.again_rad, 4),
        ]
        for seen in found
    ]
    head = [
        "fault",
        "detected by",
        "after, ms",
        "last motion after, s",
        "peak jerk ratio",
        "rung",
        "the monitor in the end",
        "moved in the 2 s after, rad",
    ]
    launched = f"`{Path(launcher()[0]).name} launch`"
    text = f"{len(found)} trials; {len(wrong)} with a problem. {launched}, {machine()}."
    lines = [f"- {seen.name}: {seen.problem}" for seen in wrong]
    return "\n".join([text, *lines, "", table(head, rows)])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="parts of the names of the trials")
    parser.add_argument("--results", type=Path, help="file of trials, gone on with")
    parser.add_argument("--at-most", type=float, default=np.inf, help="begin none after so many s")
    parser.add_argument("--write", action="store_true", help="into docs/measurements")
    given = parser.parse_args()
    known: dict[str, Seen] = {}
    if given.results and given.results.exists():
        for line in given.results.read_text(encoding="utf-8").splitlines():
            seen = Seen(**json.loads(line))
            known[seen.name] = seen
    rclpy.init()
    began = time.monotonic()
    for trial in TRIALS:
        chosen = not given.only or any(part in trial.name for part in given.only)
        if trial.name in known or not chosen or time.monotonic() - began > given.at_most:
            continue
        with tempfile.TemporaryDirectory() as folder:
            seen = known[trial.name] = run(trial, Path(folder))
            print(seen, flush=True)
            if seen.problem:
                print((Path(folder) / "launch.log").read_text(encoding="utf-8"), file=sys.stderr)
        if given.results:
            with given.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(seen)) + "\n")
    rclpy.shutdown()
    found = [known[trial.name] for trial in TRIALS if trial.name in known]
    print(page(found))
    if given.write:
        fill(DOCS / "faults.md", {"live": page(found)})
    return int(any(seen.problem for seen in found))


if __name__ == "__main__":
    sys.exit(main())
