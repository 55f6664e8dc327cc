# SPDX-License-Identifier: Apache-2.0
"""What the monitor tells: whether plans may come, what it waits for, and its state."""

from __future__ import annotations

import math

import numpy as np

from smoothness_monitor.core.detectors.inputs import uncompared
from smoothness_monitor.core.smoothness_meter import Smoothness
from smoothness_monitor.core.stop import Lock
from smoothness_monitor.core.types import (
    DetectorReport,
    Latch,
    MonitorSnapshot,
    StopState,
)
from smoothness_monitor.core.view import View


class Readout(View):
    """The monitor's state in values and in words."""

    @property
    def permit(self) -> bool:
        """Whether plans may come: READY and every input fresh."""
        now_ns = self._clock.now_ns
        return (
            self.state is StopState.READY
            and not self.detectors.controller_parameters.present
            and not self._put_off[0]
            and self._joints.age_s(now_ns) <= self.config.joint_states_stale_s
            and self._controller.age_s(now_ns) <= self.config.controller_state_stale_s
        )

    @property
    def latch(self) -> Latch:
        """What a process after this one must know."""
        first = self._first_cause()
        return Latch(
            latched=self.state in (StopState.STOPPING, StopState.STOPPED_LATCHED, StopState.FAULT),
            locked_out=self._stop.lock is not Lock.OPEN,
            rests=self.tracker.cycle is None or self.tracker.rests,
            first_cause=first,
            detail=self._causes.get(first, ""),
            trip_ns=self._trip_ns,
        )

    def waiting_for(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or what a latched stop waits for."""
        if self.state is StopState.READY:
            put_off = (self._put_off[0],) if self._put_off[0] else ()
            return (*self._silent_clock(), *self._wrong_parameters(), *put_off)
        missing = self._missing()
        if self._restored and self.state is StopState.STOPPED_LATCHED:
            return (*missing, f"a person: {self._causes.get('restarted', '')}; call ~/reset")
        return missing

    def _silent_clock(self) -> tuple[str, ...]:
        detector = self.detectors.stale_clock
        return (f"{detector.name}: {detector.present}",) if detector.present else ()

    def _wrong_parameters(self) -> tuple[str, ...]:
        return tuple(f"{name}: {text}" for name, text in self._parameters.items() if text)

    def _missing(self) -> tuple[str, ...]:
        """Return what keeps the state in STARTUP, or blocks a reset."""
        if self.state not in (StopState.STARTUP, StopState.STOPPED_LATCHED, StopState.FAULT):
            return ()
        # The last words of a controller that is locked out do not count; a reset hears it anew.
        locked = self._stop.lock is Lock.LOCKED
        waiting = [*self._silent_clock(), *self.detectors.present(cycles=not locked)]
        # A controller that is locked out may have been taken away, and its parameters with it.
        waiting += () if locked else self._wrong_parameters()
        if locked:
            pass
        elif self.tracker.cycle is not None:
            if not self.tracker.rests:
                waiting.append("controller_state: the reference moves")
        elif math.isfinite(self._controller.age_s(self._clock.now_ns)):
            waiting.append("controller_state: nothing since the controller was activated")
        if self._measured is not None:
            if not self.detectors.measured_jerk.filled:
                rate_hz = self.config.joint_states_rate_hz
                waiting.append(
                    f"joint_states: messages at {rate_hz:g} Hz without a gap, until the estimate "
                    "of the jerk has settled"
                )
            elif not self._standstill.stands:
                waiting.append("joint_states: the joints move")
            if self._uncompared_ns is not None and self._stop.lock is Lock.OPEN:
                waiting.append(uncompared(self._newest_skews))
        return tuple(waiting)

    def snapshot(self) -> MonitorSnapshot:
        """Return the state as it is published."""
        first = self._first_cause()
        command, measured = self.detectors.command_jerk, self.detectors.measured_jerk
        estimator = measured.estimator
        return MonitorSnapshot(
            state=self.state,
            permit=self.permit,
            first_cause=first,
            first_cause_detail=self._causes.get(first, ""),
            causes=tuple(self._causes),
            trip_ns=self._trip_ns,
            rung=self._stop.rung,
            rung_log=self._stop.rung_log,
            locked_out=self._stop.lock is Lock.LOCKED,
            waiting_for=self.waiting_for(),
            joint_names=self.names,
            jerk_limit=self.robot.limits.jerk,
            command_jerk=command.newest,
            command_jerk_peak=command.peak.copy(),
            measured_jerk=measured.newest,
            measured_jerk_noise_floor=np.full(len(self.names), estimator.noise_floor),
            measured_jerk_threshold=measured.threshold,
            measured_jerk_delay_s=estimator.delay_s,
            plans_forwarded=self._forwarded,
            plans_rejected=self._rejected,
            last_rejection=self._last_rejection,
            speed_scaling=self._slowdown.scaling,
            slow_reason=self._slowdown.why,
        )

    def smoothness(self) -> Smoothness:
        """Return the smoothness of the motion as it is published."""
        estimator = self.detectors.measured_jerk.estimator
        return self._meter.report(
            self._clock.now_ns,
            limit=self.robot.limits.jerk,
            noise_floor=estimator.noise_floor,
            delay_s=estimator.delay_s,
            speed_scaling=self._slowdown.scaling,
            deviation=self._slowdown.deviation,
        )

    def reports(self) -> tuple[DetectorReport, ...]:
        """Return every detector's newest finding."""
        return tuple(
            DetectorReport(name, name in self._causes, item.present, item.value)
            for name, item in self.detectors.by_name.items()
        )
