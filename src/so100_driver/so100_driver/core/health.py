# SPDX-License-Identifier: Apache-2.0
"""How each servo is, for people and for the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from .protection import JointVerdict, Stage
from .state import ServoState


class HealthLevel(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class ServoDiagnosis:
    """One servo.

    Attributes:
        joint: Its joint.
        servo_id: Its id.
        level: How bad it is.
        message: Why, in words.
        values: What was measured, by name with unit.
    """

    joint: str
    servo_id: int
    level: HealthLevel
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


def health_of(
    joint: str,
    servo_id: int,
    state: ServoState | None,
    verdict: JointVerdict,
    *,
    silent: bool,
    age_s: float,
) -> ServoDiagnosis:
    """Return how a servo is.

    Args:
        joint: Its joint.
        servo_id: Its id.
        state: What it last said of itself; None where it never has.
        verdict: What is done about it.
        silent: It has not answered for too long.
        age_s: How long ago it last answered.
    """
    if state is None:
        return ServoDiagnosis(joint, servo_id, HealthLevel.STALE, "never answered")
    values = {
        "temperature, degrees C": f"{state.temperature_c:.0f}",
        "load": f"{state.load:.3f}",
        "current, A": f"{state.current_a:.2f}",
        "voltage, V": f"{state.voltage_v:.1f}",
        "position, ticks": str(state.position),
    }
    if silent:
        words = f"no answer for {age_s:.1f} s"
        return ServoDiagnosis(joint, servo_id, HealthLevel.STALE, words, values)
    if state.faults:
        return ServoDiagnosis(joint, servo_id, HealthLevel.ERROR, ", ".join(state.faults), values)
    if verdict.stage >= Stage.RETREAT:
        return ServoDiagnosis(joint, servo_id, HealthLevel.ERROR, verdict.reason, values)
    if verdict.stage is Stage.SOFT:
        return ServoDiagnosis(joint, servo_id, HealthLevel.WARN, verdict.reason, values)
    return ServoDiagnosis(joint, servo_id, HealthLevel.OK, "well", values)
