# SPDX-License-Identifier: Apache-2.0
"""Gaps in the commands, as a host leaves them that stalls: what is caught up, and how fast."""

import numpy as np
import pytest
from arm_rig import PERIOD_S, Rig

from so100_driver.core.orders import ArmLimits, ArmMode
from so100_driver.core.registers import RAD_PER_TICK

PAN = "shoulder_pan"
# With what the goal may go beyond the joint's own limit, and what rounding to ticks adds.
FASTEST_RAD_S = 1.25 * 2.0 + 2.0 * RAD_PER_TICK / PERIOD_S


class Controllers:
    """Controllers that move one joint on in time, whether the arm hears them or not."""

    def __init__(self, rig, speed_rad_s, most_rad=1.2):
        self.goal = dict(rig.arm.measured_rad)
        self._begin, self._speed, self._most = self.goal[PAN], speed_rad_s, most_rad
        self.goals = []
        self.refusals = []

    def on(self, rig, *, heard=True):
        """Move on by a cycle; then the arm has one."""
        ahead = self.goal[PAN] - self._begin + self._speed * PERIOD_S
        self.goal[PAN] = self._begin + min(self._most, ahead)
        if heard:
            refusal = rig.arm.command(list(self.goal), list(self.goal.values()), rig.now_s)
            self.refusals += [refusal] if refusal else []
        rig.step()
        self.goals.append(rig.bus.servos[0].get("Goal_Position"))

    def run(self, rig, seconds, *, heard=True):
        for _ in range(round(seconds / PERIOD_S)):
            self.on(rig, heard=heard)

    def hardest_rad_s2(self):
        """Return the largest acceleration of the servo's goal, over five cycles."""
        goals = np.array(self.goals) * RAD_PER_TICK
        speeds = (goals[5:] - goals[:-5]) / (5.0 * PERIOD_S)
        return float(np.abs(speeds[5:] - speeds[:-5]).max()) / (5.0 * PERIOD_S)

    def fastest_rad_s(self):
        """Return the largest speed of the servo's goal."""
        return float(np.abs(np.diff(self.goals)).max()) * RAD_PER_TICK / PERIOD_S


@pytest.mark.parametrize("gap_s", [0.05, 0.1])
def test_after_a_gap_in_fast_commands_the_arm_follows_on_and_never_faster_than_it_may(gap_s):
    rig = Rig().held()
    controllers = Controllers(rig, 1.9)
    controllers.run(rig, 0.2)
    controllers.run(rig, gap_s, heard=False)
    controllers.run(rig, 1.0)
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    assert not controllers.refusals
    assert rig.angles[0] == pytest.approx(controllers.goal[PAN], abs=0.06)
    assert controllers.fastest_rad_s() <= FASTEST_RAD_S


@pytest.mark.parametrize(("speed_rad_s", "gap_s"), [(1.0, 0.3), (0.5, 0.6), (0.3, 0.9)])
def test_a_gap_that_made_the_arm_hold_is_caught_up_too_and_said(speed_rad_s, gap_s):
    rig = Rig().held()
    controllers = Controllers(rig, speed_rad_s, most_rad=0.9)
    controllers.run(rig, 0.3)
    controllers.run(rig, gap_s, heard=False)
    assert rig.arm.mode is ArmMode.WAITING
    controllers.run(rig, 2.5)
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    assert not controllers.refusals
    assert "catches up" in rig.words
    assert rig.angles[0] == pytest.approx(controllers.goal[PAN], abs=0.06)
    assert controllers.fastest_rad_s() <= FASTEST_RAD_S


@pytest.mark.parametrize(("speed_rad_s", "gap_s"), [(0.3, 1.2), (1.9, 0.4)])
def test_after_a_longer_gap_or_from_further_away_the_arm_stays_where_it_is(speed_rad_s, gap_s):
    rig = Rig().held()
    controllers = Controllers(rig, speed_rad_s)
    controllers.run(rig, 0.3)
    controllers.run(rig, gap_s, heard=False)
    stood = rig.angles
    controllers.run(rig, 1.0)
    assert rig.arm.mode is ArmMode.WAITING
    assert np.abs(rig.angles - stood).max() < 0.01
    assert "the first command is" in controllers.refusals[-1]


@pytest.mark.parametrize("gap_s", [0.0, 0.15, 0.5])
def test_a_jump_of_the_commands_is_refused_for_good_before_and_after_a_gap(gap_s):
    rig = Rig().held()
    controllers = Controllers(rig, 0.2)
    controllers.run(rig, 0.3)
    controllers.goal[PAN] += 0.3
    controllers._begin += 0.3
    controllers.run(rig, 0.05)
    controllers.run(rig, gap_s, heard=False)
    controllers.run(rig, 1.0)
    assert rig.arm.mode is ArmMode.WAITING, rig.words
    assert rig.angles[0] < 0.15


def test_commands_that_jump_while_nobody_hears_them_are_not_taken_for_a_motion():
    rig = Rig().held()
    controllers = Controllers(rig, 0.0)
    controllers.run(rig, 0.3)
    controllers.run(rig, 0.05, heard=False)
    controllers.goal[PAN] += 0.4
    controllers.run(rig, 1.0)
    assert rig.angles[0] < 0.05


@pytest.mark.parametrize("stall_s", [0.08, 0.15])
def test_a_driver_that_was_held_up_itself_catches_up(stall_s):
    rig = Rig().held()
    controllers = Controllers(rig, 1.9)
    controllers.run(rig, 0.2)
    for _ in range(round(stall_s / PERIOD_S)):
        # Commands come in, and no servo is read or told anything meanwhile.
        rig.now_s += PERIOD_S
        controllers.goal[PAN] += 1.9 * PERIOD_S
        rig.arm.command(list(controllers.goal), list(controllers.goal.values()), rig.now_s)
    controllers.run(rig, 1.0)
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    assert rig.angles[0] == pytest.approx(controllers.goal[PAN], abs=0.06)


@pytest.mark.parametrize("distance", [0.13, 0.3, 0.49, -0.49])
def test_one_command_far_away_after_a_gap_is_followed_within_bounds_of_acceleration(distance):
    rig = Rig().held()
    controllers = Controllers(rig, 0.0)
    controllers.run(rig, 0.3)
    controllers.run(rig, 0.6, heard=False)
    controllers.goals.clear()
    controllers.goal[PAN] += distance
    controllers.run(rig, 1.5)
    assert not controllers.refusals
    assert rig.angles[0] == pytest.approx(distance, abs=0.01)
    assert controllers.fastest_rad_s() <= FASTEST_RAD_S
    # Twice the joint's limit, and what rounding to ticks adds.
    assert controllers.hardest_rad_s2() <= 20.0 + 4.0 * RAD_PER_TICK / (5.0 * PERIOD_S) ** 2
    assert np.abs(np.array(controllers.goals) - 2048).max() * RAD_PER_TICK <= abs(distance) + 0.005


def test_a_goal_that_gains_on_a_moving_command_does_not_go_beyond_it():
    rig = Rig().held()
    controllers = Controllers(rig, 1.0, most_rad=0.9)
    controllers.run(rig, 0.2)
    controllers.run(rig, 0.3, heard=False)
    controllers.run(rig, 2.0)
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    assert max(controllers.goals) * RAD_PER_TICK <= 2048 * RAD_PER_TICK + 0.9 + 0.06
    assert abs(controllers.goals[-1] - 2048) * RAD_PER_TICK == pytest.approx(0.9, abs=0.005)


@pytest.mark.parametrize("what", ["a person's hold", "a silent servo"])
def test_nothing_is_caught_up_that_was_no_gap_in_the_commands(what):
    rig = Rig().held()
    controllers = Controllers(rig, 0.8)
    controllers.run(rig, 0.3)
    if what == "a silent servo":
        rig.bus.faults.silent = {3}
        controllers.run(rig, 0.3)
        rig.bus.faults.silent = set()
    else:
        rig.arm.hold()
        controllers.run(rig, 0.3)
        assert rig.arm.clear_faults(rig.now_s) == ""
    stood = rig.angles
    controllers.run(rig, 0.5)
    assert rig.arm.mode is ArmMode.WAITING, rig.words
    assert np.abs(rig.angles - stood).max() < 0.03


def test_a_step_that_is_let_through_reaches_the_servo_at_a_bounded_rate():
    rig = Rig(limits=ArmLimits()).held()
    controllers = Controllers(rig, 0.0)
    controllers.run(rig, 0.1)
    controllers.goal[PAN] += 0.14
    controllers._begin += 0.14
    controllers.run(rig, 0.5)
    assert not controllers.refusals
    assert controllers.fastest_rad_s() <= FASTEST_RAD_S
    assert rig.angles[0] == pytest.approx(controllers.goal[PAN], abs=0.03)
