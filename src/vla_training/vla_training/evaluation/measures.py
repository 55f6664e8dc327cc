# SPDX-License-Identifier: Apache-2.0
"""How an arm moved in an episode: jerk, smoothness, length of the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smooth_motion import command_jerk, ldlj, movements, sparc

Array = NDArray[np.float64]
_REST_SAMPLES = 30


@dataclass(frozen=True)
class MotionMeasures:
    """Of the commands of one episode at 100 Hz; NaN where a thing is not defined.

    Jerk is the third difference, exact for commands, over all of the time that is given, rest
    included: beside it stands how long that is. LDLJ and SPARC are means over the movements from
    rest to rest.

    Attributes:
        moving_s: Time that is measured, s.
        joint_jerk_mean: Mean over the time of the jerk's Euclidean norm over the joints, rad/s^3.
        joint_jerk_rms: Root mean square over time and joints, rad/s^3.
        joint_jerk_peak: Largest of any joint, rad/s^3.
        tip_jerk_mean: Mean of the norm of the jerk of the tip's position, m/s^3.
        tip_jerk_rms: Root mean square of that norm, m/s^3.
        tip_jerk_peak: Its largest, m/s^3.
        twist_jerk_mean: Mean of the norm of the jerk of the tip's twist, its second derivative,
            m/s^3 and rad/s^3 together, as arXiv 2603.13925 has it.
        arm_jerk_rms: As `joint_jerk_rms`, of where the simulated joints really were.
        ldlj: Log dimensionless jerk of the joints' velocities.
        sparc: Spectral arc length of the joints' speed.
        movements: How many there were.
        joint_path: Length of the way of the joints, rad.
        tip_path: Length of the way of the tip, m.
    """

    moving_s: float
    joint_jerk_mean: float
    joint_jerk_rms: float
    joint_jerk_peak: float
    tip_jerk_mean: float
    tip_jerk_rms: float
    tip_jerk_peak: float
    twist_jerk_mean: float
    arm_jerk_rms: float
    ldlj: float
    sparc: float
    movements: int
    joint_path: float
    tip_path: float


def measure(
    names: tuple[str, ...], commands: Array, joints: Array, tips: Array, dt_s: float
) -> MotionMeasures:
    """Measure an episode.

    Args:
        names: Of the arm's J joints, without the gripper.
        commands: (M, J) rad, `dt_s` apart.
        joints: (M, J) rad: where they were.
        tips: (M, 4, 4) m: the tip's poses with the joints as commanded.
        dt_s: s.
    """
    jerk = _jerk(commands, dt_s)
    tip = np.linalg.norm(_jerk(tips[:, :3, 3], dt_s), axis=1)
    twist_jerk = np.diff(_twists(tips, dt_s), n=2, axis=0) / dt_s**2
    steps_s = np.full(max(len(commands) - 1, 0), dt_s)
    smoothness = _smoothness(names, commands, steps_s)
    return MotionMeasures(
        moving_s=len(commands) * dt_s,
        joint_jerk_mean=_mean(np.linalg.norm(jerk, axis=1)),
        joint_jerk_rms=_rms(jerk),
        joint_jerk_peak=_peak(jerk),
        tip_jerk_mean=_mean(tip),
        tip_jerk_rms=_rms(tip),
        tip_jerk_peak=_peak(tip),
        twist_jerk_mean=_mean(np.linalg.norm(twist_jerk, axis=1)),
        arm_jerk_rms=_rms(_jerk(joints, dt_s)),
        **smoothness,
        joint_path=float(np.linalg.norm(np.diff(commands, axis=0), axis=1).sum()),
        tip_path=float(np.linalg.norm(np.diff(tips[:, :3, 3], axis=0), axis=1).sum()),
    )


def measure_reference(
    names: tuple[str, ...], times_ns: NDArray[np.int64], positions: Array
) -> MotionMeasures:
    """Measure an arm by its controller's reference, as it was heard on a graph.

    Where samples are missing there is no jerk. What is of the tip is NaN.

    Args:
        names: Of the arm's J joints.
        times_ns: (M,) along the trajectory, ascending.
        positions: (M, J) rad.
    """
    _, jerk = command_jerk(times_ns, positions)
    steps_s = np.diff(times_ns) * 1e-9
    return MotionMeasures(
        moving_s=float(steps_s.sum()),
        joint_jerk_mean=_mean(np.linalg.norm(jerk, axis=1)),
        joint_jerk_rms=_rms(jerk),
        joint_jerk_peak=_peak(jerk),
        tip_jerk_mean=math.nan,
        tip_jerk_rms=math.nan,
        tip_jerk_peak=math.nan,
        twist_jerk_mean=math.nan,
        arm_jerk_rms=math.nan,
        **_smoothness(names, positions, steps_s),
        joint_path=float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum()),
        tip_path=math.nan,
    )


def measure_hand(hands: Array, dt_s: float) -> MotionMeasures:
    """Measure how a hand moved whose joints and commands are not known.

    What is of joints is NaN. The whole episode counts as one movement. Jerk is that of where the
    simulated hand was: compare it with figures of the same world and rate alone.

    Args:
        hands: (M, 4, 4) m: its poses, `dt_s` apart.
        dt_s: s.
    """
    velocities = np.diff(hands[:, :3, 3], axis=0) / dt_s
    jerk = np.linalg.norm(_jerk(hands[:, :3, 3], dt_s), axis=1)
    twist_jerk = np.diff(_twists(hands, dt_s), n=2, axis=0) / dt_s**2
    found = [ldlj(velocities, dt_s), sparc(np.linalg.norm(velocities, axis=1), dt_s)]
    smooth = [math.nan if value is None else value for value in found]
    return MotionMeasures(
        moving_s=(len(hands) - 1) * dt_s,
        joint_jerk_mean=math.nan,
        joint_jerk_rms=math.nan,
        joint_jerk_peak=math.nan,
        tip_jerk_mean=_mean(jerk),
        tip_jerk_rms=_rms(jerk),
        tip_jerk_peak=_peak(jerk),
        twist_jerk_mean=_mean(np.linalg.norm(twist_jerk, axis=1)),
        arm_jerk_rms=math.nan,
        ldlj=smooth[0],
        sparc=smooth[1],
        movements=1 if len(velocities) else 0,
        joint_path=math.nan,
        tip_path=float(np.linalg.norm(np.diff(hands[:, :3, 3], axis=0), axis=1).sum()),
    )


def _smoothness(names: tuple[str, ...], positions: Array, steps_s: Array) -> dict[str, Any]:
    """Return what is of movements from rest to rest.

    Args:
        names: J joints.
        positions: (M, J) rad.
        steps_s: (M - 1,) times between them, s.
    """
    found = []
    if len(steps_s):
        velocities = np.diff(positions, axis=0) / steps_s[:, None]
        # At rest before and after, so that the first movement and the last one are whole.
        still = np.zeros((_REST_SAMPLES, len(names)))
        rest_s = np.full(_REST_SAMPLES, float(np.median(steps_s)))
        times_s = np.cumsum(np.concatenate([rest_s, steps_s, rest_s]))
        times_ns = np.rint((times_s - times_s[0]) * 1e9).astype(np.int64)
        found = movements(names, times_ns, np.vstack((still, velocities, still)))
    return {
        "ldlj": _mean([each.ldlj for each in found if each.ldlj is not None]),
        "sparc": _mean([each.sparc for each in found if each.sparc is not None]),
        "movements": len(found),
    }


def _twists(poses: Array, dt_s: float) -> Array:
    """Return the twists (M - 1, 6) between poses (M, 4, 4): m/s, then rad/s, in the base frame."""
    if len(poses) < 2:
        return np.zeros((0, 6))
    speeds = np.diff(poses[:, :3, 3], axis=0) / dt_s
    turns = poses[1:, :3, :3] @ poses[:-1, :3, :3].swapaxes(1, 2)
    # The axis of a small rotation, times its sine; between two commands it is its angle.
    axes = 0.5 * (turns - turns.swapaxes(1, 2))[:, [2, 0, 1], [1, 2, 0]]
    sines = np.linalg.norm(axes, axis=1, keepdims=True)
    cosines = 0.5 * (np.trace(turns, axis1=1, axis2=2)[:, None] - 1.0)
    angles = np.arctan2(sines, cosines)
    factor = np.where(sines > 1e-9, angles / np.maximum(sines, 1e-9), 1.0)
    return np.hstack((speeds, axes * factor / dt_s))


def _jerk(positions: Array, dt_s: float) -> Array:
    return np.asarray(np.diff(positions, n=3, axis=0) / dt_s**3)


def _mean(values: object) -> float:
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()) if array.size else math.nan


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else math.nan


def _peak(values: Array) -> float:
    return float(np.abs(values).max()) if values.size else math.nan
