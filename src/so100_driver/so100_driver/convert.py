# SPDX-License-Identifier: Apache-2.0
"""From the arm's health to diagnostic messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from node_kit.messages import distinct
from so100_driver.bus import BusStatistics
from so100_driver.core.health import HealthLevel, ServoDiagnosis
from so100_driver.core.orders import ArmMode

NAME = "so100_driver"
# An arm that stands aside from what it is commanded; why is in the message, and in the servos'.
_MODE_LEVEL = {
    ArmMode.OFF: HealthLevel.WARN,
    ArmMode.WAITING: HealthLevel.OK,
    ArmMode.FOLLOWING: HealthLevel.OK,
    ArmMode.HOLDING: HealthLevel.WARN,
    ArmMode.LOWERING: HealthLevel.WARN,
    ArmMode.APPROACHING: HealthLevel.WARN,
}


def health_to(
    namespace: str,
    servos: Sequence[ServoDiagnosis],
    statistics: Mapping[int, BusStatistics],
    mode: ArmMode,
    reason: str,
    refused: int,
    refusal: str,
) -> DiagnosticArray:
    """Return one status of the arm and one of each servo."""
    words = f"{mode.value}{f' ({reason})' if reason else ''}"
    arm = _status(
        distinct(namespace, f"{NAME}/arm"),
        _MODE_LEVEL[mode],
        words,
        {"commands refused": str(refused), "last refusal": refusal},
    )
    return DiagnosticArray(
        status=[arm, *(_servo(namespace, servo, statistics) for servo in servos)]
    )


def _servo(
    namespace: str, servo: ServoDiagnosis, statistics: Mapping[int, BusStatistics]
) -> DiagnosticStatus:
    values = dict(servo.values)
    counts = statistics.get(servo.servo_id)
    if counts is not None:
        values["answers"] = str(counts.answers)
        values["asked again"] = str(counts.retries)
        values["not answered"] = str(counts.failures)
    name = distinct(namespace, f"{NAME}/{servo.joint}")
    return _status(name, servo.level, servo.message, values, f"servo {servo.servo_id}")


def _status(
    name: str,
    level: HealthLevel,
    message: str,
    values: Mapping[str, str],
    hardware_id: str = "",
) -> DiagnosticStatus:
    return DiagnosticStatus(
        name=name,
        # The field is a byte.
        level=bytes((int(level),)),
        message=message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
