# SPDX-License-Identifier: Apache-2.0
"""Detectors on whether the inputs can be used, and on findings that are made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from smoothness_monitor.core.detectors.base import Detector
from smoothness_monitor.core.detectors.silence import NOT_CONFIGURED
from smoothness_monitor.core.types import ServoStatus

_SERVO_ERROR = 2
# Of servos that are not well; more are not listed.
_MOST_SERVOS = 64


class _PerInput(Detector):
    """A detector whose findings are reported input by input."""

    def __init__(self) -> None:
        super().__init__()
        self._of_input: dict[str, str] = {}

    def report_input(self, source: str, detail: str) -> str:
        """Take in what is wrong with the newest message of an input, empty when nothing is."""
        if not detail and not self._of_input.get(source):
            return ""
        self._of_input[source] = f"{source}: {detail}" if detail else ""
        self.present = "; ".join(text for text in self._of_input.values() if text)
        return self._of_input[source]


class NonFinite(_PerInput):
    """A value that is missing, is not a finite number, or is one that no joint can have."""

    name = "non_finite"
    watches = "joint_states, controller_state, driver_states, plans"
    trips_when = (
        "a value is NaN, infinite, missing or beyond 1e6 in its unit, a stamp is no time, a joint "
        "is named twice, or a message has more than 1024 joints"
    )
    latency = "the message"
    doc = "Nothing computed from such a message would mean anything, so it is not used at all."


class StampOrder(_PerInput):
    """A stamp that is older than the one before it."""

    name = "backwards_stamp"
    watches = "joint_states, controller_state, driver_states"
    trips_when = "a stamp is older than the one before it"
    latency = "the message"
    doc = "Two publishers on one topic, or a clock that was set back."


class ServoHealth(Detector):
    """A servo reports that it is not well."""

    name = "servo_health"
    watches = "/diagnostics"
    trips_when = "a status whose name begins with servo_status has the level ERROR or STALE"
    latency = "the message"
    doc = "Overheated, overloaded, undervoltage or silent: what the driver's status says."

    def __init__(self, *, configured: bool) -> None:
        super().__init__()
        self._bad: dict[str, str] = {}
        self.value = "" if configured else NOT_CONFIGURED

    def report_servos(self, statuses: Sequence[ServoStatus]) -> str:
        """Take in statuses; return what is wrong, empty when nothing is."""
        for status in statuses:
            text = f"{status.name}: {status.message}"
            self._bad.pop(status.name, None)
            if status.level >= _SERVO_ERROR and len(self._bad) < _MOST_SERVOS:
                self._bad[status.name] = text
            self.value = text
        self.present = "; ".join(self._bad.values())
        return self.present


class ControllerInactive(Detector):
    """The arm's controller is not active."""

    name = "controller_inactive"
    watches = "controller_manager/activity"
    trips_when = "the controller manager says that the arm's controller is not active"
    latency = "the message"
    doc = (
        "Somebody deactivated or unloaded it, or it failed: nothing follows plans now. Where no "
        "controller manager tells its activity, stale_controller_state sees it later."
    )


class ForeignPublisher(Detector):
    """Somebody else publishes on a topic of the controller."""

    name = "foreign_publisher"
    watches = "the ROS graph"
    trips_when = (
        "a controller's topic has a publisher besides this node, or simulated time two sources"
    )
    latency = "1 s"
    doc = "This node must be the only writer. An action client is seen by foreign_plan instead."


class PlanRejected(Detector):
    """A plan was refused in a way that no correct policy node causes."""

    name = "plan_rejected"
    watches = "plans"
    trips_when = "a check fails that the table of refusals marks"
    latency = "the message"
    doc = "The plan was not forwarded; the detail names the check that failed."


class PlanNotAdopted(Detector):
    """What is forwarded does not come to run."""

    name = "plan_not_adopted"
    watches = "controller_state"
    trips_when = (
        "the controller is heard to pass by the point where a forwarded plan leaves the running "
        "one, for two plans in a row"
    )
    latency = "two plans"
    doc = (
        "The way to the controller loses messages or holds them back, and what is held back would "
        "step the arm when it arrives. One plan that is lost is reported in the log only."
    )
    IN_A_ROW = 2

    def judge(self, lost: int) -> str:
        """Judge how many plans one after the other were not adopted. It is over with the stop."""
        if not (lost >= self.IN_A_ROW):
            return ""
        return f"the controller did not run the last {lost} plans forwarded to it"


class ControllerParameters(Detector):
    """A controller's own parameters are not those on which the bound rests, or not known."""

    name = "controller_parameters"
    watches = "the controllers' parameter services, /parameter_events"
    trips_when = "never: plans are not forwarded while it finds something"
    latency = "the event; 1 s where that is missed"
    doc = (
        "With such a parameter the controller itself may step, a brake's start included, so what "
        "runs goes on to its rest. The detail names parameter, value and remedy."
    )
    trips = False


class Restarted(Detector):
    """The stop that was latched before this process is latched still."""

    name = "restarted"
    watches = "the latch file"
    trips_when = (
        "the node starts and its latch file says that it was latched, or that it ended without a "
        "word, or says nothing that can be relied on"
    )
    latency = "start-up"
    doc = "A person looks at the arm and calls ~/reset; nothing else leaves the latch."


class InternalError(Detector):
    """This node is wrong itself."""

    name = "internal_error"
    watches = "its own code"
    trips_when = "a callback ends in an exception"
    latency = "the call"
    doc = "A defect: please report it, with the log's traceback. The node goes on, latched."


class Operator(Detector):
    """Somebody asked for a stop."""

    name = "operator"
    watches = "~/stop"
    trips_when = "the service is called"
    latency = "the call"
    doc = "Latches like every other cause."
