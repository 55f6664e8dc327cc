# SPDX-License-Identifier: Apache-2.0
"""A Panda or FR3 reaches for one place after another, at 1 kHz, by a policy that sees its joints.

The policy is a field of velocities, as one that was cloned from demonstrations: from where the
joints are it goes on towards the target, slower near either end. Each chunk errs, as a whole and
in every row, less so near the target. The joints follow commands ideally.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from franka import FER, FR3, HOME

from executors.base import MS, Array, ChunkRows, Executor, Setup
from executors.fci import aborts
from executors.link import STEP_NS, ChunkDelay, DelayedLink
from executors.outcome import JERK_RATE, ExecutorOutcome, jerk, rms
from smooth_motion import Limits

START_NS = 1_000_000 * MS
OBSERVE_NS = 300 * MS
ROWS = 50
SPEED = 0.9  # rad/s of all joints together
BRAKING, STARTING = 0.4, 0.2  # rad from either end in which it is slower
ROW_NOISE, OFFSET = 0.003, 0.03  # rad
TARGETS = 6
REACHED = 0.03  # rad, every joint
STAY_S = 0.1
GIVE_UP_S = 10.0
REST_S = 1.0  # after the last target


def _targets(seed: int) -> list[Array]:
    rng = np.random.default_rng([seed, 7])
    low = np.maximum(FER.position_lower, FR3.position_lower) + 0.2
    high = np.minimum(FER.position_upper, FR3.position_upper) - 0.2
    return [np.clip(HOME + rng.uniform(-0.6, 0.6, 7), low, high) for _ in range(TARGETS)]


def _infer(position: Array, origin: Array, target: Array, rng: np.random.Generator) -> Array:
    """Return the chunk (ROWS, 7) from where the joints are."""
    rows, q = [], position.copy()
    for _ in range(ROWS):
        rows.append(q)
        left = float(np.linalg.norm(target - q))
        done = float(np.linalg.norm(q - origin))
        speed = SPEED * min(1.0, left / BRAKING, 0.1 + done / STARTING)
        q = q + (target - q) / max(left, 1e-9) * min(speed * STEP_NS * 1e-9, left)
    near = min(1.0, float(np.linalg.norm(target - position)) / 0.3)
    noise = rng.normal(0.0, ROW_NOISE, (ROWS, 7)) + OFFSET * rng.uniform(-1.0, 1.0, 7)
    return np.array(rows) + (0.1 + 0.9 * near) * noise


def run(
    make: Callable[[Setup], Executor], delay: ChunkDelay, *, seed: int, limits: Limits = FER
) -> ExecutorOutcome:
    """Run one executor through all targets; a target that is not reached in time ends the run."""
    executor = make(Setup(limits, None, HOME, START_NS, MS))
    link = DelayedLink(executor, delay, seed)
    targets = _targets(seed)
    origin, position, commands = HOME, HOME, []
    count, reached, began, inside_since = 0, 0, START_NS, None
    now = START_NS
    while True:
        target = targets[min(reached, TARGETS - 1)]
        if now >= START_NS + count * OBSERVE_NS:
            rng = np.random.default_rng([seed, count, 1])
            link.send(ChunkRows(now, STEP_NS, _infer(position, origin, target, rng)))
            count += 1
        position = link.command(now)
        commands.append(position)
        now += MS
        if reached == TARGETS:
            if now - began > REST_S * 1e9:
                break
            continue
        if not (np.abs(position - target) <= REACHED).all():
            inside_since = None
        elif inside_since is None:
            inside_since = now
        elif now - inside_since >= STAY_S * 1e9:
            origin, reached, began, inside_since = target, reached + 1, now, None
            if reached == TARGETS:
                origin = targets[-2]
        if reached < TARGETS and now - began > GIVE_UP_S * 1e9:
            break
    stream = np.array(commands)
    found = jerk(stream[:: 1000 // JERK_RATE])
    success = reached == TARGETS
    return ExecutorOutcome(
        rms(found),
        float(np.abs(found).max()),
        len(stream) * 1e-3,
        successes=int(success),
        tasks=1,
        duration_s=(began - START_NS) * 1e-9 if success else None,
        aborts={
            "as sent": len(aborts(stream, limits)),
            "filtered": len(aborts(stream, limits, filtered=True)),
        },
        refused=executor.refused,
    )
