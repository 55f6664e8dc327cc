# SPDX-License-Identifier: Apache-2.0
"""Franka's reflexes rule by rule, bad chunks between them and this suite, and the real wire."""

from __future__ import annotations

import os
import signal
import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from verification.fci import chunks
from verification.fci.loop import Configured, naive, ours
from vla_contract.robot import load_robot
from vla_policies.adversary import Victim
from vla_sim.fci.reflexes import LOST_IN_A_ROW, FciError, Reflexes, published

FOLDERS = Path(__file__).resolve().parents[2] / "config" / "robots"
HOME = np.array([0.0, -0.785398, 0.0, -2.356194, 0.0, 1.570796, 0.785398])
PANDA, FR3 = (published(FOLDERS / name / "robot.yaml") for name in ("panda", "fr3"))
ROW = np.eye(7)[0]


def sent(commands, limits=PANDA, start=HOME):
    """Return the errors of the first command that ends the motion, and which that was."""
    reflexes = Reflexes(limits, start)
    for number, command in enumerate(commands):
        errors = reflexes.take(command)
        if errors:
            return errors, number
    return (), None


def accelerated(a, steps, jerk=5000.0):
    """Yield positions of joint 1 that reaches an acceleration by a jerk, and keeps it."""
    position, velocity, acceleration = HOME[0], 0.0, 0.0
    for _ in range(steps):
        acceleration = min(a, acceleration + jerk * 1e-3)
        velocity += acceleration * 1e-3
        position += velocity * 1e-3
        yield np.where(ROW, position, HOME)


def test_what_stays_within_the_limits_is_carried_out():
    assert sent([HOME] * 50) == ((), None)
    assert sent(accelerated(14.9, 140)) == ((), None)


def test_each_limit_has_its_error():
    errors, at = sent(accelerated(15.1, 50, jerk=7000.0))
    assert errors == (FciError.JOINT_MOTION_GENERATOR_VELOCITY_DISCONTINUITY,)
    assert at == 2
    errors, at = sent(accelerated(14.0, 50, jerk=7600.0))
    assert errors == (FciError.JOINT_MOTION_GENERATOR_ACCELERATION_DISCONTINUITY,)
    assert at == 0
    errors, at = sent(accelerated(10.0, 400))
    assert errors == (FciError.JOINT_MOTION_GENERATOR_VELOCITY_LIMITS_VIOLATION,)
    assert at == pytest.approx(2.175 / 0.01, abs=3)
    edge = np.where(ROW, 2.8973, HOME)
    errors, at = sent([edge], start=np.where(ROW, 2.8973 - 1e-10, HOME))
    assert errors == (FciError.JOINT_MOTION_GENERATOR_POSITION_LIMITS_VIOLATION,)


def test_a_step_of_a_hundredth_of_a_milliradian_ends_the_motion():
    errors, _ = sent([HOME + 1e-5 * ROW])
    assert FciError.JOINT_MOTION_GENERATOR_ACCELERATION_DISCONTINUITY in errors


def test_what_is_no_number_ends_the_motion():
    assert len(sent([HOME * np.nan])[0]) == 4


def test_a_lost_command_is_extrapolated_with_constant_acceleration():
    reflexes = Reflexes(PANDA, HOME)
    stream = list(accelerated(8.0, 60, jerk=2000.0))
    for number, command in enumerate(stream):
        assert reflexes.take(None if number in (30, 31, 32) else command) == ()
        np.testing.assert_allclose(reflexes.position, command, atol=1e-12)


def test_twenty_lost_in_a_row_end_the_motion_and_nineteen_do_not():
    reflexes = Reflexes(PANDA, HOME)
    for _ in range(LOST_IN_A_ROW - 1):
        assert reflexes.take(None) == ()
    assert reflexes.take(HOME) == ()
    ends = [reflexes.take(None) for _ in range(LOST_IN_A_ROW)]
    assert ends[:-1] == [()] * (LOST_IN_A_ROW - 1)
    assert ends[-1] == (FciError.COMMUNICATION_CONSTRAINTS_VIOLATION,)


def test_an_fr3_may_go_slower_the_nearer_it_is_to_the_end_of_its_range():
    low, high = FR3.velocities(FR3.upper - 1e-9)
    assert np.all(high == 0.0)
    assert np.all(low == -FR3.velocity)
    _, middle = FR3.velocities(0.5 * (FR3.lower + FR3.upper))
    assert np.all(middle > 1.9)
    # 0.1 rad before the end of joint 1: sqrt(2 * 6 * 0.1) - 0.6599.
    _, near = FR3.velocities(FR3.upper - 0.1)
    assert near[0] == pytest.approx(0.4355, abs=1e-4)
    assert np.all(PANDA.velocities(PANDA.upper)[1] == PANDA.velocity)


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_no_motion_within_a_robot_file_can_break_the_published_limits(name):
    """Wherever it is allowed to be, its velocity limit is allowed too."""
    file = FOLDERS / name / "robot.yaml"
    limits, allowed = load_robot(file).limits, published(file)
    assert np.all(allowed.lower <= limits.position_lower)
    assert np.all(limits.position_upper <= allowed.upper)
    assert np.all(limits.acceleration <= allowed.acceleration)
    assert np.all(limits.jerk <= allowed.jerk)
    for share in np.linspace(0.0, 1.0, 201):
        at = limits.position_lower + share * (limits.position_upper - limits.position_lower)
        low, high = allowed.velocities(at)
        assert np.all(limits.velocity <= high), f"{at}: {high}"
        assert np.all(limits.velocity <= -low), f"{at}: {low}"


class Ideal:
    """An arm that follows its commands exactly and has the reflexes, without a wire."""

    def __init__(self, limits):
        self.last = ()
        self._reflexes = Reflexes(limits, HOME)

    def start(self):
        self._reflexes.start(self._reflexes.position)
        return self._reflexes.position

    def exchange(self, command):
        held = self._reflexes.position
        errors = self._reflexes.take(command)
        if errors:
            self.last = tuple(error.name.lower() for error in errors)
            self._reflexes.start(held)
            return None
        return command


@pytest.fixture(scope="module")
def panda():
    return Configured.read(FOLDERS / "panda")


def victim(given):
    limits = given.robot.limits
    centre = np.array([0.0, -0.785, 0.0, -2.0, 0.0, 1.6, 0.785])
    turning = np.array([True, False, False, False, False, False, True])
    return Victim(limits.joint_names, centre, limits.position_upper, turning)


@pytest.mark.parametrize("stream", list(chunks.STREAMS))
def test_chunks_that_end_the_motion_when_they_are_executed_as_they_are_do_not_end_it_here(
    panda, stream
):
    found = {}
    for way in (naive, ours):
        bad = chunks.STREAMS[stream](victim(panda), 1.5, 0)
        found[way] = way(panda, PANDA, Ideal(PANDA), bad, 1.5)
    assert sum(found[naive].aborts.values()) >= 2
    assert found[naive].first_abort_s < 1.0
    assert found[ours].aborts == {}
    assert found[ours].plans >= 3
    assert found[ours].travel_rad > 1.0
    assert max(found[ours].shares) <= 1.0
    assert found[ours].stops == 0


def test_the_chunks_depend_on_seed_and_number_alone(panda):
    for stream in chunks.STREAMS.values():
        one, again = (list(islice(stream(victim(panda), 30.0, 3), 40)) for _ in range(2))
        for first, second in zip(one, again, strict=True):
            assert first.arrival_ns == second.arrival_ns >= first.stamp_ns
            np.testing.assert_array_equal(first.positions, second.positions)


@pytest.fixture
def bridge():
    """A connection over the wire, only where `make fci` has made the environment for it."""
    pytest.importorskip("pylibfranka", reason="needs pylibfranka and franky-sim: make fci")
    from vla_sim.fci.bridge import FciBridge

    with FciBridge(FOLDERS / "fr3" / "robot.yaml", HOME, host="127.0.1.99") as connection:
        yield connection


def test_over_libfranka_s_wire_a_step_ends_the_motion_and_a_recovery_begins_another(bridge):
    start = bridge.start()
    np.testing.assert_allclose(start, HOME, atol=1e-3)
    for _ in range(20):
        assert bridge.exchange(start) is not None
    assert bridge.exchange(start + 0.01 * ROW) is None
    assert "joint_motion_generator_velocity_discontinuity" in bridge.last
    again = bridge.start()
    np.testing.assert_allclose(again, start, atol=1e-6)
    measured = bridge.exchange(again)
    assert measured is not None
    np.testing.assert_allclose(measured, again, atol=1e-2)


def test_an_arm_that_is_silent_for_longer_than_libfranka_s_second_is_only_slow(bridge):
    start = bridge.start()
    process = bridge.arm.pid
    os.kill(process, signal.SIGSTOP)
    threading.Timer(1.5, os.kill, (process, signal.SIGCONT)).start()
    for _ in range(3):
        assert bridge.exchange(start) is not None


def test_an_arm_that_is_gone_is_named_and_not_waited_for(bridge):
    start = bridge.start()
    bridge.arm.kill()
    with pytest.raises(RuntimeError, match=r"the simulated arm at 127\.0\.1\.99 is gone"):
        bridge.exchange(start)
