# SPDX-License-Identifier: Apache-2.0
"""Robots and motions that several tests share."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from smooth_motion import Chunk, Limits, Plan, State, brake, overlap, splice_ns, track

SLOW = [HealthCheck.too_slow]
settings.register_profile(
    "quick",
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=SLOW,
)
settings.register_profile("thorough", max_examples=1500, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

SECOND = 1_000_000_000
# An absolute time as robots have it, so that nothing works near zero only.
EPOCH = 1_790_000_000 * SECOND
ROW = 33_333_333

SMALL_ARM = Limits(
    ("pan", "lift", "elbow", "flex", "roll"),
    [-1.92, -1.75, -1.69, -1.66, -2.74],
    [1.92, 1.75, 1.69, 1.66, 2.84],
    [2.0] * 5,
    [10.0] * 5,
    [100.0] * 5,
)
# The published limits of a seven-joint arm with jerk limits near 10,000 rad/s^3.
LARGE_ARM = Limits(
    tuple(f"joint{i}" for i in range(1, 8)),
    [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973],
    [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973],
    [2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61],
    [15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0],
    [7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0],
)


def middle(limits):
    return (limits.position_lower + limits.position_upper) / 2.0


def random_chunk(rng, limits, start_ns, around, wild):
    """Return a chunk that jumps by up to 0.2 rad, or one that asks for anything within 10 rad."""
    joints = len(limits.joint_names)
    rows = int(rng.integers(1, 60))
    if wild:
        positions = rng.uniform(-10.0, 10.0, (rows, joints))
    else:
        walk = np.cumsum(rng.normal(0.0, 0.02, (rows, joints)), axis=0)
        positions = around + rng.uniform(-0.2, 0.2, joints) + walk
    return Chunk(limits.joint_names, start_ns, ROW, positions)


def replaced(rng, limits, running, now_ns, *, wild=False, on_knots=True, stops=0.0):
    """Return what replaces the running plan at `now_ns`: a chunk's plan, or sometimes a stop."""
    earliest = now_ns + 120_000_000
    splice = splice_ns(running, earliest) if on_knots else earliest
    state = running.state(splice)
    if rng.uniform() < stops:
        tail = brake(state, limits, start_ns=splice)
    else:
        begun = now_ns - int(rng.uniform(0.0, 0.3) * SECOND)
        chunk = random_chunk(rng, limits, begun, state.position, wild)
        tail = track(chunk, state, limits, start_ns=splice)
    return overlap(running, tail, cut_ns=now_ns - 20_000_000)


def reached(seed, limits, *, wild=False, on_knots=True, stops=0.2, replacements=6):
    """Return a running plan and a time on it, after a random history."""
    rng = np.random.default_rng(seed)
    running, now = Plan.hold(limits.joint_names, middle(limits), EPOCH), EPOCH + SECOND
    for _ in range(replacements):
        running = replaced(rng, limits, running, now, wild=wild, on_knots=on_knots, stops=stops)
        now += int(rng.uniform(0.03, 0.6) * SECOND)
    return running, now, rng


class Arms:
    """Handed to tests as the fixture `arms`."""

    second, epoch, row = SECOND, EPOCH, ROW
    small, large = SMALL_ARM, LARGE_ARM
    both = (SMALL_ARM, LARGE_ARM)
    middle = staticmethod(middle)
    random_chunk = staticmethod(random_chunk)
    replaced = staticmethod(replaced)
    reached = staticmethod(reached)

    @staticmethod
    def rest(limits):
        return State.at_rest(middle(limits))


@pytest.fixture(scope="session")
def arms():
    return Arms
