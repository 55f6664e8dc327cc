# SPDX-License-Identifier: Apache-2.0
"""Detectors on inputs that fall silent."""

from __future__ import annotations

import math

from smoothness_monitor.core.detectors.base import Ages, Detector

NOT_CONFIGURED = "not configured"


class Stale(Detector):
    """An input has not arrived for too long."""

    unit = "s"
    latency = "the threshold, plus 1 tick"

    def __init__(self, threshold_s: float, *, configured: bool = True) -> None:
        super().__init__()
        self._threshold_s, self._configured = threshold_s, configured
        self._newest_age_s: float | None = None
        self._why = ""
        self.present = self.value if configured else ""

    @property
    def value(self) -> str:  # type: ignore[override]
        """The input's age."""
        if not self._configured:
            return NOT_CONFIGURED
        if self._newest_age_s is None:
            return f"nothing received yet: {self._why}" if self._why else "nothing received yet"
        return f"{self._newest_age_s:.3f} s old, threshold {self._threshold_s:.3f} s"

    def explain(self, why: str) -> None:
        """Take in why nothing that can be used was received yet, as far as it is known."""
        self._why = why
        if self._configured and self._newest_age_s is None:
            self.present = self.value

    def _age_s(self, ages: Ages) -> float:
        raise NotImplementedError

    def on_tick(self, ages: Ages) -> str:
        """Compare the age with the threshold."""
        age_s = self._age_s(ages)
        if not self._configured or math.isinf(age_s):
            # What never came is waited for; it is no cause of a stop.
            return ""
        self._newest_age_s = age_s
        self.present = "" if age_s <= self._threshold_s else self.value
        return self.present


class StaleJointStates(Stale):
    """No new joint_states message."""

    name = "stale_joint_states"
    watches = "joint_states"
    trips_when = "no new message for joint_states_stale_s; at rest plans wait instead"
    doc = (
        "A dead driver, a lost connection or a host that does not keep up. A message stamped like "
        "the one before is not new."
    )
    waits_at_rest = True

    def _age_s(self, ages: Ages) -> float:
        return ages.joint_states_s


class StaleControllerState(Stale):
    """No new controller_state message."""

    name = "stale_controller_state"
    watches = "controller_state"
    trips_when = (
        "no new message for controller_state_stale_s; at rest plans wait instead, unless "
        "joint_states move"
    )
    doc = (
        "The controller is inactive, dead or out of reach, or a host does not keep up. The brake "
        "is sent all the same."
    )
    waits_at_rest = True

    def _age_s(self, ages: Ages) -> float:
        return ages.controller_state_s


class StaleDriverStates(Stale):
    """No new message of the driver."""

    name = "stale_driver_states"
    watches = "driver_states"
    trips_when = "no new message on driver_states_topic for driver_states_stale_s"
    doc = (
        "A dead driver or bus. A hardware interface may go on publishing joint_states from its "
        "last values, freshly stamped; the driver's own topic does not."
    )

    def _age_s(self, ages: Ages) -> float:
        return ages.driver_states_s


class StaleServoStatus(Stale):
    """No new status of the servos."""

    name = "stale_servo_status"
    watches = "/diagnostics"
    trips_when = "no status whose name begins with servo_status for servo_status_stale_s"
    doc = "Nobody watches the servos' temperature, voltage and load any more."

    def _age_s(self, ages: Ages) -> float:
        return ages.servo_status_s


class LostPolicy(Stale):
    """The policy's heartbeat is missing."""

    name = "lost_policy"
    watches = "vla_policy_node/status"
    trips_when = "never; reported after policy_silent_s without a status"
    doc = "The policy is dead, hangs or was never started. The plan that runs ends at rest."
    trips = False

    def _age_s(self, ages: Ages) -> float:
        return ages.policy_s
