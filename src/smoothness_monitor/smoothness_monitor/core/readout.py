# SPDX-License-Identifier: Apache-2.0
"""What the monitor tells: its state, the smoothness of the motion, and every detector's word."""

from __future__ import annotations

import numpy as np

from smoothness_monitor.core.detectors import Detectors
from smoothness_monitor.core.plan_gate import PlanGate
from smoothness_monitor.core.slowdown import Slowdown
from smoothness_monitor.core.smoothness_meter import Smoothness, SmoothnessMeter
from smoothness_monitor.core.state_machine import StateMachine
from smoothness_monitor.core.stop import Lock, Stop
from smoothness_monitor.core.types import DetectorReport, FloatArray, MonitorSnapshot
from smoothness_monitor.core.workspace import WorkspaceGuard


def snapshot(
    names: tuple[str, ...],
    jerk_limit: FloatArray,
    detectors: Detectors,
    machine: StateMachine,
    stop: Stop,
    plans: PlanGate,
    slowdown: Slowdown,
) -> MonitorSnapshot:
    """Return the state as it is published."""
    command, measured = detectors.command_jerk, detectors.measured_jerk
    return MonitorSnapshot(
        state=machine.state,
        permit=machine.permit,
        first_cause=machine.first_cause,
        first_cause_detail=machine.causes.get(machine.first_cause, ""),
        causes=tuple(machine.causes),
        trip_ns=machine.trip_ns,
        rung=stop.rung,
        rung_log=stop.rung_log,
        locked_out=stop.lock is Lock.LOCKED,
        waiting_for=machine.waiting_for(),
        joint_names=names,
        jerk_limit=jerk_limit,
        command_jerk=command.newest,
        command_jerk_peak=command.peak.copy(),
        measured_jerk=measured.newest,
        measured_jerk_noise_floor=np.full(len(names), measured.estimator.noise_floor),
        measured_jerk_threshold=measured.threshold,
        measured_jerk_delay_s=measured.estimator.delay_s,
        plans_forwarded=plans.forwarded,
        plans_rejected=plans.rejected,
        last_rejection=plans.last_rejection,
        speed_scaling=slowdown.scaling,
        slow_reason=slowdown.why,
    )


def smoothness(
    own_ns: int,
    jerk_limit: FloatArray,
    detectors: Detectors,
    slowdown: Slowdown,
    meter: SmoothnessMeter,
) -> Smoothness:
    """Return the smoothness of the motion as it is published."""
    estimator = detectors.measured_jerk.estimator
    return meter.report(
        own_ns,
        limit=jerk_limit,
        noise_floor=estimator.noise_floor,
        delay_s=estimator.delay_s,
        speed_scaling=slowdown.scaling,
        deviation=slowdown.deviation,
    )


def reports(
    detectors: Detectors, machine: StateMachine, workspace: WorkspaceGuard | None = None
) -> tuple[DetectorReport, ...]:
    """Return every detector's newest finding, and what the newest plan came nearest to."""
    found = tuple(
        DetectorReport(name, name in machine.causes, item.present, item.value)
        for name, item in detectors.by_name.items()
    )
    if workspace is None:
        return found
    near = workspace.nearest
    words = f"{near.distance:.3f} m: {near.what}"
    return (*found, DetectorReport("workspace", False, "", words))
