# SPDX-License-Identifier: Apache-2.0
"""`so101 doctor` on a simulated arm: what is wrong is named, with what to do."""

import json

import pytest

from so100_driver.bus import ServoBus
from so100_driver.cli.__main__ import main
from so100_driver.sim_bus.arm import so101_calibration


def examined(port, capsys, *more):
    code = main(["doctor", str(port.path), *more])
    return code, capsys.readouterr().out


def test_a_sound_arm_has_nothing_to_mend(port, capsys):
    code, text = examined(port, capsys)
    assert code == 0, text
    assert "ids: 1 to 6 answer" in text
    assert "FAIL" not in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda bus: bus.faults.silent.add(4), "id 4 (wrist_flex): no answer"),
        (lambda bus: bus.servos[3].keep("ID", 3), "id 3: its answers cannot be read"),
        (lambda bus: bus.servos[3].keep("ID", 9), "id 9: an id of no joint answers"),
        (
            lambda bus: bus.servos[1].set("Operating_Mode", 1),
            "shoulder_lift (2): operating mode 1",
        ),
        (lambda bus: bus.servos[1].set("Model_Number", 1284), "model number 1284"),
        (lambda bus: setattr(bus.servos[1], "temperature_c", 60.0), "60 degrees C"),
        (lambda bus: setattr(bus.faults, "supply_v", 5.0), "supply: 5.0 to 5.0 V"),
        (lambda bus: setattr(bus.faults, "unplugged", True), "no answer at any baud rate"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(port, capsys, change, words):
    with port.bus() as bus:
        change(bus)
    code, text = examined(port, capsys)
    assert code == 1
    assert words in text, text
    assert all("->" in block for block in text.split("FAIL")[1:]), text


def test_an_answer_that_comes_late_is_not_taken_for_a_second_servo(port, capsys, monkeypatch):
    heard = iter([({1, 2, 4, 5, 6}, {3}), (set(), {3}), ({3}, set())])

    def spoiled(bus, ids, tries=3):
        return next(heard)

    monkeypatch.setattr(ServoBus, "scan", spoiled)
    code, text = examined(port, capsys)
    assert code == 0, text
    assert "ids: 1 to 6 answer" in text


@pytest.mark.parametrize(
    ("register", "value", "words"),
    [
        ("Acceleration", 50, "re-shapes every plan"),
        ("Return_Delay_Time", 250, "500 us before each answer"),
        ("Firmware_Minor_Version", 9, "versions differ: 3.10, 3.9"),
    ],
)
def test_what_only_costs_is_a_note(port, capsys, register, value, words):
    with port.bus() as bus:
        bus.servos[2].set(register, value)
    code, text = examined(port, capsys)
    assert code == 0, text
    assert words in text


def test_another_arms_calibration_is_named(port, capsys, tmp_path):
    path = tmp_path / "arm.json"
    path.write_text(so101_calibration().to_text())
    code, text = examined(port, capsys, "--calibration", str(path))
    assert code == 1
    assert "proof: not proved on the arm yet" in text
    assert text.count("FAIL") == 1, text
    rows = json.loads(path.read_text())
    rows["elbow_flex"]["homing_offset"] = 812
    path.write_text(json.dumps(rows))
    code, text = examined(port, capsys, "--calibration", str(path))
    assert code == 1
    assert "elbow_flex: homing, least, largest position" in text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none", "there is no such port"),
        (lambda folder: folder, "Is a directory"),
        (
            lambda folder: (folder / "file").write_text("x") and folder / "file",
            "not a serial port",
        ),
    ],
)
def test_a_port_that_is_none_is_one_finding(tmp_path, capsys, make, words):
    assert main(["doctor", str(make(tmp_path))]) == 1
    assert words in capsys.readouterr().out


def test_where_nobody_answers_a_person_waits_ten_seconds_at_the_most(port, capsys, monkeypatch):
    waited_s = []
    scan = ServoBus.scan

    def counted(bus, ids, tries=3):
        ids = list(ids)
        waited_s.append(len(ids) * tries * bus.timeout_s)
        # How long it waits is counted, not waited for.
        timeout_s, bus.timeout_s = bus.timeout_s, 0.004
        bus.reopen()
        found = scan(bus, ids, tries)
        bus.timeout_s = timeout_s
        return found

    monkeypatch.setattr(ServoBus, "scan", counted)
    with port.bus() as bus:
        bus.faults.unplugged = True
    _, text = examined(port, capsys)
    assert "no answer at any baud rate" in text
    assert len(waited_s) > 7
    assert sum(waited_s) <= 10.0


def test_doctor_writes_nothing_and_moves_nothing(port, capsys):
    with port.bus() as bus:
        before = [bytes(servo._kept) for servo in bus.servos]
    examined(port, capsys)
    with port.bus() as bus:
        assert [bytes(servo._kept) for servo in bus.servos] == before
        assert [servo.get("Torque_Enable") for servo in bus.servos] == [0] * 6
