# SPDX-License-Identifier: Apache-2.0
"""Run a policy against the world in closed loop, without ROS, and count.

Pictures come at 30 Hz, chunks take a while to arrive, and an executor turns them into commands at
100 Hz, all in simulated time: `python -m vla_sim.evaluate --policy color_pick --seeds 20`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smooth_motion import (
    Chunk,
    GripperPlan,
    NoPlanError,
    Plan,
    overlap,
    splice_ns,
    track,
    track_gripper,
)
from vla_contract.contract import ContractError, load_contract
from vla_contract.robot import Robot, RobotConfigError, load_robot
from vla_policies import STATE, Action, Observation, Policy, PolicyError, check_action, load_policy
from vla_sim.world import CUBES, Renderer, RenderError, World, WorldError

Array = NDArray[np.float64]

TICK_S = 0.01  # of the command
FRAME_TICKS = 10 / 3  # of a picture at 30 Hz
LATENCY_S = (0.05, 0.10)  # from capture to the chunk's arrival
PERIOD_S = (0.20, 0.30)  # between two observations
SETTLE_S = 0.5  # after the policy is done, before the cubes are counted
SPLICE_S = 0.10  # from a chunk's arrival to where its plan takes over


class ActionExecutor(Protocol):
    """Turns chunks into commands."""

    def accept(self, action: Action, stamp_ns: int, now_ns: int) -> None:
        """Take a chunk that arrives now, of an observation stamped earlier."""

    def command(self, now_ns: int) -> Array:
        """Return the command (6,), rad."""


class LinearExecutor:
    """Joins the rows of the newest chunk by straight lines: no bound on anything."""

    def __init__(self, robot: Robot, position: Array) -> None:
        """Begin at rest at `position` (6,), rad."""
        del robot
        self._rows, self._stamp_ns, self._dt_ns = position[None, :], 0, 1

    def accept(self, action: Action, stamp_ns: int, now_ns: int) -> None:
        """Take a chunk."""
        del now_ns
        self._rows, self._stamp_ns = action.positions, stamp_ns
        self._dt_ns = round(action.dt_s * 1e9)

    def command(self, now_ns: int) -> Array:
        """Return the command (6,), rad."""
        row = (now_ns - self._stamp_ns) / self._dt_ns
        index = np.arange(len(self._rows))
        return np.array([np.interp(row, index, column) for column in self._rows.T])


class SmoothExecutor:
    """Tracks chunks with jerk-bounded plans, as the policy node does."""

    def __init__(self, robot: Robot, position: Array) -> None:
        """Begin at rest at `position` (6,), rad."""
        self._limits, self._gripper_limits = robot.limits, robot.gripper
        self._plan = Plan.hold(robot.limits.joint_names, position[:-1], 0)
        self._gripper = GripperPlan.hold(robot.gripper.joint, float(position[-1]), 0)
        self.refused = 0

    def accept(self, action: Action, stamp_ns: int, now_ns: int) -> None:
        """Take a chunk."""
        dt_ns = round(action.dt_s * 1e9)
        names = self._limits.joint_names
        chunk = Chunk(names, stamp_ns, dt_ns, action.positions[:, :-1])
        start_ns = splice_ns(self._plan, now_ns + round(SPLICE_S * 1e9))
        try:
            tail = track(chunk, self._plan.state(start_ns), self._limits, start_ns=start_ns)
        except NoPlanError:
            self.refused += 1
            return
        self._plan = overlap(self._plan, tail, cut_ns=now_ns)
        self._gripper = track_gripper(
            action.positions[:, -1],
            stamp_ns,
            dt_ns,
            self._gripper,
            self._gripper_limits,
            cut_ns=now_ns,
            splice_ns=start_ns,
        )

    def command(self, now_ns: int) -> Array:
        """Return the command (6,), rad."""
        return np.append(self._plan.state(now_ns).position, self._gripper.position(now_ns))


EXECUTORS: dict[str, type[LinearExecutor] | type[SmoothExecutor]] = {
    "linear": LinearExecutor,
    "smooth": SmoothExecutor,
}


@dataclass(frozen=True, eq=False)
class EpisodeResult:
    """What became of one instruction in one scene.

    Attributes:
        seed: Of the scene.
        task: The instruction.
        success: Of all cubes, only the one that the instruction names is in the bin.
        ended: `done`, `timed out` or what the policy or the executor complained of.
        duration_s: Simulated, until the policy was done.
        phases: Every phase in turn.
        inference_s: Computation time of each chunk, (N,).
        commands: The commanded joints, (M, 6), rad, `TICK_S` apart.
    """

    seed: int
    task: str
    success: bool
    ended: str
    duration_s: float
    phases: tuple[str, ...]
    inference_s: Array
    commands: Array

    @property
    def jerk(self) -> Array:
        """Third differences (M - 3, 5) of the arm's commands, rad/s^3."""
        return np.diff(self.commands[:, :-1], n=3, axis=0) / TICK_S**3


def run_episode(
    world: World,
    renderer: Renderer,
    policy: Policy,
    executor: ActionExecutor,
    *,
    seed: int,
    colour: str,
    limit_s: float = 40.0,
) -> EpisodeResult:
    """Lay out a scene and let the policy carry out one instruction.

    Args:
        world: Its arm is put where the executor rests.
        renderer: Of this world.
        policy: Is reset.
        executor: At rest.
        seed: Of the scene, and of latencies.
        colour: Of the cube that is to go into the bin.
        limit_s: Simulated time after which the episode has failed, s.
    """
    rng = np.random.default_rng([seed, 2])
    task = f"put the {colour} cube in the bin"
    world.place_arm(executor.command(0))
    world.reset_scene(seed)
    policy.reset()
    cameras = [f.name for f in policy.spec.observation if f.name != STATE]
    steps = round(TICK_S / world.timestep_s)
    phases: list[str] = []
    inference_s: list[float] = []
    commands: list[Array] = []
    arriving: tuple[int, int, Action] | None = None  # when, stamp, chunk
    look_ns, done_ns, ended = 0, -1, "timed out"
    for tick in range(round(limit_s / TICK_S)):
        now_ns = tick * round(TICK_S * 1e9)
        if arriving is not None and now_ns >= arriving[0]:
            executor.accept(arriving[2], arriving[1], now_ns)
            if arriving[2].done and done_ns < 0:
                done_ns, ended = now_ns, "done"
            arriving = None
        frame = tick % FRAME_TICKS < 1.0
        if arriving is None and frame and now_ns >= look_ns and done_ns < 0:
            observation = _observe(world, renderer, cameras, task, now_ns)
            began = time.perf_counter()
            try:
                action = policy.infer(observation)
                check_action(action, policy.spec)
            except PolicyError as error:
                ended = str(error)
                break
            inference_s.append(time.perf_counter() - began)
            if not phases or phases[-1] != action.phase:
                phases.append(action.phase)
            arriving = (now_ns + round(rng.uniform(*LATENCY_S) * 1e9), now_ns, action)
            look_ns = now_ns + round(rng.uniform(*PERIOD_S) * 1e9)
        if done_ns >= 0 and now_ns >= done_ns + SETTLE_S * 1e9:
            break
        commands.append(executor.command(now_ns))
        world.command(commands[-1])
        world.step(steps)
    in_bin = {state.name for state in world.objects() if state.in_bin}
    return EpisodeResult(
        seed=seed,
        task=task,
        success=ended == "done" and in_bin == {f"{colour}_cube"},
        ended=ended,
        duration_s=(done_ns if done_ns >= 0 else now_ns) * 1e-9,
        phases=tuple(phases),
        inference_s=np.array(inference_s),
        commands=np.array(commands),
    )


def _observe(
    world: World, renderer: Renderer, cameras: Sequence[str], task: str, now_ns: int
) -> Observation:
    snapshot = world.snapshot()
    images = {name: renderer.render(name.rsplit(".", 1)[-1], snapshot) for name in cameras}
    return Observation(now_ns, images, {STATE: world.joint_readings()[0]}, task)


def run(
    robot_file: Path,
    policy: Policy,
    *,
    executor: str,
    seeds: Sequence[int],
    colours: Sequence[str],
    randomise: bool = True,
) -> Iterator[EpisodeResult]:
    """Yield an episode for each seed and colour."""
    robot = load_robot(robot_file)
    world = World(robot_file, randomise=randomise)
    renderer = Renderer(world)
    try:
        for seed in seeds:
            for colour in colours:
                mover = EXECUTORS[executor](robot, world.home)
                yield run_episode(world, renderer, policy, mover, seed=seed, colour=colour)
    finally:
        renderer.close()


def report(episodes: Sequence[EpisodeResult]) -> str:
    """Return a table of how often each colour succeeded, how long it took and how it moved."""
    lines = ["colour  success       duration s (median, longest)   jerk rad/s^3 (rms, peak)"]
    groups: dict[str, list[EpisodeResult]] = {each.task.split()[2]: [] for each in episodes}
    for episode in episodes:
        groups[episode.task.split()[2]].append(episode)
    for name, group in (*groups.items(), ("all", list(episodes))):
        good = sum(episode.success for episode in group)
        durations = [episode.duration_s for episode in group]
        jerk = np.concatenate([episode.jerk for episode in group])
        lines.append(
            f"{name:6s}  {good:4d} / {len(group):4d}   {np.median(durations):10.1f} "
            f"{max(durations):8.1f}           {np.sqrt(np.mean(jerk**2)):10.1f} "
            f"{np.max(np.abs(jerk)):9.1f}"
        )
    taken = np.concatenate([episode.inference_s for episode in episodes]) * 1e3
    lines.append(
        f"inference ms: median {np.median(taken):.1f}, p99 {np.quantile(taken, 0.99):.1f}, "
        f"chunks {len(taken)}"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vla_sim.evaluate", description=__doc__)
    parser.add_argument("--policy", default="color_pick", help="of <robot>_<policy>.yaml")
    parser.add_argument("--robot", default="so101", help="its folder in config/robots")
    parser.add_argument("--config", type=Path, default=Path("config"), help="folder")
    parser.add_argument("--executor", choices=sorted(EXECUTORS), default="smooth")
    parser.add_argument("--seeds", type=int, default=20, help="how many scenes")
    parser.add_argument("--first-seed", type=int, default=0)
    colours = [name.removesuffix("_cube") for name in CUBES]
    parser.add_argument("--colours", nargs="+", choices=colours, default=colours)
    parser.add_argument("--plain", action="store_true", help="do not vary the scenes' look")
    given = parser.parse_args(arguments)
    if given.seeds < 1:
        parser.error("--seeds: must be 1 or more")
    robot_file = given.config / "robots" / given.robot / "robot.yaml"
    contract_file = given.config / "policies" / f"{given.robot}_{given.policy}.yaml"
    try:
        robot = load_robot(robot_file)
        contract = load_contract(contract_file, robot.limits.joint_names, robot.gripper.joint)
        policy = load_policy(contract.policy_name, contract.policy_options)
        episodes = []
        for episode in run(
            robot_file,
            policy,
            executor=given.executor,
            seeds=range(given.first_seed, given.first_seed + given.seeds),
            colours=given.colours,
            randomise=not given.plain,
        ):
            episodes.append(episode)
            if not episode.success:
                print(
                    f"seed {episode.seed}: {episode.task}: {episode.ended} after "
                    f"{episode.duration_s:.1f} s: {' '.join(episode.phases)}",
                    flush=True,
                )
        policy.close()
    except (ContractError, RobotConfigError, PolicyError, WorldError, RenderError) as error:
        print(f"vla_sim.evaluate: {error}", file=sys.stderr)
        return 2
    print(report(episodes))
    return 0 if all(episode.success for episode in episodes) else 1


if __name__ == "__main__":
    sys.exit(main())
