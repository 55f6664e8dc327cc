# SPDX-License-Identifier: Apache-2.0
"""A policy that misbehaves on purpose, to show that what comes after it does not.

An arm that followed it would really move, and in the air: it misbehaves around a posture in which
the arm touches neither the table nor itself, so that a stop is never owed to a collision. Without
options the arm is an SO-101.
Deterministic: the chunks are a function of the seed and of the observations.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.kinematics import JOINTS, UPPER
from vla_policies.protocol import (
    STATE,
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    Options,
    PolicySpec,
    check_observation,
)

Array = NDArray[np.float64]

ROWS = 30
DT_S = 1.0 / 30.0
_JUMP = 0.6  # rad, largest distance from there; the largest step between rows is twice that
_SHAKE = (0.15, 7.5)  # rad and Hz
_LATE_S = 0.4
_BEYOND = 3.0  # rad past the upper limits
_MOST_JOINTS = 64


@dataclass(frozen=True, eq=False)
class Victim:
    """The arm that is to be moved badly; J joints, the gripper's among them.

    Attributes:
        joints: Their names.
        centre: Around where (J,), rad.
        upper: The limits that are left upwards (J,), rad.
        turning: Which joints may turn freely (J,).
    """

    joints: tuple[str, ...]
    centre: Array
    upper: Array
    turning: NDArray[np.bool_]


SO101 = Victim(
    (*JOINTS, "gripper"),
    np.array([0.0, -0.6, 0.0, 0.5, 0.0, 0.4]),
    np.append(UPPER, 2.0),
    np.array([True, False, False, False, True, False]),
)


class Mode(str, Enum):
    """What is wrong with the chunks, in the order in which all modes are taken.

    `SHAPE` yields no plan at all; of `NAN` the rows before the first bad one are followed.
    """

    JUMPS = "jumps"
    NAN = "nan"
    SHAKE = "shake"
    SHAPE = "shape"
    BEYOND = "beyond"
    LATE = "late"


class Adversary:
    """Misbehaves in one mode, or in each for a while in turn."""

    def __init__(
        self, modes: tuple[Mode, ...], period_s: float, seed: int, victim: Victim = SO101
    ) -> None:
        """Misbehave.

        Args:
            modes: Taken in turn, in this order, from the first observation on.
            period_s: How long each lasts, s.
            seed: Of the jumps.
            victim: Which arm.
        """
        self._victim = victim
        self._modes, self._period_ns, self._seed = modes, round(period_s * 1e9), seed
        self._begin_ns: int | None = None
        self._chunks = 0
        self._spec = PolicySpec(
            policy_id="adversary 0.1.0",
            observation=(FeatureSpec(STATE, FeatureKind.STATE, (len(victim.joints),), "rad"),),
            joint_names=victim.joints,
            units="rad",
            dt_s=DT_S,
            chunk_size=ROWS,
        )

    @property
    def spec(self) -> PolicySpec:
        """What it promises, and does not keep."""
        return self._spec

    def reset(self) -> None:
        """Begin with the first mode."""
        self._begin_ns, self._chunks = None, 0

    def close(self) -> None:
        """Nothing is held."""

    def infer(self, observation: Observation) -> Action:
        """Return a bad chunk; its phase says in which way."""
        check_observation(observation, self._spec)
        if self._begin_ns is None:
            self._begin_ns = observation.stamp_ns
        turn = max(0, observation.stamp_ns - self._begin_ns) // self._period_ns
        mode = self._modes[turn % len(self._modes)]
        rng = np.random.default_rng([self._seed, self._chunks])
        self._chunks += 1
        here = np.asarray(observation.state[STATE], dtype=np.float64)
        if mode is Mode.LATE:
            time.sleep(_LATE_S)
        positions = misbehave(mode, here, observation.stamp_ns * 1e-9, rng, self._victim)
        return Action(positions, DT_S, self._victim.joints, mode.value)


def misbehave(
    mode: Mode, here: Array, now_s: float, rng: np.random.Generator, victim: Victim = SO101
) -> Array:
    """Return rows, (ROWS, J) in every mode but `SHAPE`, where a column is missing.

    Args:
        mode: In which way.
        here: Where the joints are (J,), rad.
        now_s: Time of row 0.
        rng: Of the jumps.
        victim: Which arm.
    """
    rows = np.tile(here, (ROWS, 1))
    times = now_s + DT_S * np.arange(ROWS)
    sway = 0.3 * np.sin(2.0 * np.pi * 0.4 * times)
    if mode is Mode.JUMPS:
        return np.asarray(victim.centre + rng.uniform(-_JUMP, _JUMP, size=rows.shape))
    if mode is Mode.SHAKE:
        amplitude, frequency = _SHAKE
        return np.asarray(rows + amplitude * np.sin(2.0 * np.pi * frequency * times)[:, None])
    if mode is Mode.BEYOND:
        ramp = np.linspace(0.0, 1.0, ROWS)[:, None]
        return np.asarray(rows + ramp * victim.turning * (victim.upper + _BEYOND - here))
    rows[:, 0] += sway
    if mode is Mode.NAN:
        rows[ROWS // 2 :, int(rng.integers(len(here)))] = np.nan
    if mode is Mode.SHAPE:
        return rows[:, :-1]
    return rows


def make(options: Mapping[str, Any]) -> Adversary:
    """Make the policy from its options.

    Args:
        options: ``modes``, a list (without it, all); ``period_s`` (1.5); ``seed`` (0); ``arm``,
            without which it is an SO-101: ``joints``, a list of J names, and J numbers each for
            ``centre``, around which it jumps, and ``upper``, the limits of position; ``turning``,
            the names of those that may turn freely, beyond their limits.

    Raises:
        PolicyError: An option is unknown or wrong.
    """
    known = [mode.value for mode in Mode]
    given = Options("adversary", {"modes": known, "period_s": 1.5, "seed": 0, **options})
    victim = _victim(given.section("arm")) if "arm" in options else SO101
    names = given.take("modes")
    if not isinstance(names, list) or not names or any(name not in known for name in names):
        raise given.error("modes", f"is {names!r}; write a list out of {', '.join(known)}")
    period_s, seed = given.number("period_s", positive=True), given.whole("seed")
    if seed < 0:
        raise given.error("seed", f"is {seed}; write a whole number from 0 on")
    given.end()
    return Adversary(tuple(Mode(name) for name in names), period_s, seed, victim)


def _victim(given: Options) -> Victim:
    names = given.take("joints")
    listed = isinstance(names, list) and all(isinstance(each, str) and each for each in names)
    if not listed or not 2 <= len(names) <= _MOST_JOINTS or len(set(names)) != len(names):
        raise given.error("joints", f"is {names!r}; write 2 to {_MOST_JOINTS} distinct names")
    turning = given.take("turning")
    if not isinstance(turning, list) or not all(name in names for name in turning):
        raise given.error("turning", f"is {turning!r}; write a list of names out of joints")
    centre, upper = given.vector("centre", len(names)), given.vector("upper", len(names))
    given.end()
    return Victim(tuple(names), centre, upper, np.array([name in turning for name in names]))
