# SPDX-License-Identifier: Apache-2.0
"""The verdict on running controllers: it sees a step, and tells a hole from a late command."""

from pathlib import Path

import numpy as np
import pytest

from smooth_motion import Chunk, Plan, overlap, part_ns, track
from smooth_motion.messages import Trajectory
from smooth_motion.plan import Point
from smoothness_monitor.core.gripper import plan_of
from smoothness_monitor.params import load_config
from verification.fuzz.gate_verdict import (
    MS,
    OWN,
    SECOND,
    Command,
    Leg,
    LegRecord,
    judge,
    put_on_plans,
)
from vla_contract.robot import load_robot

CONFIG = Path(__file__).resolve().parents[2] / "config"
START = 1_700_000_000 * SECOND
PERIOD = 10 * MS


@pytest.fixture(name="robot")
def a_robot():
    return load_robot(CONFIG / "robots" / "so101" / "robot.yaml")


@pytest.fixture(name="config")
def a_config():
    return load_config(CONFIG / "robots" / "so101" / "monitor.yaml")


def moving(robot, base, splice_ns, travel):
    names, limits = robot.limits.joint_names, robot.limits
    state = base.state(splice_ns)
    rows = np.linspace(state.position, state.position + travel, 10)
    chunk = Chunk(names, splice_ns, 50 * MS, rows)
    tail = track(chunk, state, limits, start_ns=splice_ns)
    return overlap(base, tail, cut_ns=splice_ns - 200 * MS)


def history(robot, *, adopted_ms):
    """Return a record: two plans, the second adopted so long before it leaves the first."""
    names = robot.limits.joint_names
    home = np.array([robot.home[name] for name in names])
    hold = Plan.hold(names, home, START)
    first = moving(robot, hold, START + 500 * MS, np.full(len(names), 0.3))
    second = moving(robot, first, START + 800 * MS, np.full(len(names), -0.3))
    leaves = part_ns(second, first)
    record = LegRecord()
    for plan in (first, second):
        command = Command(plan, part_ns(plan, hold) - 200 * MS, "policy")
        record.commands["arm"].append(command)
    record.commands["arm"][1].published_ns = leaves - 160 * MS
    for stamp in range(START + 250 * MS, START + 3 * SECOND, PERIOD):
        plan = second if stamp >= leaves - adopted_ms * MS else first
        if stamp < first.start_ns:
            plan = hold
        # A controller's stamp wanders against the time that it evaluates for.
        wander = int(2 * MS * np.sin(stamp * 1e-8))
        sample = plan.sample(stamp)
        since = stamp - plan.start_ns
        record.cycles["arm"].append((stamp + wander, since, sample.position, sample.velocity))
    finger = np.array([robot.home[robot.gripper.joint]])
    record.cycles["gripper"] = [
        (stamp, stamp - START, finger, 0.0 * finger)
        for stamp in range(START, START + SECOND, PERIOD)
    ]
    record.states = [(START, 1, (), "", 0)]
    return record, leaves


def verdict(record, robot, config):
    leg = Leg(0, "none", "none")
    judge(record, robot, config, leg)
    return leg


def test_a_motion_within_its_limits_is_judged_and_passes(robot, config):
    record, _ = history(robot, adopted_ms=100)
    leg = verdict(record, robot, config)
    assert (leg.failures, leg.host) == ([], [])
    assert 0.9 < leg.worst["jerk"] <= 1.001
    assert leg.counts["arm: references on a trajectory sent"] > 200


def test_references_that_were_not_heard_are_no_step(robot, config):
    record, _ = history(robot, adopted_ms=100)
    rng = np.random.default_rng(0)
    record.cycles["arm"] = [each for each in record.cycles["arm"] if rng.random() < 0.7]
    leg = verdict(record, robot, config)
    assert (leg.failures, leg.host) == ([], [])


def test_a_command_adopted_late_is_the_hosts_and_must_have_been_seen(robot, config):
    record, leaves = history(robot, adopted_ms=-80)
    leg = verdict(record, robot, config)
    assert len(leg.host) == 1
    assert "published 160.0 ms before" in leg.host[0]
    assert any("was not seen" in line for line in leg.failures)
    record.states.append((leaves + 100 * MS, 2, ("command_jerk",), "command_jerk: much", 1))
    leg = verdict(record, robot, config)
    assert len(leg.host) == 1
    assert leg.failures == []


def test_a_command_published_too_late_is_a_hole(robot, config):
    record, leaves = history(robot, adopted_ms=-80)
    record.commands["arm"][1].published_ns = leaves - 20 * MS
    record.states.append((leaves + 100 * MS, 2, ("command_jerk",), "command_jerk: much", 1))
    leg = verdict(record, robot, config)
    assert leg.host == []
    assert leg.failures[0].startswith("HOLE")


def test_a_brake_has_less_time_than_a_plan(robot, config):
    record, leaves = history(robot, adopted_ms=-80)
    record.commands["arm"][1].published_ns = leaves - 70 * MS
    record.commands["arm"][1].name = OWN
    record.states.append((leaves + 100 * MS, 2, ("command_jerk",), "command_jerk: much", 1))
    assert verdict(record, robot, config).failures == []


def test_a_step_within_one_trajectory_is_a_hole(robot, config):
    record, _ = history(robot, adopted_ms=100)
    for index in range(150, len(record.cycles["arm"])):
        stamp, since, position, velocity = record.cycles["arm"][index]
        record.cycles["arm"][index] = (stamp, since, position + 1e-3, velocity)
    leg = verdict(record, robot, config)
    assert any(line.startswith("HOLE") for line in leg.failures)


def test_a_trip_of_the_commands_detectors_for_no_step_is_a_failure(robot, config):
    record, leaves = history(robot, adopted_ms=100)
    record.states.append((leaves, 2, ("command_jerk",), "command_jerk: much", 1))
    assert "nothing explains" in verdict(record, robot, config).failures[0]


def test_a_gripper_that_steps_is_a_hole(robot, config):
    record, _ = history(robot, adopted_ms=100)
    finger = robot.gripper.joint
    points = tuple(Point(t, [at], [], []) for t, at in ((0, 0.1), (SECOND // 2, 0.9)))
    plan, _ = plan_of(Trajectory(START, (finger,), points), finger)
    record.commands["gripper"].append(Command(plan, START, "policy"))
    record.cycles["gripper"] = [
        (t, t - START, np.array([plan.position(t)]), np.ones(1))
        for t in range(START + 300 * MS, START + SECOND, PERIOD)
    ]
    assert verdict(record, robot, config).failures == []
    first = record.cycles["gripper"][0]
    record.cycles["gripper"].insert(0, (first[0] - PERIOD, 0, np.array([0.1]), np.zeros(1)))
    assert any("HOLE: gripper" in line for line in verdict(record, robot, config).failures)


def test_of_two_starts_within_a_millisecond_the_positions_tell_which_one_runs(robot):
    record, _ = history(robot, adopted_ms=100)
    first, second = (command.plan for command in record.commands["arm"])
    near = Plan(
        second.joint_names,
        first.start_ns + MS,
        second.times_ns,
        second.positions,
        second.velocities,
        second.accelerations,
    )
    commands = [Command(first, 0, ""), Command(near, 0, "")]
    t = first.start_ns + 600 * MS
    cycle = (t + MS, 600 * MS, first.sample(t).position, first.sample(t).velocity)
    times, which = put_on_plans([cycle], commands)
    assert (times.tolist(), which) == ([t], [0])
