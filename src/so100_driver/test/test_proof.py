# SPDX-License-Identifier: Apache-2.0
"""Wrong calibrations: each is refused before any torque, by joint and by cause."""

import json
from dataclasses import replace

import pytest
from arm_rig import GRIPPER, LIFT, Rig

from so100_driver.cli.calibrate import calibrate
from so100_driver.cli.guide import StoppedByPersonError
from so100_driver.cli.prove import NotProvedError, keep, prove_at_rest, prove_gripper
from so100_driver.core.calibration import JOINTS, CalibrationError, load, parse
from so100_driver.core.description import RANGES_RAD, TURNS
from so100_driver.core.proof import judge_weight
from so100_driver.core.proved import load_proof
from so100_driver.sim_bus.arm import REST_RAD, so101_calibration

ELBOW, WRIST, ROLL = 2, 3, 4


class Person:
    """Does what it is asked to, with a simulated arm whose joints it moves by hand."""

    def __init__(self, rig, ends_after=None):
        self.rig, self.ends_after = rig, ends_after
        self.said, self.asked = [], 0
        self._sweep = iter(())

    def place(self, angles):
        self.rig.plant._angle[:] = angles
        self.rig.plant._velocity[:] = 0.0
        self.rig.bus._look()

    def say(self, text):
        self.said.append(text)
        if "to both of its ends" in text:
            self._sweep = iter(self._swept())

    def wait(self, text):
        self.asked += 1
        if self.ends_after is not None and self.asked > self.ends_after:
            raise StoppedByPersonError("ended by Ctrl-C")
        if "Fold the arm" in text:
            self.place(REST_RAD)
        elif "MIDDLE" in text:
            self.place((0.0, 0.0, 0.0, 0.0, 0.0, 0.7))
        for name, turn in TURNS.items():
            if turn.words in text:
                angles = self.rig.angles
                angles[JOINTS.index(name)] += 0.7 * turn.sign
                self.place(angles)

    def waiting(self):
        angles = next(self._sweep, None)
        if angles is not None:
            self.place(angles)
        return angles is not None

    def _swept(self):
        at = list(self.rig.angles)
        for index, name in enumerate(JOINTS):
            for end in RANGES_RAD[name]:
                for share in range(1, 9):
                    now = list(at)
                    now[index] = at[index] + (end - at[index]) * share / 8
                    yield now


def rows_of(calibration):
    return json.loads(calibration.to_text())


def changed(joint, **values):
    calibration = so101_calibration()
    joints = dict(calibration.joints)
    joints[joint] = replace(joints[joint], **values)
    return replace(calibration, joints=joints)


def in_other_units(unit):
    def change(rig):
        rows = rows_of(so101_calibration())
        for row in rows.values():
            row["range_min"], row["range_max"] = unit
        return parse(json.dumps(rows), "arm.json")

    return change


def same_file(change):
    def changes(rig):
        change(rig)
        return so101_calibration()

    return changes


def mounted_the_other_way_round(rig):
    rig.bus.servos[LIFT].direction = -1


def homed_half_a_turn_away(rig):
    rig.bus.servos[ELBOW].angle_offset_ticks += 2048


def slipped(rig):
    rig.bus.servos[ELBOW].angle_offset_ticks -= 512


def ids_swapped(rig):
    rig.bus.servos[LIFT].keep("ID", 3)
    rig.bus.servos[ELBOW].keep("ID", 2)
    lift, elbow = (so101_calibration().joints[JOINTS[index]] for index in (LIFT, ELBOW))
    for servo, joint in ((rig.bus.servos[LIFT], elbow), (rig.bus.servos[ELBOW], lift)):
        servo.keep("Min_Position_Limit", joint.range_min)
        servo.keep("Max_Position_Limit", joint.range_max)


def pan_and_roll_swapped(rig):
    rig.bus.servos[0].keep("ID", 5)
    rig.bus.servos[ROLL].keep("ID", 1)
    pan, roll = (so101_calibration().joints[JOINTS[index]] for index in (0, ROLL))
    for servo, joint in ((rig.bus.servos[0], roll), (rig.bus.servos[ROLL], pan)):
        servo.keep("Min_Position_Limit", joint.range_min)
        servo.keep("Max_Position_Limit", joint.range_max)


def calibrated_since(rig):
    rig.bus.servos[ELBOW].keep("Homing_Offset", 60)


def exchanged(rig):
    for name, value in (("Min_Position_Limit", 0), ("Max_Position_Limit", 4095)):
        rig.bus.servos[ELBOW].keep(name, value)


def every_joint_homed_otherwise(rig):
    for servo in rig.bus.servos:
        servo.keep("Homing_Offset", 31 * servo.servo_id)


WRONG = {
    "swapped sign": (same_file(mounted_the_other_way_round), "shoulder_lift", "swapped sign"),
    "half turn": (same_file(homed_half_a_turn_away), "elbow_flex", "half-turn homing"),
    "ids in the file swapped": (
        lambda rig: replace(
            so101_calibration(),
            joints={
                **so101_calibration().joints,
                "shoulder_lift": replace(so101_calibration().joints["shoulder_lift"], servo_id=3),
                "elbow_flex": replace(so101_calibration().joints["elbow_flex"], servo_id=2),
            },
        ),
        "shoulder_lift",
        "ids in another order",
    ),
    "ids of the servos swapped": (same_file(ids_swapped), "shoulder_lift", "swapped with elbow"),
    "ids that the pose does not tell": (
        same_file(pan_and_roll_swapped),
        "shoulder_pan",
        "ids in another order",
    ),
    "percent for ticks": (in_other_units((-100, 100)), "arm.json", "percent, not ticks"),
    "degrees for ticks": (in_other_units((-110, 110)), "arm.json", "degrees, not ticks"),
    "radians for ticks": (in_other_units((-1.9, 1.9)), "arm.json", "radians, not ticks"),
    "another arm's file": (
        same_file(every_joint_homed_otherwise),
        "shoulder_pan",
        "another arm's file",
    ),
    "range cut": (lambda rig: changed("elbow_flex", range_min=1500), "elbow_flex", "range is cut"),
    "gripper beyond its stop": (
        lambda rig: changed("gripper", range_min=1534),
        "gripper",
        "beyond its stop",
    ),
    "past the encoder's end": (
        lambda rig: changed("elbow_flex", range_min=0, range_max=4095),
        "elbow_flex",
        "passed the encoder's end",
    ),
    "servo exchanged": (same_file(exchanged), "elbow_flex", "exchanged"),
    "calibrated since": (same_file(calibrated_since), "elbow_flex", "another program"),
    "direction flag": (
        lambda rig: changed("elbow_flex", drive_mode=1),
        "elbow_flex",
        "drive_mode",
    ),
    "horn slipped": (same_file(slipped), "elbow_flex", "its zero is -45 deg off"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_calibration_is_refused_before_torque_by_joint_and_cause(name):
    change, joint, cause = WRONG[name]
    rig = Rig(pose=REST_RAD)
    with pytest.raises((NotProvedError, CalibrationError)) as caught:
        prove_at_rest(rig.wire, change(rig), Person(rig))
    words = str(caught.value)
    line = next(line for line in words.splitlines() if line.startswith(joint))
    assert cause in line, words
    assert "; " in line
    assert rig.torque == [0] * 6


def test_at_least_twelve_wrong_calibrations_are_tried():
    assert len(WRONG) >= 12


def test_the_right_calibration_is_proved_and_its_zeros_are_the_description_s():
    rig = Rig(pose=REST_RAD)
    person = Person(rig)
    zeros = prove_at_rest(rig.wire, so101_calibration(), person)
    assert zeros == pytest.approx(dict.fromkeys(JOINTS, 2048.0), abs=1.5)
    assert sum("the right servo" in line for line in person.said) == 6
    assert rig.torque == [0] * 6


def test_a_joint_that_is_not_turned_is_asked_for_by_name():
    rig = Rig(pose=REST_RAD)
    person = Person(rig)
    rest = person.wait
    person.wait = lambda text: rest(text) if "Fold" in text else None
    with pytest.raises(NotProvedError, match="shoulder_pan: turned by 0 ticks only"):
        prove_at_rest(rig.wire, so101_calibration(), person)


def test_an_arm_that_has_torque_is_not_taken_out_of_another_program_s_hands():
    from so100_driver.bus import BusError

    rig = Rig(pose=REST_RAD)
    rig.wire.write(2, "Torque_Enable", 1)
    with pytest.raises(BusError, match="shoulder_lift has torque"):
        prove_at_rest(rig.wire, so101_calibration(), Person(rig))


def passing(rig):
    """Return a sleep and a clock in which simulated time passes."""

    def sleep(seconds):
        rig.wire.now_s += seconds
        rig.bus.advance(rig.wire.now_s)

    return sleep, lambda: rig.wire.now_s


@pytest.mark.parametrize("stop_rad", [-0.1745, 0.2, -0.35])
def test_the_gripper_s_stop_is_found_gently_and_held_against_the_file(stop_rad):
    rig = Rig()
    rig.plant.low_rad[GRIPPER] = stop_rad
    torques = []
    sleep, clock = passing(rig)

    def watched(seconds):
        sleep(seconds)
        torques.append(abs(rig.bus.servos[GRIPPER].torque_nm))

    if abs(stop_rad + 0.1745) < 0.01:
        prove_gripper(rig.wire, so101_calibration(), Person(rig), watched, clock)
    else:
        words = "beyond its stop" if stop_rad > 0 else "was not closed"
        if stop_rad < -0.2:
            # The servo's own limit lies where the file says; the jaws meet later.
            rig.bus.servos[GRIPPER].keep("Min_Position_Limit", 0)
        with pytest.raises(NotProvedError, match=words):
            prove_gripper(rig.wire, so101_calibration(), Person(rig), watched, clock)
    assert max(torques) <= 0.15 * 2.94 + 1e-6
    assert rig.torque == [0] * 6
    assert rig.bus.servos[GRIPPER].get("Torque_Limit") == 500


def test_a_gripper_that_never_meets_a_stop_is_given_up():
    from so100_driver.bus import BusError

    rig = Rig()
    rig.plant.low_rad[GRIPPER] = -20.0
    rig.bus.servos[GRIPPER].keep("Min_Position_Limit", 0)
    rig.bus.servos[GRIPPER].keep("Max_Position_Limit", 0)
    rig.bus.faults.frozen = {}
    sleep, clock = passing(rig)
    wander = iter(range(100_000))
    read = rig.wire.read
    rig.wire.read = lambda number, name: (
        2000 + 20 * (next(wander) % 7) if name == "Present_Position" else read(number, name)
    )
    with pytest.raises(BusError, match="no stop within"):
        prove_gripper(rig.wire, so101_calibration(), Person(rig), sleep, clock)
    assert rig.torque == [0] * 6


def test_a_proof_is_of_one_calibration(tmp_path):
    path = tmp_path / "arm.json"
    calibration = so101_calibration()
    path.write_text(calibration.to_text())
    with pytest.raises(CalibrationError, match="not proved on the arm yet; run `so101 prove"):
        load_proof(path, calibration)
    zeros = dict.fromkeys(JOINTS, 2047.5)
    proof = keep(path, calibration, zeros)
    assert load_proof(path, load(path)).zeros == zeros
    with pytest.raises(CalibrationError, match="changed since it was proved"):
        load_proof(path, changed("elbow_flex", range_min=1000))
    for text in ("", "[]", "{}", proof.read_text().replace("2047.5", '"x"'), "x" * 70_000):
        proof.write_text(text)
        with pytest.raises(CalibrationError) as caught:
            load_proof(path, calibration)
        assert "\n" not in str(caught.value)


def uncalibrated():
    rig = Rig(pose=REST_RAD)
    for servo in rig.bus.servos:
        servo.angle_offset_ticks = 1500 + 300 * servo.servo_id
        servo.keep("Homing_Offset", 5)
        servo.keep("Min_Position_Limit", 0)
        servo.keep("Max_Position_Limit", 4095)
        servo.keep("P_Coefficient", 32)
    rig.bus._look()
    return rig


def test_a_calibration_is_recorded_written_and_then_proved():
    rig = uncalibrated()
    person = Person(rig)
    calibration = calibrate(rig.wire, person, sleep=lambda _: None)
    for servo, (name, joint) in zip(rig.bus.servos, calibration.joints.items(), strict=True):
        assert servo.get("Homing_Offset") == joint.homing_offset
        assert servo.get("Min_Position_Limit") == joint.range_min
        assert (servo.get("P_Coefficient"), servo.get("Lock")) == (16, 1)
        if name != "wrist_roll":
            width = (joint.range_max - joint.range_min) / 4096 * 6.2832
            low, high = RANGES_RAD[name]
            assert width == pytest.approx(high - low, abs=0.01)
    assert rig.bus.servos[GRIPPER].get("Protection_Current") == 250
    # What is in EEPROM outlives the power.
    for servo in rig.bus.servos:
        servo.restart()
    assert parse(calibration.to_text(), "x").joints == calibration.joints
    zeros = prove_at_rest(rig.wire, calibration, person)
    for servo, name in zip(rig.bus.servos, JOINTS, strict=True):
        shown_zero = servo.angle_offset_ticks - servo.get("Homing_Offset")
        # The gripper's middle of the range is not where it was homed; the proof knows.
        assert zeros[name] == pytest.approx(shown_zero, abs=3)


def test_a_dry_run_writes_nothing_into_any_servo():
    rig = uncalibrated()
    kept = [bytes(servo._kept) for servo in rig.bus.servos]
    calibrate(rig.wire, Person(rig), dry_run=True, sleep=lambda _: None)
    assert [bytes(servo._kept) for servo in rig.bus.servos] == kept
    assert rig.torque == [0] * 6


@pytest.mark.parametrize("after", [0, 1])
def test_whoever_ends_a_calibration_leaves_the_servos_as_they_were(after):
    rig = uncalibrated()
    kept = [bytes(servo._kept) for servo in rig.bus.servos]
    person = Person(rig, ends_after=after)
    if after:
        # In the middle of the sweep.
        waiting = person.waiting
        looks = iter([True] * 20)

        def interrupted():
            if not next(looks, False):
                raise StoppedByPersonError("ended by Ctrl-C")
            return waiting()

        person.waiting = interrupted
    with pytest.raises(StoppedByPersonError):
        calibrate(rig.wire, person, sleep=lambda _: None)
    assert [bytes(servo._kept) for servo in rig.bus.servos] == kept


def test_a_sweep_that_leaves_a_joint_out_is_refused_and_nothing_written():
    rig = uncalibrated()
    kept = [bytes(servo._kept) for servo in rig.bus.servos]
    person = Person(rig)
    swept = person._swept
    person._swept = lambda: (now for now in swept() if now[WRIST] == 0.0)
    with pytest.raises(NotProvedError, match=r"wrist_flex: .*range is cut"):
        calibrate(rig.wire, person, sleep=lambda _: None)
    assert [bytes(servo._kept) for servo in rig.bus.servos] == kept


def test_an_arm_that_holds_its_weight_pushes_upwards_or_its_sign_is_swapped():
    angles = dict.fromkeys(JOINTS, 0.0) | {"shoulder_lift": 0.5}
    loads = dict.fromkeys(JOINTS, 0.0) | {"shoulder_lift": -0.2, "elbow_flex": -0.1}
    assert judge_weight(angles, loads) == []
    loads["elbow_flex"] = 0.1
    (mismatch,) = judge_weight(angles, loads)
    assert "elbow_flex" in str(mismatch)
    assert "swapped sign" in str(mismatch)
