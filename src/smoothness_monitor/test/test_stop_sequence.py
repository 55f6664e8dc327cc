# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from smooth_motion import GripperPlan, Plan, State, part_ns
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.types import StopState as Stop

MS = 1_000_000
S = 1_000_000_000


def wait_for_rest(bench, within_s=2.0):
    assert bench.run_until(lambda: bench.state is not Stop.STOPPING, within_s)


@pytest.mark.parametrize("seed", range(12))
def test_a_stop_out_of_any_motion_keeps_the_limits_rests_and_latches(make_bench, seed):
    """H5."""
    bench = make_bench(seed=seed)
    bench.amplitude = 1.2
    bench.get_moving()
    bench.run(bench.random.uniform(0.0, 0.6))
    stopped_ns = bench.now_ns
    bench.stop()
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    assert bench.monitor.snapshot().causes == ("operator",)
    assert bench.now_ns - stopped_ns <= 700 * MS
    bench.run(2.0)
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.travel(bench.now_ns - 2 * S) == 0.0


@pytest.mark.parametrize("delay_ms", [0, 1, 2, 5, 9, 15, 40, 70])
def test_a_stop_right_after_a_plan_was_forwarded_keeps_the_limits(make_bench, delay_ms):
    """H5."""
    bench = make_bench(seed=delay_ms)
    bench.get_moving()
    sent = len(bench.sent)
    assert bench.run_until(lambda: len(bench.sent) > sent, 1.0)
    bench.run(delay_ms * 1e-3)
    bench.stop()
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    bench.run(0.5)
    assert bench.peak_jerk_ratio() <= 1.000001


def test_a_stop_at_rest_replaces_a_plan_that_is_on_its_way(bench):
    """H6."""
    bench.get_ready()
    bench.run(0.3)
    bench.give(bench.plan())
    bench.stop()
    bench.run(2.0)
    assert bench.state is Stop.STOPPED_LATCHED
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.travel(bench.now_ns - S) == 0.0


def test_no_plan_is_forwarded_after_a_stop_however_often_the_policy_tries(bench):
    """H6."""
    bench.get_moving()
    bench.stop()
    wait_for_rest(bench)
    sent = len(bench.sent)
    for _ in range(20):
        bench.give(bench.plan())
        bench.run(0.1)
    assert len(bench.sent) == sent
    assert bench.state is Stop.STOPPED_LATCHED
    assert not bench.monitor.permit
    assert bench.travel(bench.now_ns - 2 * S) == 0.0
    assert len([line for line in bench.log if "not_ready" in line]) <= 2


def test_a_lost_brake_trajectory_is_sent_once_more(bench):
    """H12."""
    bench.get_moving()
    lost = []

    def lose_first(trajectory):
        lost.append(trajectory)
        return len(lost) > 1

    bench.deliver_to_controller = lose_first
    bench.policy_on = False
    bench.stop()
    wait_for_rest(bench)
    assert len(lost) == 2
    assert lost[0] == lost[1]
    assert bench.state is Stop.STOPPED_LATCHED
    assert bench.peak_jerk_ratio() <= 1.000001


def test_a_controller_that_ignores_the_brake_is_held_and_ends_in_fault(bench):
    """H12."""
    bench.get_moving()
    seen = []
    bench.deliver_to_controller = lambda trajectory: seen.append(trajectory) and False
    bench.policy_on = False
    bench.stop()
    wait_for_rest(bench)
    assert bench.state is Stop.FAULT
    assert len(seen) == 3
    hold = seen[-1]
    assert hold.points[0].positions == hold.points[-1].positions
    assert hold.stamp_ns <= bench.now_ns
    assert any("could not be shown to work" in line for line in bench.log)
    assert not bench.reset()[0]


def test_joints_that_do_not_come_to_stand_end_in_fault(bench):
    """H12."""
    bench.get_moving()
    at_ns = bench.now_ns
    bench.measured_offset = lambda t, p: p + 0.2 * np.sin(20.0 * max(0, t - at_ns) * 1e-9)
    bench.policy_on = False
    bench.stop()
    wait_for_rest(bench)
    assert bench.state is Stop.FAULT


def test_a_controller_that_is_driven_off_its_brake_is_braked_again(bench):
    """H12."""
    bench.get_moving()
    bench.policy_on = False
    bench.stop()
    brake_start_ns = bench.sent[-1][1].stamp_ns
    assert bench.run_until(lambda: bench.motion.start_ns == brake_start_ns, 1.0)
    bench.run(0.03)
    sent, own = len(bench.sent), bench.motion
    position = own.at(bench.now_ns)[0]
    start_ns = bench.now_ns

    def drift(t_ns):
        return position + 0.3 * (t_ns - start_ns) * 1e-9, np.full(5, 0.3), np.zeros(5)

    bench.motion = type(own)(start_ns, drift)
    assert bench.run_until(lambda: len(bench.sent) > sent, 0.2)
    assert "foreign_plan" in bench.monitor.snapshot().causes
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    bench.run(0.2)
    assert bench.travel(bench.now_ns - 200 * MS) == 0.0


def test_a_foreign_motion_is_braked_from_the_controllers_own_state(bench):
    """H7."""
    bench.get_ready()
    bench.run(0.3)
    start_ns, home = bench.now_ns, bench.robot.home_position

    def drift(t_ns):
        return home + 1.0 * (t_ns - start_ns) * 1e-9, np.full(5, 1.0), np.zeros(5)

    bench.motion = type(bench.motion)(start_ns, drift)
    bench.run(0.03)
    assert bench.first_cause in ("foreign_plan", "command_acceleration", "command_jerk")
    entered_ns = bench.now_ns
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    # Out of a uniform motion the entry into the brake is exact, where the brake comes in time.
    assert bench.peak_jerk_ratio(entered_ns) <= 1.1


@pytest.mark.parametrize("off_ns", [0, 3 * MS, -700 * MS], ids=["the plan's", "new", "old"])
@pytest.mark.parametrize("every", [0, 2, 3], ids=["one", "every second", "every third"])
@pytest.mark.parametrize("when", ["moving", "stopping"])
def test_a_false_word_of_the_controllers_state_steps_nothing(bench, off_ns, every, when):
    """H5. Anybody may publish there, a bag that is played for one."""
    bench.get_moving()
    if when == "stopping":
        bench.stop()
        bench.run(0.02)
    false = [0]
    count = [0]

    def somewhere_else(message):
        count[0] += 1
        if false[0] and (not every or count[0] % every):
            return message
        false[0] += 1
        there = tuple(position + 0.3 for position in message.position)
        since_ns = message.time_from_start_ns + off_ns
        return replace(message, position=there, time_from_start_ns=since_ns)

    bench.on_controller_message = somewhere_else
    began_ns = bench.now_ns
    bench.run(0.5 if every else 0.1)
    bench.on_controller_message = lambda message: message
    wait_for_rest(bench)
    assert false[0] >= (10 if every else 1)
    assert bench.state is Stop.STOPPED_LATCHED
    assert bench.peak_jerk_ratio(began_ns - 100 * MS) <= 1.000001


def test_motion_after_the_latch_is_stopped_again(bench):
    """H6."""
    bench.get_moving()
    bench.stop()
    wait_for_rest(bench)
    bench.run(0.5)
    sent, start_ns = len(bench.sent), bench.now_ns
    position = bench.motion.at(bench.now_ns)[0]

    def drift(t_ns):
        return position + 0.5 * (t_ns - start_ns) * 1e-9, np.full(5, 0.5), np.zeros(5)

    bench.motion = type(bench.motion)(start_ns, drift)
    assert bench.run_until(lambda: len(bench.sent) > sent, 0.2)
    assert bench.state is Stop.STOPPING
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    assert bench.first_cause == "operator"


def test_the_first_cause_wins_and_the_others_accumulate(bench):
    bench.get_moving()
    bench.stop()
    trip_ns = bench.monitor.snapshot().trip_ns
    bench.take(bench.monitor.on_publishers(("/teleop publishes",), bench.now))
    bench.on_joints_message = lambda message: None
    bench.run(1.0)
    snapshot = bench.monitor.snapshot()
    assert snapshot.first_cause == "operator"
    assert snapshot.first_cause_detail == "a test asks"
    assert snapshot.trip_ns == trip_ns
    assert snapshot.causes == ("operator", "foreign_publisher", "stale_joint_states")


def test_a_stop_before_anything_was_heard_latches_and_sends_nothing(make_bench):
    """H19."""
    bench = make_bench()
    bench.stop()
    assert bench.state is Stop.STOPPED_LATCHED
    assert bench.sent == []
    bench.run(1.0)
    assert bench.state is Stop.STOPPED_LATCHED


def test_a_stop_in_startup_brakes_what_moves(make_bench):
    """H19."""
    bench = make_bench()
    start_ns, home = bench.now_ns, bench.robot.home_position
    bench.motion = type(bench.motion)(
        start_ns,
        lambda t: (home + 0.5 * (t - start_ns) * 1e-9, np.full(5, 0.5), np.zeros(5)),
    )
    bench.run(0.1)
    assert bench.state is Stop.STARTUP
    assert any("reference moves" in line for line in bench.monitor.waiting_for())
    bench.stop()
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    bench.run(0.2)
    assert bench.travel(bench.now_ns - 200 * MS) == 0.0


def test_the_gripper_keeps_its_command_through_a_stop(bench):
    """H17."""
    bench.get_moving()
    running = GripperPlan(
        bench.robot.gripper.joint,
        bench.now_ns - 20 * MS,
        np.array([0, 200 * MS, 1200 * MS]),
        np.array([0.1, 0.1, 1.1]),
    )
    given = Trajectory.of_gripper(running)
    bench.take(bench.monitor.on_gripper(given, bench.now))
    bench.run(0.4)
    bench.stop()
    stopped_ns, hold = bench.gripper_sent[-1]
    first, last = hold.points[0], hold.points[-1]
    assert hold.stamp_ns < stopped_ns < hold.stamp_ns + last.time_from_start_ns
    assert first.positions == [pytest.approx(running.position(hold.stamp_ns))]
    assert last.positions == [
        pytest.approx(running.position(stopped_ns + round(bench.config.stop_overlap_s * S)))
    ]


def test_the_policys_silence_is_no_trip_and_the_arm_comes_to_rest(bench):
    """H4."""
    bench.get_moving()
    bench.policy_on = False
    bench.run(5.0)
    assert bench.state is Stop.READY
    assert bench.peak_jerk_ratio() <= 1.000001
    assert bench.travel(bench.now_ns - 2 * S) == 0.0


def test_every_forwarded_trajectory_ends_at_rest(bench):
    """H16."""
    bench.get_moving()
    bench.run(2.0)
    bench.stop()
    bench.run(1.0)
    for _, trajectory in bench.sent:
        last = trajectory.points[-1]
        assert not any(last.velocities)
        assert not any(last.accelerations)


def test_two_plans_part_where_their_motions_differ(robot):
    names = robot.limits.joint_names
    start = State.at_rest(robot.home_position)
    hold = Plan.hold(names, start.position, 0)
    rows = np.vstack([start.position] * 3)
    same = Plan(names, 0, np.array([0, S, 2 * S]), rows, 0 * rows, 0 * rows)
    assert part_ns(same, hold) == 2 * S


@pytest.mark.parametrize("after_ms", range(0, 200, 15))
@pytest.mark.parametrize("arrives", [False, True])
def test_a_stop_soon_after_a_plan_that_may_be_lost_keeps_the_limits(make_bench, after_ms, arrives):
    """H5. Nobody can tell yet whether the controller turns to it; the brake fits both."""
    bench = make_bench(seed=5, jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.05)
    lost = []
    bench.deliver_to_controller = lambda each: arrives or bool(lost) or lost.append(each)
    bench.give(bench.plan(spare_ns=5 * MS))
    bench.run(after_ms * 1e-3)
    bench.stop()
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    assert len(lost) == (0 if arrives else 1)
    assert bench.peak_jerk_ratio() <= 1.000001


def test_the_gripper_is_held_along_what_it_runs_when_a_newer_trajectory_was_lost(make_bench):
    """H17. Found by the fuzzing of the gate."""
    bench = make_bench(jitter=False)
    bench.get_ready()
    bench.run(0.5)

    def give(*knots):
        times, positions = zip(*knots, strict=True)
        plan = GripperPlan(
            bench.robot.gripper.joint,
            bench.now_ns - 20 * MS,
            np.array(times) * MS,
            np.array(positions),
        )
        bench.take(bench.monitor.on_gripper(Trajectory.of_gripper(plan), bench.now))

    give((0, 0.1), (3000, 0.1))
    bench.run(0.1)
    bench.run_gripper = lambda trajectory: None
    give((0, 0.1), (200, 0.1), (600, 1.0))
    assert len(bench.gripper_sent) == 2
    bench.run(0.5)
    bench.stop()
    assert len(bench.gripper_sent) == 3
    held = [point.positions[0] for point in bench.gripper_sent[-1][1].points]
    assert held == pytest.approx([0.1] * len(held))


@pytest.mark.parametrize("after_ms", [170, 220, 300])
@pytest.mark.parametrize("adopted_ms", [75, 100, 130])
def test_a_stop_for_a_controller_unheard_since_before_it_turned_late_to_a_plan_keeps_the_limits(
    make_bench, adopted_ms, after_ms
):
    """H5. Seen with a real controller on a loaded host: plan late, and its word late too."""
    bench = make_bench(seed=5, jitter=False)
    bench.get_moving()
    bench.policy_on = False
    bench.run(0.05)
    held = []
    bench.deliver_to_controller = lambda each: held.append(each)
    bench.give(bench.plan(spare_ns=5 * MS))
    bench.run((adopted_ms - 5) * 1e-3)
    bench.on_controller_message = lambda message: None
    bench.deliver_to_controller = lambda each: True
    (late,) = held
    bench.plant.receive(late, bench.now_ns)
    bench.run((after_ms - adopted_ms) * 1e-3)
    bench.stop()
    bench.on_controller_message = lambda message: message
    wait_for_rest(bench)
    assert bench.state is Stop.STOPPED_LATCHED
    assert bench.peak_jerk_ratio() <= 1.000001
