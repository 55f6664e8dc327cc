# SPDX-License-Identifier: Apache-2.0
"""The workspace guard against MuJoCo's own collision detection, on random plans of an arm.

    python -m verification.workspace --plans 10000
    python -m verification.workspace --plans 10000 --robot so101

A plan begins at rest in a random posture that is clear and goes to another, clear or not, within
the arm's limits. MuJoCo looks at it every 4 ms, with the shapes of its own model: boxes for the
Panda's fingers, boxes and cylinders throughout for the SO-101, whose moving jaw is left out.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np

from smooth_motion import Chunk, MotionError, Plan, State, track
from smooth_motion.limits import FloatArray
from smoothness_monitor.core.workspace import WorkspaceGuard
from vla_contract.robot import Robot, load_robot
from vla_contract.workspace import load_workspace
from vla_sim.world import World

TOP = Path(__file__).parents[1]
PAGE = TOP / "docs" / "measurements" / "workspace.md"
BEGIN, END = "<!-- begin: {} -->", "<!-- end: {} -->"
LOOK_NS, ROW_NS = 4_000_000, 33_000_000
SPANS_S = (0.6, 1.5)
WIDTH_RAD = 1.2
OPEN_M = 0.04  # of the fingers, as the guard takes them to be


@dataclass
class GuardTally:
    """What was counted.

    Attributes:
        plans: All.
        collide: Those in which MuJoCo finds a contact.
        refused: Those that the guard refuses.
        missed: Those that collide and were not refused.
        false: Those that were refused and do not collide.
        blamed: What the guard named in those refused without a collision, and how often.
        check_s: Processor time of each judgement.
    """

    plans: int = 0
    collide: int = 0
    refused: int = 0
    missed: int = 0
    false: int = 0
    blamed: Counter[str] = field(default_factory=Counter)
    check_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class GuardedArm:
    """An arm that is tried.

    Attributes:
        file: Its workspace file, in its folder.
        block: Of the page.
        neighbours: Bodies that may touch.
        left_out: Bodies that are in no capsule.
        open_m: Joints of the gripper that are opened by so much, m.
    """

    file: str
    block: str
    neighbours: frozenset[frozenset[str]]
    left_out: frozenset[str] = frozenset()
    open_m: tuple[tuple[str, float], ...] = ()


def _pairs(*names: str) -> frozenset[frozenset[str]]:
    return frozenset(map(frozenset, itertools.pairwise(names)))


_HAND = ("link7", "hand", "left_finger", "right_finger")
ARMS = {
    "panda": GuardedArm(
        "workspace.yaml",
        "workspace",
        _pairs("link0", "link1", "link2", "link3", "link4", "link5", "link6", "link7")
        | _pairs("link5", "link7")
        | frozenset(frozenset((one, other)) for one in _HAND for other in _HAND),
        open_m=(("finger_joint1", OPEN_M), ("finger_joint2", OPEN_M)),
    ),
    "so101": GuardedArm(
        "workspace_tabletop.yaml",
        "so101",
        _pairs(
            "base_link",
            "shoulder_link",
            "upper_arm_link",
            "lower_arm_link",
            "wrist_link",
            "gripper_link",
        ),
        frozenset(("moving_jaw_so101_v1_link",)),
    ),
}


class Contacts:
    """MuJoCo's contacts of the arm with the table and with itself."""

    def __init__(self, world: World, arm: GuardedArm) -> None:
        """Let the arm's parts touch each other, but for neighbours."""
        self._model = world.self_touching_model()
        self._data = mujoco.MjData(self._model)
        self._arm = world.arm_addresses()
        self._tried = arm
        self._open = [(int(self._model.joint(name).qposadr[0]), at) for name, at in arm.open_m]

    def touch(self, posture: FloatArray) -> bool:
        """Return whether something touches with the arm at a posture (J,), rad."""
        self._data.qpos[self._arm] = posture
        for address, at in self._open:
            self._data.qpos[address] = at
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)
        body = self._model.geom_bodyid
        for contact in range(self._data.ncon):
            if not self._data.contact.dist[contact] < 0.0:
                continue
            pair = self._data.contact.geom[contact]
            names = frozenset(self._model.body(int(body[geom])).name for geom in pair)
            # What lies on the table is not in the workspace file.
            loose = any("cube" in name or name == "bin" for name in names)
            if names & self._tried.left_out or loose:
                continue
            if names not in self._tried.neighbours and len(names) > 1:
                return True
        return False


def random_plan(robot: Robot, clear: FloatArray, rng: np.random.Generator) -> Plan | None:
    """Return a plan from a posture to another, within the limits; None where there is none."""
    limits = robot.limits
    goal = clear + rng.uniform(-1.0, 1.0, clear.size) * rng.uniform(0.2, WIDTH_RAD)
    goal = np.clip(goal, limits.position_lower + 0.01, limits.position_upper - 0.01)
    rows = round(rng.uniform(*SPANS_S) * 1e9 / ROW_NS)
    chunk = Chunk(limits.joint_names, 0, ROW_NS, np.linspace(clear, goal, rows))
    try:
        return track(chunk, State.at_rest(clear), limits, start_ns=0)
    except MotionError:
        return None


def tried(name: str, count: int, seed: int, page: Path) -> GuardTally:
    """Judge so many plans of an arm; write the page now and then."""
    folder, arm = TOP / "config" / "robots" / name, ARMS[name]
    robot = load_robot(folder / "robot.yaml")
    limits = robot.limits
    space = load_workspace(folder / arm.file, limits.joint_names)
    guard = WorkspaceGuard(space, limits.acceleration)
    contacts = Contacts(World(folder / "robot.yaml", randomise=False), arm)
    rng, tally = np.random.default_rng(seed), GuardTally()
    while tally.plans < count:
        posture = rng.uniform(limits.position_lower, limits.position_upper)
        if guard.clearances(posture[None]).min() < space.margin or contacts.touch(posture):
            continue
        plan = random_plan(robot, posture, rng)
        if plan is None:
            continue
        began = time.thread_time()
        near = guard.judge(plan, plan.start_ns)
        refused = near is not None
        tally.check_s.append(time.thread_time() - began)
        times = np.arange(plan.start_ns, plan.end_ns + LOOK_NS, LOOK_NS)
        collides = any(map(contacts.touch, plan.sample(times).position))
        tally.plans += 1
        tally.collide += collides
        tally.refused += refused
        tally.missed += collides and not refused
        tally.false += refused and not collides
        if near is not None and not collides:
            tally.blamed[near.what] += 1
        if tally.plans % 500 == 0:
            print(tally.plans, tally.collide, tally.refused, tally.missed, tally.false, flush=True)
            write(tally, page, arm.block)
    return tally


def table_of(tally: GuardTally) -> str:
    """Return the table of the page."""
    p50, p99 = np.percentile(np.array(tally.check_s) * 1e3, [50, 99])
    sound = tally.plans - tally.collide
    rows = (
        ("plans", tally.plans),
        ("in which MuJoCo finds a contact", tally.collide),
        ("of these forwarded", tally.missed),
        ("refused", tally.refused),
        ("refused, and MuJoCo finds no contact", tally.false),
        ("the same, as a share of the plans without a contact", f"{tally.false / sound:.2%}"),
        ("processor time of the check, p50 / p99, ms", f"{p50:.2f} / {p99:.2f}"),
    )
    lines = ["| | |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows)]
    return "\n".join(lines)


def write(tally: GuardTally, page: Path, block: str) -> None:
    """Write the table between the marks of the page."""
    begin, end = BEGIN.format(block), END.format(block)
    before, _, rest = page.read_text("utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{table_of(tally)}\n{end}{after}", encoding="utf-8")


def main() -> int:
    """Try, and write the page; return 1 when a plan that collides was forwarded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--robot", choices=sorted(ARMS), default="panda")
    parser.add_argument("--plans", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    tally = tried(given.robot, given.plans, given.seed, given.page)
    write(tally, given.page, ARMS[given.robot].block)
    print(table_of(tally))
    for what, times in tally.blamed.most_common():
        print(f"{times:5} refused without a contact: {what}")
    return 1 if tally.missed else 0


if __name__ == "__main__":
    sys.exit(main())
