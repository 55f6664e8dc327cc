# SPDX-License-Identifier: Apache-2.0
"""The executors do what they are said to do, so that comparing them means something."""

import compare_executors
import numpy as np
import pytest
from executors import EXECUTORS, ChunkDelay, ChunkRows, DelayedLink, Setup, reach, replay
from executors.alternatives import (
    AccelerationLimited,
    Butterworth,
    ContinuedPoints,
    Online,
    UpsampledPoints,
)
from executors.baselines import Ensemble, LeRobot, LeRobotHeld, Naive
from executors.controllers import LinearPoints, Smooth
from executors.fci import aborts
from executors.outcome import ExecutorOutcome
from franka import FER, HOME

MS = 1_000_000
STEP = 33_333_333
T0 = 1_000_000 * MS
LIMITS = replay.LIMITS


def setup():
    return Setup(LIMITS, None, np.zeros(5), T0)


def level(value, stamp_ns, rows=30):
    return ChunkRows(stamp_ns, STEP, np.full((rows, 5), value))


def commands(executor, from_ns, to_ns):
    return np.array([executor.command(t)[0] for t in range(from_ns, to_ns, 10 * MS)])


def test_naive_replacement_jumps_to_the_newest_chunks_row_for_now():
    executor = Naive(setup())
    ramp = ChunkRows(T0, STEP, np.arange(30.0)[:, None] * np.ones(5))
    executor.accept(ramp, T0 + 5 * STEP)
    assert executor.command(T0 + 5 * STEP)[0] == pytest.approx(5.0)
    assert executor.command(T0 + 5 * STEP + STEP // 2)[0] == pytest.approx(5.5)
    assert executor.command(T0 + 100 * STEP)[0] == 29.0


def test_the_ensemble_weighs_the_oldest_chunk_most():
    executor = Ensemble(setup())
    for value, stamp in ((1.0, T0), (2.0, T0 + STEP)):
        executor.accept(level(value, stamp), T0 + STEP)
    weights = np.exp([0.0, -0.01])
    executor.command(T0 + 2 * STEP)
    settled = executor.command(T0 + 5 * STEP)[0]
    assert settled == pytest.approx(weights @ [1.0, 2.0] / weights.sum())
    assert settled < 1.5


def test_lerobots_queue_blends_old_and_new_by_3_to_7_and_appends_the_rest():
    executor = LeRobotHeld(setup())
    executor.accept(level(1.0, T0, rows=10), T0)
    assert commands(executor, T0, T0 + 3 * STEP).tolist()[-1] == 1.0
    executor.accept(level(2.0, T0 + 3 * STEP, rows=10), T0 + 3 * STEP)
    values = commands(executor, T0 + 3 * STEP + MS, T0 + 20 * STEP)
    assert values[0] == pytest.approx(0.3 * 1.0 + 0.7 * 2.0)
    assert values[-1] == 2.0
    assert set(np.round(values, 9)) == {1.7, 2.0}


def test_lerobots_client_does_not_repeat_what_it_has_carried_out():
    executor = LeRobotHeld(setup())
    numbered = np.arange(10.0)[:, None] * np.ones(5)
    executor.accept(ChunkRows(T0, STEP, numbered), T0)
    first = commands(executor, T0, T0 + 5 * STEP)
    # The same rows again, of an observation made at the start: rows 0 to 4 are done.
    executor.accept(ChunkRows(T0, STEP, numbered + 100.0), T0 + 5 * STEP)
    after = commands(executor, T0 + 5 * STEP, T0 + 6 * STEP)
    assert first[-1] == 4.0
    assert after[0] == pytest.approx(0.3 * 5.0 + 0.7 * 105.0)


def test_lines_arrive_where_the_held_targets_are_one_step_later():
    held, lines = LeRobotHeld(setup()), LeRobot(setup())
    rng = np.random.default_rng(0)
    rows = ChunkRows(T0, STEP, rng.normal(size=(20, 5)))
    for executor in (held, lines):
        executor.accept(rows, T0)
    for step in range(1, 15):
        before = held.command(T0 + step * STEP - MS)
        np.testing.assert_allclose(lines.command(T0 + step * STEP), before, atol=1e-9)


def test_linear_points_step_in_velocity_but_not_in_position():
    executor = LinearPoints(setup())
    executor.command(T0)
    executor.accept(level(0.2, T0), T0 + 10 * MS)
    values = commands(executor, T0 + 10 * MS, T0 + 300 * MS)
    # From where it is to the first row ahead, 23 ms away, then along the rows.
    np.testing.assert_allclose(values[:4], [0.0, 0.2 * 10 / 23.333333, 0.2 * 20 / 23.333333, 0.2])
    assert (values[4:] == 0.2).all()


def test_this_suites_command_is_its_plan_exactly():
    executor = Smooth(setup())
    executor.accept(level(0.3, T0), T0 + 50 * MS)
    for t in range(T0 + 50 * MS, T0 + 1500 * MS, 10 * MS):
        reference = executor.command(t)
        np.testing.assert_allclose(reference, executor._plan.sample(t).position, atol=1e-13)
    assert reference[0] == pytest.approx(0.3, abs=1e-3)


def test_servos_low_pass_passes_what_stands_and_weakens_what_swings():
    standing, swinging = Butterworth(setup()), Butterworth(setup())
    standing.accept(level(0.2, T0), T0)
    assert commands(standing, T0, T0 + 500 * MS)[-1] == pytest.approx(0.2)
    swing = ChunkRows(T0, 10 * MS, 0.2 * (-1.0) ** np.arange(60)[:, None] * np.ones(5))
    swinging.accept(swing, T0)
    assert abs(commands(swinging, T0, T0 + 500 * MS)[-1]) < 1e-6


def test_servos_other_smoothing_keeps_the_accelerations_limit_and_follows_what_does_too():
    stepped, swung = AccelerationLimited(setup()), AccelerationLimited(setup())
    stepped.accept(level(0.3, T0), T0)
    values = commands(stepped, T0, T0 + 3000 * MS)
    acceleration = np.diff(np.concatenate(([0.0, 0.0], values)), n=2) / 0.01**2
    assert np.abs(acceleration).max() <= LIMITS.acceleration[0] * (1.0 + 1e-9)
    assert np.abs(acceleration).max() > 0.99 * LIMITS.acceleration[0]
    wave = 0.2 * (1.0 - np.cos(4.0 * 0.01 * np.arange(300.0)))
    swung.accept(ChunkRows(T0, 10 * MS, wave[:, None] * np.ones(5)), T0)
    np.testing.assert_allclose(commands(swung, T0, T0 + 3000 * MS), wave, atol=1e-9)


def test_ruckig_keeps_every_limit_and_catches_up_with_the_row_for_now():
    executor = Online(setup())
    ramp = 0.2 * STEP * 1e-9 * np.arange(120.0)[:, None] * np.ones(5)
    executor.accept(ChunkRows(T0, STEP, ramp), T0)
    values = commands(executor, T0, T0 + 6000 * MS)
    jerks = np.diff(np.concatenate((np.zeros(3), values)), n=3) / 0.01**3
    assert 0.9 * LIMITS.jerk[0] < np.abs(jerks).max() <= LIMITS.jerk[0]
    assert values[380] == pytest.approx(0.2 * 3.8, abs=1e-4)
    assert values[-1] == pytest.approx(ramp[-1, 0], abs=1e-6)


@pytest.mark.parametrize("make", [UpsampledPoints, ContinuedPoints])
def test_a_spline_goes_through_the_rows_without_a_step_in_velocity(make):
    executor = make(setup())
    times = 0.03 * np.arange(30.0)
    wave = 0.1 * np.sin(4.0 * times)
    executor.accept(ChunkRows(T0, 30 * MS, wave[:, None] * np.ones(5)), T0)
    values = commands(executor, T0, T0 + 900 * MS)
    np.testing.assert_allclose(values[3::3][:28], wave[1:29], atol=1e-6)
    # Past the first point, at which one of them rests, as in between two rows.
    np.testing.assert_allclose(values[13:70], 0.1 * np.sin(0.04 * np.arange(13, 70)), atol=1e-4)


def test_a_continued_spline_does_not_stop_where_the_chunks_meet():
    slowest = {}
    for make in (UpsampledPoints, ContinuedPoints):
        executor = make(setup())
        ramp = 0.3 * 0.03 * np.arange(60.0)[:, None] * np.ones(5)
        executor.accept(ChunkRows(T0, 30 * MS, ramp), T0)
        commands(executor, T0, T0 + 600 * MS)
        executor.accept(ChunkRows(T0, 30 * MS, ramp), T0 + 600 * MS)
        values = commands(executor, T0 + 600 * MS, T0 + 680 * MS)
        # The controller gives the last command once more, and makes up for it until the next row.
        slowest[make] = np.diff(values[3:]).min() / 0.01
    assert slowest[ContinuedPoints] == pytest.approx(0.3, abs=0.02)
    assert slowest[UpsampledPoints] < 0.2


@pytest.mark.parametrize("name", EXECUTORS)
def test_without_a_chunk_every_executor_stays(name):
    executor = EXECUTORS[name](setup())
    assert not commands(executor, T0, T0 + 500 * MS).any()


def test_a_chunks_fate_depends_on_its_number_alone():
    def arrivals(executor):
        link = DelayedLink(executor, ChunkDelay(3, 0.03, 0.3), seed=5)
        for k in range(100):
            link.send(level(0.0, T0 + k * 300 * MS))
            for t in range(T0 + k * 300 * MS, T0 + (k + 1) * 300 * MS, 10 * MS):
                link.command(t)
        return link.arrivals_ns

    naive = arrivals(Naive(setup()))
    assert naive == arrivals(Ensemble(setup()))
    assert 50 < len(naive) < 90
    late = [(t - T0) % (300 * MS) for t in naive]
    assert min(late) >= 100 * MS
    assert max(late) <= 140 * MS


def test_a_chunk_overtaken_by_a_newer_one_is_dropped():
    link = DelayedLink(Naive(setup()), ChunkDelay(1, 2.0), seed=0)
    for k in range(20):
        link.send(level(float(k), T0 + k * 10 * MS))
    seen = [link.command(t)[0] for t in range(T0, T0 + 5000 * MS, 10 * MS)]
    assert (np.diff(seen) >= 0).all()
    assert 1 < link.arrived < 20


def test_frankas_interface_takes_a_motion_within_limits_and_names_what_it_does_not_take():
    rest = np.tile(HOME, (50, 1))
    s = np.linspace(0.0, 1.0, 1001)[:, None]
    smooth = HOME + 0.5 * s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
    assert aborts(np.vstack((rest, smooth)), FER) == []
    line = HOME + 0.1 * s
    (start,) = aborts(np.vstack((rest, line)), FER)
    assert start.index == 51
    assert start.errors == (
        "joint_motion_generator_velocity_discontinuity",
        "joint_motion_generator_acceleration_discontinuity",
    )
    assert "joint_motion_generator_velocity_limits_violation" in str(
        aborts(np.vstack((rest, rest + 0.01)), FER)[0].errors
    )
    assert "joint_motion_generator_position_limits_violation" in str(
        aborts(rest + 3.0, FER)[0].errors
    )


def test_aborts_are_counted_anew_after_ten_milliseconds_of_soundness():
    stream = np.tile(HOME, (300, 1))
    stream[100:] += 1e-3
    stream[105:] += 1e-3
    stream[200:] += 1e-3
    assert [abort.index for abort in aborts(stream, FER)] == [100, 200]


def test_franka_never_aborts_this_suite_and_soon_the_others():
    delay = ChunkDelay(6, 0.03, 0.02)
    ours = reach.run(Smooth, delay, seed=0)
    theirs = reach.run(LeRobot, delay, seed=0)
    assert ours.aborts["as sent"] == ours.aborts["filtered"] == ours.refused == 0
    assert theirs.aborts["as sent"] > 100
    assert ours.successes == theirs.successes == 1
    assert ours.rms < 0.2 * theirs.rms
    assert ours.duration_s < 1.1 * theirs.duration_s


def test_on_the_very_same_chunks_this_suite_keeps_its_limit():
    outcome = replay.run(Smooth, ChunkDelay(10, 0.03, 0.02), seed=1, seconds=20.0)
    assert outcome.peak <= 100.001
    assert outcome.refused == 0
    assert outcome.error < 0.05


def test_a_recorded_outcome_is_not_run_again_unless_asked_for(tmp_path):
    path, ran = tmp_path / "outcomes.jsonl", []

    def run(name, delay):
        ran.append((name, delay.steps))
        return ExecutorOutcome(rms=1.5, peak=2.0, seconds=3.0, aborts={"as sent": 0})

    def results(anew=(), seeds=2):
        record = compare_executors.OutcomeFile(path, seeds, anew)
        return compare_executors.every([4], run, "FER", record)

    first = results()
    assert len(ran) == len(EXECUTORS)
    assert results() == first
    assert len(ran) == len(EXECUTORS)
    complete = compare_executors.OutcomeFile(path, 3, (), complete=True)
    assert compare_executors.every([4], run, "FER", complete) == {}
    results(anew=["cubes"])
    assert len(ran) == len(EXECUTORS)
    results(anew=["FER"])
    assert len(ran) == 2 * len(EXECUTORS)
    results(seeds=3)
    assert len(ran) == 3 * len(EXECUTORS)
