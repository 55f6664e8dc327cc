# SPDX-License-Identifier: Apache-2.0
r"""Descriptions of robots as others publish them: each ends in an arm that moves, or in why not.

    pip download --no-deps example-robot-data && unzip example_robot_data-*.whl
    python -m verification.descriptions FOLDER ur5_robot.urdf panda.urdf baxter.urdf:left_gripper

For each file below the folder of that name, with a tip after a colon where it has more than one
arm: `vla-robot from-urdf`, then the arm moves through the postures of `wander.yaml`: with planner
and simulation in one process or, with `--graph`, as `demo` moves it. Written is the page.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from vla_contract.contract import load_contract
from vla_contract.robot import load_robot
from vla_policies import STATE, Observation, load_policy
from vla_sim.episode import TICK_S, Timing, run_episode
from vla_sim.executors import SmoothExecutor
from vla_sim.world import World

PAGE = Path(__file__).parents[1] / "docs" / "measurements" / "descriptions.md"
LONGEST_S = 600.0
BEGIN, END = "<!-- begin: descriptions -->", "<!-- end: descriptions -->"


@dataclass(frozen=True)
class DescriptionTrial:
    """What became of a description.

    Attributes:
        name: Its file, and the tip where one was said.
        joints: Of the arm; 0 where there is none.
        gripper: Its joint.
        moved: Whether the episode ended well.
        ratio: Peak jerk of the command over its limit; NaN where nothing moved.
        said: What it was, or why not, in a line.
    """

    name: str
    joints: int
    gripper: str
    moved: bool
    ratio: float
    said: str

    def row(self) -> str:
        """Return the row of the table."""
        if not self.joints:
            return f"| {self.name} | | | | {self.said} |"
        return f"| {self.name} | {self.joints} | {self.gripper} | {self.ratio:.4f} | {self.said} |"


def tried(file: Path, tip: str, scratch: Path, *, graph: bool) -> DescriptionTrial:
    """Make the folder of a description and let its arm move."""
    name = f"{file.name} `--tip {tip}`" if tip else file.name
    folder = scratch / f"{file.stem}_{tip}".rstrip("_")
    words = [sys.executable, "-m", "vla_sim.from_urdf.command", "from-urdf", str(file)]
    words += ["--folder", str(folder), *(["--tip", tip] if tip else [])]
    made = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S)
    if made.returncode:
        lines = made.stderr.strip().splitlines() or ["nothing was said"]
        why = lines[-1].replace(str(file), "").removeprefix("vla-robot: ").lstrip(": ")
        crash = "" if len(lines) == 1 and made.returncode == 2 else "CRASH: "
        return DescriptionTrial(name, 0, "", False, float("nan"), f"{crash}{why}")
    robot = yaml.safe_load((folder / "robot.yaml").read_text("utf-8"))
    joints, gripper = len(robot["arm"]["joints"]), robot["gripper"]["joint"]
    moved, ratio, said = (in_the_graph if graph else alone)(folder)
    return DescriptionTrial(name, joints, gripper, moved, ratio, said)


def alone(folder: Path) -> tuple[bool, float, str]:
    """Let an arm move in this process; return whether it did, the jerk's ratio, and words."""
    robot = load_robot(folder / "robot.yaml")
    contract = load_contract(folder / "wander.yaml", robot.limits.joint_names, robot.gripper.joint)
    policy = load_policy(contract.policy_name, contract.policy_options)
    world = World(folder / "robot.yaml", randomise=False)
    begin = world.tip()[:3, 3]
    farthest = 0.0

    def look(now_ns: int) -> Observation:
        nonlocal farthest
        farthest = max(farthest, float(np.linalg.norm(world.tip()[:3, 3] - begin)))
        return Observation(now_ns, {}, {STATE: world.joint_readings()[0]}, "move")

    course = run_episode(
        world,
        SmoothExecutor(robot, world.home),
        look=look,
        drive=policy.infer,
        timing=Timing(),
        rng=np.random.default_rng(0),
        limit_s=120.0,
    )
    jerk = np.abs(np.diff(course.commands[:, :-1], n=3, axis=0)) / TICK_S**3
    ratio = float(np.max(jerk / robot.limits.jerk))
    lag = float(np.max(np.abs(course.commands[:, :-1] - course.joints[:, :-1])))
    well = course.ended == "done" and farthest > 0.05
    words = (
        f"moved for {course.duration_s:.0f} s, its tip by {farthest:.2f} m, lagging {lag:.2f} rad"
    )
    return well, ratio, words if well else f"DID NOT END WELL: {course.ended}"


def in_the_graph(folder: Path) -> tuple[bool, float, str]:
    """Let an arm move as `demo` does; the same."""
    out = folder.parent / "out" / folder.name
    words = [sys.executable, "-m", "vla_bringup.demo", "--robot", str(folder), "--episodes", "1"]
    words += ["--real-time-factor", "0", "--output", str(out)]
    try:
        run = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return False, float("nan"), f"no end within {LONGEST_S:.0f} s of the host's time"
    if not (out / "summary.json").is_file():
        return False, float("nan"), f"no episode: exit code {run.returncode}"
    told = json.loads((out / "summary.json").read_text("utf-8"))
    episode = told["episodes"][0] if told["episodes"] else {"success": False, "duration_s": 0.0}
    trips = f", TRIPS {told['trips']}" if told["trips"] else ""
    well = bool(episode["success"]) and not told["trips"]
    said = f"moved for {episode['duration_s']:.0f} s" if episode["success"] else "DID NOT END WELL"
    return well, told["peak_command_jerk_ratio"], f"{said}{trips}"


def write(trials: list[DescriptionTrial], page: Path) -> None:
    """Write the table between the marks of the page."""
    head = "| description | joints | gripper | peak jerk / limit | what came of it |\n"
    table = head + "| --- | --- | --- | --- | --- |\n" + "\n".join(each.row() for each in trials)
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Try them all; return 1 if one crashed or did not end well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--graph", action="store_true", help="with every node, as `demo` does")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    trials = []
    with tempfile.TemporaryDirectory() as scratch:
        for word in given.names:
            name, _, tip = word.partition(":")
            file = next(iter(sorted(given.folder.rglob(name))))
            began = time.monotonic()
            trials.append(tried(file, tip, Path(scratch), graph=given.graph))
            print(f"{time.monotonic() - began:6.1f} s  {trials[-1].row()}", flush=True)
            write(trials, given.page)
    bad = [each for each in trials if (each.joints and not each.moved) or "CRASH" in each.said]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
