# SPDX-License-Identifier: Apache-2.0
"""The planner alone, where a closed loop would hide what it does."""

from dataclasses import replace

import numpy as np
import pytest

from smooth_motion import (
    Chunk,
    GripperPlan,
    Plan,
    check,
    retime,
    splice_ns,
    stretch,
    within_from_ns,
)
from vla_policy_node.core.controller_reports import ControllerReport, Event
from vla_policy_node.core.planner import Planner, RefusalError

MS = 1_000_000
NOW = 10**12
HOME = np.array([0.1, -0.4, 0.3])
ARM = ("pan", "lift", "elbow")


@pytest.fixture
def planner(robot):
    return Planner(
        robot,
        overlap_ns=100 * MS,
        margin_ns=60 * MS,
        acknowledge_timeout_ns=300 * MS,
        with_gripper=True,
    )


def report(now_ns, start_ns, position=HOME, velocity=0.0, acceleration=0.0):
    position = np.asarray(position)
    ones = np.ones_like(position)
    return ControllerReport(
        now_ns, now_ns - start_ns, position, velocity * ones, acceleration * ones
    )


def targets(start_ns=NOW, rows=40):
    arm = HOME + np.linspace(0.0, 0.3, rows)[:, None]
    gripper = np.linspace(0.2, 1.0, rows)[:, None]
    return Chunk((*ARM, "gripper"), start_ns, 33 * MS, np.hstack([arm, gripper]))


@pytest.fixture
def ready(planner):
    planner.observe_arm(report(NOW, NOW - 10**9), NOW, NOW)
    planner.observe_gripper(report(NOW, NOW - 10**9, [0.2]), NOW)
    assert planner.problems(NOW) == ()
    return planner


def test_nothing_can_be_planned_before_both_controllers_are_heard(planner):
    assert planner.problems(NOW) == (
        "arm_controller/controller_state: no message yet",
        "gripper_controller/controller_state: no message yet",
    )
    with pytest.raises(RuntimeError):
        planner.plan(targets(), NOW)


def test_nothing_can_be_planned_while_a_plan_is_under_way(ready):
    motion = ready.plan(targets(), NOW)
    ready.sent(motion, NOW)
    assert ready.in_flight
    with pytest.raises(RuntimeError):
        ready.plan(targets(), NOW + 10 * MS)
    assert ready.remaining_ns(NOW) == motion.arm.end_ns - NOW
    seen = report(NOW + 10 * MS, motion.arm.start_ns)
    assert ready.observe_arm(seen, NOW + 10 * MS, NOW) is Event.ACKNOWLEDGED
    assert not ready.in_flight


def test_a_plan_leaves_the_running_one_after_overlap_and_margin(ready):
    motion = ready.plan(targets(), NOW)
    moving = np.flatnonzero(motion.arm.segment_jerk().any(axis=1))
    leaves_ns = motion.arm.knots_ns[moving[0]]
    assert leaves_ns >= NOW + 160 * MS
    assert motion.arm.start_ns <= NOW - 50 * MS
    assert motion.gripper.start_ns == motion.arm.start_ns
    assert ready.budget_ns < 60 * MS


def test_a_plan_that_is_not_taken_in_time_is_lost(ready):
    motion = ready.plan(targets(), NOW)
    ready.sent(motion, NOW)
    before = report(NOW + 290 * MS, NOW - 10**9)
    assert ready.observe_arm(before, NOW + 290 * MS, NOW) is Event.NOTHING
    after = report(NOW + 310 * MS, NOW - 10**9)
    assert ready.observe_arm(after, NOW + 310 * MS, NOW) is Event.LOST
    assert ready.observe_arm(after, NOW + 320 * MS, NOW) is Event.NOTHING
    assert ready.remaining_ns(NOW + 320 * MS) == 0
    assert (ready.plan(targets(), NOW + 320 * MS).arm.positions[0] == HOME).all()


def test_a_foreign_trajectory_is_not_taken_for_rest_in_its_first_cycle(ready):
    motion = ready.plan(targets(), NOW)
    ready.sent(motion, NOW)
    ready.observe_arm(report(NOW + 10 * MS, motion.arm.start_ns), NOW + 10 * MS, NOW)
    start_ns = NOW + 50 * MS
    events = [
        ready.observe_arm(report(start_ns + step * MS, start_ns, **state), start_ns, NOW)
        for step, state in (
            (0, {}),
            (10, {"velocity": 0.1}),
            (20, {"velocity": 0.1}),
            # The reference turns: its velocity is zero, its acceleration is not.
            (30, {"acceleration": 2.0}),
            (40, {"position": HOME + 0.1}),
        )
    ]
    assert events == [Event.FOREIGN, Event.NOTHING, Event.NOTHING, Event.NOTHING, Event.REBASED]
    assert ready.problems(NOW) == ()
    later = ready.plan(targets(), start_ns + 50 * MS)
    assert (later.arm.positions[0] == HOME + 0.1).all()


def test_a_trajectory_whose_time_is_scaled_is_never_taken_for_rest(ready):
    motion = ready.plan(targets(), NOW)
    ready.sent(motion, NOW)
    assert ready.observe_arm(report(NOW, motion.arm.start_ns), NOW, NOW) is Event.ACKNOWLEDGED
    for step in range(1, 100):
        now_ns = NOW + 10 * MS * step
        # At half speed the start that the controller reports moves on with time.
        velocity = 0.1 if step < 50 else 0.0
        seen = report(now_ns, motion.arm.start_ns + 5 * MS * step, velocity=velocity)
        ready.observe_arm(seen, now_ns, now_ns)
    assert "not sent from here" in ready.problems(now_ns)[0]


def test_the_gripper_goes_on_from_what_its_controller_runs(ready):
    held = ready.plan(targets(), NOW)
    assert held.gripper.positions[0] == 0.2
    ready.sent(held, NOW)
    ready.observe_arm(report(NOW + 10 * MS, held.arm.start_ns), NOW + 10 * MS, NOW)
    now_ns = NOW + 400 * MS
    # The controller did not take the gripper's plan, and stands somewhere else.
    ready.observe_gripper(report(now_ns, NOW - 10**9, [0.7]), now_ns)
    assert ready.plan(targets(), now_ns).gripper.positions[0] == 0.7
    # It did take it: the next plan continues it.
    ready.observe_gripper(report(now_ns, held.gripper.start_ns, [0.7]), now_ns)
    follower = ready.plan(targets(), now_ns).gripper
    assert follower.positions[0] == held.gripper.position(follower.start_ns)


def test_without_a_gripper_in_the_action_only_the_arm_is_planned(robot):
    planner = Planner(
        robot,
        overlap_ns=100 * MS,
        margin_ns=60 * MS,
        acknowledge_timeout_ns=300 * MS,
        with_gripper=False,
    )
    planner.observe_arm(report(NOW, NOW - 10**9), NOW, NOW)
    assert planner.problems(NOW) == ()
    motion = planner.plan(Chunk(ARM, NOW, 33 * MS, np.tile(HOME, (40, 1))), NOW)
    assert isinstance(motion.arm, Plan)
    assert motion.gripper is None


def test_a_chunk_that_no_plan_can_follow_is_refused_with_the_reason(ready):
    with pytest.raises(RefusalError, match=r"ends 0\.193 s before"):
        ready.plan(targets(start_ns=NOW - 1320 * MS), NOW)


def test_a_reference_of_another_size_is_an_error_of_the_message(ready):
    with pytest.raises(ValueError, match=r"reference\.positions"):
        ready.observe_arm(report(NOW, NOW, np.zeros(2)), NOW, NOW)
    with pytest.raises(ValueError, match=r"reference\.positions"):
        ready.observe_arm(report(NOW, NOW, HOME * np.nan), NOW, NOW)
    assert isinstance(ready.plan(targets(), NOW).gripper, GripperPlan)


def running(planner, motion, now_ns):
    """Let the controller run a plan."""
    sample = motion.sample(now_ns)
    return planner.observe_arm(
        ControllerReport(now_ns, now_ns - motion.start_ns, *sample[:3]), now_ns, now_ns
    )


def test_the_next_plan_continues_what_the_monitor_made_of_the_last_one(ready, robot):
    motion = ready.plan(targets(), NOW)
    ready.sent(motion, NOW)
    splice = motion.splice_ns
    slower = stretch(motion.arm, 0.5, robot.limits, from_ns=splice).plan
    ready.heard(slower, NOW + 5 * MS)
    now = splice + 300 * MS
    assert running(ready, slower, now) is Event.ACKNOWLEDGED
    successor = ready.plan(targets(now), now).arm
    assert (successor.positions[0] == slower.sample(successor.start_ns).position).all()


def test_a_plan_of_the_monitors_own_is_waited_for_and_then_continued(ready, robot):
    motion = ready.plan(targets(), NOW)
    ready.sent(motion, NOW)
    now = motion.splice_ns + 200 * MS
    running(ready, motion.arm, now)
    splice = splice_ns(motion.arm, now + 150 * MS)
    found = retime(
        motion.arm,
        0.5,
        robot.limits,
        splice_ns=splice,
        cut_ns=now - 20 * MS,
        change_ns=300 * MS,
        deviation=0.01,
    )
    ready.scaling = 0.5
    ready.heard(found.plan, now)
    assert ready.settling, "it is under way"
    assert running(ready, found.plan, now + 20 * MS) is Event.NOTHING
    assert ready.settling, "its speed still changes"
    now = found.settled_ns
    running(ready, found.plan, now)
    assert not ready.settling
    chunk = replace(targets(now), dt_ns=66 * MS)
    successor = ready.plan(chunk, now)
    slow = robot.limits.slowed(0.5)
    assert within_from_ns(successor.arm, slow) <= successor.splice_ns
    assert check(successor.arm, found.plan, robot.limits, now_ns=now) == []


def test_a_foreign_trajectory_that_is_heard_is_known(ready):
    plan = ready.plan(targets(), NOW).arm
    ready.heard(plan, NOW)
    assert running(ready, plan, NOW + 20 * MS) is Event.NOTHING
    assert ready.problems(NOW + 20 * MS) == ()
    ready.heard(Plan.hold(("x",), [0.0], NOW), NOW)
    assert running(ready, plan, NOW + 30 * MS) is Event.NOTHING
