# SPDX-License-Identifier: Apache-2.0
"""What a recording's streams say: jerk, movements, time stamps, worst moments."""

from __future__ import annotations

import numpy as np

from smooth_motion import (
    Limits,
    Movement,
    Robot,
    SavitzkyGolayJerk,
    Segmentation,
    command_jerk,
    movements,
)
from smoothness_monitor.report.encoder import on_grid, quantum
from smoothness_monitor.report.judge import judgements, verdict
from smoothness_monitor.report.results import JointFigures, Moment, Report, StreamReport, Timing
from smoothness_monitor.report.streams import FloatArray, IntArray, Recording, Role, Stream

# Delay of the filter for measured jerk: half of the stretch of time that one estimate is made of.
MEASURED_DELAY_S = 0.1
# Where samples are this many periods apart or more, one is missing.
GAP_PERIODS = 1.5
# So many moments of most jerk are named, so far apart or further.
WORST = 10
APART_NS = 250_000_000
# Hands and wheels move differently and would hide the arm's movements.
NO_ARM_WORDS = ("gripper", "finger", "jaw", "knuckle", "thumb", "wheel", "caster")
# Less than this share of the worst moment is none.
NEGLIGIBLE = 1e-3
FEWEST_SAMPLES = 8


def analyse(recording: Recording, robot: Robot | None = None) -> Report:
    """Return what the recording says."""
    reports = [_stream_report(stream, robot) for stream in recording.streams]
    reports.sort(key=lambda r: (r.stream.role is not Role.COMMAND, -len(r.movement_joints)))
    decided, reasons = verdict(reports, robot)
    return Report(recording, robot, tuple(reports), decided, reasons)


def _stream_report(stream: Stream, robot: Robot | None) -> StreamReport:
    timing = _timing(stream)
    steps = [_step(stream, j, robot) for j in range(len(stream.joint_names))]
    if stream.role is Role.COMMAND:
        times, jerk, window = _command_jerk(stream)
        estimators: list[SavitzkyGolayJerk | None] = [None] * len(steps)
    else:
        times, jerk, window, estimators = _measured_jerk(stream, [step for step, _ in steps])
    figures = tuple(
        _figures(stream, j, jerk[:, j], estimators[j], *steps[j], timing)
        for j in range(len(stream.joint_names))
    )
    moving = _moving_joints(stream, robot)
    found = _movements(stream, moving, [step for step, _ in steps])
    limits = robot.limits if robot else None
    worst = _worst(stream, times, jerk, limits, figures)
    judged = judgements(stream, figures, limits) if limits else ()
    return StreamReport(
        stream,
        timing,
        figures,
        times,
        jerk,
        window,
        tuple(found),
        tuple(stream.joint_names[j] for j in moving),
        worst,
        judged,
    )


def _timing(stream: Stream) -> Timing:
    steps = np.diff(stream.stamps_ns) * 1e-9
    forward = steps[steps > 0.0]
    period = float(np.median(forward)) if forward.size else 0.0
    whole = forward[forward < GAP_PERIODS * period]
    gaps = forward[forward >= GAP_PERIODS * period]
    return Timing(
        len(stream.stamps_ns),
        float(stream.stamps_ns.max() - stream.stamps_ns.min()) * 1e-9,
        period,
        round(float(np.std(whole)), 9) if whole.size else 0.0,
        int((np.round(gaps / period) - 1).sum()) if gaps.size else 0,
        gaps.size,
        float(forward.max(initial=0.0)),
        int((steps == 0.0).sum()),
        int((steps < 0.0).sum()),
        stream.not_newer,
    )


def _step(stream: Stream, joint: int, robot: Robot | None) -> tuple[float | None, bool]:
    """Return the joint's encoder step, and whether it is the one that the robot file gives."""
    names = (*robot.limits.joint_names, robot.gripper.joint) if robot else ()
    column = stream.positions[:, joint]
    if robot and stream.joint_names[joint] in names:
        step = 2.0 * np.pi / robot.ticks_per_turn
        if on_grid(column, step):
            return step, True
    return quantum(column), False


def _command_jerk(stream: Stream) -> tuple[IntArray, FloatArray, float]:
    """Return the exact jerk of each joint, on the stream's times."""
    period = stream.period_s if len(stream.times_ns) > 1 else 0.0
    jerk = np.full(stream.positions.shape, np.nan)
    for j, column in enumerate(stream.positions.T):
        seen = np.flatnonzero(np.isfinite(column))
        index, values = command_jerk(
            stream.times_ns[seen],
            column[seen, None],
            min_dt_s=max(2e-4, 0.05 * period),
            max_dt_s=max(0.1, 3.5 * period),
        )
        jerk[seen[index], j] = values[:, 0]
    return stream.times_ns, jerk, 3.0 * period


def _measured_jerk(
    stream: Stream, steps: list[float | None]
) -> tuple[IntArray, FloatArray, float, list[SavitzkyGolayJerk | None]]:
    """Return the filtered jerk of each joint at the times that the estimates are centred on."""
    jerk = np.full(stream.positions.shape, np.nan)
    none: list[SavitzkyGolayJerk | None] = [None] * len(steps)
    if len(stream.times_ns) < FEWEST_SAMPLES:
        return stream.times_ns, jerk, 0.0, none
    period = stream.period_s
    half = max(2, min(200, round(MEASURED_DELAY_S / period)))
    estimators: list[SavitzkyGolayJerk | None] = []
    for j, column in enumerate(stream.positions.T):
        ticks = 2.0 * np.pi / (steps[j] or 1e-9)
        name = stream.joint_names[j]
        estimator = SavitzkyGolayJerk([name], 2 * half + 1, period, ticks)
        seen = np.flatnonzero(np.isfinite(column))
        gaps = np.flatnonzero(np.diff(stream.times_ns[seen]) > GAP_PERIODS * period * 1e9)
        for rows in np.split(seen, gaps + 1):
            values = estimator.over(column[rows, None])[:, 0]
            jerk[rows[half : half + len(values)], j] = values
        estimators.append(estimator if steps[j] else None)
    return stream.times_ns, jerk, (2 * half + 1) * period, estimators


def _figures(
    stream: Stream,
    joint: int,
    jerk: FloatArray,
    estimator: SavitzkyGolayJerk | None,
    step: float | None,
    step_known: bool,
    timing: Timing,
) -> JointFigures:
    column = stream.positions[:, joint]
    seen = np.isfinite(column)
    p, t = column[seen], stream.times_ns[seen] * 1e-9
    velocity = acceleration = stamp_floor = None
    if p.size > 2 and stream.role is Role.COMMAND:
        first = np.diff(p) / np.diff(t)
        velocity = float(np.abs(first).max())
        acceleration = float(np.abs(2.0 * np.diff(first) / (t[2:] - t[:-2])).max())
        if stream.clock != "trajectory time":
            # A sample that is late by d is off by v d; the third difference adds up 1, 3, 3, 1.
            stamp_floor = float(np.sqrt(20.0)) * velocity * timing.jitter_s / stream.period_s**3
    elif stream.velocities is not None and np.isfinite(stream.velocities[:, joint]).any():
        velocity = float(np.nanmax(np.abs(stream.velocities[:, joint])))
    elif p.size > FEWEST_SAMPLES:
        smooth = _slope(t, p)
        velocity = float(np.nanmax(np.abs(smooth))) if np.isfinite(smooth).any() else None
    values = jerk[np.isfinite(jerk)]
    return JointFigures(
        stream.joint_names[joint],
        int(seen.sum()),
        (float(p.min()), float(p.max())) if p.size else (np.nan, np.nan),
        velocity,
        acceleration,
        float(np.sqrt(np.mean(values**2))) if values.size else None,
        float(np.abs(values).max()) if values.size else None,
        estimator.noise_floor if estimator else None,
        estimator.quantisation_bound if estimator else None,
        step,
        step_known,
        stamp_floor,
    )


def _slope(t: FloatArray, p: FloatArray) -> FloatArray:
    """Return the slope of a straight line through a tenth of a second around each sample.

    NaN where the samples do not reach or are further apart than elsewhere.
    """
    period = float(np.median(np.diff(t)))
    half = max(1, min(50, round(0.05 / period)))
    slope = np.full(t.shape, np.nan)
    if t.size <= 2 * half:
        return slope
    offsets = np.arange(-half, half + 1)
    weights = offsets / ((offsets**2).sum() * period)
    whole = t[2 * half :] - t[: -2 * half] < GAP_PERIODS * 2 * half * period
    slope[half:-half][whole] = np.correlate(p - p.mean(), weights, "valid")[whole]
    return slope


def _moving_joints(stream: Stream, robot: Robot | None) -> list[int]:
    """Return the columns of the joints whose movements are looked for: the arm's."""
    if robot and set(stream.joint_names) & set(robot.limits.joint_names):
        return [j for j, n in enumerate(stream.joint_names) if n in robot.limits.joint_names]
    return [
        j
        for j, name in enumerate(stream.joint_names)
        if not any(word in name.lower() for word in NO_ARM_WORDS)
    ]


def _movements(stream: Stream, moving: list[int], steps: list[float | None]) -> list[Movement]:
    """Return the movements of the joints together."""
    if not moving or len(stream.times_ns) < FEWEST_SAMPLES:
        return []
    positions = stream.positions[:, moving]
    given = None if stream.velocities is None else stream.velocities[:, moving]
    if given is not None and np.isfinite(given).all(axis=1).mean() > 0.9 and given.any():
        velocities, noise = given, 0.0
    else:
        velocities = np.full(positions.shape, np.nan)
        for j, column in enumerate(positions.T):
            seen = np.isfinite(column)
            if seen.sum() > FEWEST_SAMPLES:
                t, p = stream.times_ns[seen] * 1e-9, column[seen]
                slope = np.gradient(p, t) if stream.role is Role.COMMAND else _slope(t, p)
                velocities[seen, j] = slope
        rounding = [steps[j] or 0.0 for j in moving]
        per_joint = 0.0 if stream.role is Role.COMMAND else max(rounding) / 0.1
        noise = per_joint * float(np.sqrt(len(moving)))
    usable = np.isfinite(velocities).all(axis=1)
    if usable.sum() < FEWEST_SAMPLES:
        return []
    period = stream.period_s
    config = Segmentation(
        start_speed=max(0.05, 1.5 * noise),
        rest_speed=max(0.02, noise),
        rest_s=max(0.1, 3.0 * period),
        shortest_s=max(0.1, 3.0 * period),
        longest_s=300.0,
        max_gap_s=max(0.1, 3.5 * period),
    )
    names = [stream.joint_names[j] for j in moving]
    found = movements(names, stream.times_ns[usable], velocities[usable], config)
    if stream.role is Role.COMMAND:
        return found
    # LDLJ is the third derivative's: of measured velocities it says more of noise than of motion.
    return [
        Movement(m.start_ns, m.end_ns, m.peak_speed, m.path, None, m.sparc, m.undefined)
        for m in found
    ]


def _worst(
    stream: Stream,
    times: IntArray,
    jerk: FloatArray,
    limits: Limits | None,
    figures: tuple[JointFigures, ...],
) -> tuple[Moment, ...]:
    """Return the moments of most jerk, a quarter of a second apart or more."""
    known = dict(zip(limits.joint_names, limits.jerk.tolist(), strict=True)) if limits else {}
    bounds = np.array([known.get(name, np.nan) for name in stream.joint_names])
    size = np.abs(jerk)
    # Joints with limits by their limits, before all others.
    score = np.where(np.isfinite(bounds), 1e12 * size / bounds, size)
    score = np.where(np.isfinite(score), score, 0.0)
    best = score.max(axis=1, initial=0.0)
    found: list[Moment] = []
    taken: list[int] = []
    for k in np.argsort(-best, kind="stable"):
        if len(found) == WORST or not best[k] > NEGLIGIBLE * best.max():
            break
        t = int(times[k])
        if any(abs(t - other) < APART_NS for other in taken):
            continue
        taken.append(t)
        j = int(np.argmax(score[k]))
        ratio = float(size[k, j] / bounds[j]) if np.isfinite(bounds[j]) else None
        found.append(Moment(t, figures[j].joint, float(jerk[k, j]), ratio))
    return tuple(found)
