# SPDX-License-Identifier: Apache-2.0
"""An input that is missing, stale, frozen or absurd means no observation, and says why."""

from dataclasses import replace

import numpy as np
import pytest

from vla_contract.observation import Assembled, ObservationBuffer
from vla_contract.units import UNITS

FRONT, STATE = "observation.images.front", "observation.state"
JOINTS = ("gripper", "elbow", "extra", "lift", "pan")
VALUES = np.array([0.4, 0.3, 9.0, 0.2, 0.1])
ORDERED = [0.1, 0.2, 0.3, 0.4]  # as the contract has them
MS = 1_000_000
NOW = 10**12


def picture(seed: int = 0):
    return np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def buffer(contract):
    return ObservationBuffer(contract, {FRONT: (None, None, 3)})


def feed(buffer, now=NOW, *, values=VALUES, joints=JOINTS, seed=0):
    buffer.image(FRONT, picture(seed), now - 30 * MS, now)
    buffer.state(STATE, joints, values, now - 5 * MS, now)


def problems(buffer, now=NOW, steady=None):
    return [str(item) for item in buffer.problems(now, now if steady is None else steady)]


def test_an_observation_is_made_of_the_newest_values(buffer):
    feed(buffer, NOW - 10 * MS, seed=1)
    feed(buffer, NOW, seed=2)
    made = buffer.assemble(NOW, NOW, "do it")
    assert isinstance(made, Assembled)
    assert (made.observation.images[FRONT] == picture(2)).all()
    assert made.observation.state[STATE].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert made.observation.task == "do it"
    # No state is remembered of the picture's time: it is the oldest that is, of 15 ms ago.
    assert made.observation.stamp_ns == NOW - 15 * MS
    assert made.skew_ns == 15 * MS
    assert max(made.stamps_ns.values()) - min(made.stamps_ns.values()) == 15 * MS


def test_the_state_is_of_the_time_of_the_newest_picture(buffer):
    for ago in range(100, -1, -10):
        buffer.state(STATE, JOINTS, np.full(5, -0.01 * ago), NOW - ago * MS, NOW)
    for picture_ago, state in ((100, -1.0), (64, -0.64), (47, -0.47), (10, -0.1), (0, 0.0)):
        buffer.image(FRONT, picture(picture_ago), NOW - picture_ago * MS, NOW)
        made = buffer.assemble(NOW, NOW, "do it")
        assert isinstance(made, Assembled)
        np.testing.assert_allclose(made.observation.state[STATE], state, atol=1e-12)
        assert made.observation.stamp_ns == NOW - picture_ago * MS
        assert made.skew_ns == 0


def test_a_picture_that_is_newer_than_every_state_has_the_newest_one(buffer):
    buffer.state(STATE, JOINTS, VALUES - 1.0, NOW - 20 * MS, NOW)
    buffer.state(STATE, JOINTS, VALUES, NOW - 10 * MS, NOW)
    buffer.image(FRONT, picture(), NOW, NOW)
    made = buffer.assemble(NOW, NOW, "do it")
    assert isinstance(made, Assembled)
    np.testing.assert_array_equal(made.observation.state[STATE], ORDERED)
    assert (made.observation.stamp_ns, made.skew_ns) == (NOW, 10 * MS)


def test_states_of_before_a_stamp_that_went_back_are_not_mixed_with_those_after(buffer):
    for ago in (30, 20, 10):
        buffer.state(STATE, JOINTS, VALUES + 9.0, NOW - ago * MS, NOW)
    for ago in (40, 25, 5):  # the first of them is refused
        buffer.state(STATE, JOINTS, VALUES, NOW - ago * MS, NOW)
    buffer.image(FRONT, picture(), NOW - 22 * MS, NOW)
    made = buffer.assemble(NOW, NOW, "do it")
    assert isinstance(made, Assembled)
    np.testing.assert_allclose(made.observation.state[STATE], ORDERED)


def test_a_state_that_is_not_finite_is_between_no_two_others(buffer):
    buffer.state(STATE, JOINTS, VALUES, NOW - 20 * MS, NOW)
    buffer.state(STATE, JOINTS, np.full(5, np.nan), NOW - 10 * MS, NOW)
    buffer.state(STATE, JOINTS, VALUES, NOW, NOW)
    buffer.image(FRONT, picture(), NOW - 12 * MS, NOW)
    made = buffer.assemble(NOW, NOW, "do it")
    assert isinstance(made, Assembled)
    np.testing.assert_allclose(made.observation.state[STATE], ORDERED)


def test_a_policy_that_needs_nothing_is_asked_about_the_present(contract, spec):
    narrow = contract.narrowed_to(replace(spec, observation=()))
    made = ObservationBuffer(narrow, {}).assemble(NOW, NOW, "do it")
    assert isinstance(made, Assembled)
    assert (made.observation.stamp_ns, made.skew_ns) == (NOW, 0)


def test_nothing_is_filled_in_for_what_is_missing(buffer):
    found = buffer.assemble(NOW, NOW, "do it")
    assert [(item.feature, item.detail) for item in found] == [
        (FRONT, "no message yet"),
        (STATE, "no message yet"),
    ]
    buffer.image(FRONT, picture(), NOW, NOW)
    assert problems(buffer) == [f"{STATE} (joint_states): no message yet"]


def test_a_stale_input_is_refused_with_its_age(buffer):
    feed(buffer)
    found = problems(buffer, NOW + 240 * MS)
    assert found == [
        f"{FRONT} (front_camera/image_raw): stale: 0.270 s old, at most 0.25 s is allowed",
        f"{STATE} (joint_states): stale: 0.245 s old, at most 0.2 s is allowed",
    ]


def test_an_input_is_stale_by_the_steady_clock_when_ros_time_stands_still(buffer):
    feed(buffer)
    assert len(problems(buffer, NOW, NOW + 300 * MS)) == 2


def test_a_publisher_that_repeats_an_old_stamp_is_stale(buffer):
    feed(buffer)
    for later in range(10 * MS, 400 * MS, 10 * MS):
        buffer.image(FRONT, picture(later), NOW - 30 * MS, NOW + later)
    assert "stale" in problems(buffer, NOW + 400 * MS, NOW + 400 * MS)[0]


def test_a_frozen_image_is_refused_while_its_stamps_advance(buffer):
    for step in range(0, 2000 * MS, 33 * MS):
        buffer.image(FRONT, picture(), NOW + step, NOW + step)
    buffer.state(STATE, JOINTS, VALUES, NOW + step, NOW + step)
    found = problems(buffer, NOW + step)
    assert found[0].startswith(f"{FRONT} (front_camera/image_raw): frozen: bit-identical for 1.9")
    buffer.image(FRONT, picture(1), NOW + step + 33 * MS, NOW + step + 33 * MS)
    assert problems(buffer, NOW + step + 33 * MS) == []


def test_one_changed_pixel_is_not_frozen(buffer):
    for index, step in enumerate(range(0, 2000 * MS, 33 * MS)):
        pixels = picture()
        pixels[1, 1, 0] = index % 7
        buffer.image(FRONT, pixels, NOW + step, NOW + step)
    buffer.state(STATE, JOINTS, VALUES, NOW + step, NOW + step)
    assert problems(buffer, NOW + step) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_state_that_is_not_finite_is_refused(buffer, bad):
    values = VALUES.copy()
    values[3] = bad
    feed(buffer, values=values)
    assert problems(buffer) == [f"{STATE} (joint_states): is not finite"]


def test_a_value_of_a_joint_that_is_not_used_does_not_matter(buffer):
    values = VALUES.copy()
    values[2] = np.nan
    feed(buffer, values=values)
    assert problems(buffer) == []


def test_a_joint_that_is_missing_from_the_message_is_named(buffer):
    feed(buffer, joints=("gripper", "elbow", "extra", "lift", "pun"))
    assert problems(buffer) == [f"{STATE} (joint_states): lacks pan"]


def test_a_message_without_the_field_is_refused(buffer):
    feed(buffer, values=np.empty(0))
    assert problems(buffer) == [f"{STATE} (joint_states): has 5 joints but 0 values of position"]


def test_a_stamp_in_the_future_is_refused(buffer):
    feed(buffer)
    buffer.image(FRONT, picture(1), NOW + 200 * MS, NOW)
    assert "0.200 s in the future" in problems(buffer)[0]


def test_a_stamp_that_goes_backwards_is_refused_until_they_advance_again(buffer):
    feed(buffer)
    buffer.state(STATE, JOINTS, VALUES, NOW - 105 * MS, NOW)
    assert problems(buffer) == [f"{STATE} (joint_states): its stamp went back by 0.100 s"]
    buffer.state(STATE, JOINTS, VALUES, NOW - 95 * MS, NOW)
    assert problems(buffer) == []


def test_an_image_of_another_size_is_refused(contract):
    buffer = ObservationBuffer(contract, {FRONT: (480, 640, 3)})
    feed(buffer)
    assert problems(buffer) == [
        f"{FRONT} (front_camera/image_raw): is 48 x 64 x 3, the policy needs 480 x 640 x 3; "
        "set the camera to that, or write resize: stretch or crop in the contract"
    ]


def test_an_image_that_cannot_be_decoded_is_refused(buffer):
    feed(buffer)
    buffer.refuse(FRONT, "encoding bayer_rggb8 is unknown", NOW, NOW)
    assert problems(buffer) == [
        f"{FRONT} (front_camera/image_raw): encoding bayer_rggb8 is unknown"
    ]


def test_a_state_is_given_in_the_units_of_the_feature(contract):
    degrees = replace(contract, states=(replace(contract.states[0], unit=UNITS["deg"]),))
    buffer = ObservationBuffer(degrees, {FRONT: (None, None, 3)})
    feed(buffer)
    made = buffer.assemble(NOW, NOW, "do it")
    assert isinstance(made, Assembled)
    np.testing.assert_allclose(made.observation.state[STATE], np.degrees([0.1, 0.2, 0.3, 0.4]))


def test_a_state_may_come_in_two_messages_and_the_older_one_counts(buffer):
    buffer.image(FRONT, picture(), NOW, NOW)
    arm, grip = ("pan", "lift", "elbow"), ("gripper",)
    buffer.state(STATE, arm, np.array([0.1, 0.2, 0.3]), NOW - 20 * MS, NOW)
    assert problems(buffer) == [f"{STATE} (joint_states): lacks gripper"]
    for later in range(0, 100 * MS, 10 * MS):
        buffer.state(STATE, grip, np.array([0.4]), NOW + later - 5 * MS, NOW + later)
        buffer.state(STATE, arm, np.array([0.1, 0.2, 0.3]), NOW + later, NOW + later)
        buffer.image(FRONT, picture(later), NOW + later, NOW + later)
        made = buffer.assemble(NOW + later, NOW + later, "do it")
        assert isinstance(made, Assembled)
        assert made.observation.state[STATE].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert made.skew_ns == 5 * MS


def test_a_part_of_the_state_that_falls_silent_is_named(buffer):
    feed(buffer)
    arm = ("pan", "lift", "elbow")
    for later in range(10 * MS, 400 * MS, 10 * MS):
        buffer.state(STATE, arm, np.array([0.1, 0.2, 0.3]), NOW + later, NOW + later)
        buffer.image(FRONT, picture(later), NOW + later, NOW + later)
    found = problems(buffer, NOW + 400 * MS)
    assert found[-1].endswith("at most 0.2 s is allowed (gripper)")


def test_messages_of_other_joints_on_the_topic_change_nothing(buffer):
    feed(buffer)
    buffer.state(STATE, ("left_wheel", "right_wheel"), np.zeros(2), NOW, NOW)
    buffer.state(STATE, ("left_wheel", "right_wheel"), np.zeros(0), NOW, NOW)
    assert problems(buffer) == []
    assert isinstance(buffer.assemble(NOW, NOW, "do it"), Assembled)


def test_a_part_of_the_state_whose_stamp_goes_back_is_refused(buffer):
    feed(buffer)
    buffer.state(STATE, ("gripper",), np.array([0.4]), NOW - 105 * MS, NOW)
    assert "its stamp went back by 0.100 s" in problems(buffer)[0]
