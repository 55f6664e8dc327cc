# SPDX-License-Identifier: Apache-2.0
"""What a recording's streams say: jerk, movements, time stamps, worst moments, verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
from smoothness_monitor.report.streams import FloatArray, IntArray, Recording, Role, Stream

# Delay of the filter for measured jerk: half of the stretch of time that one estimate is made of.
MEASURED_DELAY_S = 0.1
# Where samples are this many periods apart or more, one is missing.
GAP_PERIODS = 1.5
# A command is beyond a limit from this ratio on: what rounding and the wire may add is below it.
BEYOND = 1.001
# Of the jerk that uneven stamps feign: so many may be no fault of the command.
STAMP_DEVIATIONS = 4.0
WORST = 10
APART_NS = 250_000_000
# Hands and wheels move differently and would hide the arm's movements.
NO_ARM_WORDS = ("gripper", "finger", "jaw", "knuckle", "thumb", "wheel", "caster")
# Less than this share of the worst moment is none.
NEGLIGIBLE = 1e-3
FEWEST_SAMPLES = 8


class Verdict(Enum):
    """What the limits say."""

    WITHIN = "within limits"
    BEYOND = "beyond limits"
    UNCLEAR = "not clear"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Timing:
    """How regular a stream's stamps are.

    Attributes:
        messages: How many there are.
        duration_s: From the first to the last.
        period_s: Median.
        jitter_s: Standard deviation of the periods that no message is missing in.
        missing: Messages that seem to be missing.
        gaps: In how many places.
        longest_gap_s: The longest time between two messages.
        repeated: Stamps equal to the one before.
        backwards: Stamps older than the one before.
        left_out: Samples that the analysis leaves out for such reasons.
    """

    messages: int
    duration_s: float
    period_s: float
    jitter_s: float
    missing: int
    gaps: int
    longest_gap_s: float
    repeated: int
    backwards: int
    left_out: int


@dataclass(frozen=True)
class JointFigures:
    """One joint of one stream; None where something cannot be said.

    Attributes:
        joint: Its name.
        samples: Finite positions.
        position_range: Lowest and highest, rad.
        velocity_peak: rad/s.
        acceleration_peak: rad/s^2, of commands.
        jerk_rms: rad/s^3.
        jerk_peak: rad/s^3.
        noise_floor: Standard deviation that the encoder adds to jerk, rad/s^3.
        quantisation_bound: The most that it can add, rad/s^3.
        step: The encoder's step, rad.
        step_known: It is the robot file's, not estimated.
        stamp_floor: Standard deviation that the stamps' jitter adds to a command's jerk at the
            highest velocity, rad/s^3; None where trajectory time is known.
    """

    joint: str
    samples: int
    position_range: tuple[float, float]
    velocity_peak: float | None
    acceleration_peak: float | None
    jerk_rms: float | None
    jerk_peak: float | None
    noise_floor: float | None
    quantisation_bound: float | None
    step: float | None
    step_known: bool
    stamp_floor: float | None


@dataclass(frozen=True)
class Moment:
    """An instant of much jerk.

    Attributes:
        time_ns: When.
        joint: Which.
        jerk: rad/s^3.
        ratio: To the joint's limit, or None without one.
    """

    time_ns: int
    joint: str
    jerk: float
    ratio: float | None


@dataclass(frozen=True)
class Judgement:
    """One quantity of one joint against its limit.

    Attributes:
        joint: Which.
        quantity: position, velocity, acceleration or jerk.
        value: The worst value.
        limit: Its limit.
        verdict: What follows.
        because: Why it is not clear, or empty.
    """

    joint: str
    quantity: str
    value: float
    limit: float
    verdict: Verdict
    because: str = ""


@dataclass(frozen=True, eq=False)
class StreamReport:
    """Everything about one stream.

    Attributes:
        stream: Itself.
        timing: Its stamps.
        joints: Figures of each joint.
        jerk_times_ns: (M,) of the jerk estimates.
        jerk: (M, J) rad/s^3; NaN where there is none.
        window_s: Stretch of time that one estimate is made of.
        movements: Found in the joints named, or none where there are none to look at.
        movement_joints: Those.
        worst: Moments of most jerk, the worst first.
        judgements: Against the robot's limits.
    """

    stream: Stream
    timing: Timing
    joints: tuple[JointFigures, ...]
    jerk_times_ns: IntArray
    jerk: FloatArray
    window_s: float
    movements: tuple[Movement, ...]
    movement_joints: tuple[str, ...]
    worst: tuple[Moment, ...]
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """Everything about a recording.

    Attributes:
        recording: Itself.
        robot: Whose limits were judged by, or None.
        streams: Each one's report, commands first.
        verdict: Of all judgements together.
        reasons: Lines that explain the verdict.
    """

    recording: Recording
    robot: Robot | None
    streams: tuple[StreamReport, ...]
    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def main(self) -> StreamReport:
        """The stream that the picture shows first: a command if there is one."""
        return self.streams[0]


def analyse(recording: Recording, robot: Robot | None = None) -> Report:
    """Return what the recording says."""
    reports = [_stream_report(stream, robot) for stream in recording.streams]
    reports.sort(key=lambda r: (r.stream.role is not Role.COMMAND, -len(r.movement_joints)))
    verdict, reasons = _verdict(reports, robot)
    return Report(recording, robot, tuple(reports), verdict, reasons)


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
    judgements = _judgements(stream, figures, limits) if limits else ()
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
        judgements,
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


def _judgements(
    stream: Stream, figures: tuple[JointFigures, ...], limits: Limits
) -> tuple[Judgement, ...]:
    """Hold every joint of the robot file against its limits."""
    result = []
    for figure in figures:
        if figure.joint not in limits.joint_names or not figure.samples:
            continue
        j = limits.joint_names.index(figure.joint)
        low, high = float(limits.position_lower[j]), float(limits.position_upper[j])
        down, up = low - figure.position_range[0], figure.position_range[1] - high
        value, limit = (
            (figure.position_range[0], low) if down > up else (figure.position_range[1], high)
        )
        margin = max(1e-3 * (high - low), figure.step or 0.0)
        beyond = max(down, up) > margin
        result.append(
            Judgement(
                figure.joint,
                "position",
                value,
                limit,
                Verdict.BEYOND if beyond else Verdict.WITHIN,
            )
        )
        quantities = [("velocity", figure.velocity_peak, float(limits.velocity[j]), 0.0, "")]
        if stream.role is Role.COMMAND:
            floor = STAMP_DEVIATIONS * (figure.stamp_floor or 0.0)
            why = "the stamps are uneven" if floor else ""
            quantities += [
                (
                    "acceleration",
                    figure.acceleration_peak,
                    float(limits.acceleration[j]),
                    floor * stream.period_s,
                    why,
                ),
                ("jerk", figure.jerk_peak, float(limits.jerk[j]), floor, why),
            ]
        else:
            bound = figure.quantisation_bound
            quantities.append(
                (
                    "jerk",
                    figure.jerk_peak,
                    float(limits.jerk[j]),
                    np.inf if bound is None else bound,
                    "the encoder's step is not known" if bound is None else "the encoder rounds",
                )
            )
        for quantity, peak, bound_value, uncertainty, why in quantities:
            if peak is not None:
                verdict, because = _held(peak, bound_value, uncertainty, why)
                result.append(
                    Judgement(figure.joint, quantity, peak, bound_value, verdict, because)
                )
    return tuple(result)


def _held(peak: float, limit: float, uncertainty: float, why: str) -> tuple[Verdict, str]:
    if peak <= limit * BEYOND:
        return Verdict.WITHIN, ""
    if peak <= limit * BEYOND + uncertainty:
        return Verdict.UNCLEAR, why
    return Verdict.BEYOND, ""


def _verdict(reports: list[StreamReport], robot: Robot | None) -> tuple[Verdict, tuple[str, ...]]:
    if robot is None:
        return Verdict.NOT_JUDGED, ("no robot file was given: --robot FILE",)
    judged = [(report, one) for report in reports for one in report.judgements]
    if not judged:
        names = ", ".join(robot.limits.joint_names)
        return Verdict.NOT_JUDGED, (f"the recording has none of the robot's joints ({names})",)
    for verdict in (Verdict.BEYOND, Verdict.UNCLEAR):
        lines = [
            f"{report.stream.name}: {one.quantity} of {one.joint} is {one.value:.4g}, its limit "
            f"{one.limit:.4g}" + (f"; {one.because}" if one.because else "")
            for report, one in judged
            if one.verdict is verdict
        ]
        if lines:
            return verdict, tuple(lines)
    commands = [report for report, _ in judged if report.stream.role is Role.COMMAND]
    if not commands:
        line = "position, velocity and jerk as measured; no command was recorded"
        return Verdict.WITHIN, (line,)
    apart_ms = 1e3 * max(report.stream.period_s for report in commands)
    line = "position, velocity, acceleration and jerk of the command"
    return Verdict.WITHIN, (f"{line}, as far as samples {apart_ms:.3g} ms apart show",)
