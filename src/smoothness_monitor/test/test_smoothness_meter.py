# SPDX-License-Identifier: Apache-2.0
"""What `~/smoothness` says of a motion that is known."""

import numpy as np
import pytest

from smooth_motion import Acknowledged, Acknowledgement, Chunk, jerk_statistics, overlap, track
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.detectors import Cycle
from smoothness_monitor.core.smoothness_meter import SmoothnessMeter

MS = 1_000_000
S = 1_000_000_000


def minimum_jerk(bench, seconds=1.6, reach=0.5):
    """Return a plan out of rest that is nearly a minimum-jerk motion of every joint."""
    running = bench.policy_running.plan
    splice = bench.now_ns + 250 * MS
    state = running.state(splice)
    x = np.linspace(0.0, 1.0, 49)[:, None]
    away = reach * np.array([1.0, 1.0, -1.0, -1.0, 1.0])
    rows = state.position + away * (x**3 * (10 - 15 * x + 6 * x * x))
    chunk = Chunk(bench.names, splice, round(seconds * S / 48), rows)
    tail = track(chunk, state, bench.robot.limits, start_ns=splice)
    return overlap(running, tail, cut_ns=bench.now_ns - 20 * MS)


def test_a_movement_is_measured_when_it_has_come_to_rest(bench):
    bench.get_ready()
    bench.run(0.3)
    before = bench.monitor.smoothness()
    assert before.movements == 0
    assert before.movement is None
    plan = minimum_jerk(bench)
    bench.give(Trajectory.of(plan), plan)
    bench.run(1.0)
    assert bench.monitor.smoothness().movements == 0
    bench.run(2.0)
    found = bench.monitor.smoothness()
    assert found.movements == 1
    length = np.linalg.norm(plan.positions[-1] - plan.positions[0])
    assert found.movement.path == pytest.approx(length, rel=0.01)
    # Minimum jerk has -5.32 and -1.41; the tracker's tail is nearly that.
    assert -6.0 < found.movement.ldlj < -5.0
    assert -1.6 < found.movement.sparc < -1.35
    assert found.speed_scaling == 1.0
    assert found.interventions.count == 0
    assert found.interventions.elapsed_s > 2.5


def test_rms_and_peak_are_those_of_the_newest_second(bench):
    bench.get_ready()
    bench.run(0.3)
    plan = minimum_jerk(bench)
    bench.give(Trajectory.of(plan), plan)
    bench.run(1.2)
    found = bench.monitor.smoothness()
    times = np.arange(bench.now_ns - S, bench.now_ns, MS)
    exact = jerk_statistics(plan.sample(times).jerk, 1.0)
    np.testing.assert_allclose(found.command.rms, exact.rms, rtol=0.15)
    np.testing.assert_allclose(found.command.peak, exact.peak, rtol=0.15)
    # The joints do what the command does here; the encoders' rounding comes on top.
    assert (found.measured.rms < found.command.rms + 5.0 * found.noise_floor).all()
    bench.run(3.0)
    rest = bench.monitor.smoothness()
    assert (rest.command.peak < 1e-3).all()
    assert (rest.measured.rms < 5.0 * rest.noise_floor).all()


def test_jerk_near_plan_boundaries_is_told_from_the_rest(bench):
    bench.get_moving()
    bench.run(4.0)
    found = bench.monitor.smoothness().boundaries
    assert found.boundaries >= 18
    assert 0.0 < found.near_s < 5.0
    assert (found.peak_near <= bench.robot.limits.jerk * 1.000001).all()
    assert (found.rms_near > 0.0).all()
    assert np.isfinite(found.rms_elsewhere).all()


def test_stops_and_slowdowns_are_interventions_with_their_time(bench):
    bench.get_ready()
    bench.run(1.0)
    bench.stop()
    bench.run(1.0)
    bench.policy_on = False
    during = bench.monitor.smoothness().interventions
    assert during.by_reason == {"stopped: operator": 1}
    assert during.active_s == pytest.approx(1.0, abs=0.05)
    assert bench.reset()[0]
    bench.run(2.0)
    after = bench.monitor.smoothness().interventions
    assert after.active_s == pytest.approx(1.0, abs=0.05)
    assert after.share == pytest.approx(0.25, abs=0.02)
    assert after.per_minute == pytest.approx(15.0, rel=0.05)


def test_a_reference_that_goes_back_in_time_is_left_out():
    meter = SmoothnessMeter(("a",), 1.0)
    verdict = Acknowledgement(Acknowledged.RUNNING, 0, np.zeros(1))
    one = np.ones(1)
    for t in (10, 20, 15, 30):
        cycle = Cycle(t * MS, t * MS, one, one, one, verdict, np.ones((3, 1)))
        meter.on_cycle(cycle, one * t)
    found = meter.report(
        0, limit=one, noise_floor=0.0, delay_s=0.0, speed_scaling=1.0, deviation=0.0
    )
    assert found.command.samples == 3
    assert found.interventions.per_minute is None


def test_an_estimate_that_is_missing_starts_the_measured_window_anew():
    meter = SmoothnessMeter(("a",), 1.0)
    for t, jerk in ((10, 5.0), (20, 5.0), (30, np.nan), (40, 1.0), (50, 1.0)):
        meter.on_measured(t * MS, np.array([jerk]))
    found = meter.report(
        0, limit=np.ones(1), noise_floor=0.0, delay_s=0.0, speed_scaling=1.0, deviation=0.0
    )
    assert found.measured.peak == [1.0]


def test_an_estimate_that_is_missing_last_leaves_no_window():
    meter = SmoothnessMeter(("a",), 1.0)
    for t, jerk in ((10, 5.0), (20, 5.0), (30, np.nan)):
        meter.on_measured(t * MS, np.array([jerk]))
    found = meter.report(
        0, limit=np.ones(1), noise_floor=0.0, delay_s=0.0, speed_scaling=1.0, deviation=0.0
    )
    assert found.measured is None
