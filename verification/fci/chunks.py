# SPDX-License-Identifier: Apache-2.0
"""Chunks that no sound policy sends. They depend on seed and number alone, not on the arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from verification.faults.clock import MS, S
from vla_policies.adversary import DT_S, Mode, Victim, misbehave
from vla_sim.fci.reflexes import Array

DT_NS = round(DT_S * 1e9)
OBSERVE_NS = 300 * MS
MODE_NS = 1500 * MS
LATE_NS = 400 * MS
LATEST_S = 0.66  # as much as 20 rows
LOST = 0.02
CONTRADICTION_RAD, NOISE_RAD = 0.3, 0.005
ROWS = 50


@dataclass(frozen=True, eq=False)
class BadChunk:
    """One chunk.

    Attributes:
        stamp_ns: Of its observation, which is the time of row 0; from the start of the stream.
        arrival_ns: Likewise.
        positions: (T, J) rad; may hold anything.
    """

    stamp_ns: int
    arrival_ns: int
    positions: Array


def adversary(victim: Victim, seconds: float, seed: int) -> Iterator[BadChunk]:
    """Yield what the policy `adversary` says of a joint that sways; a mode for 1.5 s in turn."""
    modes = tuple(Mode)
    for number in range(round(seconds * S) // OBSERVE_NS):
        stamp_ns = number * OBSERVE_NS
        mode = modes[stamp_ns // MODE_NS % len(modes)]
        rng = np.random.default_rng([seed, number])
        here = victim.centre.copy()
        here[0] += 0.3 * np.sin(2.0 * np.pi * 0.4 * stamp_ns * 1e-9)
        rows = misbehave(mode, here, stamp_ns * 1e-9, rng, victim)
        late_ns = LATE_NS if mode is Mode.LATE else 50 * MS
        yield BadChunk(stamp_ns, stamp_ns + late_ns, rows)


def contradictory(victim: Victim, seconds: float, seed: int) -> Iterator[BadChunk]:
    """Yield chunks of which each says otherwise than the one before, 0 to 0.66 s late."""
    joints = len(victim.joints)
    ways = np.random.default_rng([seed, 1 << 20])
    speed, phase = ways.uniform(0.1, 0.4, joints), ways.uniform(0.0, 2.0 * np.pi, joints)
    for number in range(round(seconds * S) // OBSERVE_NS):
        stamp_ns = number * OBSERVE_NS
        rng = np.random.default_rng([seed, number])
        times = (stamp_ns + DT_NS * np.arange(ROWS)) * 1e-9
        rows = victim.centre + 0.4 * np.sin(2.0 * np.pi * speed * times[:, None] + phase)
        rows += CONTRADICTION_RAD * rng.uniform(-1.0, 1.0, joints)
        rows += rng.normal(0.0, NOISE_RAD, rows.shape)
        late_ns = round(rng.uniform(0.0, LATEST_S) * S)
        if rng.uniform() >= LOST:
            yield BadChunk(stamp_ns, stamp_ns + max(late_ns, MS), rows)


STREAMS = {"adversary": adversary, "late and contradictory": contradictory}
