# SPDX-License-Identifier: Apache-2.0
"""The brake stops as soon as the limits allow, exactly, and inside the range if it can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smooth_motion import Limits, State, ViolationKind, brake, limit_violations


def one_joint(lower=-3.0, upper=3.0):
    return Limits(("joint",), [lower], [upper], [2.0], [10.0], [100.0])


def stop(v, a, *, p=0.0, lower=-3.0, upper=3.0):
    return brake(State([p], [v], [a]), one_joint(lower, upper), start_ns=0)


def test_an_arm_at_rest_is_held(arms):
    plan = brake(arms.rest(arms.small), arms.small, start_ns=arms.epoch)
    assert plan.times_ns.tolist() == [0]
    np.testing.assert_array_equal(plan.positions[0], arms.middle(arms.small))


@pytest.mark.parametrize(
    ("v", "a", "seconds"),
    [
        (0.64, 0.0, 2.0 * np.sqrt(0.64 / 100.0)),  # too slow to reach full deceleration
        (2.0, 0.0, 2.0 / 10.0 + 10.0 / 100.0),  # ramp, full deceleration, ramp
        (1.3, -10.0, 0.8 / 10.0 + 10.0 / 100.0),  # in full deceleration
        (0.5, -10.0, 10.0 / 100.0),  # already on the last ramp
        (1.5, 10.0, 0.1 + 2.0 / 10.0 + 0.1),  # still accelerating
        (0.0, 4.0, (1.0 + np.sqrt(2.0)) * 4.0 / 100.0),  # accelerating from rest
    ],
)
def test_it_takes_the_shortest_time_that_the_limits_allow(v, a, seconds):
    for sign in (1.0, -1.0):
        plan = stop(sign * v, sign * a)
        assert plan.end_ns * 1e-9 == pytest.approx(seconds, rel=2e-3)
        assert limit_violations(plan, one_joint()) == []


@given(
    v=st.floats(-2.0, 2.0),
    a=st.floats(-10.0, 10.0),
    small=st.sampled_from([1.0, 1e-3, 1e-6, 1e-9, 1e-12, 1e-200]),
    edge=st.booleans(),
)
def test_any_state_small_or_at_the_very_edge_is_brought_exactly_to_rest(v, a, small, edge):
    v, a = v * small, a * small
    if edge:
        v = -a * abs(a) / 200.0  # from here only the full jerk stops without turning back
    plan = stop(v, a)
    assert plan.velocities[-1, 0] == 0.0
    assert plan.accelerations[-1, 0] == 0.0
    kinds = {violation.kind for violation in limit_violations(plan, one_joint())}
    if abs(v + a * abs(a) / 200.0) <= 2.0 and abs(v) <= 2.0:
        assert kinds == set()
    assert ViolationKind.JERK not in kinds
    assert ViolationKind.ACCELERATION not in kinds


def test_each_joint_stops_by_itself_and_all_share_the_knots(arms):
    limits = arms.small
    state = State(arms.middle(limits), [2.0, 0.3, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 3.0, -2.0])
    plan = brake(state, limits, start_ns=arms.epoch)
    for j in range(5):
        alone = stop(state.velocity[j], state.acceleration[j])
        moving = plan.velocities[:, j].nonzero()[0]
        last = plan.times_ns[moving[-1] + 1] if moving.size else 0
        assert last == alone.end_ns
        assert set(alone.times_ns) <= set(plan.times_ns)


def test_before_a_position_limit_it_brakes_harder_and_turns_back_no_more_than_needed():
    free = stop(1.0, 0.0)
    hard = stop(1.0, 0.0, upper=float(free.positions[-1, 0]) - 1e-3)
    assert limit_violations(free, one_joint()) == []
    bound = one_joint(upper=float(free.positions[-1, 0]) - 1e-3)
    assert limit_violations(hard, bound, tolerance=1e-9) == []
    peak = hard.sample(np.arange(0, hard.end_ns, 100_000)).position.max()
    assert peak == pytest.approx(bound.position_upper[0], abs=1e-7)
    mirrored = stop(-1.0, 0.0, lower=-float(bound.position_upper[0]))
    np.testing.assert_allclose(mirrored.positions, -hard.positions, atol=1e-12)


def test_a_position_limit_that_physics_cannot_keep_is_passed_as_little_as_possible_and_named():
    # Full jerk to full deceleration, which lasts until the joint turns: the best there is.
    v, a, j = 1.0, 10.0, 100.0
    ramp = a / j
    turning = v - a * ramp / 2.0
    least = v * ramp - j * ramp**3 / 6.0 + turning**2 / (2.0 * a)
    plan = stop(v, 0.0, upper=least - 0.01)
    (violation,) = limit_violations(plan, one_joint(upper=least - 0.01))
    assert violation.kind is ViolationKind.POSITION
    assert violation.value == pytest.approx(least, abs=1e-6)
    inside = stop(v, 0.0, upper=least + 1e-6)
    assert limit_violations(inside, one_joint(upper=least + 1e-6), tolerance=1e-9) == []


def test_from_outside_the_range_it_stops_as_elsewhere_and_goes_no_further_out():
    plan = stop(-0.3, 0.0, p=3.1)
    assert plan.end_ns == stop(-0.3, 0.0).end_ns
    assert plan.positions.max() == 3.1
    assert plan.positions[-1, 0] < 3.1


def test_between_close_limits_it_turns_at_one_and_does_not_run_into_the_other(arms):
    """Any state that a plan is in can be stopped from, though jerk is scarce and room too."""
    limits = Limits(("joint",), [-0.4], [0.2], [6.0], [60.0], [20.0])
    turned = 0
    for seed in range(3):
        running, now, rng = arms.reached(seed, limits, wild=True, stops=0.0)
        for _ in range(20):
            now += int(rng.uniform(0.03, 0.6) * arms.second)
            running = arms.replaced(rng, limits, running, now, wild=True)
            for at in running.knots_ns[running.knots_ns > now][:30:3]:
                plan = brake(running.state(int(at)), limits, start_ns=int(at))
                assert limit_violations(plan, limits) == []
                turned += plan.times_ns.size > 4
    assert turned > 100
