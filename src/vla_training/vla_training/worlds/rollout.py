# SPDX-License-Identifier: Apache-2.0
"""One episode in a world: look, ask, carry out some rows of the chunk, look again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import PolicyError, PolicyUnavailableError
from vla_training.worlds.interface import Array, BenchmarkWorld


@dataclass(frozen=True)
class WorldPace:
    """When the policy is asked, and how late it answers.

    Attributes:
        rows: Of a chunk that are carried out before the next look.
        latency_s: From a look to the arrival of its chunk, least and most, s. Whatever of the
            chunk is over by then is left out.
    """

    rows: int
    latency_s: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class WorldCourse:
    """What happened in an episode.

    Attributes:
        success: The benchmark's own test was true after a step, the last one.
        ended: `solved`, `timed out`, or what the policy complained of.
        steps: How many were carried out.
        inference_s: Computation time of each answer (N,), with what it took to look.
        hands: Pose of the hand before the first step and after each (steps + 1, 4, 4), m.
    """

    success: bool
    ended: str
    steps: int
    inference_s: Array
    hands: Array


def run_in_world(
    world: BenchmarkWorld,
    ask: Callable[[int], Array],
    pace: WorldPace,
    *,
    horizon: int,
    rng: np.random.Generator,
    watch: Callable[[int], None] | None = None,
) -> WorldCourse:
    """Let somebody act until the task is solved or its horizon is reached.

    Args:
        world: A task has begun in it.
        ask: Looks, and returns a chunk (T, A), row i for i steps later; given the time, ns. Its
            `PolicyError` ends the episode.
        pace: When it is asked.
        horizon: Steps at most.
        rng: Of latencies.
        watch: Called before each step, for a film.

    Raises:
        PolicyUnavailableError: Nobody answers.
    """
    dt_s = world.spec.dt_s
    chunk, began, due = world.idle()[None], 0, 0
    arriving: tuple[int, int, Array] | None = None  # when, of which look, chunk
    taken: list[float] = []
    hands = [world.hand()]
    success, ended, step = False, "timed out", 0
    while step < horizon:
        # What arrives now makes way for the next question.
        if arriving is not None and step >= arriving[0]:
            _, began, chunk = arriving
            arriving = None
        if arriving is None and step >= due:
            since = time.perf_counter()
            try:
                answer = ask(round(step * dt_s * 1e9))
            except PolicyUnavailableError:
                raise  # nobody has seen this: it is no answer, and no failure
            except PolicyError as error:
                ended = str(error)
                break
            taken.append(time.perf_counter() - since)
            late = round(rng.uniform(*pace.latency_s) / dt_s) if pace.latency_s[1] > 0.0 else 0
            due = step + max(pace.rows, 1)
            if late:
                arriving = step + late, step, answer
            else:
                began, chunk = step, answer
        if watch is not None:
            watch(step)
        success = world.step(chunk[min(step - began, len(chunk) - 1)])
        step += 1
        hands.append(world.hand())
        if success:
            ended = "solved"
            break
    return WorldCourse(success, ended, step, np.array(taken), np.array(hands))


def slowed(chunk: Array, slower: float, held: NDArray[np.bool_]) -> Array:
    """Return a chunk that goes the same way in more steps.

    Args:
        chunk: (T, A), a row for a step.
        slower: How many times as many steps, 1 or more.
        held: (A,) columns that say where to be, and so are only said for longer; the others say
            how far to go in a step.

    Returns:
        (T slower, A), rounded down.
    """
    if slower == 1.0 or not len(chunk):
        return chunk
    count = max(1, math.floor(len(chunk) * slower + 1e-9))
    # How much of the chunk is over before each of the new steps, and after the last.
    over = np.minimum(np.arange(count + 1) / slower, float(len(chunk)))
    way = np.vstack([np.zeros(chunk.shape[1]), np.cumsum(chunk, axis=0)])
    known = np.arange(len(chunk) + 1)
    found = np.column_stack([np.diff(np.interp(over, known, column)) for column in way.T])
    row = np.minimum(np.floor(over[:-1] + 1e-9).astype(int), len(chunk) - 1)
    found[:, held] = chunk[row][:, held]
    return found
