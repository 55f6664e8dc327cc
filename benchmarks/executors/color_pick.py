# SPDX-License-Identifier: Apache-2.0
"""The simulated SO-101 puts cubes into the bin, led by the policy `color_pick` and its camera."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from executors.base import Array, ChunkRows, Executor, Setup
from executors.link import ChunkDelay, DelayedLink
from executors.outcome import ExecutorOutcome, jerk, rms
from strict_yaml import read_yaml
from vla_contract.robot import Robot, load_robot
from vla_policies import Action, Policy, load_policy
from vla_sim.episode import TICK_S, Timing
from vla_sim.world import Renderer, World

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "src" / "vla_sim" / "test"))

from one_cube import run_episode  # noqa: E402

EPOCH_NS = 1_000_000_000_000
CONFIG = TOP / "config"
COLOURS = ("red", "green", "blue")


class _Adapter:
    """Puts the link in between, and notes where the arm really is."""

    def __init__(self, link: DelayedLink, world: World) -> None:
        self._link, self._world = link, world
        self.arm: list[Array] = []

    def accept(self, action: Action, stamp_ns: int, now_ns: int) -> None:
        del now_ns
        dt_ns = round(action.dt_s * 1e9)
        self._link.send(ChunkRows(EPOCH_NS + stamp_ns, dt_ns, action.positions))

    def command(self, now_ns: int) -> Array:
        self.arm.append(self._world.joint_truth()[0])
        return self._link.command(EPOCH_NS + now_ns)


class Table:
    """The world, its camera and the policy, built once."""

    def __init__(self) -> None:
        self._file = CONFIG / "robots" / "so101" / "robot.yaml"
        self.robot: Robot = load_robot(self._file)
        self.world = World(self._file)
        self.renderer = Renderer(self.world)
        contract = read_yaml(CONFIG / "policies" / "so101_color_pick.yaml")["policy"]
        self.policy: Policy = load_policy(contract["name"], contract["options"])

    def close(self) -> None:
        self.renderer.close()
        self.policy.close()


@contextmanager
def table() -> Iterator[Table]:
    """Build the table, and clear it in the end."""
    built = Table()
    try:
        yield built
    finally:
        built.close()


def run(
    built: Table, make: Callable[[Setup], Executor], delay: ChunkDelay, *, seeds: range
) -> ExecutorOutcome:
    """Run one executor over scenes and colours. All delay is the link's."""
    at_once = Timing(latency_s=(0.0, 0.0))
    commanded, moved, refused, seconds = [], [], 0, 0.0
    durations: list[float] = []
    tasks = 0
    for seed in seeds:
        for colour in COLOURS:
            executor = make(
                Setup(built.robot.limits, built.robot.gripper, built.world.home, EPOCH_NS)
            )
            adapter = _Adapter(DelayedLink(executor, delay, seed), built.world)
            episode = run_episode(
                built.world, built.renderer, built.policy, adapter, seed=seed, colour=colour,
                timing=at_once,
            )  # fmt: skip
            tasks += 1
            seconds += len(episode.commands) * TICK_S
            commanded.append(jerk(episode.commands[:, :-1]))
            # The first note is of before the arm was put in its place.
            moved.append(jerk(np.array(adapter.arm)[1:, :-1]))
            refused += executor.refused
            if episode.success:
                durations.append(episode.duration_s)
    found = np.vstack(commanded)
    return ExecutorOutcome(
        rms(found),
        float(np.abs(found).max()),
        seconds,
        successes=len(durations),
        tasks=tasks,
        duration_s=float(np.mean(durations)) if durations else None,
        arm_rms=rms(np.vstack(moved)),
        refused=refused,
    )
