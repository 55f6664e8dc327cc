# SPDX-License-Identifier: Apache-2.0
"""Columns that are offsets, the end of a task that no token says, and pictures of one size."""

import json
import math
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: smolvla[torch]")
pytest.importorskip("safetensors", reason="safetensors is not installed: smolvla[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: smolvla[torch]")

import torch

from smolvla.checkpoint import read_checkpoint
from smolvla.relative import (
    COLUMNS_FILE,
    ActionFrame,
    Stillness,
    read_columns,
    write_columns,
)
from smolvla.saving import save_checkpoint
from smolvla.tiny import make_tiny
from smolvla.torch_backend import load_model
from vla_policies import Observation, PolicyError, load_policy
from vla_policies.rtc import Committed
from vla_policies.units import JointUnits

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
ARM = list(JOINTS[:-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("relative") / "tiny"
    make_tiny(place)
    return place


@pytest.fixture
def make(folder):
    def make(**options):
        given = {
            "checkpoint": str(folder),
            "dt_s": 1 / 30,
            "joints": dict.fromkeys(JOINTS, "rad"),
            "dtype": "float32",
        }
        return load_policy("smolvla", given | options)

    return make


def see(state, side=(60, 80), stamp_ns=0):
    random = np.random.default_rng(0)
    images = {n: random.integers(0, 256, (*side, 3), dtype=np.uint8) for n in (FRONT, WRIST)}
    return Observation(stamp_ns, images, {"observation.state": state}, "pick up the red cube")


STATE = np.linspace(-0.5, 1.0, 6)
NOISE = np.random.default_rng(1).standard_normal((50, 32)).astype(np.float32)


def test_offsets_are_added_to_where_the_joint_was_seen(make):
    plain = make().infer(see(STATE), noise=NOISE).positions
    offsets = make(relative=ARM).infer(see(STATE), noise=NOISE).positions
    np.testing.assert_allclose(offsets[:, :5], plain[:, :5] + STATE[:5], atol=1e-12)
    np.testing.assert_array_equal(offsets[:, 5], plain[:, 5])


def test_the_zero_of_a_unit_does_not_count_for_an_offset(make):
    line = {"native": [0.0, 180.0], "rad": [0.3, 0.3 + math.pi]}
    joints = {**dict.fromkeys(JOINTS, "rad"), "elbow_flex": line}
    states = dict.fromkeys(JOINTS, "rad")
    plain = make().infer(see(STATE), noise=NOISE).positions
    offsets = make(joints=joints, state_joints=states, relative=["elbow_flex"])
    found = offsets.infer(see(STATE), noise=NOISE).positions
    np.testing.assert_allclose(found[:, 2], plain[:, 2] * math.pi / 180 + STATE[2], atol=1e-6)


def test_what_is_committed_is_continued_wherever_the_arm_is(make):
    policy = make(relative=ARM)
    running = policy.infer(see(STATE), noise=NOISE).positions[5:30]
    moved = STATE + 0.02
    found = policy.continue_chunk(see(moved), Committed(running, delay=6)).positions
    np.testing.assert_allclose(found[:6], running[:6], atol=1e-3)


def test_both_ways_of_a_frame_are_one_anothers_inverse():
    units = JointUnits(JOINTS, np.full(6, math.pi / 180), np.linspace(-1, 1, 6))
    frame = ActionFrame(units, (0, 3), (1, 2))
    native = np.random.default_rng(0).normal(0, 20, (7, 6))
    positions = frame.positions(native, STATE)
    np.testing.assert_allclose(frame.native(positions, STATE), native, atol=1e-9)


def test_offsets_are_not_taken_for_positions_of_the_robot(make):
    """Their span in training says nothing of the robot's units."""
    assert make().spec.span is not None
    assert make(relative=ARM).spec.span is None


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        (
            [0, 1, 2, 3, 4],
            {},
            r"relative: is not what .* write relative: \[shoulder_pan, .*roll\]",
        ),
        ([2], {"relative": ARM}, r"write relative: \[elbow_flex\]"),
        ([], {"relative": ARM}, r"is not what the checkpoint was trained with; leave it out"),
        ([6], {}, "has columns beyond the action's 6"),
        ("all", {}, "columns: is no list of columns"),
        ([-1], {}, "columns: is no list of columns"),
    ],
)
def test_offsets_are_those_that_the_checkpoint_says(
    folder, make, tmp_path, columns, given, message
):
    """An arm was to be sent to its own place plus an absolute one."""
    place = shutil.copytree(folder, tmp_path / "said")
    write_columns(place, [])
    (place / COLUMNS_FILE).write_text(json.dumps({"columns": columns}))
    with pytest.raises(PolicyError, match=message):
        make(checkpoint=str(place), **given)


def test_offsets_that_a_checkpoint_says_are_taken_and_go_with_its_copies(folder, make, tmp_path):
    place = shutil.copytree(folder, tmp_path / "said")
    write_columns(place, range(5))
    make(checkpoint=str(place), relative=ARM[::-1])
    checkpoint = read_checkpoint(place)
    save_checkpoint(tmp_path / "copy", load_model(checkpoint), checkpoint)
    assert read_columns(tmp_path / "copy") == (0, 1, 2, 3, 4)
    assert read_columns(folder) is None


@pytest.mark.parametrize(
    "relative", ["elbow_flex", [], ["elbow"], ["elbow_flex", "elbow_flex"], [3], None, [[]]]
)
def test_relative_joints_that_are_none_are_refused(make, relative):
    with pytest.raises(PolicyError, match=r"options\.relative: "):
        make(relative=relative)


def test_a_joint_that_the_state_lacks_cannot_be_relative(make):
    others = dict.fromkeys(("a", "b", "c", "d", "e", "gripper"), "rad")
    with pytest.raises(PolicyError, match="'elbow_flex' is no joint of the state"):
        make(state_joints=others, relative=["elbow_flex"])


def test_a_policy_that_asks_for_no_motion_for_a_while_is_done():
    still = Stillness(0.03, 1.0, (0, 1))
    here = np.array([0.5, -0.5])
    stay, move = np.tile(here + 0.02, (4, 1)), np.tile([0.5, -0.45], (4, 1))
    stamps = [round(0.3e9 * i) for i in range(20)]
    assert [still.lasts(stay, here, t) for t in stamps[:5]] == [False] * 4 + [True]
    assert not still.lasts(move, here, stamps[5])
    assert not still.lasts(stay, here, stamps[6])
    assert still.lasts(stay, here, stamps[10])
    still.forget()
    assert not still.lasts(stay, here, stamps[11])
    # What is not finite is no rest, and a clock that went back begins anew.
    assert not still.lasts(stay * np.nan, here, stamps[12])
    assert not still.lasts(stay, here, stamps[13])
    assert not still.lasts(stay, here, 0)
    assert not still.lasts(stay, here, stamps[2])


def test_being_done_is_said_in_the_action_and_forgotten_by_a_reset(make):
    policy = make(done_when_still={"within_rad": 1000.0, "for_s": 0.5})
    said = [policy.infer(see(STATE, stamp_ns=t), noise=NOISE).done for t in (0, 4 * 10**8, 10**9)]
    assert said == [False, False, True]
    policy.reset()
    assert not policy.infer(see(STATE, stamp_ns=2 * 10**9), noise=NOISE).done
    assert not make().infer(see(STATE), noise=NOISE).done


@pytest.mark.parametrize(
    "value", [True, {}, {"within_rad": 0.1}, {"within_rad": 0, "for_s": 1},
              {"within_rad": 0.1, "for_s": -1}, {"within_rad": 0.1, "for_s": 1, "x": 1},
              {"within_rad": math.nan, "for_s": 1}],
)  # fmt: skip
def test_a_stillness_that_cannot_be_is_refused(make, value):
    with pytest.raises(PolicyError, match="done_when_still"):
        make(done_when_still=value)


def test_the_size_of_pictures_can_be_asked_for(make):
    policy = make(image_size=[60, 80])
    assert policy.spec.observation[0].shape == (60, 80, 3)
    policy.infer(see(STATE))
    with pytest.raises(PolicyError, match="has shape"):
        policy.infer(see(STATE, side=(30, 40)))


@pytest.mark.parametrize(
    "size", [96, [96], [0, 96], [96, 96, 3], ["96", 96], [True, 96], [96, 9999]]
)
def test_a_size_that_cannot_be_is_refused(make, size):
    with pytest.raises(PolicyError, match=r"options\.image_size: is .*write \[height, width\]"):
        make(image_size=size)
