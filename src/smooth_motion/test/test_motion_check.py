# SPDX-License-Identifier: Apache-2.0
"""The check refuses each kind of trajectory that a controller must not see."""

import dataclasses

import numpy as np
import pytest

from smooth_motion import (
    CheckConfig,
    Chunk,
    Knots,
    Plan,
    State,
    ViolationKind,
    check,
    limit_violations,
    overlap,
    splice_ns,
    track,
)

MS = 1_000_000
FIELDS = ("positions", "velocities", "accelerations")


@pytest.fixture(params=["small", "large"])
def case(request, arms):
    """A sound replacement: (knots, running, limits, now)."""
    limits = getattr(arms, request.param)
    running, now, rng = arms.reached(7, limits, stops=0.0)
    plan = arms.replaced(rng, limits, running, now)
    return Knots(*(getattr(plan, f.name) for f in dataclasses.fields(Knots))), running, limits, now


def kinds(violations):
    return {violation.kind for violation in violations}


def judged(case, knots=None, **changes):
    original, running, limits, now = case
    knots = dataclasses.replace(original if knots is None else knots, **changes)
    return check(knots, running, limits, now_ns=now)


def changed(array, index, value):
    copy = np.array(array)
    copy[index] = value
    return copy


def test_a_sound_replacement_passes(case):
    assert judged(case) == []


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_number_that_is_not_finite_is_refused_wherever_it_stands(case, field, value):
    knots, _, limits, _ = case
    for k in range(len(knots.times_ns)):
        joint = k % len(limits.joint_names)
        violations = judged(case, **{field: changed(getattr(knots, field), (k, joint), value)})
        assert kinds(violations) == {ViolationKind.NOT_FINITE}
        assert violations[0].joint == limits.joint_names[joint]


def test_other_joints_or_another_order_are_refused(case):
    names = case[0].joint_names
    for wrong in (names[::-1], names[:-1], (*names, "gripper"), ()):
        assert kinds(judged(case, joint_names=wrong)) == {ViolationKind.JOINTS}


def test_fields_of_another_shape_are_refused(case):
    knots = case[0]
    for field in FIELDS:
        for wrong in (getattr(knots, field)[:-1], np.zeros(0), getattr(knots, field)[:, :-1]):
            assert kinds(judged(case, **{field: wrong})) == {ViolationKind.SHAPE}
    for wrong in (np.zeros(0, dtype=np.int64), knots.times_ns * 1.0, knots.times_ns[:, None]):
        assert kinds(judged(case, times_ns=wrong)) == {ViolationKind.SHAPE}


def test_times_that_do_not_increase_from_zero_are_refused(case):
    times = case[0].times_ns
    for index, value in ((0, 1), (3, times[2]), (4, -5)):
        wrong = changed(times, index, value)
        assert kinds(judged(case, times_ns=wrong)) == {ViolationKind.TIMES}


@pytest.mark.parametrize("field", ["velocities", "accelerations"])
def test_the_slightest_motion_at_the_end_is_refused(case, field):
    moving = changed(getattr(case[0], field), (-1, 1), 1e-30)
    violations = judged(case, **{field: moving})
    assert kinds(violations) == {ViolationKind.NOT_AT_REST}
    assert violations[0].joint == case[0].joint_names[1]


@pytest.mark.parametrize(("field", "by"), [("positions", 1e-12), ("velocities", 1e-11)])
def test_a_knot_beside_the_constant_jerk_motion_is_refused(case, field, by):
    values = getattr(case[0], field)
    k = len(values) - 5
    violations = judged(case, **{field: changed(values, (k, 0), values[k, 0] + by)})
    assert ViolationKind.JERK_NOT_CONSTANT in kinds(violations)


def test_a_resampled_trajectory_is_refused(case):
    """Positions and velocities of the plan at other times lack its knots."""
    knots, running, limits, now = case
    plan = Plan(*(getattr(knots, f.name) for f in dataclasses.fields(Knots)))
    times = np.arange(0, plan.times_ns[-1], 20_000_000)
    sample = plan.sample(plan.start_ns + times)
    violations = check(
        Knots(plan.joint_names, plan.start_ns, times, *sample[:3]), running, limits, now_ns=now
    )
    assert ViolationKind.JERK_NOT_CONSTANT in kinds(violations)


@pytest.mark.parametrize("field", ["velocity", "acceleration", "jerk"])
def test_a_limit_that_is_passed_by_two_millionths_is_refused_at_or_between_knots(case, field):
    knots, running, limits, now = case
    peak = {v.joint: v.value for v in limit_violations(knots, shrunk(limits, field, 1e-9))}
    joint = limits.joint_names[0]
    reached = abs(peak[joint])
    for share, expected in ((1.0 - 2e-6, True), (1.0 + 1e-9, False)):
        bound = changed(getattr(limits, field), 0, reached * share)
        violations = check(
            knots, running, dataclasses.replace(limits, **{field: bound}), now_ns=now
        )
        assert bool(violations) is expected
        if expected:
            assert kinds(violations) == {ViolationKind(field)}
            assert violations[0].joint == joint
            assert violations[0].value == pytest.approx(reached)


def shrunk(limits, field, share):
    return dataclasses.replace(limits, **{field: getattr(limits, field) * share})


def test_a_velocity_peak_between_two_knots_is_found(arms):
    """Knots at equal speed, but faster half-way."""
    v, a, dt = 1.9, 2.5, 0.1
    jerk = -2.0 * a / dt
    rise = a * dt / 4.0
    names = ("one",)
    p1 = v * dt + a * dt**2 / 2.0 + jerk * dt**3 / 6.0
    knots = Knots(
        names,
        0,
        np.array([0, 100_000_000]),
        np.array([[0.0], [p1]]),
        np.array([[v], [v]]),
        np.array([[a], [-a]]),
    )
    limits = dataclasses.replace(
        arms.small,
        **{
            "joint_names": names,
            **{
                f: getattr(arms.small, f)[:1]
                for f in ("position_lower", "position_upper", "velocity", "acceleration", "jerk")
            },
            "velocity": np.array([1.95]),
        },
    )
    (violation,) = limit_violations(knots, limits)
    assert violation.kind is ViolationKind.VELOCITY
    assert violation.value == pytest.approx(v + rise)


def test_a_position_peak_between_two_knots_is_found(arms):
    limits = arms.small
    plan = Plan.hold(limits.joint_names, arms.middle(limits), 0)
    rng = np.random.default_rng(3)
    for _ in range(20):
        state = State(arms.middle(limits), rng.uniform(-1, 1, 5), rng.uniform(-9, 9, 5))
        chunk = arms.random_chunk(rng, limits, 0, plan.positions[0], False)
        plan = track(chunk, state, limits, start_ns=0)
        dense = plan.sample(np.arange(0, plan.end_ns, 50_000)).position
        top = dense.max(axis=0)
        below = dataclasses.replace(limits, position_upper=top - 1e-4)
        found = {v.joint: v.value for v in limit_violations(plan, below)}
        for joint, value in zip(limits.joint_names, top, strict=True):
            assert found[joint] == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize("field", FIELDS)
def test_a_trajectory_that_starts_beside_the_running_plan_is_refused(case, arms, field):
    knots, running, limits, now = case
    splice = splice_ns(running, now + 150_000_000)
    state = running.state(knots.start_ns)
    values = [state.position, state.velocity, state.acceleration]
    values[FIELDS.index(field)] = values[FIELDS.index(field)] + 1e-6
    chunk = Chunk(limits.joint_names, splice, arms.row, state.position[None])
    beside = track(chunk, State(*values), limits, start_ns=knots.start_ns)
    assert ViolationKind.STEP in kinds(check(beside, running, limits, now_ns=now))


def test_a_trajectory_whose_splice_comes_too_soon_or_has_passed_is_refused(case):
    knots, running, limits, now = case
    for late in (60_000_000, 400_000_000):
        violations = check(knots, running, limits, now_ns=now + late)
        assert kinds(violations) == {ViolationKind.SPLICE_TOO_EARLY}
    relaxed = CheckConfig(min_overlap_ns=50_000_000)
    assert check(knots, running, limits, now_ns=now + 60_000_000, config=relaxed) == []


def test_a_trajectory_without_an_overlap_is_refused(case, arms):
    knots, running, limits, now = case
    state = running.state(knots.start_ns)
    rng = np.random.default_rng(2)
    chunk = arms.random_chunk(rng, limits, now, state.position, False)
    bare = track(chunk, state, limits, start_ns=knots.start_ns)
    (violation,) = check(bare, running, limits, now_ns=now)
    assert violation.kind is ViolationKind.SPLICE_TOO_EARLY
    assert violation.value == pytest.approx(-0.02)
    assert violation.limit == pytest.approx(0.1)


def test_a_first_knot_in_the_future_is_refused(case):
    knots, running, limits, _ = case
    violations = check(knots, running, limits, now_ns=knots.start_ns - 3_000_000)
    assert kinds(violations) == {ViolationKind.STARTS_LATER}


def test_a_trajectory_that_has_ended_is_refused(case):
    knots, _, limits, _ = case
    same = Plan(*(getattr(knots, f.name) for f in dataclasses.fields(Knots)))
    violations = check(knots, same, limits, now_ns=knots.end_ns + 1_000_000)
    assert kinds(violations) == {ViolationKind.ENDED}


def test_an_arm_outside_its_range_may_return_but_go_no_further_out(arms):
    limits = arms.small
    outside = arms.middle(limits) + np.array([2.0, 0.0, 0.0, 0.0, 0.0])
    held = Plan.hold(limits.joint_names, outside, arms.epoch)
    now = arms.epoch + arms.second
    inwards = Chunk(limits.joint_names, now, arms.row, np.tile(arms.middle(limits), (40, 1)))
    splice = now + 120_000_000
    tail = track(inwards, held.state(splice), limits, start_ns=splice)
    back = overlap(held, tail, cut_ns=now - 20_000_000)
    assert check(back, held, limits, now_ns=now) == []
    assert back.positions[-1, 0] < limits.position_upper[0]
    wider = dataclasses.replace(limits, position_upper=limits.position_upper + 1.0)
    outwards = Chunk(limits.joint_names, now, arms.row, np.tile(outside + 0.1, (40, 1)))
    tail = track(outwards, held.state(splice), wider, start_ns=splice)
    out = overlap(held, tail, cut_ns=now - 20_000_000)
    assert kinds(check(out, held, limits, now_ns=now)) == {ViolationKind.POSITION}


def test_a_violation_reads_as_one_line_that_names_the_joint_and_the_limit(case):
    knots, running, limits, now = case
    tight = shrunk(limits, "velocity", 1e-3)
    for violation in check(knots, running, tight, now_ns=now):
        line = str(violation)
        assert line.startswith("velocity: ")
        assert violation.joint in line
        assert f"{violation.limit:.6g}" in line
        assert "\n" not in line


def test_knots_times_and_stamps_are_bounded(arms):
    limits = arms.small
    hold = Plan.hold(limits.joint_names, arms.middle(limits), arms.epoch)

    def kinds(times_ns, start_ns=arms.epoch):
        rows = np.repeat(hold.positions, len(times_ns), axis=0)
        knots = Knots(limits.joint_names, start_ns, np.array(times_ns), rows, 0 * rows, 0 * rows)
        found = check(knots, hold, limits, now_ns=arms.epoch + 10 * MS)
        return {violation.kind for violation in found}

    assert kinds([0, 1000 * MS]) == set()
    assert kinds(np.arange(1000) * MS) == set()
    assert kinds(np.arange(1001) * MS) == {ViolationKind.SIZE}
    assert kinds([0, 600_000 * MS]) == set()
    assert kinds([0, 600_000 * MS + 1]) == {ViolationKind.SIZE}
    assert kinds([0, 1000 * MS], start_ns=0) == {ViolationKind.STAMP}
    assert kinds([0, 1000 * MS], start_ns=-1) == {ViolationKind.STAMP}
    assert kinds([*(np.arange(64) * 150_000), 1000 * MS]) == set()
    assert kinds([*(np.arange(65) * 150_000), 1000 * MS]) == {ViolationKind.TIMES}
