# SPDX-License-Identifier: Apache-2.0
"""LeRobot's calibration file: round trip to the byte, exact units, what is wrong by name."""

import json

import pytest

from so100_driver.core.calibration import JOINTS, CalibrationError, load, parse

GOOD = {
    name: {
        "id": number,
        "drive_mode": 0,
        "homing_offset": 37 * number - 100,
        "range_min": 700 + number,
        "range_max": 3300 + 3 * number,
    }
    for number, name in enumerate(JOINTS, start=1)
}


def changed(joint, **values):
    return json.dumps({**GOOD, joint: {**GOOD[joint], **values}}, indent=4)


def test_a_file_of_lerobot_round_trips_to_the_byte(tmp_path):
    for text in (json.dumps(GOOD, indent=4), json.dumps(GOOD), json.dumps(GOOD, indent=2) + "\n"):
        path = tmp_path / "my_arm.json"
        path.write_text(text)
        assert load(path).to_text() == text


def test_a_new_calibration_is_written_as_lerobot_writes_it():
    joints = parse(json.dumps(GOOD), "x").joints
    from so100_driver.core.calibration import Calibration

    assert Calibration(joints).to_text() == json.dumps(GOOD, indent=4)


def test_degrees_are_lerobots():
    joint = parse(json.dumps(GOOD), "x").joints["elbow_flex"]
    # 703 to 3309: the middle is 2006.
    assert joint.degrees(2006) == 0.0
    assert joint.degrees(2006 + 4095) == 360.0
    assert joint.ticks_of_degrees(joint.degrees(1234)) == pytest.approx(1234, abs=1e-9)


def test_a_gripper_is_0_to_100_between_its_ends():
    joint = parse(json.dumps(GOOD), "x").joints["gripper"]
    assert joint.percent(joint.range_min) == 0.0
    assert joint.percent(joint.range_max) == 100.0
    assert joint.percent(0) == 0.0
    assert joint.ticks_of_percent(50) == (joint.range_min + joint.range_max) / 2
    assert joint.ticks_of_percent(140) == joint.range_max


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[]", "one entry a joint"),
        ("[" * 100_000, ""),
        (json.dumps({**GOOD, "elbow": {}}), "unknown: elbow"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "gripper"}), "missing: gripper"),
        (json.dumps(GOOD)[:-1] + ', "gripper": {}}', "gripper stands twice"),
        (changed("gripper", id=5), "wrist_roll and gripper have the id 5 both"),
        (changed("gripper", id=True), "id must be a whole number"),
        (changed("gripper", range_min=float("nan")), "NaN"),
        (changed("gripper", range_min=12.5), "range_min must be a whole number"),
        (changed("gripper", homing_offset=2048), "homing_offset is 2048; -2047 to 2047"),
        (changed("gripper", range_max=4096), "range_max is 4096"),
        (changed("elbow_flex", range_min=2000, range_max=2100), "hardly moved"),
        (changed("elbow_flex", range_min=3000, range_max=1000), "hardly moved"),
    ],
)
def test_a_wrong_file_is_refused_by_name(text, words):
    with pytest.raises(CalibrationError) as caught:
        parse(text, "my_arm.json")
    assert words in str(caught.value)
    assert str(caught.value).startswith("my_arm.json: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_lerobot_keeps_it(tmp_path):
    with pytest.raises(CalibrationError, match="lerobot-calibrate"):
        load(tmp_path / "none.json")


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationError, match="UTF-8"):
        load(path)
    path.write_bytes(b" " * 100_000)
    with pytest.raises(CalibrationError, match="100000 bytes"):
        load(path)
    with pytest.raises(CalibrationError):
        load(tmp_path)
