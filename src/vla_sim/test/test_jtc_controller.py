# SPDX-License-Identifier: Apache-2.0
"""The trajectory controller cycle by cycle: hold, replacement, goals, tolerances, state."""

import numpy as np
import pytest

from vla_sim.core.tolerances import JointTolerance, Tolerances
from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import (
    ControllerConfig,
    ErrorCode,
    Goal,
    GoalStatus,
    TrajectoryController,
)
from vla_sim.core.validation import Reason

JOINTS = ("a", "b")
S = 1_000_000_000
MS = 1_000_000
PERIOD_NS = 10 * MS
T0 = 50 * S


class SimulatedJoints:
    """A controller and joints that follow it perfectly, unless `offset` keeps them away."""

    def __init__(self, **config):
        self.position = np.array([0.1, 0.2])
        self.velocity = np.zeros(2)
        self.offset = np.zeros(2)
        self.controller = TrajectoryController(
            ControllerConfig(JOINTS, PERIOD_NS, **config), self.position, self.velocity
        )
        self.time_ns = T0 - PERIOD_NS

    def cycle(self):
        self.time_ns += PERIOD_NS
        measured = self.position + self.offset
        cycle = self.controller.update(self.time_ns, PERIOD_NS, measured, self.velocity)
        self.velocity = (self.controller.command - self.position) / (PERIOD_NS / 1e9)
        self.position = self.controller.command
        return cycle

    def until(self, time_ns):
        cycle = None
        while self.time_ns < time_ns:
            cycle = self.cycle()
        return cycle


def line(stamp_ns, *knots, names=JOINTS):
    """A trajectory of positions only: (time, a, b) each."""
    points = tuple(TrajectoryPoint(round(t * S), np.array(q, float)) for t, *q in knots)
    return JointTrajectory(stamp_ns, names, points)


def test_it_starts_by_holding_where_the_joints_are():
    plant = SimulatedJoints()
    first, second = plant.cycle().state, plant.cycle().state
    assert first.reference.positions == pytest.approx([0.1, 0.2])
    assert first.reference.time_from_start_ns == 0
    assert second.reference.time_from_start_ns == PERIOD_NS
    assert plant.controller.command == pytest.approx([0.1, 0.2])
    assert plant.controller.resting


def test_the_command_is_the_reference_one_cycle_ahead():
    plant = SimulatedJoints()
    plant.controller.receive(line(T0, (0.0, 0.1, 0.2), (1.0, 1.1, 0.2)), T0)
    state = plant.until(T0 + 100 * MS).state
    assert state.reference.positions == pytest.approx([0.2, 0.2])
    assert state.output.positions == pytest.approx([0.21, 0.2])


def test_stamp_minus_time_from_start_names_the_running_plan_also_after_its_end():
    plant = SimulatedJoints()
    plant.cycle()
    stamp = T0 + 3_456_789
    plant.controller.receive(line(stamp, (0.0, 0.1, 0.2), (0.1, 0.3, 0.2)), T0)
    for _ in range(30):
        state = plant.cycle().state
        assert state.stamp_ns - state.reference.time_from_start_ns == stamp
        assert state.feedback.time_from_start_ns == state.reference.time_from_start_ns
    assert state.reference.positions == pytest.approx([0.3, 0.2])


def test_time_from_start_is_negative_while_the_stamp_is_to_come():
    plant = SimulatedJoints()
    plant.controller.receive(line(T0 + S, (0.0, 1.0, 0.2)), T0)
    assert plant.cycle().state.reference.time_from_start_ns == -S


def test_a_reordered_trajectory_moves_the_named_joints():
    plant = SimulatedJoints()
    plant.controller.receive(line(0, (0.1, 2.0, 1.0), names=("b", "a")), T0)
    plant.until(T0 + 200 * MS)
    assert plant.controller.command == pytest.approx([1.0, 2.0])


def test_a_rejected_trajectory_changes_nothing():
    plant = SimulatedJoints()
    plant.cycle()
    rejection = plant.controller.receive(line(0, (0.1, 2.0), names=("a",)), T0)
    assert rejection.reason is Reason.JOINT_COUNT
    plant.until(T0 + 200 * MS)
    assert plant.controller.command == pytest.approx([0.1, 0.2])


def test_a_new_trajectory_forgets_the_old_one_even_if_it_begins_later():
    plant = SimulatedJoints()
    plant.controller.receive(line(0, (1.0, 1.1, 0.2)), T0)
    plant.until(T0 + 500 * MS)
    assert plant.controller.command == pytest.approx([0.61, 0.2])
    at = plant.time_ns + PERIOD_NS
    plant.controller.receive(line(at + S, (0.0, plant.position[0], 0.2)), at)
    plant.until(at + 300 * MS)
    assert plant.controller.command == pytest.approx([0.61, 0.2])


def test_a_stale_overlap_is_entered_in_its_middle_with_a_step():
    plant = SimulatedJoints()
    plant.cycle()
    plant.controller.receive(line(T0 - 500 * MS, (0.0, 0.0, 0.2), (1.0, 1.0, 0.2)), T0)
    assert plant.cycle().state.reference.positions == pytest.approx([0.51, 0.2])


@pytest.mark.parametrize(("from_desired", "start"), [(False, 0.15), (True, 0.1)])
def test_the_approach_begins_at_the_measured_state_or_at_the_last_command(from_desired, start):
    plant = SimulatedJoints(interpolate_from_desired_state=from_desired)
    plant.cycle()
    plant.offset = np.array([0.05, 0.0])
    plant.controller.receive(line(T0 + S, (0.0, 1.0, 0.2)), T0)
    state = plant.cycle().state
    lead_ns = PERIOD_NS if from_desired else 0  # the command's time is the cycle that sent it
    span_ns = S - PERIOD_NS + lead_ns
    assert state.reference.positions[0] == pytest.approx(start + (1 - start) * lead_ns / span_ns)


def test_a_nan_is_commanded_as_it_is_in_the_original():
    plant = SimulatedJoints()
    assert plant.controller.receive(line(T0, (0.0, np.nan, 0.2)), T0) is None
    output = plant.cycle().state.output.positions
    assert np.isnan(plant.controller.command[0])
    assert output == pytest.approx([0.1, 0.2])  # of which controller_state says nothing


def test_errors_are_of_position_only():
    plant = SimulatedJoints()
    plant.offset = np.array([0.02, -0.03])
    plant.controller.receive(line(T0, (0.0, 0.1, 0.2)), T0)
    state = plant.cycle().state
    assert state.error.positions == pytest.approx([-0.02, 0.03])
    assert state.error.velocities == pytest.approx([0.0, 0.0])
    assert state.error.accelerations.size == 0
    assert state.feedback.accelerations.size == 0
    assert state.output.velocities.size == 0


# --- action goals


def goal(name, trajectory, **tolerances):
    return Goal(name, trajectory, **tolerances)


def test_a_goal_succeeds_when_the_next_sample_is_past_the_end_and_the_last_point_is_repeated():
    plant = SimulatedJoints()
    assert plant.controller.accept(goal("g", line(T0, (0.0, 0.1, 0.2), (0.1, 0.3, 0.2)))) is None
    before = plant.until(T0 + 80 * MS)
    assert (before.goal_id, before.ended) == ("g", None)
    cycle = plant.cycle()
    assert (cycle.ended.status, cycle.ended.error_code) == (GoalStatus.SUCCEEDED, 0)
    held = plant.cycle()
    assert (held.goal_id, held.state.reference.time_from_start_ns) == (None, 0)
    assert held.state.reference.positions == pytest.approx([0.3, 0.2])


def test_cancelling_holds_the_measured_position():
    plant = SimulatedJoints()
    plant.controller.accept(goal("g", line(T0, (0.0, 0.1, 0.2), (1.0, 1.1, 0.2))))
    plant.until(T0 + 500 * MS)
    plant.offset = np.array([-0.04, 0.0])
    plant.cycle()
    measured = plant.controller.update(plant.time_ns, 0, plant.position, plant.velocity)
    ended = plant.controller.cancel("g")
    assert ended.status is GoalStatus.CANCELED
    state = plant.cycle().state
    assert state.reference.positions == pytest.approx(measured.state.feedback.positions)
    assert state.reference.velocities == pytest.approx([0.0, 0.0])


def test_cancelling_a_goal_that_is_not_active_does_nothing():
    plant = SimulatedJoints()
    plant.controller.accept(goal("g", line(T0, (0.1, 0.3, 0.2))))
    assert plant.controller.cancel("other") is None
    plant.until(T0 + 200 * MS)
    assert plant.controller.command == pytest.approx([0.3, 0.2])
    assert plant.controller.cancel("g") is None


def test_a_new_goal_aborts_the_running_one_without_a_hold():
    plant = SimulatedJoints()
    plant.controller.accept(goal("g", line(T0, (0.0, 0.1, 0.2), (1.0, 1.1, 0.2))))
    plant.until(T0 + 500 * MS)
    ended = plant.controller.accept(goal("h", line(T0, (0.0, 0.1, 0.2), (1.0, 1.1, 0.2))))
    assert (ended.goal_id, ended.status) == ("g", GoalStatus.ABORTED)
    assert ended.error_code is ErrorCode.INVALID_GOAL
    assert plant.cycle().state.reference.positions == pytest.approx([0.61, 0.2])


def test_a_trajectory_on_the_topic_lets_the_goal_run_on_and_succeed_at_its_own_end():
    plant = SimulatedJoints()
    plant.controller.accept(goal("g", line(T0, (0.0, 0.1, 0.2), (10.0, 1.1, 0.2))))
    plant.until(T0 + 100 * MS)
    plant.controller.receive(line(0, (0.1, 0.5, 0.2)), plant.time_ns)
    cycle = plant.cycle()
    while cycle.ended is None:
        assert cycle.goal_id == "g"
        cycle = plant.cycle()
    assert cycle.ended.status is GoalStatus.SUCCEEDED
    assert plant.time_ns < T0 + S
    assert plant.controller.command == pytest.approx([0.5, 0.2])


def test_a_path_tolerance_aborts_the_goal_withholds_the_command_and_holds():
    plant = SimulatedJoints()
    tolerance = (JointTolerance("a", position=0.01),)
    long = line(T0, (0.0, 0.1, 0.2), (1.0, 1.1, 0.2))
    plant.controller.accept(goal("g", long, path_tolerance=tolerance))
    plant.until(T0 + 300 * MS)
    command = plant.controller.command
    plant.offset = np.array([-0.05, 0.0])
    cycle = plant.cycle()
    assert cycle.ended.status is GoalStatus.ABORTED
    assert cycle.ended.error_code is ErrorCode.PATH_TOLERANCE_VIOLATED
    assert "path tolerance" in cycle.warning
    assert plant.controller.command == pytest.approx(command)
    measured = cycle.state.feedback.positions
    assert plant.cycle().state.reference.positions == pytest.approx(measured)


def test_a_goals_tolerance_stays_in_force_for_later_plans_on_the_topic():
    plant = SimulatedJoints()
    short = line(T0, (0.0, 0.1, 0.2), (0.1, 0.1, 0.2))
    plant.controller.accept(goal("g", short, path_tolerance=(JointTolerance("a", 0.01),)))
    plant.until(T0 + 300 * MS)
    plant.controller.receive(line(0, (1.0, 1.1, 0.2)), plant.time_ns)
    plant.cycle()
    plant.offset = np.array([-0.05, 0.0])
    assert "path tolerance" in plant.cycle().warning


def test_a_hold_is_not_judged_by_tolerances():
    plant = SimulatedJoints(tolerances=Tolerances(np.full(2, 0.01), np.full(2, 0.01), 0.1))
    plant.cycle()
    plant.offset = np.array([-0.5, 0.0])
    for _ in range(30):
        assert plant.cycle().warning == ""


def test_a_missed_goal_tolerance_waits_for_ever_when_no_time_is_set():
    plant = SimulatedJoints(tolerances=Tolerances(np.zeros(2), np.full(2, 0.01)))
    plant.controller.accept(goal("g", line(T0, (0.1, 0.3, 0.2))))
    plant.offset = np.array([-0.5, 0.0])
    for _ in range(100):
        assert plant.cycle().ended is None
    plant.offset = np.zeros(2)
    assert plant.cycle().ended.status is GoalStatus.SUCCEEDED


def test_a_missed_goal_tolerance_aborts_after_the_goal_time():
    plant = SimulatedJoints()
    plant.offset = np.array([-0.5, 0.0])
    plant.controller.accept(
        goal(
            "g",
            line(T0, (0.1, 0.3, 0.2)),
            goal_tolerance=(JointTolerance("a", 0.01),),
            goal_time_tolerance_s=0.2,
        )
    )
    assert plant.until(T0 + 300 * MS).ended is None
    cycle = plant.cycle()
    assert cycle.ended.error_code is ErrorCode.GOAL_TOLERANCE_VIOLATED
    assert cycle.ended.status is GoalStatus.ABORTED


@pytest.mark.parametrize(
    "illegal",
    [JointTolerance("a", -0.5), JointTolerance("a", 0.1, -2.0), JointTolerance("x", 0.1)],
)
def test_one_illegal_tolerance_discards_all_of_a_goals_tolerances(illegal):
    plant = SimulatedJoints()
    strict = (JointTolerance("b", 1e-6), illegal)
    plant.controller.accept(goal("g", line(T0, (0.1, 0.3, 0.2)), path_tolerance=strict))
    plant.offset = np.array([0.0, 0.5])
    assert plant.cycle().ended is None


def test_minus_one_lifts_a_tolerance():
    plant = SimulatedJoints(tolerances=Tolerances(np.full(2, 0.01), np.zeros(2)))
    lifted = (JointTolerance("a", -1.0),)
    plant.controller.accept(goal("g", line(T0, (0.1, 0.1, 0.2)), path_tolerance=lifted))
    plant.offset = np.array([0.5, 0.0])
    assert plant.cycle().warning == ""
    plant.offset = np.array([0.0, 0.5])
    assert plant.cycle().warning != ""
