# SPDX-License-Identifier: Apache-2.0
"""Between ROS messages and the core's types. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from vla_msgs.msg import MonitorStatus

from node_kit.messages import to_time
from smoothness_monitor.core.types import DetectorReport, MonitorSnapshot, ServoStatus, StopState

# Of a diagnostic message: statuses, and letters of each of their texts.
MOST_STATUSES = 1024
MOST_TEXT = 200


def servos_from(msg: DiagnosticArray, prefix: str) -> tuple[ServoStatus, ...]:
    """Return the statuses of a diagnostic message whose names begin with a prefix.

    Anybody may publish there, so that no more than `MOST_STATUSES` are looked at, and no more of a
    text is kept than a person reads.
    """
    return tuple(
        # The field is a byte: bytes in rclpy.
        ServoStatus(
            item.name[:MOST_TEXT],
            int.from_bytes(bytes(item.level), "little"),
            item.message[:MOST_TEXT],
        )
        for item in msg.status[:MOST_STATUSES]
        if item.name.startswith(prefix)
    )


def activity_from(msg: Any, controller: str) -> str | None:
    """Return the state of a controller by ControllerManagerActivity, None if not loaded."""
    for item in msg.controllers:
        if item.name == controller:
            return str(item.state.label)[:MOST_TEXT]
    return None


def state_to(snapshot: MonitorSnapshot, stamp_ns: int) -> MonitorStatus:
    """Return the state message."""
    msg = MonitorStatus(
        state=int(snapshot.state),
        permit=snapshot.permit,
        speed_scaling=snapshot.speed_scaling,
        slow_reason=snapshot.slow_reason,
        first_cause=snapshot.first_cause,
        first_cause_detail=snapshot.first_cause_detail,
        causes=list(snapshot.causes),
        trip_stamp=to_time(snapshot.trip_ns),
        rung=int(snapshot.rung),
        rung_log=list(snapshot.rung_log),
        locked_out=snapshot.locked_out,
        waiting_for=list(snapshot.waiting_for),
        joint_names=list(snapshot.joint_names),
        jerk_limit=snapshot.jerk_limit,
        command_jerk=snapshot.command_jerk,
        command_jerk_peak=snapshot.command_jerk_peak,
        measured_jerk=snapshot.measured_jerk,
        measured_jerk_noise_floor=snapshot.measured_jerk_noise_floor,
        measured_jerk_threshold=snapshot.measured_jerk_threshold,
        measured_jerk_delay=snapshot.measured_jerk_delay_s,
        plans_forwarded=snapshot.plans_forwarded,
        plans_rejected=snapshot.plans_rejected,
        last_rejection=snapshot.last_rejection,
    )
    msg.header.stamp = to_time(stamp_ns)
    return msg


def diagnostics_to(
    node: str,
    snapshot: MonitorSnapshot,
    reports: Sequence[DetectorReport],
    *more: DiagnosticStatus,
    hardware_id: str,
    stamp_ns: int,
) -> DiagnosticArray:
    """Return one status for the stop, one for each detector, and those given.

    Args:
        node: With its namespace: others publish on the same topic.
        snapshot: The monitor's.
        reports: The detectors'.
        more: More statuses.
        hardware_id: The robot, as no other on the topic is called.
        stamp_ns: Time of it.
    """
    levels = {StopState.READY: DiagnosticStatus.OK, StopState.STARTUP: DiagnosticStatus.WARN}
    summary = DiagnosticStatus(
        level=levels.get(snapshot.state, DiagnosticStatus.ERROR),
        name=f"{node}: stop",
        message=snapshot.state.name,
        values=[
            KeyValue(key="first cause", value=snapshot.first_cause),
            KeyValue(key="detail", value=snapshot.first_cause_detail),
            KeyValue(key="rung", value=snapshot.rung.words),
            KeyValue(key="locked out", value=str(snapshot.locked_out)),
            KeyValue(key="waiting for", value="; ".join(snapshot.waiting_for)),
            KeyValue(key="plans forwarded", value=str(snapshot.plans_forwarded)),
            KeyValue(key="plans rejected", value=str(snapshot.plans_rejected)),
            KeyValue(key="last rejection", value=snapshot.last_rejection),
        ],
    )
    msg = DiagnosticArray(status=[summary])
    msg.header.stamp = to_time(stamp_ns)
    for report in reports:
        level, text = DiagnosticStatus.OK, "nothing found"
        if report.tripped:
            level, text = DiagnosticStatus.ERROR, "tripped"
        elif report.present:
            level, text = DiagnosticStatus.WARN, report.present
        msg.status.append(
            DiagnosticStatus(
                level=level,
                name=f"{node}: {report.name}",
                message=text,
                values=[KeyValue(key="newest", value=report.value)],
            )
        )
    msg.status.extend(more)
    for status in msg.status:
        status.hardware_id = hardware_id
    return msg
