# SPDX-License-Identifier: Apache-2.0
"""The control loop on the simulated servos: what it does with each command and each fault."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from arm_rig import ELBOW, GRIPPER, LIFT, PERIOD_S, Rig

from so100_driver.core.calibration import JOINTS
from so100_driver.core.health import HealthLevel
from so100_driver.core.orders import ArmLimits, ArmMode, Write
from so100_driver.core.registers import RAD_PER_TICK

TICK = RAD_PER_TICK


# What a goal does to a servo without torque: with some firmware it switches it on.
BOTH_KINDS = pytest.mark.parametrize("by_goal", [True, False])


def test_nothing_is_written_before_a_person_asks_for_torque():
    rig = Rig()
    kept = [bytes(servo._table[:56]) for servo in rig.bus.servos]
    rig.run(0.3)
    assert rig.send() != ""
    rig.run(0.1)
    assert [bytes(servo._table[:56]) for servo in rig.bus.servos] == kept
    assert rig.arm.mode is ArmMode.OFF


def test_activation_holds_the_arm_where_it_is_goal_before_torque():
    rig = Rig()
    rig.run(0.05)
    written = []
    write = rig.wire.write
    rig.wire.write = lambda *order: (written.append(order), write(*order))
    before = rig.angles
    rig.arm.torque_on(rig.now_s)
    rig.run(1.0)
    assert rig.torque == [1] * 6
    for servo_id in range(1, 7):
        own = [name for number, name, _ in written if number == servo_id]
        assert own.index("Goal_Position") < own.index("Torque_Enable")
    # It sags by its weight over the servos' gain; it fell a little before, too.
    assert np.abs(rig.angles - before).max() < 0.08
    assert rig.arm.mode is ArmMode.WAITING


def test_activation_never_pulls_a_joint_to_an_old_goal():
    rig = Rig()
    for servo in rig.bus.servos:
        servo.set("Goal_Position", 3000)
    rig.held()
    assert np.abs(rig.angles - np.array([0.0, -0.4, 0.4, 0.3, 0.0, 0.5])).max() < 0.1


def test_an_arm_with_a_silent_or_faulty_servo_is_not_switched_on():
    rig = Rig()
    rig.bus.faults.silent = {4}
    rig.run(0.3)
    assert rig.arm.torque_on(rig.now_s) == "no answer from wrist_flex"
    rig.bus.faults.silent = set()
    rig.bus.servos[ELBOW].temperature_c = 75.0
    rig.run(0.3)
    assert rig.arm.torque_on(rig.now_s) == "elbow_flex reports temperature"
    assert rig.run(0.1).torque == [0] * 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.update(elbow_flex=math.nan), "elbow_flex is commanded to nan"),
        (lambda t: t.update(elbow_flex=math.inf), "elbow_flex is commanded to inf"),
        (lambda t: t.update(elbow_flex=1.75), "it goes from"),
        (lambda t: t.update(elbow_flex=-90.0), "it goes from"),
        (lambda t: t.update(elbow_flex=t["elbow_flex"] + 0.2), "the first command is +0.2"),
        (lambda t: t.pop("gripper"), "missing: gripper"),
        (lambda t: t.update(elbow=0.0), "unknown: elbow"),
        (lambda t: t.update({f"j{i}": 0.0 for i in range(100)}), "106 names"),
    ],
)
def test_a_wrong_command_is_refused_whole_with_one_reason_and_moves_nothing(change, words):
    rig = Rig().held()
    before = rig.angles
    target = dict(rig.arm.measured_rad)
    target["shoulder_pan"] += 0.05
    change(target)
    for _ in range(20):
        reason = rig.arm.command(list(target), list(target.values()), rig.now_s)
        assert words in reason
        assert "\n" not in reason
        rig.step()
    assert np.abs(rig.angles - before).max() < 1e-3
    assert rig.arm.refused == 20


def test_names_and_positions_must_be_of_one_length_and_each_name_once():
    rig = Rig().held()
    assert "6 names and 5 positions" in rig.arm.command(JOINTS, [0.0] * 5, rig.now_s)
    twice = [*JOINTS[:5], "wrist_roll"]
    assert "each once" in rig.arm.command(twice, [0.0] * 6, rig.now_s)


def test_a_command_near_the_pose_is_followed_and_the_goal_reached_but_for_sag():
    rig = Rig().held()
    start = rig.angles[0]
    rig.run(0.5, rig.moving("shoulder_pan", 1.0))
    assert rig.arm.mode is ArmMode.FOLLOWING
    assert rig.angles[0] - start == pytest.approx(0.5, abs=0.1)
    assert rig.last == ""


@pytest.mark.parametrize(("sag_rad_nm", "least", "most"), [(0.0, 0.02, 0.1), (0.056, 0.0, 0.005)])
def test_where_the_weight_is_corrected_a_goal_is_reached_without_sag(sag_rad_nm, least, most):
    rig = Rig(limits=ArmLimits(sag_rad_nm=sag_rad_nm)).held()
    # Once more from where it is: the weight bends it further, or not at all.
    rig.arm.hold()
    rig.arm.clear_faults(rig.now_s)
    target = dict(zip(JOINTS, rig.angles, strict=True))
    target["shoulder_lift"] += 0.05
    rig.run(1.0, lambda rig: rig.arm.command(list(target), list(target.values()), rig.now_s))
    assert rig.arm.mode is ArmMode.FOLLOWING
    assert least <= np.abs(rig.angles - np.array(list(target.values()))).max() <= most


def test_a_jump_in_the_middle_of_a_motion_is_refused():
    rig = Rig().held()
    rig.run(0.2, rig.moving("shoulder_pan", 1.0))
    far = dict(rig.arm.measured_rad)
    far["shoulder_pan"] += 0.4
    reason = rig.arm.command(list(far), list(far.values()), rig.now_s)
    assert "from the command before" in reason
    far["shoulder_pan"] += 0.4
    assert "rad at most" in rig.arm.command(list(far), list(far.values()), rig.now_s)


def test_without_commands_the_arm_holds_within_the_timeout_and_says_so():
    rig = Rig().held()
    rig.run(0.5, rig.moving("shoulder_pan", 1.0))
    took_s = rig.until(lambda r: r.arm.mode is ArmMode.WAITING)
    assert took_s <= 0.2 + 2 * PERIOD_S
    assert "no command for 0.2 s" in rig.words
    stopped = rig.run(0.3).angles
    assert np.abs(rig.run(1.0).angles - stopped).max() < 2 * TICK


def test_commands_that_are_refused_do_not_keep_the_watchdog_quiet():
    rig = Rig().held()
    rig.run(0.3, rig.moving("shoulder_pan", 1.0))

    def nan(rig):
        rig.arm.command(JOINTS, [math.nan] * 6, rig.now_s)

    rig.run(0.4, nan)
    assert rig.arm.mode is ArmMode.WAITING
    assert "the last was refused: shoulder_pan is commanded to nan" in rig.words


def test_a_hold_stops_a_motion_and_lasts_until_a_person_clears_it():
    rig = Rig().held()
    move = rig.moving("shoulder_pan", 1.0)
    rig.run(0.5, move)
    assert rig.arm.hold() == ""
    rig.run(0.3, move)
    stopped = rig.angles
    rig.run(0.5, move)
    assert np.abs(rig.angles - stopped).max() < 2 * TICK
    assert "until a person allows it" in rig.last
    assert rig.arm.clear_faults(rig.now_s) == ""
    rig.run(0.2)
    assert np.abs(rig.angles - stopped).max() < 2 * TICK
    # What went on in the meantime is too far away by now.
    move(rig)
    assert "the first command is" in rig.last
    assert rig.send() == ""


def test_holding_again_and_again_does_not_let_the_arm_creep_down():
    rig = Rig(pose=(0.0, 0.6, 0.0, 0.0, 0.0, 0.5)).held()
    rig.run(1.0)
    before = rig.angles
    goal = dict(rig.arm._conduct.goals.rad)
    for _ in range(20):
        rig.arm.command(list(goal), list(goal.values()), rig.now_s)
        rig.step()
        assert rig.arm.mode is ArmMode.FOLLOWING
        rig.arm.hold()
        rig.run(0.05)
        rig.arm.clear_faults(rig.now_s)
    assert np.abs(rig.angles - before).max() < 0.01


def test_torque_off_is_refused_first_and_a_lowering_offered():
    rig = Rig().held()
    assert "lower it first" in rig.arm.torque_off(rig.now_s)
    rig.run(0.1)
    assert rig.torque == [1] * 6
    assert rig.arm.lower(rig.now_s) == ""
    speeds = []
    rig.until(
        lambda r: speeds.append(np.abs(r.plant.velocity).max()) or r.arm.mode is ArmMode.HOLDING
    )
    assert max(speeds) < 0.8
    assert rig.arm.lowered
    before = rig.run(0.5).angles
    assert rig.arm.torque_off(rig.now_s) == ""
    rig.run(1.0)
    assert rig.torque == [0] * 6
    assert np.abs(rig.angles - before).max() < 0.2


def test_a_person_who_supports_the_arm_asks_twice_within_ten_seconds():
    rig = Rig().held()
    assert rig.arm.torque_off(rig.now_s) != ""
    rig.run(11.0)
    assert rig.arm.torque_off(rig.now_s) != ""
    rig.run(1.0)
    assert rig.arm.torque_off(rig.now_s) == ""
    assert rig.run(0.1).torque == [0] * 6
    assert rig.arm.mode is ArmMode.OFF


def test_a_lowering_can_be_stopped():
    rig = Rig().held()
    rig.arm.lower(rig.now_s)
    rig.run(0.5)
    rig.arm.hold()
    stopped = rig.run(0.3).angles
    assert np.abs(rig.run(0.5).angles - stopped).max() < 2 * TICK


def test_a_silent_servo_in_motion_makes_the_arm_hold_within_its_threshold():
    rig = Rig().held()
    move = rig.moving("shoulder_pan", 1.0)
    rig.run(0.3, move)
    rig.bus.faults.silent = {3}
    took_s = 0.0
    while rig.arm.mode is ArmMode.FOLLOWING:
        move(rig)
        rig.step()
        took_s += PERIOD_S
    assert took_s <= 0.1 + 2 * PERIOD_S
    assert "no answer from elbow_flex" in rig.words
    levels = {item.joint: item.level for item in rig.arm.health(rig.now_s)}
    assert levels["elbow_flex"] is HealthLevel.STALE
    assert levels["gripper"] is HealthLevel.OK
    rig.bus.faults.silent = set()
    rig.run(0.2)
    assert rig.send() == ""


@pytest.mark.parametrize("kind", ["bus", "usb"])
def test_unplugged_and_plugged_in_again_the_arm_holds_without_a_jump(kind):
    rig = Rig().held()
    move = rig.moving("shoulder_pan", 0.8)
    rig.run(0.5, move)
    if kind == "bus":
        rig.bus.faults.unplugged = True
    else:
        rig.wire.unplug()
    rig.run(0.15, move)
    assert rig.arm.mode is ArmMode.WAITING
    rig.run(3.0, move)
    stood = rig.angles
    rig.bus.faults.unplugged = False
    rig.wire.cable_in = True
    rig.until(lambda r: not r.arm.silent(r.now_s), within_s=5.0)
    rig.run(1.0, move)
    assert np.abs(rig.angles - stood).max() < 0.01
    assert rig.last != ""
    assert rig.torque == [1] * 6
    assert rig.send() == ""


@BOTH_KINDS
def test_a_servo_that_restarts_is_told_to_hold_where_it_is_and_nothing_jumps(by_goal):
    rig = Rig(torque_by_goal=by_goal).held()
    rig.run(0.3, rig.moving("shoulder_pan", 0.5))
    rig.bus.servos[LIFT].restart()
    took_s = rig.until(lambda r: r.torque == [1] * 6 and r.arm.mode is ArmMode.HOLDING)
    assert took_s < 0.2
    speeds = []
    rig.run(1.0, lambda r: speeds.append(np.abs(r.plant.velocity).max()))
    assert max(speeds[5:]) < 0.5
    assert "shoulder_lift lost its " in rig.words
    assert rig.bus.servos[LIFT].get("Acceleration") == 254
    assert rig.arm.clear_faults(rig.now_s) == ""


@BOTH_KINDS
@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0])
def test_a_cable_of_the_chain_put_back_finds_joints_that_stay_where_they_sank_to(seconds, by_goal):
    rig = Rig(torque_by_goal=by_goal).held()
    rig.bus.faults.unpowered = {4, 5, 6}
    sank = rig.run(seconds).angles
    rig.bus.faults.unpowered = set()
    highest = lowest = sank
    for _ in range(200):
        now = rig.run(PERIOD_S).angles
        highest, lowest = np.maximum(highest, now), np.minimum(lowest, now)
    assert rig.torque == [1] * 6
    # It sinks on until it has its torque; it is not thrown back to where it was.
    assert (highest - lowest).max() < 0.015


def test_two_servos_that_had_one_id_part_again_without_a_jump():
    rig = Rig().held()
    move = rig.moving("shoulder_pan", 0.5)
    rig.run(0.3, move)
    rig.bus.servos[3].set("ID", 3)
    # Both take the goals of the one, until the arm holds.
    stood = rig.run(1.0, move).angles
    rig.bus.servos[3].set("ID", 4)
    rig.run(2.0, move)
    assert np.abs(rig.angles - stood).max() < 0.01


def test_one_false_answer_before_a_clearing_moves_no_goal():
    rig = Rig().held()
    for servo in rig.bus.servos:
        servo.keep("Unloading_Condition", 0)
    rig.bus.faults.supply_v = 9.0
    rig.run(0.2)
    held, read = rig.angles, rig.wire.read_states

    def falsely(ids):
        found = read(ids)
        return {**found, 4: replace(found[4], position=found[4].position + 20)}

    rig.wire.read_states = falsely
    rig.step()
    rig.wire.read_states = read
    assert rig.arm.clear_faults(rig.now_s) == ""
    assert np.abs(rig.run(0.5).angles - held).max() < 3 * TICK


def test_clearing_a_fault_that_stays_does_not_let_the_arm_creep():
    rig = Rig().held()
    for servo in rig.bus.servos:
        servo.keep("Unloading_Condition", 0)
    held = rig.angles
    rig.bus.faults.supply_v = 9.0
    for _ in range(40):
        rig.run(0.1)
        assert rig.arm.mode is ArmMode.HOLDING
        assert rig.arm.clear_faults(rig.now_s) == ""
    assert np.abs(rig.angles - held).max() < 3 * TICK


@BOTH_KINDS
def test_a_servo_that_keeps_losing_its_torque_is_not_told_for_ever(by_goal):
    rig = Rig(torque_by_goal=by_goal).held()
    count = 0
    for _ in range(70):
        if rig.bus.servos[LIFT].get("Torque_Enable"):
            count += 1
            rig.bus.servos[LIFT].restart()
        rig.run(0.1)
    assert 3 <= count <= 6
    assert "no torque" in rig.arm.clear_faults(rig.now_s)
    assert rig.arm.torque_on(rig.now_s) == ""
    rig.run(0.3)
    assert rig.torque == [1] * 6


@BOTH_KINDS
def test_a_brown_out_of_all_ends_with_an_arm_that_holds_where_it_sank_to(by_goal):
    rig = Rig(torque_by_goal=by_goal).held()
    rig.bus.faults.supply_v = 3.0
    rig.run(0.05)
    rig.bus.faults.supply_v = 7.4
    rig.until(lambda r: r.torque == [1] * 6)
    sunk = rig.run(0.5).angles
    assert np.abs(rig.run(1.0).angles - sunk).max() < 0.02
    assert rig.arm.mode is ArmMode.HOLDING


def test_a_stuck_joint_makes_the_arm_soft_then_go_back_then_stop_each_said():
    rig = Rig().held()
    rig.plant.stuck.add(0)
    rig.run(3.0, rig.moving("shoulder_pan", 0.4))
    assert rig.arm.mode is ArmMode.HOLDING
    assert abs(rig.bus.servos[0].torque_nm) < 0.6
    assert "shoulder_pan: pushes in vain" in rig.words
    assert "holds, and takes no command" in rig.words


def test_a_gripper_that_holds_something_grips_softly_and_keeps_on():
    rig = Rig().held()
    rig.plant.low_rad[GRIPPER] = 0.45
    move = rig.moving("gripper", -0.4)
    rig.run(1.0, move)
    target = dict(rig.arm.measured_rad, gripper=0.1)
    rig.run(6.0, lambda r: r.arm.command(list(target), list(target.values()), r.now_s))
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    grip = abs(rig.bus.servos[GRIPPER].torque_nm) / 2.94
    assert grip == pytest.approx(0.2, abs=0.01)
    # The servo's own protection, which would drop what is held, never had to.
    assert "overload" not in rig.words


def test_a_gripper_that_lets_go_has_its_whole_torque_again():
    rig = Rig().held()
    rig.plant.low_rad[GRIPPER] = 0.45
    rig.run(1.0, rig.moving("gripper", -0.4))
    assert rig.bus.servos[GRIPPER].get("Torque_Limit") == 200
    rig.run(1.5, rig.moving("gripper", 0.4))
    assert rig.bus.servos[GRIPPER].get("Torque_Limit") == 500


def test_a_hot_servo_stops_the_arm_and_then_lowers_it_before_it_lets_go():
    rig = Rig().held()
    rig.run(0.2, rig.moving("shoulder_pan", 0.3))
    rig.bus.servos[LIFT].temperature_c = 61.0
    rig.run(0.1)
    assert rig.arm.mode is ArmMode.HOLDING
    assert "too hot" in rig.arm.clear_faults(rig.now_s)
    rig.bus.servos[LIFT].temperature_c = 65.0
    rig.until(lambda r: r.arm.lowered, within_s=20.0)
    assert rig.torque == [1] * 6
    assert "lowered before the servo lets go" in rig.words


def test_a_fault_of_a_servo_stops_the_arm_and_a_person_can_clear_it():
    rig = Rig().held()
    rig.run(0.2, rig.moving("shoulder_pan", 0.3))
    rig.bus.servos[0]._faults |= 0x20
    rig.run(0.05)
    assert rig.arm.mode is ArmMode.HOLDING
    assert "shoulder_pan reports overload" in rig.words
    assert rig.arm.clear_faults(rig.now_s) == ""


def test_an_order_that_is_not_answered_leaves_that_servo_without_torque_and_is_said():
    rig = Rig()
    rig.run(0.05)
    write = rig.wire.write

    def lost(servo_id, name, value):
        if servo_id == 2 and name == "Goal_Position":
            from so100_driver.bus import BusError

            raise BusError("no answer")
        write(servo_id, name, value)

    rig.wire.write = lost
    rig.arm.torque_on(rig.now_s)
    rig.run(0.3)
    assert rig.torque == [1, 0, 1, 1, 1, 1]
    assert "shoulder_lift: Goal_Position not written" in rig.words
    assert rig.arm.mode is ArmMode.HOLDING
    rig.wire.write = write
    rig.arm.torque_on(rig.now_s)
    rig.run(0.3)
    assert rig.torque == [1] * 6


def test_with_a_twentieth_of_all_answers_lost_the_arm_follows_on():
    rig = Rig(seed=3).held()
    rig.bus.faults.lost = 0.05
    rig.complete = 0
    start = rig.angles[0]
    rig.run(2.0, rig.moving("shoulder_pan", 0.4))
    assert rig.complete >= 190
    assert rig.arm.mode is ArmMode.FOLLOWING, rig.words
    assert rig.angles[0] - start == pytest.approx(0.8, abs=0.1)


def test_random_commands_never_move_a_joint_far_in_a_cycle():
    rig = Rig().held()
    generator = random.Random(7)
    values = (math.nan, math.inf, -math.inf, 0.0, 1e9, -1e300, 0.05, -0.4)
    before = rig.angles
    for _ in range(1000):
        names = list(JOINTS)
        if generator.random() < 0.3:
            generator.shuffle(names)
        positions = [
            generator.choice(values) if generator.random() < 0.2 else generator.uniform(-2, 2)
            for _ in range(generator.choice((6, 6, 6, 5, 7)))
        ]
        rig.arm.command(names, positions, rig.now_s)
        rig.step()
    assert np.abs(rig.angles - before).max() < 0.15


def as_if(rig, index, **values):
    """Let one servo's next answers be wrong, with a checksum that fits."""
    read = rig.wire.read_states

    def wrong(ids):
        states = read(ids)
        states[index + 1] = replace(states[index + 1], **values)
        return states

    rig.wire.read_states = wrong
    return lambda: setattr(rig.wire, "read_states", read)


@pytest.mark.parametrize("values", [{"position": 3000}, {"temperature_c": 90.0}])
def test_one_answer_that_cannot_be_true_is_not_believed(values):
    rig = Rig().held()
    rig.run(0.3, rig.moving("shoulder_pan", 0.5))
    right = as_if(rig, LIFT, **values)
    rig.run(0.02)
    right()
    rig.arm.hold()
    before = rig.angles
    rig.run(0.5)
    assert np.abs(rig.angles - before).max() < 0.08
    assert rig.arm.mode is ArmMode.HOLDING
    assert "degrees C" not in rig.words


def test_what_is_said_again_and_again_is_believed():
    rig = Rig().held()
    as_if(rig, LIFT, temperature_c=62.0)
    rig.run(0.1)
    assert "too hot" in rig.words


def test_torque_waits_until_every_servo_has_answered_alike():
    rig = Rig()
    rig.step()
    assert "try again" in rig.arm.torque_on(rig.now_s)
    rig.run(0.05)
    assert rig.arm.torque_on(rig.now_s) == ""


def test_a_goal_that_a_servo_cannot_have_kept_is_not_taken_over():
    rig = Rig().held()
    rig.run(0.3, rig.moving("shoulder_pan", 0.5))
    rig.bus.faults.unplugged = True
    rig.run(0.3)
    for servo in rig.bus.servos:
        servo.set("Torque_Enable", 0)
        servo.set("Goal_Position", 3000)
        servo.set("Torque_Enable", 1)
        servo._setpoint_ticks = servo._shaft_ticks
    rig.plant.stuck = set(range(6))
    rig.bus.faults.unplugged = False
    rig.run(0.3)
    rig.plant.stuck = set()
    goals = [servo.get("Goal_Position") for servo in rig.bus.servos]
    shown = [servo.get("Present_Position") for servo in rig.bus.servos]
    assert np.abs(np.subtract(goals, shown)).max() < 70


def test_a_write_in_doubt_at_torque_off_is_said():
    rig = Rig().held()
    rig.arm.torque_off(rig.now_s)
    rig.arm.torque_off(rig.now_s)
    rig.arm.failed(Write(3, "Torque_Enable", 0), "no answer")
    assert "elbow_flex may still push" in "\n".join(e.text for e in rig.arm.take_events())


def test_servos_in_doubt_are_looked_at_in_the_order_of_the_joints():
    """So that the same faults bring the same motion in every process."""
    rig = Rig().held()
    rig.arm._conduct.goals.unknown = {"gripper", "wrist_flex", "wrist_roll"}
    # Every other look is at each servo in turn.
    looks = [rig.arm._troubles.next_to_check() for _ in range(12)]
    assert looks[::2] == [4, 5, 6, 4, 5, 6]
    assert set(looks[1::2]) == {1, 2, 3, 4, 5, 6}
