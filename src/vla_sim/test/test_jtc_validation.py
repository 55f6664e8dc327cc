# SPDX-License-Identifier: Apache-2.0
"""What the trajectory controller rejects and, as important, what it lets pass."""

from dataclasses import replace

import numpy as np
import pytest

from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.validation import Reason, check

JOINTS = ("a", "b")
S = 1_000_000_000
NOW_NS = 100 * S


def point(t_ns, positions=(0.0, 0.0), velocities=(), accelerations=(), effort=()):
    arrays = (np.array(x, float) for x in (positions, velocities, accelerations, effort))
    return TrajectoryPoint(t_ns, *arrays)


GOOD = JointTrajectory(NOW_NS, JOINTS, (point(0), point(S)))


def reason(trajectory, now_ns=NOW_NS):
    rejection = check(trajectory, JOINTS, now_ns)
    return rejection and rejection.reason


def test_a_well_formed_trajectory_passes():
    assert reason(GOOD) is None


def test_joints_in_another_order_pass():
    assert reason(replace(GOOD, joint_names=("b", "a"))) is None


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b", "c")])
def test_a_trajectory_for_some_joints_or_too_many_is_rejected(names):
    assert reason(replace(GOOD, joint_names=names)) is Reason.JOINT_COUNT


def test_an_empty_trajectory_is_rejected_and_so_is_no_way_to_stop():
    assert reason(replace(GOOD, points=())) is Reason.NO_POINTS


def test_an_unknown_joint_is_rejected_by_name():
    rejection = check(replace(GOOD, joint_names=("a", "x")), JOINTS, NOW_NS)
    assert rejection.reason is Reason.UNKNOWN_JOINT
    assert "'x'" in rejection.detail


@pytest.mark.parametrize(
    ("velocity", "expected"),
    [(1e-7, None), (1.3e-7, Reason.MOVING_AT_THE_END), (-1.3e-7, Reason.MOVING_AT_THE_END)],
)
def test_an_end_velocity_beyond_a_float_epsilon_is_rejected(velocity, expected):
    end = point(S, velocities=(0.0, velocity))
    assert reason(replace(GOOD, points=(point(0), end))) is expected


def test_a_trajectory_that_ended_in_the_past_is_rejected():
    assert reason(replace(GOOD, stamp_ns=NOW_NS - S)) is None
    assert reason(replace(GOOD, stamp_ns=NOW_NS - S - 1)) is Reason.ENDS_IN_THE_PAST


def test_a_stamp_of_zero_is_never_in_the_past():
    assert reason(replace(GOOD, stamp_ns=0)) is None


def test_times_must_increase_strictly():
    assert reason(replace(GOOD, points=(point(S), point(S)))) is Reason.TIMES_NOT_INCREASING
    assert reason(replace(GOOD, points=(point(S), point(S + 1)))) is None


def test_positions_are_required_in_every_point():
    bad = replace(GOOD, points=(point(0), point(S, positions=())))
    assert reason(bad) is Reason.SIZE_MISMATCH


@pytest.mark.parametrize("field", ["positions", "velocities", "accelerations"])
def test_a_field_of_the_wrong_length_is_rejected(field):
    bad = replace(GOOD, points=(point(0), point(S, **{field: (0.0,)})))
    assert reason(bad) is Reason.SIZE_MISMATCH


def test_effort_is_rejected():
    assert reason(replace(GOOD, points=(point(0, effort=(0.0, 0.0)),))) is Reason.EFFORT


def test_the_end_velocity_is_looked_at_before_the_age():
    late = JointTrajectory(1, JOINTS, (point(0, velocities=(1.0, 0.0)),))
    assert reason(late) is Reason.MOVING_AT_THE_END


@pytest.mark.parametrize("field", ["positions", "velocities", "accelerations"])
def test_a_nan_passes_as_it_does_in_the_original(field):
    bad = replace(GOOD, points=(point(S, **{field: (np.nan, 0.0)}),))
    assert reason(bad) is None
