# SPDX-License-Identifier: Apache-2.0
"""Hold a recording's figures against the limits of a robot file."""

from __future__ import annotations

import numpy as np

from smooth_motion import Limits, Robot
from smoothness_monitor.report.results import JointFigures, Judgement, StreamReport, Verdict
from smoothness_monitor.report.streams import Role, Stream

# A command is beyond a limit from this ratio on: what rounding and the wire may add is below it.
BEYOND = 1.001
# Of the jerk that uneven stamps feign: so many may be no fault of the command.
STAMP_DEVIATIONS = 4.0


def judgements(
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
                held, because = _held(peak, bound_value, uncertainty, why)
                result.append(Judgement(figure.joint, quantity, peak, bound_value, held, because))
    return tuple(result)


def _held(peak: float, limit: float, uncertainty: float, why: str) -> tuple[Verdict, str]:
    if peak <= limit * BEYOND:
        return Verdict.WITHIN, ""
    if peak <= limit * BEYOND + uncertainty:
        return Verdict.UNCLEAR, why
    return Verdict.BEYOND, ""


def verdict(reports: list[StreamReport], robot: Robot | None) -> tuple[Verdict, tuple[str, ...]]:
    """Return what all judgements together say, with the lines that explain it."""
    if robot is None:
        return Verdict.NOT_JUDGED, ("no robot file was given: --robot FILE",)
    judged = [(report, one) for report in reports for one in report.judgements]
    if not judged:
        names = ", ".join(robot.limits.joint_names)
        return Verdict.NOT_JUDGED, (f"the recording has none of the robot's joints ({names})",)
    for kind in (Verdict.BEYOND, Verdict.UNCLEAR):
        lines = [
            f"{report.stream.name}: {one.quantity} of {one.joint} is {one.value:.4g}, its limit "
            f"{one.limit:.4g}" + (f"; {one.because}" if one.because else "")
            for report, one in judged
            if one.verdict is kind
        ]
        if lines:
            return kind, tuple(lines)
    commands = [report for report, _ in judged if report.stream.role is Role.COMMAND]
    if not commands:
        line = "position, velocity and jerk as measured; no command was recorded"
        return Verdict.WITHIN, (line,)
    apart_ms = 1e3 * max(report.stream.period_s for report in commands)
    line = "position, velocity, acceleration and jerk of the command"
    return Verdict.WITHIN, (f"{line}, as far as samples {apart_ms:.3g} ms apart show",)
