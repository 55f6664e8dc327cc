# SPDX-License-Identifier: Apache-2.0
"""Robots, chunks that no sound policy sends, and plans that are altered on their way."""

from __future__ import annotations

from typing import Any

import numpy as np

from smooth_motion import Knots, Limits, Plan
from verification.fuzz.runs import MS, SECOND

# (velocity, acceleration, jerk) of one joint; the ranges of position are drawn.
ROBOTS = {
    "SO-101": (2.0, 10.0, 100.0),
    "Panda": (2.175, 7.5, 3750.0),
    "FR3": (2.62, 10.0, 5000.0),
    "gentle": (0.3, 1.0, 10.0),
    "acceleration-bound": (1.0, 0.5, 50.0),
    "jerk-bound": (3.0, 30.0, 20.0),
    "velocity-bound": (0.05, 20.0, 2000.0),
}
# Those that take long to stop have long plans, and fewer episodes.
SHARES = (0.2, 0.2, 0.2, 0.12, 0.08, 0.08, 0.12)


def chunks(rng: np.random.Generator, limits: Limits, plan: Plan, now_ns: int) -> tuple[Any, ...]:
    """Return a name and the arguments of a chunk."""
    joints = limits.jerk.size
    low, high = limits.position_lower, limits.position_upper
    here = plan.sample(now_ns).position
    rows = int(rng.integers(1, 60 if rng.random() < 0.1 else 16))
    start, dt = now_ns - int(rng.integers(0, 300)) * MS, 33_333_333
    kind = CHUNKS[rng.integers(len(CHUNKS))]
    steps = np.arange(rows)[:, None]
    if kind == "walk":
        q = (
            here
            + rng.uniform(-0.3, 0.3, joints)
            + np.cumsum(rng.normal(0, 0.03, (rows, joints)), 0)
        )
    elif kind == "anything":
        q = rng.uniform(-10.0, 10.0, (rows, joints))
    elif kind == "from end to end":
        q = np.where((steps + rng.integers(0, 2, joints)) % 2, low, high)
    elif kind == "at a limit":
        q = np.broadcast_to(np.where(rng.random(joints) < 0.5, low, high), (rows, joints))
    elif kind == "beyond the limits":
        q = np.broadcast_to(np.where(rng.random(joints) < 0.5, -1e9, 1e9), (rows, joints))
    elif kind == "overflow":
        q = rng.choice([-1e308, 1e308, 5e-324, -0.0], (rows, joints))
    elif kind == "full speed":
        q = here + steps * dt * 1e-9 * limits.velocity * rng.choice([-1.0, 1.0], joints)
    elif kind == "shake":
        q = here + 0.2 * np.sin(steps * rng.uniform(0.1, np.pi, joints))
    elif kind == "nothing new":
        q = plan.sample(start + dt * np.arange(rows)).position
    else:
        q = here + rng.uniform(-0.5, 0.5, (rows, joints))
    names = limits.joint_names
    if kind == "nan":
        q = np.array(q)
        q[rng.integers(rows), rng.integers(joints)] = rng.choice([np.nan, np.inf, -np.inf])
    elif kind == "no rows":
        q = q[:0]
    elif kind == "other joints":
        names = names[::-1] if joints > 1 else ("stranger",)
    elif kind == "dt zero":
        dt = int(rng.integers(-2, 1))
    elif kind == "dt tiny":
        dt = int(rng.integers(1, 1000))
    elif kind == "dt huge":
        dt = int(rng.integers(1, 10**6)) * SECOND
    elif kind == "stale":
        start -= int(rng.integers(1, 10**6)) * SECOND
    elif kind == "of the future":
        start += int(rng.integers(1, 10**6)) * SECOND
    return kind, names, start, dt, q


REFUSED = ("nan", "no rows", "other joints", "dt zero")
CHUNKS = (
    *("walk",) * 18,
    *("anything",) * 9,
    *("from end to end",) * 9,
    *("full speed",) * 9,
    *("shake",) * 6,
    *("at a limit",) * 6,
    *("beyond the limits",) * 3,
    *("overflow",) * 3,
    *("nothing new",) * 3,
    *("dt tiny",) * 3,
    *("stale",) * 3,
    *REFUSED * 3,
    # Long ones.
    "dt huge",
    "of the future",
)


def altered(rng: np.random.Generator, knots: Knots) -> Knots:
    """Return the trajectory with something wrong with it, or hardly so."""
    values = {
        name: np.array(getattr(knots, name))
        for name in ("times_ns", "positions", "velocities", "accelerations")
    }
    start_ns, names = knots.start_ns, knots.joint_names
    what = rng.integers(9)
    name = str(rng.choice(["positions", "velocities", "accelerations"]))
    row, joint = rng.integers(len(values[name])), rng.integers(values[name].shape[1])
    if what <= 2:
        values[name][row, joint] += 10.0 ** rng.uniform(-17, 0) * rng.choice([-1.0, 1.0])
    elif what == 3:
        values[name] *= 1.0 + 10.0 ** rng.uniform(-16, 0)
    elif what == 4:
        values[name][row, joint] = rng.choice([np.nan, np.inf, 1e308])
    elif what == 5:
        values["times_ns"][row] += int(10 ** rng.uniform(0, 9)) * rng.choice([-1, 1])
    elif what == 6:
        start_ns += int(10 ** rng.uniform(0, 10)) * int(rng.choice([-1, 1]))
    elif what == 7:
        keep = slice(int(rng.integers(len(values["times_ns"]))), None)
        values = {key: value[keep] for key, value in values.items()}
    else:
        keep = slice(None, int(rng.integers(1, len(values["times_ns"]) + 1)))
        values = {key: value[keep] for key, value in values.items()}
    return Knots(names, start_ns, **values)
