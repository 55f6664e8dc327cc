# SPDX-License-Identifier: Apache-2.0
"""Every kind of fault, seed by seed, in simulated time; and hours in which nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from smooth_motion.messages import JointStates
from smoothness_monitor.core.types import CallRequest, FloatArray, Rung, StopState
from smoothness_monitor.params import MonitorConfig
from verification.faults.bench import Bench
from verification.faults.clock import EPOCH_NS, MS, PERIOD_NS, S
from verification.faults.kinds import FaultKind, FaultScene
from verification.faults.plant import EmulatedPlant
from vla_contract.robot import Robot

# A stop by the brake must be over this long after the brake's planned end.
REST_GRACE_S = 0.1
# Further rungs come stop_grace_s after it, and take this long.
LADDER_GRACE_S = 0.5
AFTERWARDS_S = 2.0
BENIGN_S = 4.0
# What slows the arm down lasts no longer than this, and then the speed must come back.
SLOWED_S = 15.0
SPEED_BACK_S = 4.0
JERK_RATIO = 1.001


@dataclass(frozen=True)
class FaultOutcome:
    """What came of one fault.

    Attributes:
        kind: Name of the kind.
        seed: Of the motion and the messages.
        cause: Detector that tripped first, empty when none did.
        found_ms: From the fault to the trip; NaN without one.
        rest_ms: From the trip to the last motion of the command.
        planned_ms: From the trip to the brake's end.
        jerk_ratio: Largest |jerk| of the command over its limit, from the trip to rest; from the
            fault on where nothing tripped.
        rung: Highest rung climbed.
        state: The monitor's state in the end.
        moved_rad: How far the command moved in the 2 s after it was at rest.
        problems: What was not as it must be.
        slowed_ms: From the fault to the slowdown; NaN without one.
        slow_s: How long the motion was slowed down in all; NaN where it was not.
        deviation_rad: Largest distance of a joint's command from its path meanwhile.
    """

    kind: str
    seed: int
    cause: str
    found_ms: float
    rest_ms: float
    planned_ms: float
    jerk_ratio: float
    rung: Rung
    state: StopState
    moved_rad: float
    problems: tuple[str, ...]
    slowed_ms: float = float("nan")
    slow_s: float = float("nan")
    deviation_rad: float = float("nan")


def make_scene(
    robot: Robot, config: MonitorConfig, *, seed: int, jitter: bool = True
) -> FaultScene:
    """Return a bench at rest, whose ladder has all its rungs."""
    plant = EmulatedPlant(robot, EPOCH_NS)
    bench = Bench(robot, config, plant, seed=seed, jitter=jitter)
    bench.answers = {
        CallRequest.BRAKE_AS_GOAL: (True, 3 * MS),
        CallRequest.DEACTIVATE: (True, 12 * MS),
        CallRequest.ACTIVATE: (True, 12 * MS),
        CallRequest.DRIVER_HOLD: (True, 5 * MS),
    }
    return FaultScene(bench, plant)


def attach_driver(scene: FaultScene) -> None:
    """Let the driver tell of itself; `scene.driver` and `scene.servos` say what."""
    bench = scene.bench

    def read() -> None:
        t_ns = bench.now_ns - 2 * MS
        message = JointStates(t_ns, bench.names, tuple(bench.measured(t_ns).tolist()))
        answer = scene.driver(message)
        if answer is not None:
            bench.take(bench.monitor.on_driver_states(answer, bench.now))

    def tell() -> None:
        bench.take(bench.monitor.on_servos(scene.servos, bench.now))

    bench.every(PERIOD_NS, 5 * MS, read)
    bench.every(500 * MS, 20 * MS, tell)


def run_fault(robot: Robot, config: MonitorConfig, kind: FaultKind, seed: int) -> FaultOutcome:
    """Let one fault happen to a moving arm and return what came of it."""
    changed = replace(config, **kind.config)
    scene = make_scene(robot, changed, seed=seed, jitter=kind.jitter)
    bench = scene.bench
    if changed.driver_states_topic:
        attach_driver(scene)
    for request in kind.without:
        bench.answers[request] = None
    bench.get_moving()
    # Anywhere in a motion, but in motion.
    bench.run(float(bench.random.uniform(0.0, 0.6)))
    assert bench.run_until(lambda: _speed(bench) > kind.speed, 60.0), "the arm does not move"
    # From here on the policy insists, whatever the monitor says.
    bench.insistent = True
    onset_ns = bench.now_ns
    kind.inject(scene)
    if kind.benign:
        return _benign(bench, kind, seed, onset_ns)
    return _stopped(bench, kind, seed, onset_ns)


def _speed(bench: Bench) -> float:
    (_, before), (_, now) = bench.references[-2:]
    return float(np.max(np.abs(now - before))) / (PERIOD_NS * 1e-9)


def _benign(bench: Bench, kind: FaultKind, seed: int, onset_ns: int) -> FaultOutcome:
    bench.insistent = False
    if kind.slows:
        _wait_for_speed(bench)
    else:
        bench.run(BENIGN_S)
    snapshot, counted = bench.monitor.snapshot(), bench.monitor.smoothness().interventions
    ratio = bench.peak_jerk_ratio(onset_ns - 5 * PERIOD_NS)
    problems = []
    if snapshot.causes:
        problems.append(f"tripped: {snapshot.first_cause}: {snapshot.first_cause_detail}")
    if not (ratio <= JERK_RATIO):
        problems.append(f"the command's jerk reached {ratio:.4f} times its limit")
    nan = float("nan")
    slowed_ms = (bench.slowed[0][0] - onset_ns) / MS if bench.slowed else nan
    if kind.slows:
        if not (slowed_ms <= kind.within_s * 1e3):
            problems.append(f"slowed down after {slowed_ms:.0f} ms, not {kind.within_s * 1e3:.0f}")
        if f"slowed: {kind.slows}" not in counted.by_reason:
            problems.append(f"slowed down for {', '.join(counted.by_reason) or 'nothing'}")
        if snapshot.speed_scaling != 1.0:
            problems.append("not at full speed again")
    return FaultOutcome(
        kind.name,
        seed,
        snapshot.first_cause,
        nan,
        nan,
        nan,
        ratio,
        snapshot.rung,
        snapshot.state,
        nan,
        tuple(problems),
        slowed_ms,
        counted.active_s if bench.slowed else nan,
        counted.path_deviation if bench.slowed else nan,
    )


def _wait_for_speed(bench: Bench) -> None:
    """Let the fault pass, the speed come back, and the arm move on with it."""
    bench.run(SLOWED_S)
    bench.run_until(lambda: bench.monitor.snapshot().speed_scaling == 1.0, SPEED_BACK_S)
    bench.run(2.0)


def _stopped(bench: Bench, kind: FaultKind, seed: int, onset_ns: int) -> FaultOutcome:
    tripped = bench.run_until(lambda: bench.first_cause != "", kind.within_s + 1.0)
    snapshot = bench.monitor.snapshot()
    nan = float("nan")
    if not tripped:
        problem = f"nothing tripped within {kind.within_s + 1.0:.2f} s"
        none = (nan, nan, nan, nan, Rung.NONE, snapshot.state, nan, (problem,))
        return FaultOutcome(kind.name, seed, "", *none)
    trip_ns = snapshot.trip_ns - bench.clock_off_ns
    bench.run_until(lambda: bench.state is not StopState.STOPPING, 6.0)
    # A brake that was driven off was made anew, so the last one counts.
    brakes = [
        t.stamp_ns + t.points[-1].time_from_start_ns for at, t in bench.sent if at >= trip_ns
    ]
    planned_ns = brakes[-1] if brakes else trip_ns
    bench.run(AFTERWARDS_S + 0.5)
    snapshot = bench.monitor.snapshot()
    # A driver that holds is deaf to the command, so then the joints are looked at.
    rows = bench.joints if snapshot.rung >= Rung.DRIVER_HOLD else bench.references
    if kind.rung is Rung.POWER_CUT:
        rows = bench.references
    rest_ns = _last_motion(rows, trip_ns, bench.now_ns - round(AFTERWARDS_S * S))
    outcome = FaultOutcome(
        kind.name,
        seed,
        snapshot.first_cause,
        (trip_ns - onset_ns) / MS,
        (rest_ns - trip_ns) / MS,
        (planned_ns - trip_ns) / MS,
        bench.peak_jerk_ratio(trip_ns - 4 * PERIOD_NS, rest_ns + 5 * PERIOD_NS),
        snapshot.rung,
        snapshot.state,
        _travel(rows, bench.now_ns - round(AFTERWARDS_S * S)),
        (),
    )
    return replace(outcome, problems=tuple(_problems(outcome, kind, bench.config)))


Rows = list[tuple[int, FloatArray]]


def _last_motion(rows: Rows, since_ns: int, until_ns: int) -> int:
    """Return when something moved last between two times, `since_ns` when it did not."""
    last = since_ns
    for (_, before), (t_ns, now) in pairwise(rows):
        if since_ns <= t_ns <= until_ns and (now != before).any():
            last = t_ns
    return last


def _travel(rows: Rows, since_ns: int) -> float:
    return float(np.max(np.ptp([p for t, p in rows if t >= since_ns], axis=0)))


def _problems(outcome: FaultOutcome, kind: FaultKind, config: MonitorConfig) -> Iterator[str]:
    if outcome.cause not in kind.found_by:
        yield f"found by {outcome.cause}, not by {' or '.join(kind.found_by)}"
    if not (outcome.found_ms <= kind.within_s * 1e3):
        yield f"found after {outcome.found_ms:.0f} ms, not within {kind.within_s * 1e3:.0f} ms"
    allowed_s = REST_GRACE_S
    if outcome.rung >= Rung.CONTROLLER_OFF:
        allowed_s = config.stop_grace_s + LADDER_GRACE_S
    if not (outcome.rest_ms <= outcome.planned_ms + allowed_s * 1e3):
        yield (
            f"at rest after {outcome.rest_ms:.0f} ms, the brake's end was due after "
            f"{outcome.planned_ms:.0f} ms"
        )
    if outcome.rung > kind.rung:
        yield f"climbed to rung {outcome.rung.words}, {kind.rung.words} is enough"
    if not kind.unbounded and not (outcome.jerk_ratio <= JERK_RATIO):
        yield f"the command's jerk reached {outcome.jerk_ratio:.4f} times its limit"
    if outcome.moved_rad != 0.0:
        yield f"the command moved {outcome.moved_rad:.4f} rad after the stop"
    if outcome.state is not kind.ends:
        yield f"the state is {outcome.state.name}"


@dataclass(frozen=True)
class Hours:
    """Time in which nothing was wrong.

    Attributes:
        simulated_s: How much.
        plans: Plans forwarded.
        trips: What tripped all the same, one line each.
        jerk_ratio: Largest |jerk| of the command over its limit.
    """

    simulated_s: float
    plans: int
    trips: tuple[str, ...]
    jerk_ratio: float


def run_nominal(
    robot: Robot, config: MonitorConfig, *, seed: int, seconds: float
) -> Iterable[Hours]:
    """Let time pass in which nothing is wrong but the host's jitter; yield once a minute."""
    scene = make_scene(robot, config, seed=seed)
    bench = scene.bench
    bench.get_ready()
    bench.amplitude = 1.2
    bench.policy_on = True
    ratio, trips, passed = 0.0, [], 0.0
    while passed < seconds:
        step = min(60.0, seconds - passed)
        bench.run(step)
        passed += step
        ratio = max(ratio, bench.peak_jerk_ratio())
        snapshot = bench.monitor.snapshot()
        if snapshot.causes:
            trips.append(f"{passed:.0f} s: {snapshot.first_cause}: {snapshot.first_cause_detail}")
        yield Hours(passed, snapshot.plans_forwarded, tuple(trips), ratio)
        if snapshot.causes:
            return
        bench.forget()
