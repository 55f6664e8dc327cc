# SPDX-License-Identifier: Apache-2.0
"""The report as plain values: what report.json holds and the page is made of."""

from __future__ import annotations

import math
from typing import Any

from smooth_motion import Movement
from vla_recording.report.limits import LimitSet
from vla_recording.report.results import (
    JointFigures,
    Moment,
    Peak,
    Report,
    StreamReport,
)

VERSION = 2


def as_record(report: Report) -> dict[str, Any]:
    """Return the report as values that JSON can hold.

    Units are in the keys; null means "not defined".
    """
    recording = report.recording
    origin = origin_ns(report)
    result = {
        "version": VERSION,
        "bag": str(recording.path),
        "start_ns": recording.start_ns,
        "origin_ns": origin,
        "duration_s": (recording.end_ns - recording.start_ns) * 1e-9,
        "from_s": recording.window_s[0] if recording.window_s else None,
        "to_s": recording.window_s[1] if recording.window_s else None,
        "robot": report.limits.name if report.limits else None,
        "verdict": report.verdict.value,
        "reasons": list(report.reasons),
        "not_judged": list(report.not_judged),
        "notes": list(recording.notes),
        "incomplete": recording.incomplete or None,
        "streams": [_stream(one, origin, report.limits) for one in report.streams],
    }
    cleaned = _clean(result)
    assert isinstance(cleaned, dict)
    return cleaned


def origin_ns(report: Report) -> int:
    """Return the time that seconds count from: the start of the recording, by its main stream."""
    window = report.recording.window_s
    return report.main.stream.start_ns - (round(window[0] * 1e9) if window else 0)


def _clean(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _stream(one: StreamReport, origin: int, limits: LimitSet | None) -> dict[str, Any]:
    stream, timing = one.stream, one.timing
    known = limits.joints if limits and stream.unit == "rad" else {}

    def unit(joint: str) -> str:
        return known[joint].unit if joint in known else stream.unit

    return {
        "topic": stream.topic,
        "source": stream.source or None,
        "role": stream.role.value,
        "unit": stream.unit,
        "joints": [_joint(figures, unit(figures.joint)) for figures in one.joints],
        "jerk_window_s": one.window_s,
        "movement_joints": list(one.movement_joints),
        "movements": [_movement(movement, origin, stream.unit) for movement in one.movements],
        "worst_moments": [_moment(moment, origin, unit(moment.joint)) for moment in one.worst],
        "time": {
            "clock": stream.clock,
            "messages": timing.messages,
            "duration_s": timing.duration_s,
            "period_s": timing.period_s,
            "jitter_s": timing.jitter_s,
            "missing": timing.missing,
            "gaps": timing.gaps,
            "longest_gap_s": timing.longest_gap_s,
            "repeated_stamps": timing.repeated,
            "backward_stamps": timing.backwards,
            "forward_stamps": timing.forwards,
            "first_jump_s": timing.first_jump_s,
            "left_out": timing.left_out,
        },
        "missing_joint_values": stream.lost_joints,
        "values_not_finite": stream.not_finite,
        "malformed_messages": stream.malformed,
        "remarks": list(one.remarks),
        "judgements": [
            {
                "joint": judged.joint,
                "quantity": judged.quantity,
                "value": judged.value,
                "limit": judged.limit,
                "verdict": judged.verdict.value,
                "because": judged.because or None,
            }
            for judged in one.judgements
        ],
    }


def _joint(figures: JointFigures, unit: str) -> dict[str, Any]:
    return {
        "joint": figures.joint,
        "unit": unit,
        "samples": figures.samples,
        "seen": figures.seen,
        f"position_lowest_{unit}": figures.position_range[0],
        f"position_highest_{unit}": figures.position_range[1],
        f"velocity_peak_{unit}_s": _value(figures.velocity),
        f"velocity_reported_peak_{unit}_s": figures.reported_velocity,
        "velocity_reported_ratio": figures.velocity_ratio,
        "velocity_reported_fits": figures.velocity_fits,
        f"acceleration_peak_{unit}_s2": _value(figures.acceleration),
        f"jerk_rms_{unit}_s3": figures.jerk.rms if figures.jerk else None,
        f"jerk_peak_{unit}_s3": _value(figures.jerk),
        f"jerk_peak_certain_{unit}_s3": max(0.0, figures.jerk.least) if figures.jerk else None,
        "jerk_seen": figures.jerk.seen if figures.jerk else 0.0,
        f"jerk_noise_floor_{unit}_s3": figures.noise_floor,
        f"jerk_quantisation_bound_{unit}_s3": figures.quantisation_bound,
        f"jerk_stamp_floor_{unit}_s3": figures.stamp_floor,
        "encoder_step_rad": figures.step,
        "encoder_step_from_robot_file": figures.step_known,
        "wraps": figures.wraps,
    }


def _value(peak: Peak | None) -> float | None:
    return peak.value if peak else None


def _movement(movement: Movement, origin: int, unit: str) -> dict[str, Any]:
    return {
        "start_s": (movement.start_ns - origin) * 1e-9,
        "duration_s": movement.duration_s,
        f"peak_speed_{unit}_s": movement.peak_speed,
        f"path_{unit}": movement.path,
        "sparc": movement.sparc,
        "ldlj": movement.ldlj,
        "undefined": movement.undefined or None,
    }


def _moment(moment: Moment, origin: int, unit: str) -> dict[str, Any]:
    return {
        "time_s": (moment.time_ns - origin) * 1e-9,
        "joint": moment.joint,
        "unit": unit,
        f"jerk_{unit}_s3": moment.jerk,
        "share_of_limit": moment.ratio,
    }
