# SPDX-License-Identifier: Apache-2.0
"""A policy that says when it is done puts one cube into the bin: for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_policies import STATE, Action, Observation, Policy, check_action
from vla_sim.episode import TICK_S, Timing
from vla_sim.episode import run_episode as run_any_episode
from vla_sim.executors import ActionExecutor, Array
from vla_sim.world import Renderer, World

TIMING = Timing()


@dataclass(frozen=True, eq=False)
class EpisodeResult:
    """What became of one instruction in one scene.

    Attributes:
        success: Of all cubes, only the one that the instruction names is in the bin.
        ended: `done`, `timed out` or what the policy or the executor complained of.
        duration_s: Simulated, until the policy was done.
        phases: Every phase in turn.
        commands: The commanded joints, (M, J), rad, `TICK_S` apart.
    """

    success: bool
    ended: str
    duration_s: float
    phases: tuple[str, ...]
    commands: Array

    @property
    def jerk(self) -> Array:
        """Third differences (M - 3, J - 1) of the arm's commands, rad/s^3."""
        return np.diff(self.commands[:, :-1], n=3, axis=0) / TICK_S**3


def run_episode(
    world: World,
    renderer: Renderer,
    policy: Policy,
    executor: ActionExecutor,
    *,
    seed: int,
    colour: str,
    timing: Timing = TIMING,
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
        timing: Of pictures and chunks.
        limit_s: Simulated time after which the episode has failed, s.
    """
    task = f"put the {colour} cube in the bin"
    world.place_arm(executor.command(0))
    world.reset_scene(seed)
    policy.reset()
    cameras = [f.name for f in policy.spec.observation if f.name != STATE]

    def infer(observation: Observation) -> Action:
        action = policy.infer(observation)
        check_action(action, policy.spec)
        return action

    course = run_any_episode(
        world,
        executor,
        look=lambda now_ns: _observe(world, renderer, cameras, task, now_ns),
        drive=infer,
        timing=timing,
        rng=np.random.default_rng([seed, 2]),
        limit_s=limit_s,
    )
    in_bin = {state.name for state in world.objects() if state.in_bin}
    return EpisodeResult(
        success=course.ended == "done" and in_bin == {f"{colour}_cube"},
        ended=course.ended,
        duration_s=course.duration_s,
        phases=course.phases,
        commands=course.commands,
    )


def _observe(
    world: World, renderer: Renderer, cameras: Sequence[str], task: str, now_ns: int
) -> Observation:
    snapshot = world.snapshot()
    images = {name: renderer.render(name.rsplit(".", 1)[-1], snapshot) for name in cameras}
    return Observation(now_ns, images, {STATE: world.joint_readings()[0]}, task)
