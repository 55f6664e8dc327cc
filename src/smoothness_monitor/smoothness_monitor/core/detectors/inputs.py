# SPDX-License-Identifier: Apache-2.0
"""Detectors on whether the inputs can be used, and on findings that are made elsewhere."""

from __future__ import annotations

import math

from smoothness_monitor.core.detectors.base import Ages, Detector


class _PerInput(Detector):
    """A detector whose findings are reported input by input."""

    def __init__(self) -> None:
        super().__init__()
        self._of_input: dict[str, str] = {}

    def report_input(self, source: str, detail: str) -> str:
        """Take in what is wrong with the newest message of an input, empty when nothing is."""
        self._of_input[source] = f"{source}: {detail}" if detail else ""
        self.present = "; ".join(text for text in self._of_input.values() if text)
        return self._of_input[source]


class NonFinite(_PerInput):
    """A value that is not a finite number, or is missing."""

    name = "non_finite"
    watches = "joint_states, controller_state, plans"
    trips_when = "a value is NaN, infinite or missing"
    latency = "the message"
    doc = "Nothing computed from such a message would mean anything, so it is not used at all."


class StampOrder(_PerInput):
    """A stamp that is older than the one before it."""

    name = "backwards_stamp"
    watches = "joint_states, controller_state"
    trips_when = "a stamp is older than the one before it"
    latency = "the message"
    doc = "Two publishers on one topic, or a clock that was set back."


class _Stale(Detector):
    """An input has not arrived for too long."""

    unit = "s"

    def __init__(self, threshold_s: float) -> None:
        super().__init__()
        self.threshold_s = threshold_s
        self.present = "nothing received yet"

    def _age_s(self, ages: Ages) -> float:
        raise NotImplementedError

    def on_tick(self, ages: Ages) -> str:
        """Compare the age with the threshold."""
        age_s = self._age_s(ages)
        if math.isinf(age_s):
            self.value = "nothing received yet"
        else:
            self.value = f"{age_s:.3f} s old, threshold {self.threshold_s:.3f} s"
        self.present = "" if age_s <= self.threshold_s else self.value
        return self.present


class StaleJointStates(_Stale):
    """No new joint_states message."""

    name = "stale_joint_states"
    watches = "joint_states"
    trips_when = "no new message for joint_states_stale_s"
    latency = "the threshold, plus 1 tick"
    doc = "A dead driver or a lost connection. A message stamped like the one before is not new."

    def _age_s(self, ages: Ages) -> float:
        return ages.joint_states_s


class StaleControllerState(_Stale):
    """No new controller_state message."""

    name = "stale_controller_state"
    watches = "controller_state"
    trips_when = "no new message for controller_state_stale_s"
    latency = "the threshold, plus 1 tick"
    doc = "The controller is inactive, dead or out of reach. The brake is sent all the same."

    def _age_s(self, ages: Ages) -> float:
        return ages.controller_state_s


class ForeignPublisher(Detector):
    """Somebody else publishes on a topic of the controller."""

    name = "foreign_publisher"
    watches = "the ROS graph"
    trips_when = "a controller's topic has a publisher besides this node"
    latency = "1 s"
    doc = "This node must be the only writer. An action client is seen by foreign_plan instead."


class PlanRejected(Detector):
    """A plan was refused in a way that no correct policy node causes."""

    name = "plan_rejected"
    watches = "plans"
    trips_when = "a check fails that the table of refusals marks"
    latency = "the message"
    doc = "The plan was not forwarded; the detail names the check that failed."


class Operator(Detector):
    """Somebody asked for a stop."""

    name = "operator"
    watches = "~/stop"
    trips_when = "the service is called"
    latency = "the call"
    doc = "Latches like every other cause."
