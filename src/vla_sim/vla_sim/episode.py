# SPDX-License-Identifier: Apache-2.0
"""The one loop of an episode without ROS: pictures come, chunks arrive late, the arm follows.

All is in simulated time: pictures on a fixed grid, commands at 100 Hz by an executor. Who looks,
who answers and what counts as done is given by whoever runs an episode.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vla_policies import Action, PolicyError, PolicyUnavailableError
from vla_sim.executors import ActionExecutor, Array
from vla_sim.world import World

TICK_S = 0.01  # of the command
SeenT = TypeVar("SeenT")


@dataclass(frozen=True)
class Timing:
    """When pictures come and how late chunks are. What has two values is drawn between them.

    Attributes:
        frame_ticks: Between two pictures, in ticks of `TICK_S`.
        latency_s: From a picture to the arrival of the chunk made of it, s.
        period_s: From one picture that is asked about to the next, at least, s.
        settle_s: How long it goes on when it is done, s.
    """

    frame_ticks: float = 10 / 3  # 30 Hz
    latency_s: tuple[float, float] = (0.05, 0.10)
    period_s: tuple[float, float] = (0.20, 0.30)
    settle_s: float = 0.5


@dataclass(frozen=True, eq=False)
class EpisodeCourse(Generic[SeenT]):
    """What happened in an episode.

    Attributes:
        ended: `done`, `timed out`, or what the policy complained of.
        done_s: Simulated time at which it was done; NaN where it never was.
        duration_s: The same, or all of the time where it never was.
        looks: What was seen.
        phases: What the policy said it was doing, each change of it.
        inference_s: Computation time of each chunk, (N,).
        commands: The commanded joints, (M, J), rad, `TICK_S` apart.
        joints: Where they were at these times, (M, J), rad.
        touched: Names of the objects that the gripper touched.
        error: The policy's, None where there was none.
    """

    ended: str
    done_s: float
    duration_s: float
    looks: tuple[SeenT, ...]
    phases: tuple[str, ...]
    inference_s: Array
    commands: Array
    joints: Array
    touched: frozenset[str]
    error: PolicyError | None


def run_episode(
    world: World,
    executor: ActionExecutor,
    *,
    look: Callable[[int], SeenT],
    drive: Callable[[SeenT], Action],
    timing: Timing,
    rng: np.random.Generator,
    limit_s: float,
    finished: Callable[[], bool] | None = None,
    every_frame: bool = False,
    watch: Callable[[int], None] | None = None,
) -> EpisodeCourse[SeenT]:
    """Let a policy act in the world as it lies.

    Args:
        world: Its arm is where the executor rests.
        executor: At rest.
        look: Return what there is to see at a time, ns.
        drive: Return a chunk for what is seen. Its `PolicyError` ends the episode.
        timing: Of pictures and chunks.
        rng: Of latencies and periods.
        limit_s: Simulated time at most, s.
        finished: Asked at every picture: it is done when this has been true for `settle_s`.
            None: it is done when the policy says so, and the policy is not asked any more.
        every_frame: Look at every picture, not only at those that the policy is asked about.
        watch: Called at every tenth of a second, for a film.

    Raises:
        PolicyUnavailableError: Nobody answers.
    """
    steps = round(TICK_S / world.timestep_s)
    looks: list[SeenT] = []
    phases: list[str] = []
    inference_s: list[float] = []
    commands: list[Array] = []
    joints: list[Array] = []
    touched: set[str] = set()
    arriving: tuple[int, int, Action] | None = None  # when, stamp, chunk
    look_ns, done_ns, now_ns = 0, -1, 0
    error: PolicyError | None = None
    for tick in range(round(limit_s / TICK_S)):
        now_ns = tick * round(TICK_S * 1e9)
        if arriving is not None and now_ns >= arriving[0]:
            executor.accept(arriving[2], arriving[1], now_ns)
            if finished is None and arriving[2].done and done_ns < 0:
                done_ns = now_ns
            arriving = None
        if tick % timing.frame_ticks < 1.0:
            stopped = finished is None and done_ns >= 0
            asked = arriving is None and now_ns >= look_ns and not stopped
            if asked or every_frame:
                looks.append(look(now_ns))
            if asked:
                began = time.perf_counter()
                try:
                    action = drive(looks[-1])
                except PolicyUnavailableError:
                    raise  # nobody has seen this: it is no answer, and no failure
                except PolicyError as raised:
                    error = raised
                    break
                inference_s.append(time.perf_counter() - began)
                if not phases or phases[-1] != action.phase:
                    phases.append(action.phase)
                arriving = (
                    now_ns + round(rng.uniform(*timing.latency_s) * 1e9), now_ns, action
                )  # fmt: skip
                look_ns = now_ns + round(rng.uniform(*timing.period_s) * 1e9)
            if finished is not None:
                done_ns = (now_ns if done_ns < 0 else done_ns) if finished() else -1
        if watch is not None and tick % 10 == 0:
            watch(now_ns)
        if done_ns >= 0 and now_ns >= done_ns + timing.settle_s * 1e9:
            break
        commands.append(executor.command(now_ns))
        joints.append(world.joint_truth()[0])
        world.command(commands[-1])
        world.step(steps)
        touched |= world.touched()
    count = len(world.joint_names)
    return EpisodeCourse(
        ended=str(error) if error is not None else "done" if done_ns >= 0 else "timed out",
        done_s=done_ns * 1e-9 if done_ns >= 0 else float("nan"),
        duration_s=(done_ns if done_ns >= 0 else now_ns) * 1e-9,
        looks=tuple(looks),
        phases=tuple(phases),
        inference_s=np.array(inference_s),
        commands=np.array(commands).reshape(-1, count),
        joints=np.array(joints).reshape(-1, count),
        touched=frozenset(touched),
        error=error,
    )
