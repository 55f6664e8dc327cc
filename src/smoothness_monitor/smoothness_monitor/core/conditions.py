# SPDX-License-Identifier: Apache-2.0
"""What must be seen before plans are forwarded, for the first time and after a stop."""

from __future__ import annotations

import math

from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.detectors import Detectors
from smoothness_monitor.core.detectors.clocks import uncompared
from smoothness_monitor.core.robot_view import RobotView
from smoothness_monitor.core.stop import Lock, Stop

# Before anybody reports on a controller's parameters.
_UNREAD = "its parameters were not read yet"


class Conditions:
    """The list of what is missing, in words."""

    def __init__(
        self,
        controller: str,
        rate_hz: float,
        detectors: Detectors,
        tracker: ControllerTracker,
        view: RobotView,
        stop: Stop,
    ) -> None:
        """Begin with everything missing.

        Args:
            controller: The arm's.
            rate_hz: Of joint_states, as it should be.
            detectors: What is wrong now.
            tracker: What the controller runs.
            view: What is seen of the robot.
            stop: Whether the controller is locked out.
        """
        self._rate_hz, self._detectors, self._tracker = rate_hz, detectors, tracker
        self._view, self._stop = view, stop
        # What is wrong with each controller's parameters.
        self._parameters: dict[str, str] = {}
        self.report_parameters(controller, _UNREAD)

    def report_parameters(self, controller: str, problem: str) -> bool:
        """Take in what is wrong with a controller's parameters; return whether that is new."""
        if problem == self._parameters.get(controller):
            return False
        self._parameters[controller] = problem
        self._detectors.controller_parameters.report("; ".join(self.wrong_parameters()))
        return True

    def wrong_parameters(self) -> tuple[str, ...]:
        """Return what is wrong with the controllers' parameters, one line a controller."""
        return tuple(f"{name}: {text}" for name, text in self._parameters.items() if text)

    def unread_parameters(self, controller: str) -> str:
        """Say that nobody has reported on a controller's parameters, empty when somebody has."""
        return "" if controller in self._parameters else f"{controller}: {_UNREAD}"

    def silent_clock(self) -> tuple[str, ...]:
        """Return that nobody tells the simulated time, if so."""
        detector = self._detectors.stale_clock
        return (f"{detector.name}: {detector.present}",) if detector.present else ()

    def missing(self) -> tuple[str, ...]:
        """Return what speaks against READY."""
        detectors, tracker, view = self._detectors, self._tracker, self._view
        # The last words of a controller that is locked out do not count; a reset hears it anew.
        locked = self._stop.lock is Lock.LOCKED
        waiting = [*self.silent_clock(), *detectors.present(cycles=not locked)]
        # A controller that is locked out may have been taken away, and its parameters with it.
        waiting += () if locked else self.wrong_parameters()
        if locked:
            pass
        elif tracker.cycle is not None:
            if not tracker.rests:
                waiting.append("controller_state: the reference moves")
        elif math.isfinite(view.controller.age_s(view.clock.now_ns)):
            waiting.append("controller_state: nothing since the controller was activated")
        if view.measured is not None:
            if not detectors.measured_jerk.filled:
                waiting.append(
                    f"joint_states: messages at {self._rate_hz:g} Hz without a gap, until the "
                    "estimate of the jerk has settled"
                )
            elif not view.standstill.stands:
                waiting.append("joint_states: the joints move")
            if view.uncompared_ns is not None and self._stop.lock is Lock.OPEN:
                waiting.append(uncompared(view.newest_skews))
        return tuple(waiting)
