# SPDX-License-Identifier: Apache-2.0
"""Detectors on whether the inputs can be used, and on findings that are made elsewhere."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from smoothness_monitor.core.detectors.base import Ages, Detector
from smoothness_monitor.core.types import ServoStatus

NOT_CONFIGURED = "not configured"
_SERVO_ERROR = 2
# Of servos that are not well; more are not listed.
_MOST_SERVOS = 64
_SKEWED_TICKS = 5


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


class ClockSkew(Detector):
    """An input is stamped by another clock than this node's, or is heard late."""

    name = "clock_skew"
    watches = "joint_states, controller_state"
    trips_when = (
        "the newest stamp is off this node's ROS time by clock_skew_s, in 5 ticks in a row, or "
        "joint_states cannot be compared with controller_state for joint_states_stale_s; at rest "
        "plans wait instead"
    )
    unit = "s"
    latency = "5 ticks, or joint_states_stale_s"
    doc = (
        "A clock was set, on this host or another, use_sim_time differs, or a busy host or "
        "network holds messages back; the detail says which. Plans would come too early or too "
        "late; the stop goes by the controller's clock then."
    )
    waits_at_rest = True

    def __init__(self, threshold_s: float, uncompared_s: float) -> None:
        super().__init__()
        self._threshold_s, self._uncompared_s = threshold_s, uncompared_s
        self._in_a_row = 0
        self._seen: dict[str, float] = {}
        # A message cannot arrive early, so the least that a clock was ever seen behind is its own
        # difference, and what comes on top is the way of the message.
        self._least: dict[str, float] = {}

    @property
    def value(self) -> str:  # type: ignore[override]
        """Which input's clock is off by most, and by how much."""
        source = self._worst
        if not source:
            return ""
        late_s, skew_s = self.late_s(source), self._seen[source]
        if late_s > abs(self._least[source]):
            return f"{source}: heard {late_s:.3f} s late"
        return f"{source}: stamped {-skew_s:.3f} s off this node's clock"

    @property
    def _worst(self) -> str:
        return max(self._seen, key=lambda source: abs(self._seen[source]), default="")

    def behind_s(self, source: str) -> float:
        """Return by how much an input's own clock is behind this node's, s; 0 while unknown."""
        return self._least.get(source, 0.0)

    def late_s(self, source: str) -> float:
        """Return how late an input is heard by now, s; 0 while unknown."""
        if source not in self._seen:
            return 0.0
        return max(0.0, self._seen[source] - self._least[source])

    def begin_anew(self) -> None:
        """Forget how far the clocks are apart: one of them was set."""
        self._seen, self._least = {}, {}

    def on_tick(self, ages: Ages) -> str:
        """Compare the clocks."""
        self._seen = dict(ages.skew_s)
        for source, skew_s in self._seen.items():
            self._least[source] = min(self._least.get(source, skew_s), skew_s)
        source = self._worst
        off = bool(source) and not (abs(self._seen[source]) <= self._threshold_s)
        # After a stall of this node its inputs wait, old, in their queues, but not for long.
        self._in_a_row = self._in_a_row + 1 if off else 0
        clocks = "; check use_sim_time and the clocks of the hosts"
        late = bool(source) and self.late_s(source) > abs(self._least[source])
        hint = "; this host or the network does not keep up" if late else clocks
        self.present = self.value + hint if self._in_a_row >= _SKEWED_TICKS else ""
        if not self.present and not (ages.uncompared_s <= self._uncompared_s):
            self.present = uncompared(ages.skew_s) + clocks
        return self.present


def uncompared(skew_s: Mapping[str, float]) -> str:
    """Say that joint_states cannot be compared with the reference, and how far off they are."""
    if not {"joint_states", "controller_state"} <= skew_s.keys():
        return "joint_states: not stamped within what is known of controller_state"
    ahead_s = skew_s["controller_state"] - skew_s["joint_states"]
    way = "ahead of" if ahead_s > 0.0 else "behind"
    return (
        f"joint_states: stamped {abs(ahead_s):.3f} s {way} controller_state, so the two cannot be "
        "compared"
    )


class ClockStep(Detector):
    """The clock that trajectories are stamped with was set while the node ran."""

    name = "clock_step"
    watches = "ROS time and the steady clock of this host, /clock"
    trips_when = (
        "ROS time moves against the steady clock by clock_step_s or more at once; simulated time "
        "goes back, or forward by 1 s in one message and faster than 100 times the host's"
    )
    unit = "s"
    latency = "1 tick"
    doc = (
        "A controller goes by that clock and steps its command when it is set. Let it be slewed "
        "(chrony: makestep at the start only). Simulated time goes back when a simulation begins "
        "anew, and jumps when somebody else publishes on /clock: that time is not believed."
    )


class StaleClock(Detector):
    """Nobody tells the simulated time that this node lives in."""

    name = "stale_clock"
    watches = "/clock"
    trips_when = (
        "never; reported where use_sim_time is set and nothing came on /clock for 5 s of the "
        "host's time"
    )
    unit = "s"
    latency = "6 s"
    doc = (
        "The simulation is dead, hangs or was never started. One that is paused or waits tells "
        "the time all the same. Time stands, so nothing moves and nothing trips."
    )
    trips = False
    SILENT_S = 5.0

    def judge(self, silent_s: float) -> str:
        """Judge for how long nobody has told the time; return what is wrong, if anything is."""
        self.present = ""
        if not (silent_s <= self.SILENT_S):
            self.present = (
                f"nothing on /clock for {silent_s:.0f} s: the simulation has ended, hangs or was "
                "not started; use_sim_time is set"
            )
        self.value = self.present
        return self.present


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


class Overrun(Detector):
    """This node does not keep up."""

    name = "overrun"
    watches = "its own cycle"
    trips_when = (
        "overrun_count of the newest overrun_of cycles come overrun_s or more late, or one comes "
        "stall_s late; at rest plans wait instead"
    )
    unit = "s"
    latency = "overrun_count cycles, or 1"
    doc = (
        "The host is overloaded, lastingly, or this process was held up for so long that nobody "
        "watched the arm. A short stall does not trip: inputs wait in their queues and are judged "
        "after it."
    )
    waits_at_rest = True

    def __init__(self, overrun_s: float, count: int, of: int, stall_s: float) -> None:
        super().__init__()
        self._overrun_s, self._count, self._stall_s = overrun_s, count, stall_s
        self._late: deque[bool] = deque(maxlen=of)
        self._late_now = 0

    def on_tick(self, ages: Ages) -> str:
        """Count the cycle."""
        if len(self._late) == self._late.maxlen:
            self._late_now -= self._late[0]
        late = not (ages.cycle_s <= self._overrun_s)
        self._late.append(late)
        self._late_now += late
        if late:
            self.value = f"{ages.cycle_s:.3f} s between cycles, threshold {self._overrun_s:.3f} s"
        if found := self.stalled(ages.cycle_s):
            return found
        many = self._late_now >= self._count
        self.present = f"{self._late_now} of {len(self._late)} cycles late" if many else ""
        return self.present

    def stalled(self, since_s: float) -> str:
        """Judge the time since the last cycle; return what is wrong, empty when nothing is."""
        if since_s <= self._stall_s:
            return ""
        self.value = (
            f"nothing was watched for {since_s:.3f} s, threshold {self._stall_s:.3f} s: this "
            "process was held up"
        )
        return self.value

    def clear(self) -> None:
        """Count anew."""
        self._late.clear()
        self._late_now = 0
        self.present = ""


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
