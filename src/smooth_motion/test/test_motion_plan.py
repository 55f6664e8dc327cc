# SPDX-License-Identifier: Apache-2.0
"""Plans, limits and the overlap of two plans."""

import numpy as np
import pytest

from smooth_motion import Knots, Limits, MotionError, Plan, State, brake, overlap, splice_ns


@pytest.fixture
def moving(arms):
    """A plan of several knots that starts in motion."""
    limits = arms.small
    state = State(arms.middle(limits), [1.0, -0.5, 0.2, 0.0, 1.5], [2.0, 0.0, -9.0, 0.0, -10.0])
    return brake(state, limits, start_ns=arms.epoch)


def rebuilt(plan, **changes):
    fields = {
        "joint_names": plan.joint_names,
        "start_ns": plan.start_ns,
        "times_ns": plan.times_ns,
        "positions": plan.positions,
        "velocities": plan.velocities,
        "accelerations": plan.accelerations,
    }
    return Plan(**{**fields, **changes})


def changed(array, index, value):
    copy = np.array(array)
    copy[index] = value
    return copy


def test_a_sample_at_a_knot_is_the_knot_bit_by_bit(moving):
    sample = moving.sample(moving.knots_ns[:-1])
    np.testing.assert_array_equal(sample.position, moving.positions[:-1])
    np.testing.assert_array_equal(sample.velocity, moving.velocities[:-1])
    np.testing.assert_array_equal(sample.acceleration, moving.accelerations[:-1])
    np.testing.assert_array_equal(sample.jerk, moving.segment_jerk())


def test_sampled_velocity_is_the_slope_of_the_sampled_position(moving):
    t = np.arange(moving.start_ns + 1_000_000, moving.end_ns - 1_000_000, 777_777)
    step = 10_000
    rise = moving.sample(t + step).position - moving.sample(t - step).position
    np.testing.assert_allclose(rise / (2e-9 * step), moving.sample(t).velocity, atol=1e-7)


def test_before_its_start_and_after_its_end_a_plan_rests(moving):
    before = moving.sample(moving.start_ns - 1)
    after = moving.sample([moving.end_ns, moving.end_ns + 10**12])
    np.testing.assert_array_equal(before.position, moving.positions[0])
    np.testing.assert_array_equal(after.position, moving.positions[[-1, -1]])
    for sample in (before, after):
        assert not sample.velocity.any()
        assert not sample.acceleration.any()
        assert not sample.jerk.any()


def test_one_time_gives_one_row_and_many_times_give_many(moving):
    assert moving.sample(moving.start_ns).position.shape == (5,)
    assert moving.sample([moving.start_ns] * 3).position.shape == (3, 5)
    assert moving.sample([]).position.shape == (0, 5)


def test_the_position_at_one_time_is_that_of_a_sample_bit_by_bit(moving, arms):
    hold = Plan.hold(moving.joint_names, moving.positions[0], moving.start_ns)
    for plan in (moving, hold):
        times = np.arange(plan.start_ns - 2_000_000, plan.end_ns + 3_000_000, 333_333)
        for t in (*times.tolist(), *plan.knots_ns.tolist()):
            np.testing.assert_array_equal(plan.position_at(t), plan.sample(t).position)


def test_a_plan_survives_the_way_through_message_points_bit_by_bit(moving):
    copy = Plan.from_points(moving.joint_names, moving.start_ns, moving.points())
    np.testing.assert_array_equal(copy.times_ns, moving.times_ns)
    np.testing.assert_array_equal(copy.positions, moving.positions)
    np.testing.assert_array_equal(copy.velocities, moving.velocities)
    np.testing.assert_array_equal(copy.accelerations, moving.accelerations)


def test_a_plan_cannot_be_changed(moving):
    with pytest.raises(ValueError, match="read-only"):
        moving.positions[0, 0] = 1.0


@pytest.mark.parametrize("field", ["positions", "velocities", "accelerations"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_plan_with_a_number_that_is_not_finite_is_refused_by_name(moving, field, value):
    with pytest.raises(MotionError, match=rf"{field}\[1, 2\]"):
        rebuilt(moving, **{field: changed(getattr(moving, field), (1, 2), value)})


@pytest.mark.parametrize(
    ("field", "index", "value", "message"),
    [
        ("times_ns", 0, 1, "start at 0"),
        ("times_ns", 2, 0, "increase strictly"),
        ("velocities", (-1, 0), 1e-300, "at rest"),
        ("accelerations", (-1, 3), -1e-9, "at rest"),
        ("positions", (1, 0), 0.3, "jerk of pan is not constant between knots 0 and 1"),
        ("velocities", (2, 4), 0.0, "jerk of roll is not constant between knots 1 and 2"),
        ("accelerations", (1, 2), 9.0, "jerk of elbow is not constant"),
    ],
)
def test_a_plan_that_breaks_its_promise_is_refused(moving, field, index, value, message):
    with pytest.raises(MotionError, match=message):
        rebuilt(moving, **{field: changed(getattr(moving, field), index, value)})


def test_a_position_off_by_a_picometre_per_metre_of_arm_is_refused(moving):
    off = changed(moving.positions, (1, 0), moving.positions[1, 0] + 1e-12)
    with pytest.raises(MotionError, match="not constant"):
        rebuilt(moving, positions=off)


@pytest.mark.parametrize(
    "changes",
    [
        {"joint_names": ("a", "b", "c", "d")},
        {"joint_names": ("a", "b", "c", "d", "a")},
        {"joint_names": ()},
        {"times_ns": np.array([], dtype=np.int64)},
        {"times_ns": np.array([0.0])},
        {"positions": np.zeros((1, 5))},
        {"positions": "nowhere"},
    ],
    ids=lambda changes: str(changes),
)
def test_a_plan_of_the_wrong_shape_is_refused(moving, changes):
    with pytest.raises(MotionError):
        rebuilt(moving, **changes)


def test_points_without_velocities_are_refused_with_a_line_that_says_so(arms):
    point = (0, [0.0] * 5, [], [0.0] * 5)
    with pytest.raises(MotionError, match="point 0 has 0 velocities for 5 joints"):
        Knots.from_points(arms.small.joint_names, arms.epoch, [point])
    with pytest.raises(MotionError, match="no points"):
        Knots.from_points(arms.small.joint_names, arms.epoch, [])


def test_the_splice_is_the_next_knot_of_a_moving_plan_and_any_time_of_a_resting_one(moving):
    second = int(moving.knots_ns[1])
    assert splice_ns(moving, second) == second
    assert splice_ns(moving, second - 1) == second
    assert splice_ns(moving, second + 1) == int(moving.knots_ns[2])
    assert splice_ns(moving, moving.end_ns + 12_345) == moving.end_ns + 12_345


def test_an_overlap_keeps_the_running_knots_and_adds_the_cut_only(moving, arms):
    splice = int(moving.knots_ns[4])
    tail = brake(moving.state(splice), arms.small, start_ns=splice)
    cut = int(moving.knots_ns[1]) + 1_234
    plan = overlap(moving, tail, cut_ns=cut)
    assert plan.start_ns == cut
    assert plan.times_ns[0] == 0
    copied = slice(1, 3)
    np.testing.assert_array_equal(plan.knots_ns[copied], moving.knots_ns[2:4])
    np.testing.assert_array_equal(plan.positions[copied], moving.positions[2:4])
    np.testing.assert_array_equal(plan.velocities[copied], moving.velocities[2:4])
    np.testing.assert_array_equal(plan.accelerations[copied], moving.accelerations[2:4])
    np.testing.assert_array_equal(plan.knots_ns[3:], tail.knots_ns)
    np.testing.assert_array_equal(plan.positions[3:], tail.positions)


def test_a_tail_that_does_not_start_where_the_running_plan_is_is_refused(moving, arms):
    splice = int(moving.knots_ns[2])
    for field in range(3):
        values = [moving.positions[2], moving.velocities[2], moving.accelerations[2]]
        values[field] = values[field] + 1e-9
        tail = brake(State(*values), arms.small, start_ns=splice)
        name = ("position", "velocity", "acceleration")[field]
        with pytest.raises(MotionError, match=f"first {name} of"):
            overlap(moving, tail, cut_ns=moving.start_ns)


def test_a_cut_after_the_splice_or_before_a_moving_start_is_refused(moving, arms):
    splice = int(moving.knots_ns[2])
    tail = brake(moving.state(splice), arms.small, start_ns=splice)
    with pytest.raises(MotionError, match="after the splice"):
        overlap(moving, tail, cut_ns=splice + 1)
    with pytest.raises(MotionError, match="before the running plan's start"):
        overlap(moving, tail, cut_ns=moving.start_ns - 1)


def test_a_hold_can_be_cut_before_it_began(arms):
    held = Plan.hold(arms.small.joint_names, arms.middle(arms.small), arms.epoch)
    tail = Plan.hold(arms.small.joint_names, arms.middle(arms.small), arms.epoch + 100)
    plan = overlap(held, tail, cut_ns=arms.epoch - 50)
    np.testing.assert_array_equal(plan.times_ns, [0, 50, 150])


def test_plans_of_different_joints_do_not_overlap(moving, arms):
    other = Plan.hold(arms.large.joint_names, arms.middle(arms.large), moving.end_ns)
    with pytest.raises(MotionError, match="same joints"):
        overlap(moving, other, cut_ns=moving.start_ns)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("velocity", 0.0),
        ("acceleration", -1.0),
        ("jerk", np.nan),
        ("position_lower", 1.92),
        ("position_upper", np.inf),
    ],
)
def test_limits_without_room_or_sense_are_refused(arms, field, value):
    small = arms.small
    fields = {
        name: changed(getattr(small, name), 0, value) if name == field else getattr(small, name)
        for name in ("position_lower", "position_upper", "velocity", "acceleration", "jerk")
    }
    with pytest.raises(MotionError):
        Limits(small.joint_names, **fields)


def test_a_state_of_unequal_lengths_is_refused():
    with pytest.raises(MotionError, match="velocity must have shape"):
        State([0.0, 0.0], [0.0], [0.0, 0.0])
