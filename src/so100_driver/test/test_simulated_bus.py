# SPDX-License-Identifier: Apache-2.0
"""The simulated servos: answers, motion, protections. Time is given."""

import numpy as np
import pytest

from so100_driver.core.calibration import JOINTS
from so100_driver.core.description import RANGES_RAD
from so100_driver.core.packets import Instruction, Packet, Receiver
from so100_driver.core.registers import RAD_PER_TICK, STATE_ADDRESS, STATE_SIZE, STS3215

LIFT, GRIPPER = 1, 5


def ask(bus, packet, now_s=0.0):
    receiver, found = Receiver(), []
    for answer in bus.receive(packet.to_bytes(), now_s):
        found += receiver.feed(answer.data)
    return found


def write(bus, servo_id, name, value, now_s=0.0):
    register = STS3215[name]
    data = bytes((register.address,)) + register.encode(value)
    return ask(bus, Packet(servo_id, Instruction.WRITE, data), now_s)


def read(bus, servo_id, name, now_s=0.0):
    register = STS3215[name]
    answer = ask(
        bus, Packet(servo_id, Instruction.READ, bytes((register.address, register.size))), now_s
    )
    return register.decode(answer[0].parameters)


def run(bus, seconds, begin_s, each=None):
    """Advance in control cycles of 10 ms."""
    for cycle in range(round(seconds * 100)):
        bus.advance(begin_s + (cycle + 1) * 0.01)
        if each is not None:
            each(bus)
    return begin_s + seconds


def torque_on(bus, now_s=0.0):
    for servo_id in range(1, 7):
        position = read(bus, servo_id, "Present_Position", now_s)
        write(bus, servo_id, "Goal_Position", position, now_s)
        write(bus, servo_id, "Torque_Enable", 1, now_s)


def test_a_ping_is_answered_and_an_absent_id_is_not(bus):
    assert ask(bus, Packet(3, Instruction.PING)) == [Packet(3, 0)]
    assert ask(bus, Packet(9, Instruction.PING)) == []


def test_a_sync_read_brings_all_answers_in_the_order_asked_within_1_4_ms(bus):
    request = Packet(
        254, Instruction.SYNC_READ, bytes((STATE_ADDRESS, STATE_SIZE, 3, 1, 2, 4, 5, 6))
    )
    answers = bus.receive(request.to_bytes(), 0.0)
    receiver = Receiver()
    packets = [packet for answer in answers for packet in receiver.feed(answer.data)]
    assert [packet.servo_id for packet in packets] == [3, 1, 2, 4, 5, 6]
    assert {len(packet.parameters) for packet in packets} == {STATE_SIZE}
    assert answers[-1].due_s == pytest.approx(140 * 1e-5, rel=0.02)


def test_a_read_of_more_than_an_answer_holds_is_not_answered(bus):
    assert ask(bus, Packet(1, Instruction.READ, bytes((0, 255)))) == []
    assert ask(bus, Packet(254, Instruction.SYNC_READ, bytes((0, 255, 1)))) == []
    assert ask(bus, Packet(1, Instruction.PING)) == [Packet(1, 0)]


def test_two_servos_with_one_id_answer_garbage(bus):
    bus.servos[3].keep("ID", 3)
    assert ask(bus, Packet(3, Instruction.PING)) == []
    assert ask(bus, Packet(2, Instruction.PING)) == [Packet(2, 0)]


def test_eeprom_outlives_a_restart_only_when_it_was_unlocked(bus):
    write(bus, 2, "P_Coefficient", 20)
    assert read(bus, 2, "P_Coefficient") == 20
    ask(bus, Packet(2, Instruction.REBOOT))
    assert read(bus, 2, "P_Coefficient") == 16
    write(bus, 2, "Lock", 0)
    write(bus, 2, "P_Coefficient", 20)
    ask(bus, Packet(2, Instruction.REBOOT))
    assert read(bus, 2, "P_Coefficient") == 20


def test_a_read_only_register_stays_as_it_is(bus):
    write(bus, 2, "Present_Temperature", 99)
    assert read(bus, 2, "Present_Temperature") == 25


def test_homing_shifts_what_is_shown(bus):
    before = read(bus, 1, "Present_Position")
    write(bus, 1, "Homing_Offset", 100)
    bus.advance(0.01)
    assert read(bus, 1, "Present_Position", 0.01) == before - 100


def test_without_torque_the_arm_falls_to_its_weight(bus):
    bus.plant._angle[1:4] = 0.3, 0.0, 0.0
    run(bus, 1.0, 0.0)
    assert bus.plant.encoder[LIFT] > 0.5


def test_a_servo_reaches_its_goal_but_for_stiction_and_sag(bus):
    torque_on(bus)
    goal = read(bus, 1, "Present_Position") + 400
    write(bus, 1, "Goal_Position", goal)
    now_s = run(bus, 1.5, 0.0)
    off = abs(read(bus, 1, "Present_Position", now_s) - goal)
    # P = 16 leaves a dead band of friction / gain.
    assert 0 <= off * RAD_PER_TICK <= 0.06 / 17.8 + 2 * RAD_PER_TICK


def test_the_profile_keeps_the_acceleration_that_it_was_given(bus):
    torque_on(bus)
    write(bus, 1, "Acceleration", 50)
    write(bus, 1, "Goal_Position", read(bus, 1, "Present_Position") + 800)
    speeds = []
    for cycle in range(40):
        bus.advance(cycle * 0.01)
        speeds.append(bus.servos[0]._setpoint_speed)
    largest = np.abs(np.diff(speeds)).max() / 0.01
    assert largest == pytest.approx(5000, rel=0.02)


def test_an_arm_that_pushes_at_a_wall_reports_overload_and_lets_go_to_its_protective_torque(bus):
    torque_on(bus)
    bus.plant.stuck.add(GRIPPER)
    write(bus, 6, "Goal_Position", read(bus, 6, "Present_Position") + 700)
    now_s = run(bus, 1.0, 0.0)
    assert abs(bus.servos[GRIPPER].torque_nm) == pytest.approx(0.5 * 2.94, rel=0.05)
    now_s = run(bus, 2.0, now_s)
    answer = ask(bus, Packet(6, Instruction.PING), now_s)
    assert answer[0].code & 0x20
    assert abs(bus.servos[GRIPPER].torque_nm) <= 0.2 * 2.94 + 1e-6
    write(bus, 6, "Goal_Position", read(bus, 6, "Present_Position", now_s), now_s)
    now_s = run(bus, 0.1, now_s)
    assert ask(bus, Packet(6, Instruction.PING), now_s)[0].code == 0


def test_a_servo_that_pushes_in_vain_grows_hot_and_switches_itself_off_at_its_limit(bus):
    torque_on(bus)
    bus.plant.stuck.add(0)
    write(bus, 1, "Goal_Position", read(bus, 1, "Present_Position") + 700)
    before = bus.servos[0].temperature_c
    now_s = run(bus, 1.0, 0.0)
    assert bus.servos[0].temperature_c > before + 0.3
    bus.servos[0].temperature_c = 72.0
    now_s = run(bus, 0.1, now_s)
    assert read(bus, 1, "Present_Temperature", now_s) == 72
    assert ask(bus, Packet(1, Instruction.PING), now_s)[0].code & 0x04
    assert bus.servos[0].torque_nm == 0.0
    bus.servos[0].temperature_c = 60.0
    now_s = run(bus, 0.1, now_s)
    assert ask(bus, Packet(1, Instruction.PING), now_s)[0].code == 0
    # It pushes again only when a host switches its torque off and on.
    assert bus.servos[0].torque_nm == 0.0


def test_a_brown_out_restarts_a_servo_with_its_torque_off(bus):
    torque_on(bus)
    bus.faults.supply_v = 3.0
    now_s = run(bus, 0.05, 0.0)
    bus.faults.supply_v = 7.4
    now_s = run(bus, 0.05, now_s)
    assert read(bus, 1, "Torque_Enable", now_s) == 0
    assert read(bus, 1, "Acceleration", now_s) == 0


def test_a_servo_that_restarts_lets_its_joint_sink_and_the_others_hold(bus):
    bus.plant._angle[1:4] = 0.3, 0.0, 0.0
    bus.advance(0.002)
    torque_on(bus, 0.002)
    now_s = run(bus, 0.5, 0.002)
    held = bus.plant.encoder.copy()
    bus.servos[LIFT].restart()
    now_s = run(bus, 0.3, now_s)
    assert bus.plant.encoder[LIFT] > held[LIFT] + 0.1
    assert read(bus, 2, "Torque_Enable", now_s) == 0
    assert read(bus, 1, "Torque_Enable", now_s) == 1


def test_a_cable_out_of_the_chain_takes_power_and_answers_of_all_behind_it(bus):
    torque_on(bus)
    bus.faults.unpowered = {4, 5, 6}
    now_s = run(bus, 0.05, 0.0)
    assert ask(bus, Packet(3, Instruction.PING), now_s) == [Packet(3, 0)]
    assert ask(bus, Packet(4, Instruction.PING), now_s) == []
    assert bus.servos[3].torque_nm == 0.0
    bus.faults.unpowered = set()
    now_s = run(bus, 0.05, now_s)
    assert ask(bus, Packet(4, Instruction.PING), now_s) == [Packet(4, 0)]
    assert read(bus, 4, "Torque_Enable", now_s) == 0


def test_an_arm_sags_under_its_weight_by_torque_over_gain(bus):
    bus.plant._angle[1:4] = 0.8, 0.0, 0.0
    bus.advance(0.002)
    torque_on(bus, 0.002)
    goal = bus.plant.encoder[LIFT]
    run(bus, 2.0, 0.002)
    expected = bus.plant.gravity_nm()[LIFT] / 17.8
    assert expected > 0.02
    assert bus.plant.encoder[LIFT] - goal == pytest.approx(expected, abs=0.052 / 17.8 + 0.004)


def test_play_leaves_the_link_where_the_encoder_is_not(bus):
    bus.plant._angle[1:4] = 0.8, 0.0, 0.0
    apart = bus.plant.link[LIFT] - bus.plant.encoder[LIFT]
    assert apart == pytest.approx(np.radians(0.5))


def test_faults_on_the_wire(bus):
    bus.faults.silent = {2}
    assert ask(bus, Packet(2, Instruction.PING)) == []
    bus.faults.silent = set()
    bus.faults.wrong_id = {2: 5}
    assert ask(bus, Packet(2, Instruction.PING)) == [Packet(5, 0)]
    bus.faults.wrong_id = {}
    bus.faults.corrupted = 1.0
    assert ask(bus, Packet(2, Instruction.PING)) != [Packet(2, 0)]
    bus.faults.corrupted = 0.0
    bus.faults.unplugged = True
    assert ask(bus, Packet(2, Instruction.PING)) == []


def test_a_hundred_thousand_random_frames_move_nothing_and_end_nothing(bus):
    """Valid checksums, random content, but for writes that could switch torque on."""
    generator = np.random.default_rng(4)
    start = bus.plant.encoder.copy()
    for _ in range(100_000 // 50):
        stream = b""
        for _ in range(50):
            code = int(generator.integers(0, 256))
            parameters = generator.bytes(int(generator.integers(0, 12)))
            if code in (Instruction.WRITE, Instruction.REG_WRITE, Instruction.SYNC_WRITE):
                # Anything but writes that reach Torque_Enable.
                parameters = bytes((56,)) + parameters[1:]
            stream += Packet(int(generator.integers(0, 255)), code, parameters).to_bytes()
        bus.receive(stream, 0.0)
    assert np.array_equal(bus.plant.encoder, start)
    assert ask(bus, Packet(1, Instruction.PING)) == [Packet(1, 0)]


def test_a_folded_arm_without_torque_is_not_shown_beyond_its_stops(bus):
    run(bus, 3.0, 0.0)
    for index, name in enumerate(JOINTS):
        low, high = RANGES_RAD[name]
        shown = read(bus, index + 1, "Present_Position", 3.0)
        assert low <= (shown - 2048) * RAD_PER_TICK <= high, name
