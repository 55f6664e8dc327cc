# SPDX-License-Identifier: Apache-2.0
"""The bus over a real pseudo-terminal, with long time-outs: these tests time nothing."""

import contextlib

import pytest

from so100_driver.bus import BusError, ServoBus

IDS = range(1, 7)


@pytest.fixture
def servos(port):
    with ServoBus(str(port.path), timeout_s=0.2) as opened:
        yield opened


def states(servos):
    return servos.read_states(IDS, budget_s=60.0)


def test_one_block_brings_what_a_cycle_needs(port, servos):
    found = states(servos)
    assert sorted(found) == list(IDS)
    with port.bus() as bus:
        shown = {servo.servo_id: servo.get("Present_Position") for servo in bus.servos}
    assert {number: state.position for number, state in found.items()} == pytest.approx(
        shown, abs=30
    )
    assert found[1].voltage_v == pytest.approx(7.4, abs=0.11)
    assert found[1].temperature_c == 25
    assert found[1].faults == ()


def test_a_silent_servo_costs_nobody_else_its_answer(port, servos):
    with port.bus() as bus:
        bus.faults.silent = {3}
    assert sorted(states(servos)) == [1, 2, 4, 5, 6]
    assert servos.statistics[3].failures == 1
    assert "timed out" in servos.statistics[3].last_error
    # It sits out, and is asked again later.
    assert sorted(states(servos)) == [1, 2, 4, 5, 6]
    with port.bus() as bus:
        bus.faults.silent = set()
    answered = [3 in states(servos) for _ in range(4)]
    assert any(answered)


def test_one_lost_answer_costs_one_question_more_and_not_six(port):
    with ServoBus(str(port.path), timeout_s=2.0) as servos:
        with port.bus() as bus:
            bus.faults.lost_once = {3}
            before = bus.bytes_on_the_wire
        found = states(servos)
        with port.bus() as bus:
            spent = bus.bytes_on_the_wire - before
    assert sorted(found) == list(IDS)
    assert spent == (14 + 6 * 21) + (8 + 21)


def test_of_two_answers_with_one_id_neither_is_believed(port, servos):
    with port.bus() as bus:
        bus.faults.wrong_id = {3: 5}
        shown = bus.servos[4].get("Present_Position")
    for _ in range(5):
        found = states(servos)
        assert 3 not in found
        assert 5 not in found or found[5].position == pytest.approx(shown, abs=30)


def test_a_usb_cable_that_is_pulled_out_is_told_from_silence_and_can_come_back(port, servos):
    with port.bus() as bus:
        bus.faults.unplugged = True
    assert states(servos) == {}
    assert not servos.gone
    with port.bus() as bus:
        bus.faults.unplugged = False
    port.unplug()
    assert states(servos) == {}
    assert servos.gone
    with pytest.raises(BusError, match="no such port"):
        servos.reopen()
    assert servos.gone
    assert states(servos) == {}
    with pytest.raises(BusError):
        servos.write_goals({1: 2000})
    port.replug()
    servos.port = str(port.path)
    servos.reopen()
    assert not servos.gone
    assert sorted(states(servos)) == list(IDS)


def test_what_a_servo_was_told_can_be_read_back(servos):
    servos.write_goals({3: 2100})
    servos.write(3, "Torque_Limit", 250)
    servos.write(3, "Torque_Enable", 0)
    told = servos.read_drive(3)
    assert (told.torque, told.goal, told.torque_limit) == (False, 2100, 0.25)
    servos.write(3, "Torque_Enable", 1)
    assert servos.read_drive(3).torque


def test_damaged_answers_are_asked_for_again_and_never_believed(port, servos):
    with port.bus() as bus:
        bus.faults.corrupted = 0.3
        shown = {servo.servo_id: servo.get("Present_Temperature") for servo in bus.servos}
    for _ in range(20):
        for number, state in states(servos).items():
            assert state.temperature_c == shown[number]
    assert sum(item.retries for item in servos.statistics.values()) > 0


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next_one(port):
    """A host that stalls, or an adapter that holds back what came, answers after the time-out."""
    wanted = {"Min_Position_Limit": 1111, "Max_Position_Limit": 2222, "Homing_Offset": 333}
    with ServoBus(str(port.path), timeout_s=0.02) as servos:
        with port.bus() as bus:
            for name, value in wanted.items():
                bus.servos[2].set(name, value)
        told = []
        for _ in range(20):
            with port.bus(), pytest.raises(BusError):  # nobody answers while it is held
                servos.read(3, "Min_Position_Limit")
            for name in reversed(wanted):
                with contextlib.suppress(BusError):
                    told.append((name, servos.read(3, name)))
        assert told
        assert set(told) <= set(wanted.items())


def test_one_bad_answer_spoils_no_later_one(port, servos):
    with port.bus() as bus:
        bus.faults.wrong_id = {3: 7}
    for _ in range(3):
        states(servos)
    with port.bus() as bus:
        bus.faults.wrong_id = {}
    for _ in range(40):
        states(servos)
    assert sorted(states(servos)) == list(IDS)


def test_a_cable_that_comes_back_brings_all_servos_back(port, servos):
    with port.bus() as bus:
        bus.faults.unplugged = True
    assert states(servos) == {}
    with port.bus() as bus:
        bus.faults.unplugged = False
    for _ in range(40):
        found = states(servos)
    assert sorted(found) == list(IDS)


def test_goals_reach_all_servos_in_one_packet(port, servos):
    goals = {number: 2000 + number for number in IDS}
    servos.write_goals(goals)
    servos.read(1, "ID")
    with port.bus() as bus:
        assert {servo.servo_id: servo.get("Goal_Position") for servo in bus.servos} == goals


def test_a_goal_that_fits_no_register_is_sent_to_nobody(port, servos):
    with port.bus() as bus:
        before = [servo.get("Goal_Position") for servo in bus.servos]
    with pytest.raises(ValueError, match="Goal_Position"):
        servos.write_goals({1: 2000, 2: 40_000})
    servos.read(1, "ID")
    with port.bus() as bus:
        assert [servo.get("Goal_Position") for servo in bus.servos] == before


def test_a_write_is_answered_and_a_read_only_register_refused(servos):
    servos.write(2, "P_Coefficient", 20)
    assert servos.read(2, "P_Coefficient") == 20
    with pytest.raises(ValueError, match="read-only"):
        servos.write(2, "Present_Temperature", 20)


def test_faults_in_answers_are_counted_by_name(port, servos):
    with port.bus() as bus:
        bus.faults.supply_v = 3.8
    servos.read(1, "ID")
    for _ in range(20):
        found = states(servos)
    assert "voltage" in found[1].faults
    assert servos.statistics[1].faults["voltage"] > 0


def test_a_missing_port_is_an_error_of_one_line():
    with pytest.raises(BusError, match="there is no such port") as caught:
        ServoBus("/dev/pts/none")
    assert "\n" not in str(caught.value)


def test_a_bus_can_be_closed_twice(servos):
    servos.close()
    servos.close()
