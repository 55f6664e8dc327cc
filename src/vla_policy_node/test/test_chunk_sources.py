# SPDX-License-Identifier: Apache-2.0
"""Any node can be a source of chunks: it asks for the arm, is answered, and makes no jump."""

from dataclasses import replace

import numpy as np
import pytest

from vla_policy_node.core.arm_lease import REPEAT_NS
from vla_policy_node.core.permit import MonitorReport, MonitorState
from vla_policy_node.core.received_chunk import ReceivedChunk
from vla_policy_node.core.session import RunState, Termination

MS = 1_000_000
ARM = ("pan", "lift", "elbow")
JERK = np.array([100.0, 100.0, 60.0])
GOAL = np.array([0.6, -0.1, 0.0])


def ask(world, name="leader_arm", take_over=False):
    return world.executor.acquire(name, take_over, world.now_ns, world.now_ns)


def chunk(world, lease, goal=GOAL, rows=30, **changes):
    """Return a chunk that leads from where the arm is to a goal, as a leader arm would send it."""
    here = world.commands[-1]
    positions = here + np.linspace(0.0, 1.0, rows)[:, None] * (np.asarray(goal) - here)
    sent = ReceivedChunk("leader_arm", lease, 1, world.now_ns, 1 / 30, ARM, positions)
    return replace(sent, **changes)


def send(world, lease, seconds, goal=GOAL, period=10, **changes):
    for tick in range(round(seconds * 100)):
        if tick % period == 0:
            world.executor.offer(chunk(world, lease, goal, **changes), world.now_ns, world.now_ns)
        world.tick()


def status(world):
    return world.executor.status(world.now_ns, world.now_ns)


def test_a_source_that_asked_moves_the_arm_and_gives_it_back(make_world):
    world = make_world()
    lease = ask(world).lease.number
    assert status(world).holder == "leader_arm"
    send(world, lease, 3.0)
    assert world.commands[-1] == pytest.approx(GOAL, abs=0.02)
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001
    assert world.executor.arbiter.release(lease) == ""
    assert status(world).holder == ""
    assert "does not hold the arm: gave the arm back" in world.executor.arbiter.release(lease)
    assert world.inference.asked == [], "the policy has no part in it"


def test_the_policy_is_taken_over_from_in_motion_and_comes_back_without_a_jump(make_world):
    world = make_world(latency_ms=100)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.5)
    assert np.abs(np.diff(world.commands[-3:], axis=0)).max() > 1e-3, "it moves"
    refused = ask(world)
    assert refused.lease is None
    assert (refused.holder, refused.message[:18]) == ("noise 1", "noise 1 holds the ")
    assert world.runner.status(world.now_ns).state is RunState.RUNNING
    lease = ask(world, take_over=True).lease.number
    send(world, lease, 2.5)
    ended = world.ended[0]
    assert ended.termination is Termination.ARM_TAKEN
    assert ended.message == "leader_arm took the arm over"
    assert world.commands[-1] == pytest.approx(GOAL, abs=0.06)
    send(world, lease, 0.7, goal=-GOAL)
    assert np.abs(np.diff(world.commands[-3:], axis=0)).max() > 1e-3, "it moves"
    assert world.executor.arbiter.release(lease) == ""
    world.runner.begin("anything", 60.0, world.now_ns)
    plans = len(world.plans)
    world.run(2.0)
    assert len(world.plans) > plans + 3
    assert world.runner.status(world.now_ns).state is RunState.RUNNING
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001


def test_an_instruction_asks_for_the_arm_and_does_not_take_it(make_world):
    world = make_world()
    lease = ask(world).lease.number
    for _ in range(20):
        world.runner.instruct("pick", world.now_ns)
        send(world, lease, 0.2)
    assert [ended.termination for ended in world.ended] == [Termination.ARM_TAKEN]
    assert "leader_arm holds the arm" in world.ended[0].message
    assert world.inference.asked == []
    world.executor.arbiter.release(lease)
    for _ in range(10):
        world.runner.instruct("pick", world.now_ns)
        world.run(0.2)
    assert world.inference.asked == [], "what was said before the arm was free moves nothing"
    world.run(1.1)
    world.runner.instruct("pick", world.now_ns)
    world.run(0.5)
    assert len(world.inference.asked) > 0


def test_an_instruction_repeated_through_a_take_over_does_not_begin_again_by_itself(make_world):
    world = make_world()
    world.runner.instruct("pick", world.now_ns)
    world.run(0.5)
    lease = ask(world, take_over=True).lease.number
    asked = len(world.inference.asked)
    for _ in range(10):
        world.runner.instruct("pick", world.now_ns)
        send(world, lease, 0.2)
    world.executor.arbiter.release(lease)
    for _ in range(10):
        world.runner.instruct("pick", world.now_ns)
        world.run(0.2)
    assert len(world.inference.asked) == asked
    assert world.runner.status(world.now_ns).state is RunState.IDLE


def test_chunks_of_whoever_does_not_hold_the_arm_are_counted_and_said_once(make_world):
    world = make_world()
    send(world, 0, 1.0, period=1)
    holder = ask(world, "jog").lease.number
    send(world, holder + 7, 1.0, period=1)
    assert world.plans == []
    assert status(world).strangers == 200
    assert status(world).statistics.chunks == 0
    said = [line for line in world.log if "chunks are refused" in line]
    assert len(said) == 2, said
    assert "'leader_arm' holds no lease 0 of the arm" in said[0]


def test_a_stranger_with_a_thousand_names_does_not_fill_the_log(make_world):
    world = make_world()
    for number in range(1000):
        sent = chunk(world, number, source=f"stranger {number}")
        world.executor.offer(sent, world.now_ns, world.now_ns)
    world.executor.arbiter.unread("a chunk of 9000000 bytes")
    world.tick()
    assert status(world).strangers == 1001
    assert status(world).stranger == "a chunk of 9000000 bytes"
    assert sum("chunks are refused" in line for line in world.log) == 20


def test_a_hundred_chunks_a_second_make_twenty_plans(make_world):
    world = make_world()
    world.delivery_ns = 0
    send(world, ask(world).lease.number, 2.0, period=1)
    assert 20 <= len(world.plans) <= 40


def test_who_was_taken_over_from_is_not_heard_any_more_and_told_why(make_world):
    world = make_world()
    first = ask(world).lease.number
    send(world, first, 0.5)
    second = ask(world, "jog", take_over=True)
    assert second.lease.number != first
    plans = len(world.plans)
    send(world, first, 0.5)
    assert len(world.plans) == plans
    assert "jog took the arm over" in status(world).stranger
    assert "jog took the arm over" in world.executor.arbiter.release(first)
    assert status(world).holder == "jog", "who does not hold the arm cannot give it back"


def test_a_source_that_falls_silent_leaves_the_arm_at_rest_and_loses_it(make_world):
    world = make_world(source_timeout_s=2.0)
    lease = ask(world).lease.number
    send(world, lease, 0.5)
    world.run(1.8)
    assert status(world).holder == "leader_arm"
    world.run(0.3)
    assert status(world).holder == ""
    assert "no usable chunk for 2 s" in status(world).last_end
    assert (world.commands[-1] == world.commands[-20]).all()
    assert (np.abs(world.jerk()) / JERK).max() <= 1.000001
    assert ask(world, "jog").lease is not None


def test_the_policy_keeps_the_arm_however_long_it_is_silent(make_world):
    world = make_world(latency_ms=5000, source_timeout_s=1.0)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(3.0)
    assert status(world).holder == "noise 1"


def test_nothing_is_granted_during_a_stop_and_no_reset_moves_the_arm(make_world):
    world = make_world()
    lease = ask(world).lease.number
    send(world, lease, 0.5)
    world.monitor = MonitorState.STOPPED_LATCHED
    world.run(0.05)
    assert status(world).holder == ""
    assert "STOPPED_LATCHED" in status(world).last_end
    # A source that asks ten times a second, and sends chunks by whatever it is given.
    for _ in range(20):
        answer = ask(world, take_over=True)
        assert answer.lease is None
        assert "STOPPED_LATCHED" in answer.message
        send(world, lease, 0.1)
    world.monitor = MonitorState.READY
    plans = len(world.plans)
    for _ in range(30):
        send(world, lease, 0.1)
        assert ask(world).lease is None
    assert len(world.plans) == plans
    assert "has asked since before the reset" in ask(world).message
    world.run(REPEAT_NS / 1e9 + 0.1)
    assert ask(world).lease is not None, "after a pause it is asked anew"


def test_nothing_is_granted_without_the_monitor(make_world):
    world = make_world()
    world.monitor = None
    world.run(0.5)
    answer = ask(world)
    assert answer.lease is None
    assert "smoothness_monitor/state" in answer.message
    world.monitor = MonitorState.READY
    world.run(0.1)
    assert ask(world).lease is not None, "the monitor was late, it had stopped nothing"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 65])
def test_a_source_needs_a_name_that_can_be_shown(make_world, name):
    answer = ask(make_world(), name)
    assert answer.lease is None
    assert "write a name of 1 to 64 printable characters" in answer.message


def nan(sent):
    return sent.positions * np.nan


BAD = {
    "degrees": (lambda s: {"positions": np.degrees(s.positions) + 200.0}, "robot's range is"),
    "not finite": (lambda s: {"positions": nan(s)}, "has nan for pan"),
    "a joint missing": (
        lambda s: {"joint_names": ARM[:2], "positions": s.positions[:, :2]},
        "joint_names lacks elbow",
    ),
    "a joint twice": (
        lambda s: {"joint_names": (*ARM, "pan"), "positions": s.positions[:, [0, 1, 2, 0]]},
        "a joint twice",
    ),
    "an unknown joint": (
        lambda s: {"joint_names": (*ARM, "tail"), "positions": s.positions[:, [0, 1, 2, 0]]},
        "none of pan, lift, elbow, gripper",
    ),
    "no rows": (lambda s: {"positions": s.positions[:0]}, "shape (0, 3)"),
    "a million rows": (
        lambda s: {"positions": np.zeros((1_000_000, 3))},
        "10000 at most",
    ),
    "no time between rows": (lambda s: {"dt_s": 0.0}, "dt is 0 s"),
    "less than none": (lambda s: {"dt_s": -0.1}, "dt is -0.1 s"),
    "time that is none": (lambda s: {"dt_s": float("nan")}, "dt is nan s"),
    "endless rows": (lambda s: {"dt_s": 1e300}, "dt is 1e+300 s"),
    "no stamp": (lambda s: {"stamp_ns": 0}, "check use_sim_time"),
    "a stamp ahead": (lambda s: {"stamp_ns": s.stamp_ns + 60 * 10**9}, "+60.000 s from now"),
    "a stamp of before": (lambda s: {"stamp_ns": s.stamp_ns - 5 * 10**9}, "ends 4."),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_chunk_moves_nothing_and_its_sender_hears_why(make_world, what):
    spoil, reason = BAD[what]
    world = make_world(max_failures=1000)
    lease = ask(world).lease.number
    for _ in range(20):
        good = chunk(world, lease)
        world.executor.offer(replace(good, **spoil(good)), world.now_ns, world.now_ns)
        world.tick()
    assert world.plans == []
    statistics = status(world).statistics
    assert statistics.chunks == 20
    # One that is too late is refused when it is its turn, unless a newer one has come.
    assert statistics.plans_refused == (4 if what == "a stamp of before" else 20)
    assert reason in statistics.last_refusal
    send(world, lease, 0.5)
    assert len(world.plans) > 0, "it still holds the arm"


def test_chunks_in_a_row_that_move_nothing_cost_the_arm(make_world):
    world = make_world(max_failures=5)
    lease = ask(world).lease.number
    send(world, lease, 1.0, dt_s=-1.0)
    assert "5 chunks in a row moved nothing" in status(world).last_end
    assert status(world).holder == ""


def test_a_first_chunk_in_another_order_of_joints_is_refused_and_named(make_world):
    world = make_world()
    pose = [1.4, -0.8, 0.7]
    world.running = replace(world.running, positions=np.array([pose]))
    world.run(0.1)
    lease = ask(world).lease.number
    wrong = np.tile([pose[1], pose[0], pose[2]], (30, 1))
    sent = chunk(world, lease, positions=wrong)
    world.executor.offer(sent, world.now_ns, world.now_ns)
    world.tick()
    assert "with the columns [lift, pan, elbow]" in status(world).statistics.last_refusal
    assert "unit_check" not in status(world).statistics.last_refusal, "that is the policy's"


def test_columns_come_in_any_order_with_the_gripper_or_without(make_world):
    world = make_world()
    lease = ask(world).lease.number
    names = ("gripper", "elbow", "pan", "lift")
    target = np.tile([0.9, GOAL[2], GOAL[0], GOAL[1]], (60, 1))
    send(world, lease, 3.0, joint_names=names, positions=target)
    assert world.commands[-1] == pytest.approx(GOAL, abs=0.02)
    assert world.gripper_commands[-1] == pytest.approx(0.9)
    send(world, lease, 1.0)
    assert world.gripper_commands[-1] == pytest.approx(0.9), "it stays where it is"


def test_a_camera_that_the_policy_lacks_stops_no_other_source(make_world):
    world = make_world()
    world.cameras = False
    world.run(1.5)
    lease = ask(world).lease.number
    send(world, lease, 2.5)
    assert world.commands[-1] == pytest.approx(GOAL, abs=0.02)


def test_grants_of_another_run_of_the_node_are_none_of_this_one(make_world):
    first, second = make_world(), make_world()
    second.executor.arbiter._number = 10**18
    number = ask(first).lease.number
    ask(second)
    send(second, number, 0.3)
    assert second.plans == []


def test_a_step_of_ros_time_leaves_the_holder_its_arm_and_what_was_planned_is_void(make_world):
    world = make_world()
    lease = ask(world).lease.number
    send(world, lease, 0.5)
    sent, world.set_ns = len(world.plans), 2 * 10**9
    world.run(0.5)
    assert len(world.plans) == sent
    assert status(world).holder == "leader_arm"


def hear(world, *states):
    """Hear the monitor again and again before the next tick."""
    for state in states:
        permit = state is MonitorState.READY
        world.executor.monitor(MonitorReport(world.now_ns, state, permit, ""), world.now_ns)


@pytest.mark.parametrize("unheard_s", [0.0, 8.0])
def test_a_stop_and_its_reset_between_two_looks_cost_the_arm(make_world, unheard_s):
    world = make_world()
    lease = ask(world).lease.number
    send(world, lease, 1.0)
    plans = len(world.plans)
    # A host that stood still hears the newest message alone.
    world.now_ns += round(unheard_s * 1000) * MS
    hear(world, *([] if unheard_s else [MonitorState.STOPPED_LATCHED]), MonitorState.READY)
    refused = ask(world, take_over=True)
    assert refused.lease is None
    send(world, lease, 1.0)
    assert len(world.plans) == plans
    assert status(world).holder == ""
    assert "smoothness_monitor/state" in status(world).last_end
    assert ask(world, "another").lease is not None


@pytest.mark.parametrize("unheard_s", [0.0, 8.0])
def test_a_stop_and_its_reset_between_two_looks_end_the_run(make_world, unheard_s):
    world = make_world(policy_timeout_s=60.0)
    world.runner.begin("anything", 60.0, world.now_ns)
    world.run(1.5)
    plans = len(world.plans)
    world.now_ns += round(unheard_s * 1000) * MS
    hear(world, *([] if unheard_s else [MonitorState.STOPPED_LATCHED]), MonitorState.READY)
    world.run(1.0)
    assert [ended.termination for ended in world.ended] == [Termination.STOPPED]
    assert len(world.plans) == plans
