# SPDX-License-Identifier: Apache-2.0
"""What a recording's streams say: jerk, movements, time stamps, worst moments.

Samples pass by in blocks, twice at most; what is kept does not grow with the recording.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from smooth_motion import Movement, MovementMeter, Segmentation
from vla_recording.report import estimates
from vla_recording.report.encoder import on_grid, quantum
from vla_recording.report.judge import judgements, remarks, verdict
from vla_recording.report.limits import LimitSet
from vla_recording.report.results import (
    JointFigures,
    Peak,
    Pictures,
    Report,
    StampTiming,
    StreamReport,
)
from vla_recording.report.series import Coverage, Curve, FloatArray, IntArray
from vla_recording.report.streams import LOOSE, PIECE, STEP, TIME, JointStream, Recording, Role
from vla_recording.report.tally import JointTally, PeakTally, WorstTally
from vla_recording.report.tool import tool_streams

# Where samples are this many periods apart or more, one is missing.
GAP_PERIODS = 1.5
# Hands and wheels move differently and would hide the arm's movements.
NO_ARM_WORDS = ("gripper", "finger", "jaw", "knuckle", "thumb", "wheel", "caster")
FEWEST_SAMPLES = 8
# A movement's speed is looked at at this spacing, s; finer says no more of it.
_MOVEMENT_DT_S = 0.004


def analyse(
    recording: Recording,
    limits: LimitSet | None = None,
    tip: str | None = None,
    scratch: Path | None = None,
) -> Report:
    """Return what the recording says.

    Args:
        recording: Still open: its samples are read here.
        limits: What it is held against.
        tip: Link of the URDF among them whose motion is looked at too.
        scratch: A folder for the tool's samples.
    """
    streams = list(recording.streams)
    if tip is not None:
        streams += tool_streams(streams, limits, tip, scratch)
    reports = [_Analysis(stream, limits).report() for stream in streams]
    reports.sort(
        key=lambda r: (r.stream.unit != "rad", r.stream.role is not Role.COMMAND, -_interest(r))
    )
    decided, reasons, not_judged = verdict(reports, limits, recording)
    return Report(recording, limits, tuple(reports), decided, reasons, not_judged)


def _interest(report: StreamReport) -> int:
    """A stream with many moving joints of which something is known comes first."""
    known = sum(figures.jerk is not None for figures in report.joints)
    return 1000 * (known > 0) + len(report.movement_joints)


class _Analysis:
    def __init__(self, stream: JointStream, limits: LimitSet | None) -> None:
        self._stream, self._limits = stream, limits
        self._names = stream.joint_names
        self._command = stream.role is Role.COMMAND
        joints = range(len(self._names))
        self._tallies = [self._tally(j) for j in joints]
        self._moving = self._moving_joints()
        known = limits.joints if limits else {}
        bounds = [known[n].jerk if n in known else None for n in self._names]
        table = np.array([np.nan if b is None else b for b in bounds])
        chosen = [j for j in joints if j in self._moving or np.isfinite(table[j])]
        self._worst = WorstTally(self._names, table, chosen or list(joints))
        span = stream.start_ns, stream.end_ns
        rows = stream.samples.rows
        self._positions = Curve(*span, len(self._names), rows)
        self._jerk = Curve(*span, len(self._names), rows)
        self._steps = Curve(*span, 1, rows)
        self._movements: list[Movement] = []
        self._meter = self._movement_meter()
        self._last_piece = 0
        # How fast the tool is, and its jerk, whatever the direction.
        self._norms = (PeakTally(0.0, 1.0), PeakTally(0.0, 1.0))
        self._whole = self._sampling(len(self._names))

    def report(self) -> StreamReport:
        stream = self._stream
        with np.errstate(all="ignore"):
            for whole, p, v, lo, hi in stream.windows():
                self._block(whole, p, v, lo, hi)
        if self._meter is not None:
            self._ended(self._meter.finish())
        figures = tuple(self._figures(j) for j in range(len(self._names)))
        if stream.unit != "rad":
            figures += (self._norm_figures(figures),)
        timing = self._timing()
        judged = judgements(stream, figures, self._limits) if self._limits else ()
        pictures = Pictures(self._positions.lines(), self._jerk.lines(), self._steps.lines())
        return StreamReport(
            stream,
            timing,
            figures,
            pictures,
            self._window_s(),
            tuple(self._movements),
            tuple(self._names[j] for j in self._moving),
            self._worst.moments(),
            judged,
            remarks(stream, figures, timing, self._limits),
        )

    def _sampling(self, joint: int) -> estimates.Sampling | None:
        stream = self._stream
        single = stream.piece[:, 1:].ravel()
        single = single[np.isfinite(single) & (single != 0.0)]
        # Positions that were single-precision numbers on their way have their rounding.
        coarse = single.size > 3 and bool((single == single.astype(np.float32)).all())
        return estimates.sampling(
            stream.steps[joint].values(),
            stream.even,
            stream.stamps.looseness_s,
            6e-8 if coarse else 2.3e-16,
            stream.knots,
        )

    def _tally(self, joint: int) -> JointTally:
        how = self._sampling(joint)
        step, known = (None, False) if self._stream.unit != "rad" else self._encoder(joint)
        tally = JointTally(how, step, known)
        if how is None:
            return tally
        gap = how.gap_s
        tally.positions = Coverage(how.period_s, gap)
        if self._command:
            windows = (how.period_s, 2.0 * how.period_s, 3.0 * how.period_s)
        else:
            half = estimates.half_window(how.period_s)
            windows = (0.1, 0.0, (2 * half + 1) * how.period_s)
            if step is not None:
                weights = estimates.even_weights(half, how.period_s)
                tally.noise_floor = float(step / np.sqrt(12.0) * np.linalg.norm(weights))
                tally.bound = float(0.5 * step * np.abs(weights).sum())
        tally.velocity, tally.acceleration, tally.jerk = (PeakTally(w, gap) for w in windows)
        return tally

    def _encoder(self, joint: int) -> tuple[float | None, bool]:
        """Return the joint's encoder step, and whether it is the one that the robot file gives."""
        limits, name = self._limits, self._names[joint]
        column = self._stream.piece[:, 1 + joint]
        given = limits.encoder_step if limits and name in limits.encoder_joints else None
        if given is not None and on_grid(column, given):
            return given, True
        return quantum(column), False

    def _moving_joints(self) -> list[int]:
        """Return the columns of the joints whose movements are looked for: the arm's."""
        known = self._limits.judged if self._limits else {}
        hands = self._limits.hands if self._limits else frozenset()
        own = [j for j, name in enumerate(self._names) if name in known and name not in hands]
        chosen = own or range(len(self._names))
        return [
            j
            for j in chosen
            if (own and self._limits is not None and self._limits.urdf is None)
            or not any(word in self._names[j].lower() for word in NO_ARM_WORDS)
        ]

    def _movement_meter(self) -> MovementMeter | None:
        how = self._sampling(len(self._names))
        if not self._moving or how is None or self._stream.samples.rows < FEWEST_SAMPLES:
            return None
        noise = 0.0
        if not self._command:
            noise = max(self._tallies[j].step or 0.0 for j in self._moving) / 0.1
            noise *= float(np.sqrt(len(self._moving)))
        period = max(how.period_s, _MOVEMENT_DT_S)
        config = Segmentation(
            start_speed=max(0.05, 1.5 * noise),
            rest_speed=max(0.02, noise),
            rest_s=max(0.1, 3.0 * period),
            shortest_s=max(0.1, 3.0 * period),
            longest_s=300.0,
            max_gap_s=max(0.1, 3.5 * period),
        )
        self._stride = max(1, int(_MOVEMENT_DT_S / how.period_s))
        return MovementMeter([self._names[j] for j in self._moving], config)

    def _block(self, whole: IntArray, p: FloatArray, v: FloatArray, lo: int, hi: int) -> None:
        times, pieces = whole[:, TIME], whole[:, PIECE]
        jerk = np.full(p.shape, np.nan)
        speed = np.full(p.shape, np.nan)
        finite = np.isfinite(p)
        together = bool(finite.all())
        shared: list[int] = []
        for j, tally in enumerate(self._tallies):
            seen = np.flatnonzero(finite[:, j])
            fresh = seen[(seen >= lo) & (seen < hi)]
            tally.samples += len(fresh)
            if tally.how is None or not seen.size:
                continue
            tally.positions.add(times[fresh])
            if together and self._command:
                shared.append(j)
            elif self._command:
                self._command_columns([j], seen, whole, p, jerk, speed, lo, hi)
            else:
                self._measured_column(j, seen, whole, p, jerk, speed, lo, hi)
        if shared:
            everything = np.arange(len(times))
            self._command_columns(shared, everything, whole, p, jerk, speed, lo, hi)
        for j, tally in enumerate(self._tallies):
            tally.reported.add(speed[lo:hi, j], v[lo:hi, j])
        new = slice(lo, hi)
        self._positions.add(times[new], p[new])
        self._jerk.add(times[new], jerk[new])
        # There is no step before the very first sample.
        later = slice(lo + int(times[lo] == self._stream.start_ns), hi)
        self._steps.add(times[later], np.multiply(whole[later, STEP, None], 1e-9, dtype=float))
        self._worst.add(times[new], jerk[new])
        self._segment(times[new], pieces[new], speed[new])
        if self._stream.unit != "rad":
            for table, into in zip((speed, jerk), self._norms, strict=True):
                size = np.sqrt((table[new] ** 2).sum(axis=1))
                into.add(times[new], size, size, size)

    def _command_columns(
        self,
        columns: list[int],
        seen: IntArray,
        whole: IntArray,
        p: FloatArray,
        jerk: FloatArray,
        speed: FloatArray,
        lo: int,
        hi: int,
    ) -> None:
        """Estimate joints that have samples in the same rows."""
        how = self._tallies[columns[0]].how
        assert how is not None
        times, pieces = whole[seen, TIME], whole[seen, PIECE]
        q = p[np.ix_(seen, np.array(columns))]
        # Of two samples at almost one time the later one counts: the other may have come late, and
        # a step between them is a step from the sample before.
        apart = np.diff(times, append=times[-1] + 10**12) >= estimates.finest_ns(how)
        if not apart.all():
            seen, times, pieces, q = seen[apart], times[apart], pieces[apart], q[apart]
        found = estimates.differences(times, pieces, whole[seen, LOOSE], q, how)
        between = estimates.central(times, pieces, q, how.gap_s)
        new = (seen >= lo) & (seen < hi)
        rows = seen[new]
        for k, j in enumerate(columns):
            tally = self._tallies[j]
            for quantity, off, into in (
                (found.velocity, found.velocity_off, tally.velocity),
                (found.acceleration, found.acceleration_off, tally.acceleration),
                (found.jerk, found.jerk_off, tally.jerk),
            ):
                size = np.abs(quantity[new, k])
                into.add(times[new], quantity[new, k], size - off[new, k], size)
            tally.velocity.over(*estimates.over_gaps(times, pieces, q[:, k], how, 0.0, new))
            known = np.isfinite(found.jerk[new, k])
            feigned = found.jerk_off[new, k][known]
            tally.stamp_floor = max(tally.stamp_floor, float(feigned.max(initial=0.0)))
            jerk[rows, j] = found.jerk[new, k]
            speed[rows, j] = between[new, k]

    def _measured_column(
        self,
        j: int,
        seen: IntArray,
        whole: IntArray,
        p: FloatArray,
        jerk: FloatArray,
        speed: FloatArray,
        lo: int,
        hi: int,
    ) -> None:
        tally = self._tallies[j]
        assert tally.how is not None
        times, pieces, q = whole[seen, TIME], whole[seen, PIECE], p[seen, j]
        new = (seen >= lo) & (seen < hi)
        rows = seen[new]
        slope = estimates.slopes(times, pieces, q, tally.how)[new]
        size = np.abs(slope)
        tally.velocity.add(times[new], slope, size, size)
        step = tally.step or 0.0
        tally.velocity.over(*estimates.over_gaps(times, pieces, q, tally.how, step, new))
        if len(seen) >= FEWEST_SAMPLES:
            found = estimates.filtered(times, pieces, q, tally.how, tally.step)
            tally.jerk.add(times[new], found.jerk[new], found.least[new], found.most[new])
            jerk[rows, j] = found.jerk[new]
        speed[rows, j] = slope

    def _segment(self, times: IntArray, pieces: IntArray, speed: FloatArray) -> None:
        """Look for movements in a block."""
        if self._meter is None:
            return
        velocities = speed[:, self._moving]
        usable = np.flatnonzero(np.isfinite(velocities).all(axis=1))
        for part in np.split(usable, np.flatnonzero(np.diff(pieces[usable])) + 1):
            if not len(part):
                continue
            if pieces[part[0]] != self._last_piece:
                self._ended(self._meter.finish("the clock jumps in it"))
                self._last_piece = int(pieces[part[0]])
            chosen = part[:: self._stride]
            for movement in self._meter.extend(times[chosen].tolist(), velocities[chosen]):
                self._ended(movement)

    def _ended(self, movement: Movement | None) -> None:
        if movement is None:
            return
        if not self._command:
            # LDLJ is the third derivative's: of measured velocities it says more of noise.
            movement = replace(movement, ldlj=None)
        self._movements.append(movement)

    def _window_s(self) -> float:
        how = self._whole
        if how is None:
            return 0.0
        if self._command:
            return 3.0 * how.period_s
        return (2 * estimates.half_window(how.period_s) + 1) * how.period_s

    def _figures(self, j: int) -> JointFigures:
        stream, tally = self._stream, self._tallies[j]
        duration = stream.duration_s
        low, high = stream.extremes[:, j]
        seen = min(1.0, tally.positions.seconds / duration) if duration > 0.0 else 0.0
        name = self._names[j]
        jerk = tally.jerk.peak(duration)
        curve = stream.curve_jerk.get(name)
        if curve is not None and jerk is None:
            jerk = Peak(curve, curve, curve)
        elif curve is not None and jerk is not None:
            value, least, most = (max(curve, peak) for peak in (jerk.value, jerk.least, jerk.most))
            jerk = Peak(value, least, most, jerk.rms, jerk.seen)
        return JointFigures(
            name,
            tally.samples,
            seen,
            (float(low), float(high)) if np.isfinite(low) else (np.nan, np.nan),
            tally.velocity.peak(duration),
            tally.reported.peak,
            tally.reported.ratio,
            tally.reported.fits,
            tally.acceleration.peak(duration) if self._command else None,
            jerk,
            tally.noise_floor,
            tally.bound,
            tally.step,
            tally.step_known,
            tally.stamp_floor if self._command and not stream.even else None,
            stream.wraps.get(name, 0),
        )

    def _norm_figures(self, axes: tuple[JointFigures, ...]) -> JointFigures:
        """Return the figures of the tool's way as a whole."""
        velocity, jerk = (tally.peak(self._stream.duration_s) for tally in self._norms)
        return replace(
            axes[0],
            joint="all axes",
            position_range=(np.nan, np.nan),
            velocity=velocity,
            acceleration=None,
            jerk=jerk,
            stamp_floor=None,
        )

    def _timing(self) -> StampTiming:
        stream, stamps = self._stream, self._stream.stamps
        steps = stream.steps[-1].values() * 1e-9
        steps = steps[steps > 0.0]
        period = float(np.median(steps)) if steps.size else 0.0
        # The steps are all of them, or an even selection.
        share = max(1.0, (stream.samples.rows - 1) / max(1, steps.size))
        usual = self._whole.period_s if self._whole else period
        whole = steps[steps < GAP_PERIODS * max(period, usual)]
        gaps = steps[steps >= GAP_PERIODS * max(period, usual)]
        missing = np.minimum(np.round(gaps / max(period, usual, 1e-12)) - 1, 1e9)
        return StampTiming(
            stamps.messages,
            stream.duration_s,
            period,
            round(float(np.std(whole)), 9) if whole.size else 0.0,
            round(float(missing.sum()) * share),
            round(gaps.size * share),
            float(steps.max(initial=0.0)),
            stamps.repeated,
            stamps.backwards,
            stamps.forwards,
            stamps.first_jump_s,
            stamps.messages - stream.samples.rows,
        )
