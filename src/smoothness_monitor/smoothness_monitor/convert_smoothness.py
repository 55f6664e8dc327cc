# SPDX-License-Identifier: Apache-2.0
"""The messages of ~/smoothness. Nothing is judged here."""

from __future__ import annotations

import math

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from vla_msgs.msg import Smoothness as SmoothnessMsg

from node_kit.messages import to_time
from smooth_motion import JerkStatistics
from smoothness_monitor.core.smoothness_meter import Smoothness


def smoothness_to(found: Smoothness, window_s: float, stamp_ns: int) -> SmoothnessMsg:
    """Return the message."""
    movement, boundaries, counted = found.movement, found.boundaries, found.interventions
    joints = len(found.joint_names)
    msg = SmoothnessMsg(
        joint_names=list(found.joint_names),
        jerk_limit=found.jerk_limit.tolist(),
        window=window_s,
        command_jerk_rms=_jerk(found.command, "rms", joints),
        command_jerk_peak=_jerk(found.command, "peak", joints),
        measured_jerk_rms=_jerk(found.measured, "rms", joints),
        measured_jerk_peak=_jerk(found.measured, "peak", joints),
        measured_jerk_noise_floor=found.noise_floor.tolist(),
        measured_jerk_delay=found.delay_s,
        movements=found.movements,
        boundaries=boundaries.boundaries,
        boundary_window=boundaries.window_s,
        boundary_jerk_rms=boundaries.rms_near.tolist(),
        boundary_jerk_peak=boundaries.peak_near.tolist(),
        elsewhere_jerk_rms=boundaries.rms_elsewhere.tolist(),
        speed_scaling=found.speed_scaling,
        intervention_reasons=list(counted.by_reason),
        intervention_counts=list(counted.by_reason.values()),
        interventions_per_minute=_number(counted.per_minute),
        intervention_share=_number(counted.share),
        intervention_longest=counted.longest_s,
        path_deviation=counted.path_deviation,
    )
    msg.header.stamp = to_time(stamp_ns)
    if movement is not None:
        msg.movement_start = to_time(movement.start_ns)
        msg.movement_duration = movement.duration_s
        msg.movement_path = movement.path
        msg.movement_peak_speed = movement.peak_speed
        msg.movement_ldlj = _number(movement.ldlj)
        msg.movement_sparc = _number(movement.sparc)
    else:
        for field in ("duration", "path", "peak_speed", "ldlj", "sparc"):
            setattr(msg, f"movement_{field}", math.nan)
    return msg


def smoothness_status(node: str, found: Smoothness, why: str) -> DiagnosticStatus:
    """Return the status for /diagnostics: a warning while the motion is slowed down."""
    movement, counted = found.movement, found.interventions
    slowed = found.speed_scaling < 1.0
    values = {
        "speed scaling": f"{found.speed_scaling:g}",
        "command jerk RMS, rad/s^3": _largest(found.command, "rms"),
        "command jerk peak, rad/s^3": _largest(found.command, "peak"),
        "measured jerk RMS, rad/s^3": _largest(found.measured, "rms"),
        "measured jerk peak, rad/s^3": _largest(found.measured, "peak"),
        "measured jerk noise floor, rad/s^3": f"{found.noise_floor.max():.3g}",
        "movements": str(found.movements),
        "newest LDLJ": _text(None if movement is None else movement.ldlj),
        "newest SPARC": _text(None if movement is None else movement.sparc),
        "boundary jerk peak, rad/s^3": f"{found.boundaries.peak_near.max():.4g}",
        "interventions": ", ".join(f"{k} ({n})" for k, n in counted.by_reason.items()) or "none",
        "interventions per minute": _text(counted.per_minute),
        "share of time": _text(counted.share),
        "path deviation, rad": f"{counted.path_deviation:.3g}",
    }
    return DiagnosticStatus(
        level=DiagnosticStatus.WARN if slowed else DiagnosticStatus.OK,
        name=f"{node}: smoothness",
        message=f"slowed down: {why}" if slowed else "full speed",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _jerk(statistics: JerkStatistics | None, field: str, joints: int) -> list[float]:
    values = np.full(joints, np.nan) if statistics is None else getattr(statistics, field)
    return [float(value) for value in values]


def _largest(statistics: JerkStatistics | None, field: str) -> str:
    return "" if statistics is None else f"{getattr(statistics, field).max():.4g}"
