# SPDX-License-Identifier: Apache-2.0
"""Runner, executor and smooth_motion around an exact controller, in simulated time."""

from dataclasses import replace

import numpy as np
import pytest

from smooth_motion import Plan, limit_violations
from vla_contract.units import UNITS
from vla_policies import Action, PolicyUnavailableError
from vla_policy_node.core.permit import MonitorState
from vla_policy_node.core.session import RunState, Termination

MS = 1_000_000
JERK = np.array([100.0, 100.0, 60.0])


@pytest.mark.parametrize("latency_ms", [0, 50, 150, 300, 500])
def test_noise_chunks_never_exceed_the_jerk_limit(make_world, latency_ms):
    world = make_world(latency_ms=latency_ms)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(8.0)
    ratio = np.abs(world.jerk()) / JERK
    assert ratio.max() <= 1.000001
    assert ratio.max() > 0.5, "the arm must have moved"
    statistics = world.runner.status(world.now_ns).statistics
    assert statistics.plans_refused == 0
    assert statistics.plans >= 8.0 / max(0.25, latency_ms / 1e3 + 0.1)


def test_every_plan_keeps_every_limit(make_world, robot):
    world = make_world(latency_ms=120)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(4.0)
    assert len(world.plans) > 10
    for _, plan in world.plans:
        assert limit_violations(plan, robot.limits) == []


def test_a_latency_that_varies_never_exceeds_the_jerk_limit(make_world):
    random = np.random.default_rng(3)
    world = make_world(latency_ms=lambda: int(random.integers(0, 500)))
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(8.0)
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001
    assert world.runner.status(world.now_ns).statistics.plans > 15


def test_every_plan_repeats_the_running_one_for_the_overlap(make_world):
    world = make_world(latency_ms=80)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(4.0)
    assert len(world.plans) > 10
    for (_, old), (sent_ns, new) in zip(world.plans, world.plans[1:], strict=False):
        until_ns = sent_ns + 100 * MS
        assert new.start_ns <= sent_ns - 20 * MS
        kept = (old.knots_ns > new.start_ns) & (old.knots_ns <= until_ns)
        assert kept.any()
        for knot_ns, position, velocity, acceleration in zip(
            old.knots_ns[kept],
            old.positions[kept],
            old.velocities[kept],
            old.accelerations[kept],
            strict=True,
        ):
            at = int(np.flatnonzero(new.knots_ns == knot_ns)[0])
            assert (new.positions[at] == position).all()
            assert (new.velocities[at] == velocity).all()
            assert (new.accelerations[at] == acceleration).all()


def test_a_controller_that_lags_behind_the_clock_enters_plans_in_the_middle(make_world):
    # A plan that started in its future made the simulated controller draw a line of its own: 16
    # times the jerk limit.
    world = make_world(latency_ms=60)
    world.lag_ns = 90 * MS
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(6.0)
    assert len(world.plans) > 15
    assert all(plan.start_ns <= sent_ns - world.lag_ns for sent_ns, plan in world.plans)
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_silence_ends_at_rest_without_another_word(make_world):
    world = make_world()
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    world.runner.cancel("enough", world.now_ns)
    sent = len(world.plans)
    world.run(4.0)
    assert len(world.plans) == sent
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001
    assert (world.commands[-1] == world.commands[-50]).all()
    assert world.ended[0].termination is Termination.CANCELED


def test_rows_are_taken_by_their_time_not_by_their_number(make_world, noise_policy):
    """A chunk that ramps with time must be met where the ramp is by then, whatever the latency."""

    class Ramp(noise_policy):
        def infer(self, observation):
            since_s = (observation.stamp_ns - self.began_ns) / 1e9
            rows = since_s + np.arange(50)[:, None] / 30
            target = np.hstack([0.1 + 0.2 * rows, -0.4 + 0 * rows, 0.3 + 0 * rows, 0.2 + 0 * rows])
            return Action(target, 1 / 30, self.spec.joint_names)

    for latency_ms in (0, 400):
        policy = Ramp()
        world = make_world(policy=policy, latency_ms=latency_ms)
        policy.began_ns = world.now_ns
        world.runner.begin("ramp", 60.0, world.now_ns)
        world.run(4.0)
        since_s = (world.now_ns - policy.began_ns) / 1e9
        assert world.commands[-1][0] == pytest.approx(0.1 + 0.2 * since_s, abs=0.01)


def test_no_second_plan_while_one_is_not_acknowledged(make_world):
    world = make_world(latency_ms=0, replan_period_s=0.05)
    world.delivery_ns = 250 * MS
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(3.0)
    times = np.array([sent_ns for sent_ns, _ in world.plans])
    assert len(times) > 3
    assert np.diff(times).min() >= 250 * MS


def test_a_lost_plan_is_rebased_on_what_the_controller_runs(make_world):
    world = make_world(latency_ms=30)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    count = len(world.plans)
    world.deliver = lambda plan: False
    while len(world.plans) == count:
        world.tick()
    world.run(0.1)
    before = world.running
    assert before is not world.plans[-1][1]
    world.deliver = lambda plan: True
    world.run(0.6)
    successor = world.plans[count + 1][1]
    assert any("did not take the plan" in line for line in world.log)
    # It continues the plan that runs, not the one that was lost.
    assert (successor.positions[0] == before.sample(successor.start_ns).position).all()
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_a_plan_lost_between_monitor_and_controller_is_no_end_of_the_run(make_world):
    # The node hears it on the controller's topic, and yet the controller never runs it.
    world = make_world(latency_ms=30)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    lost = []

    def lose(plan):
        world.executor.heard(plan, world.now_ns)
        lost.append(plan)
        return False

    world.deliver = lose
    while not lost:
        world.tick()
    world.deliver = lambda plan: True
    count = len(world.plans)
    world.run(4.0)
    assert len(lost) == 1
    assert len(world.plans) > count + 5
    assert not world.ended
    assert any("did not take the plan" in line for line in world.log)
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_a_lost_gripper_trajectory_is_made_up_for_by_the_next(make_world):
    world = make_world(latency_ms=30)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    world.deliver_gripper = False
    count = len(world.plans)
    while len(world.plans) == count:
        world.tick()
    world.run(0.1)
    before = world.gripper_running
    world.deliver_gripper = True
    world.run(3.0)
    assert len(world.plans) > count + 5
    assert world.gripper_running is not before
    assert not world.ended
    rate = np.abs(np.diff(np.array(world.gripper_commands))) / 0.01
    assert rate.max() <= 2.5 * (1 + 1e-9)


def test_plans_that_are_never_taken_end_the_run(make_world):
    world = make_world(latency_ms=0, max_failures=3)
    world.deliver = lambda plan: False
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(3.0)
    assert world.ended[0].termination is Termination.POLICY_FAILED
    assert "did not take the plan" in world.ended[0].message
    assert len(world.plans) == 3


def test_the_reason_of_the_monitor_is_passed_on_when_a_plan_is_lost(make_world):
    world = make_world(latency_ms=0, max_failures=2)

    def reject(plan):
        world.rejected = (
            world.rejected[0] + 1,
            f"splice_too_early, number {world.rejected[0] + 1}",
        )
        return False

    world.deliver = reject
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    assert world.ended[0].message.endswith("newest rejection: splice_too_early, number 2")


def test_a_foreign_trajectory_is_waited_for_and_then_continued_from(make_world):
    world = make_world(latency_ms=30)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    world.runner.cancel("to watch", world.now_ns)
    world.run(3.0)
    p, t = world.commands[-1], world.now_ns
    h, j = 200 * MS, np.array([5.0, 0.0, 0.0])
    # Four intervals of jerk +j, -j, -j, +j move from rest to rest.
    signs = np.array([1.0, -1.0, -1.0, 1.0])
    rows = [(p, 0 * p, 0 * p)]
    for sign in signs:
        q, v, a = rows[-1]
        s, jj = h / 1e9, sign * j
        rows.append((q + s * (v + s * (a / 2 + s * jj / 6)), v + s * (a + s * jj / 2), a + s * jj))
    last = rows[-1]
    rows[-1] = (last[0], 0 * p, 0 * p)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    world.running = Plan(world.running.joint_names, t, h * np.arange(5), *columns)
    world.runner.begin("again", 60.0, world.now_ns)
    sent = len(world.plans)
    world.run(0.7)
    assert len(world.plans) == sent, "nothing is sent while a foreign trajectory moves the arm"
    assert sum("not sent from here" in line for line in world.log) == 1
    assert "not sent from here" in " ".join(world.runner.status(world.now_ns).waiting_for)
    world.run(1.0)
    assert len(world.plans) > sent
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_after_a_stop_the_next_instruction_starts_where_the_arm_rests(make_world):
    world = make_world(latency_ms=100)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    world.monitor = MonitorState.STOPPED_LATCHED
    world.run(3.0)
    assert world.ended[0].termination is Termination.STOPPED
    rest = world.commands[-1]
    world.monitor = MonitorState.READY
    sent = len(world.plans)
    world.run(1.0)
    assert len(world.plans) == sent, "a reset must not set the arm in motion"
    world.runner.begin("again", 60.0, world.now_ns)
    world.run(1.0)
    assert (world.plans[sent][1].positions[0] == rest).all()
    assert not world.plans[sent][1].velocities[0].any()
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_the_gripper_never_moves_faster_than_its_limit(make_world):
    world = make_world(latency_ms=100)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(5.0)
    commands = np.array(world.gripper_commands)
    rate = np.abs(np.diff(commands)) / 0.01
    assert rate.max() <= 2.5 * (1 + 1e-9)
    assert rate.max() > 1.0, "the gripper must have moved"
    assert commands.min() >= -0.2
    assert commands.max() <= 1.7


def test_without_a_monitor_nothing_is_planned(make_world):
    world = make_world()
    world.monitor = None
    world.run(0.5)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    status = world.runner.status(world.now_ns)
    assert status.state is RunState.NO_PERMIT
    assert "smoothness_monitor/state: stale" in status.waiting_for[0]
    assert world.plans == []
    assert world.inference.asked == []


def test_a_permit_that_is_lost_ends_the_run_and_a_permit_that_returns_does_not_resume_it(
    make_world,
):
    world = make_world()
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    world.monitor = None
    world.run(0.5)
    assert world.ended[0].termination is Termination.STOPPED
    world.monitor = MonitorState.READY
    sent = len(world.plans)
    world.run(1.0)
    assert len(world.plans) == sent
    assert world.runner.status(world.now_ns).state is RunState.IDLE


def test_a_run_may_begin_before_the_monitor_is_ready(make_world):
    world = make_world()
    world.monitor = MonitorState.STARTUP
    world.run(0.1)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(0.5)
    assert world.plans == []
    world.monitor = MonitorState.READY
    world.run(0.5)
    assert len(world.plans) > 0


def test_a_run_that_begins_while_the_stop_is_latched_ends_at_once(make_world):
    world = make_world()
    world.monitor = MonitorState.STOPPED_LATCHED
    world.run(0.1)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(0.02)
    assert world.ended[0].termination is Termination.STOPPED
    assert "STOPPED_LATCHED" in world.ended[0].message


def test_a_camera_that_falls_silent_stops_the_chunks_and_then_the_run(make_world):
    world = make_world(input_timeout_s=1.0)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    world.cameras = False
    world.run(0.5)
    asked = len(world.inference.asked)
    status = world.runner.status(world.now_ns)
    assert status.state is RunState.WAITING
    assert status.waiting_for[0].startswith("observation.images.front (front_camera/image_raw)")
    world.run(1.5)
    assert len(world.inference.asked) == asked
    assert world.ended[0].termination is Termination.INPUT_LOST
    assert "stale" in world.ended[0].message


def test_a_controller_that_falls_silent_stops_the_chunks_and_then_the_run(make_world):
    world = make_world(input_timeout_s=1.0)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    world.controller = False
    world.run(0.5)
    asked, sent = len(world.inference.asked), len(world.plans)
    status = world.runner.status(world.now_ns)
    assert status.state is RunState.WAITING
    assert status.waiting_for[0].startswith("arm_controller/controller_state: stale")
    assert status.waiting_for[1].startswith("gripper_controller/controller_state: stale")
    world.run(1.0)
    assert (len(world.inference.asked), len(world.plans)) == (asked, sent)
    assert world.ended[0].termination is Termination.INPUT_LOST


def test_a_policy_that_still_hangs_from_before_is_waited_for(make_world):
    world = make_world()
    world.inference.overdue = True
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(0.5)
    assert "has not returned from its last call" in world.runner.status(0).waiting_for[0]
    assert world.inference.asked == []
    world.inference.overdue = False
    world.run(0.5)
    assert len(world.plans) > 0


def test_a_chunk_for_the_old_instruction_is_not_planned_for_the_new_one(make_world):
    latency_ms = 0
    world = make_world(latency_ms=lambda: latency_ms, replan_period_s=0.05)
    world.delivery_ns = 200 * MS
    world.runner.begin("old", 60.0, world.now_ns)
    # A plan is under way, and a chunk that came after it waits.
    world.run(0.15)
    assert (len(world.plans), world.chunks) == (1, 3)
    latency_ms = 400
    world.runner.begin("new", 60.0, world.now_ns)
    world.run(0.35)
    assert len(world.plans) == 1
    world.run(0.3)
    assert len(world.plans) == 2


def test_columns_and_units_of_the_policy_become_those_of_the_robot(make_world, contract, spec):
    """The policy returns degrees, in an order of its own; the plan moves the right joints."""
    names = ("gripper", "elbow", "pan", "lift")
    goal = {"gripper": 0.5, "elbow": 0.6, "pan": -0.3, "lift": -0.2}
    ordered = replace(contract, action_joints=names, action_unit=UNITS["deg"])
    other = replace(spec, joint_names=names, units="deg")

    class Degrees:
        spec = other

        def infer(self, observation):
            return Action(np.tile(np.degrees([goal[n] for n in names]), (60, 1)), 1 / 30, names)

    world = make_world(policy=Degrees(), contract=ordered.narrowed_to(other))
    world.runner.begin("go", 60.0, world.now_ns)
    world.run(3.0)
    assert world.commands[-1] == pytest.approx([-0.3, -0.2, 0.6], abs=1e-3)
    assert world.gripper_commands[-1] == pytest.approx(0.5)


def test_a_newer_instruction_preempts_and_drops_the_answer_under_way(make_world):
    world = make_world(latency_ms=300)
    first = world.runner.begin("one", 60.0, world.now_ns)
    world.run(0.1)
    assert world.inference.busy
    second = world.runner.begin("two", 60.0, world.now_ns)
    world.run(0.3)
    assert (world.ended[0].run_id, world.ended[0].termination) == (first, Termination.PREEMPTED)
    assert second != first
    assert world.chunks == 0
    world.run(0.5)
    assert world.chunks > 0
    assert {item.task for item in world.inference.asked} == {"one", "two"}


def test_an_answer_that_arrives_after_the_end_is_not_a_chunk(make_world):
    world = make_world(latency_ms=300)
    world.runner.begin("one", 60.0, world.now_ns)
    world.run(0.1)
    world.runner.cancel("enough", world.now_ns)
    world.run(0.5)
    assert not world.inference.busy
    assert world.chunks == 0
    assert world.runner.status(world.now_ns).statistics.chunks == 0


def test_a_time_limit_ends_the_run(make_world):
    world = make_world()
    world.runner.begin("anything", 1.0, world.now_ns)
    world.run(1.1)
    assert world.ended[0].termination is Termination.TIMED_OUT
    assert world.ended[0].duration_s == pytest.approx(1.0, abs=0.02)


def test_a_run_that_was_begun_before_simulated_time_lasts_as_long_as_any(make_world):
    world = make_world()
    world.runner.begin("anything", 1.0, 0)  # as the clock says before its first message
    world.run(0.5)
    assert world.ended == []
    assert len(world.plans) > 0
    world.run(0.6)
    assert world.ended[0].termination is Termination.TIMED_OUT
    assert world.ended[0].duration_s == pytest.approx(1.0, abs=0.02)


def test_a_policy_that_is_done_ends_the_run(make_world, noise_policy):
    class Done(noise_policy):
        def infer(self, observation):
            good = super().infer(observation)
            return Action(good.positions, good.dt_s, good.joint_names, "put down", done=True)

    world = make_world(policy=Done())
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    assert world.ended[0].termination is Termination.DONE
    assert world.plans == []
    assert world.chunks == 1


def test_a_policy_that_raises_ends_the_run_with_its_words(make_world, noise_policy):
    class Raises(noise_policy):
        def infer(self, observation):
            raise ValueError("no cube in sight")

    world = make_world(policy=Raises())
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    assert world.ended[0].termination is Termination.POLICY_FAILED
    assert world.ended[0].message == "noise 1: no cube in sight"


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("nan", lambda p: p * np.nan),
        ("inf", lambda p: p + np.inf),
        ("a column too few", lambda p: p[:, :3]),
        ("no rows", lambda p: p[:0]),
        ("one dimension", lambda p: p[0]),
    ],
)
def test_a_bad_chunk_yields_no_plan(make_world, noise_policy, name, spoil):
    class Bad(noise_policy):
        def infer(self, observation):
            good = super().infer(observation)
            return Action(spoil(good.positions), good.dt_s, good.joint_names)

    world = make_world(policy=Bad(), latency_ms=0, max_failures=4)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    assert world.plans == []
    ended = world.ended[0]
    assert ended.termination is Termination.POLICY_FAILED
    assert ended.statistics.plans_refused == 4
    assert ended.statistics.last_refusal in ended.message


@pytest.mark.parametrize(
    "names", [("pan", "lift", "elbow", "wrist"), ("lift", "pan", "elbow", "gripper")]
)
def test_a_chunk_for_other_joints_yields_no_plan(make_world, noise_policy, names):
    class Wrong(noise_policy):
        def infer(self, observation):
            good = super().infer(observation)
            return Action(good.positions, good.dt_s, names)

    world = make_world(policy=Wrong(), latency_ms=0)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    assert world.plans == []
    statistics = world.runner.status(world.now_ns).statistics
    assert statistics.plans_refused > 0
    assert "columns" in statistics.last_refusal


def test_one_bad_chunk_between_good_ones_only_costs_itself(make_world, noise_policy):
    class Sometimes(noise_policy):
        count = 0

        def infer(self, observation):
            good = super().infer(observation)
            self.count += 1
            bad = self.count % 2 == 0
            return Action(good.positions * (np.nan if bad else 1.0), good.dt_s, good.joint_names)

    world = make_world(policy=Sometimes(), latency_ms=0, max_failures=2)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(4.0)
    statistics = world.runner.status(world.now_ns).statistics
    assert world.ended == []
    assert statistics.plans_refused > 5
    assert statistics.plans > 5
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_a_chunk_that_is_over_before_it_arrives_yields_no_plan(make_world):
    world = make_world(latency_ms=1800)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.5)
    assert world.plans == []
    assert "too slow" in world.runner.status(world.now_ns).statistics.last_refusal


def test_a_plan_that_took_too_long_is_dropped(make_world):
    world = make_world(latency_ms=0)
    ticks = iter(range(0, 10**12, 80 * MS))
    world.executor._motion_ns = lambda: next(ticks)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(0.5)
    assert world.plans == []
    refusal = world.runner.status(world.now_ns).statistics.last_refusal
    assert "planning took 80.0 ms" in refusal


def test_a_plan_that_took_long_while_simulated_time_stood_is_sent(make_world):
    world = make_world(latency_ms=0)
    ticks = iter(range(0, 10**12, 80 * MS))
    world.executor._stopwatch_ns = lambda: next(ticks)
    world.executor._motion_ns = lambda: 0
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(0.5)
    assert world.plans != []
    assert world.runner.status(world.now_ns).statistics.plan_times_s[0] == 0.08


def test_the_raw_planner_publishes_the_rows_as_they_are(make_world, noise_policy):
    class Nan(noise_policy):
        def infer(self, observation):
            good = super().infer(observation)
            return Action(good.positions * np.nan, good.dt_s, good.joint_names)

    world = make_world(policy=Nan(), latency_ms=0, planner="raw")
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(0.5)
    assert world.plans == []
    assert len(world.raw) > 0
    assert np.isnan(world.raw[0].positions).all()
    assert world.raw[0].positions.shape == (50, 3)


def test_the_next_observation_is_due_before_a_short_plan_ends(make_world, noise_policy):
    """A long period between observations must not let the plan run out."""

    class Short(noise_policy):
        def infer(self, observation):
            good = super().infer(observation)
            return Action(good.positions[:24], good.dt_s, good.joint_names)

    world = make_world(policy=Short(), latency_ms=200, replan_period_s=5.0)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(5.0)
    ends = [plan.end_ns for _, plan in world.plans]
    sent = [sent_ns for sent_ns, _ in world.plans]
    assert len(sent) >= 4
    assert all(later < end for later, end in zip(sent[1:], ends[:-1], strict=True))


class Flaky:
    """Keeps another policy away from time to time."""

    def __init__(self, policy) -> None:
        self.policy, self.spec = policy, policy.spec
        self.away = False

    def infer(self, observation):
        if self.away:
            raise PolicyUnavailableError("no server")
        return self.policy.infer(observation)


def test_a_policy_that_is_away_lets_the_arm_rest_and_resumes_without_a_jump(
    make_world, noise_policy
):
    policy = Flaky(noise_policy())
    world = make_world(policy=policy, latency_ms=80)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    for _ in range(3):
        policy.away, sent = True, len(world.plans)
        world.run(0.5)
        status = world.runner.status(world.now_ns)
        assert (status.state, status.waiting_for) == (RunState.WAITING, ("no server",))
        world.run(4.0)
        assert len(world.plans) <= sent + 1
        assert (world.commands[-1] == world.commands[-50]).all(), "the plan ends at rest"
        policy.away, moved = False, len(world.plans)
        world.run(2.0)
        assert world.runner.status(world.now_ns).state is RunState.RUNNING
        assert len(world.plans) > moved + 3
    ratio = np.abs(world.jerk()) / JERK
    assert ratio.max() <= 1.000001
    assert world.ended == []


def test_a_policy_that_stays_away_ends_the_run(make_world, noise_policy):
    policy = Flaky(noise_policy())
    world = make_world(policy=policy, policy_timeout_s=5.0)
    policy.away = True
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(5.0)
    assert world.ended == []
    world.run(1.0)
    assert world.ended[0].termination is Termination.INPUT_LOST
    assert "no server" in world.ended[0].message


class Continuing:
    """Returns noise that begins with what is committed, exactly."""

    def __init__(self, policy) -> None:
        self.policy, self.spec = policy, policy.spec

    def reset(self) -> None: ...
    def close(self) -> None: ...

    def infer(self, observation):
        return self.policy.infer(observation)

    def continue_chunk(self, observation, committed):
        action = self.policy.infer(observation)
        positions = action.positions.copy()
        positions[: committed.delay] = committed.positions[: committed.delay]
        return replace(action, positions=positions)


def test_a_policy_that_continues_is_told_what_the_arm_carries_out_anyway(make_world, noise_policy):
    world = make_world(policy=Continuing(noise_policy()), latency_ms=150)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(6.0)
    assert world.inference.committed[0] is None, "nothing runs yet"
    told = world.inference.committed[3:]
    assert len(told) > 10
    assert all(each is not None for each in told)
    # 150 ms to the answer, 260 ms and up to a knot to the splice.
    assert {each.delay for each in told} <= {13, 14, 15}
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_nothing_is_committed_once_the_arm_rests(make_world, noise_policy):
    policy = Flaky(Continuing(noise_policy()))
    policy.continue_chunk = lambda observation, committed: policy.infer(observation)
    world = make_world(policy=policy)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(2.0)
    policy.away = True
    world.run(5.0)
    asked = len(world.inference.committed)
    policy.away = False
    world.run(0.5)
    assert world.inference.committed[asked] is None


@pytest.mark.parametrize("chunks", ["replace", "ensemble"])
def test_nothing_is_committed_where_chunks_replace_or_are_averaged(
    make_world, noise_policy, chunks
):
    world = make_world(policy=Continuing(noise_policy()), chunks=chunks)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(3.0)
    assert len(world.plans) > 5
    assert all(each is None for each in world.inference.committed)
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_an_ensemble_of_noise_moves_less_than_its_newest_chunk(make_world):
    moved = {}
    for chunks in ("replace", "ensemble"):
        world = make_world(chunks=chunks)
        world.runner.begin("anything", 60.0, world.now_ns)
        world.run(6.0)
        moved[chunks] = np.abs(np.diff(world.commands, axis=0)).sum()
    assert moved["ensemble"] < 0.8 * moved["replace"]


def test_similar_observations_are_skipped_only_where_asked_and_not_at_the_plans_end(
    make_world, noise_policy
):
    asked = {}
    for similar in (0.0, 0.5):
        world = make_world(policy=noise_policy(size=0.0), similar_state_rad=similar)
        world.runner.begin("anything", 60.0, world.now_ns)
        world.run(8.0)
        asked[similar] = len(world.inference.asked)
        assert world.runner.status(world.now_ns).statistics.plans > 2
    assert asked[0.0] > 30
    assert 4 <= asked[0.5] < 15


@pytest.mark.parametrize("seconds", [0.05, -0.05, 2.0, -2.0, 3600.0])
def test_no_plan_reaches_across_a_step_of_the_clock_and_the_run_goes_on_from_rest(
    make_world, seconds
):
    world = make_world(latency_ms=60)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.0)
    assert (world.commands[-1] != world.commands[-2]).any(), "it moves"
    sent = len(world.plans)
    world.set_ns = round(seconds * 1e9)
    world.run(0.1)
    way = "forward" if seconds > 0 else "back"
    assert any(f"ROS time was set {way} by {abs(seconds):.3f} s" in line for line in world.log)
    rested = (world.commands[-1] == world.commands[-2]).all()
    for _ in range(500):
        if len(world.plans) > sent:
            break
        rested = (world.commands[-1] == world.commands[-2]).all()
        world.tick()
    assert len(world.plans) == sent + 1, world.runner.status(world.now_ns).waiting_for
    assert rested, "what runs is nobody's plan until it rests"
    since = len(world.commands)
    world.run(3.0)
    assert len(world.plans) > sent + 5
    assert (world.commands[-1] != world.commands[-20]).any()
    jerk = np.diff(np.array(world.commands[since:]), n=3, axis=0) / 0.01**3
    assert (np.abs(jerk) / JERK).max() <= 1.000001
    assert world.ended == []


def test_simulated_time_that_begins_anew_is_told(make_world):
    world = make_world(latency_ms=60)
    world.run(0.1)
    world.executor.look_at_the_time(world.now_ns, world.now_ns)
    world.executor.look_at_the_time(world.now_ns - 10**11, world.now_ns - 10**11)
    world.tick()
    assert any("ROS time was set back by 100.000 s" in line for line in world.log)
