# SPDX-License-Identifier: Apache-2.0
"""The report as plain values: what report.json holds and the page is made of."""

from __future__ import annotations

import math
from typing import Any

from smooth_motion import Movement
from smoothness_monitor.report.results import (
    JointFigures,
    Moment,
    Report,
    StreamReport,
)

VERSION = 1


def as_record(report: Report) -> dict[str, Any]:
    """Return the report as values that JSON can hold.

    Units are in the keys; null means "not defined".
    """
    recording = report.recording
    result = {
        "version": VERSION,
        "bag": str(recording.path),
        "start_ns": recording.start_ns,
        "origin_ns": int(report.main.stream.times_ns[0]),
        "duration_s": (recording.end_ns - recording.start_ns) * 1e-9,
        "robot": report.robot.name if report.robot else None,
        "verdict": report.verdict.value,
        "reasons": list(report.reasons),
        "notes": list(recording.notes),
        "streams": [_stream(one, report) for one in report.streams],
    }
    cleaned = _clean(result)
    assert isinstance(cleaned, dict)
    return cleaned


def _clean(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _stream(one: StreamReport, report: Report) -> dict[str, Any]:
    stream, timing = one.stream, one.timing
    origin = int(report.main.stream.times_ns[0])
    return {
        "topic": stream.topic,
        "source": stream.source or None,
        "role": stream.role.value,
        "joints": [_joint(figures) for figures in one.joints],
        "jerk_window_s": one.window_s,
        "movement_joints": list(one.movement_joints),
        "movements": [_movement(movement, origin) for movement in one.movements],
        "worst_moments": [_moment(moment, origin) for moment in one.worst],
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
            "left_out": timing.left_out,
        },
        "missing_joint_values": stream.lost_joints,
        "values_not_finite": stream.not_finite,
        "malformed_messages": stream.malformed,
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


def _joint(figures: JointFigures) -> dict[str, Any]:
    return {
        "joint": figures.joint,
        "samples": figures.samples,
        "position_lowest_rad": figures.position_range[0],
        "position_highest_rad": figures.position_range[1],
        "velocity_peak_rad_s": figures.velocity_peak,
        "acceleration_peak_rad_s2": figures.acceleration_peak,
        "jerk_rms_rad_s3": figures.jerk_rms,
        "jerk_peak_rad_s3": figures.jerk_peak,
        "jerk_noise_floor_rad_s3": figures.noise_floor,
        "jerk_quantisation_bound_rad_s3": figures.quantisation_bound,
        "jerk_stamp_floor_rad_s3": figures.stamp_floor,
        "encoder_step_rad": figures.step,
        "encoder_step_from_robot_file": figures.step_known,
    }


def _movement(movement: Movement, origin: int) -> dict[str, Any]:
    return {
        "start_s": (movement.start_ns - origin) * 1e-9,
        "duration_s": movement.duration_s,
        "peak_speed_rad_s": movement.peak_speed,
        "path_rad": movement.path,
        "sparc": movement.sparc,
        "ldlj": movement.ldlj,
        "undefined": movement.undefined or None,
    }


def _moment(moment: Moment, origin: int) -> dict[str, Any]:
    return {
        "time_s": (moment.time_ns - origin) * 1e-9,
        "joint": moment.joint,
        "jerk_rad_s3": moment.jerk,
        "share_of_limit": moment.ratio,
    }
