# SPDX-License-Identifier: Apache-2.0
"""SmolVLA behind the policy protocol: units, caches, noise, and what it refuses."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: smolvla[torch]")
pytest.importorskip("safetensors", reason="safetensors is not installed: smolvla[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: smolvla[torch]")

import torch
from safetensors.numpy import load_file, save_file

from smolvla.tiny import make_tiny
from vla_policies import Observation, PolicyError, check_action, load_policy
from vla_policies.rtc import Committed, ContinuingPolicy

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("policy") / "tiny"
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
            **options,
        }
        return load_policy("smolvla", {k: v for k, v in given.items() if v is not None})

    return make


def see(seed=0, task="pick up the red cube", state=None):
    random = np.random.default_rng(seed)
    images = {n: random.integers(0, 256, (60, 80, 3), dtype=np.uint8) for n in (FRONT, WRIST)}
    vector = np.linspace(-0.5, 1.0, 6) if state is None else state
    return Observation(0, images, {"observation.state": vector}, task)


class Counting:
    """Counts what a policy asks of its backend."""

    def __init__(self, policy):
        self.counts = dict.fromkeys(("encode_image", "embed_text", "prefill", "renew"), 0)
        backend = policy._backend
        for name in self.counts:
            setattr(backend, name, self._counted(name, getattr(backend, name)))

    def _counted(self, name, function):
        def call(*arguments):
            self.counts[name] += 1
            return function(*arguments)

        return call

    def since(self):
        found = tuple(self.counts.values())
        self.counts = dict.fromkeys(self.counts, 0)
        return found


def test_the_spec_says_what_it_needs_and_returns(make):
    spec = make(rows=20).spec
    assert [feature.name for feature in spec.observation] == [FRONT, WRIST, "observation.state"]
    assert spec.observation[-1].units == "rad"
    assert (spec.joint_names, spec.units) == (JOINTS, "rad")
    assert (spec.dt_s, spec.chunk_size) == (1 / 30, 20)


def test_an_answer_is_a_chunk_that_the_protocol_accepts(make):
    policy = make()
    action = policy.infer(see())
    check_action(action, policy.spec)
    assert action.positions.shape == (50, 6)


def test_what_has_not_changed_is_not_computed_again(make):
    policy = make()
    counting = Counting(policy)
    policy.infer(see(0))
    assert counting.since() == (2, 1, 1, 0)
    policy.infer(see(0))
    assert counting.since() == (0, 0, 0, 0)
    policy.infer(see(0, state=np.zeros(6)))
    assert counting.since() == (0, 0, 0, 1)
    changed = see(0)
    changed.images[WRIST][0, 0, 0] ^= 1
    policy.infer(changed)
    assert counting.since() == (1, 0, 1, 0)
    policy.infer(see(0, task="put the cube down"))
    assert counting.since() == (1, 1, 1, 0)


@pytest.mark.parametrize(
    "second",
    [
        see(0),
        see(0, state=np.zeros(6)),
        see(1),
        see(0, task="drop it"),
        Observation(0, {**see(0).images, WRIST: see(1).images[WRIST]}, see(0).state, see(0).task),
    ],
    ids=["same", "state", "images", "task", "one camera"],
)
def test_a_cached_answer_is_that_of_a_fresh_policy(make, second):
    used = make(noise="fixed")
    used.infer(see(0))
    fresh = make(noise="fixed").infer(second)
    np.testing.assert_allclose(used.infer(second).positions, fresh.positions, atol=1e-5)


def test_an_image_that_is_overwritten_in_place_is_noticed(make):
    policy = make(noise="fixed")
    observation = see(0)
    before = policy.infer(observation).positions
    observation.images[FRONT][:] = 255 - observation.images[FRONT]
    assert np.abs(policy.infer(observation).positions - before).max() > 1e-3


def test_a_reset_repeats_the_noise_and_a_seed_changes_it(make):
    policy = make()
    first = policy.infer(see()).positions
    assert not np.array_equal(policy.infer(see()).positions, first)
    policy.reset()
    np.testing.assert_array_equal(policy.infer(see()).positions, first)
    assert not np.array_equal(make(seed=1).infer(see()).positions, first)


def test_fixed_noise_gives_the_same_answer_to_the_same_observation(make):
    policy = make(noise="fixed")
    np.testing.assert_array_equal(policy.infer(see()).positions, policy.infer(see()).positions)


def test_fewer_rows_are_the_first_of_all_rows(make):
    np.testing.assert_allclose(
        make(rows=12).infer(see()).positions, make().infer(see()).positions[:12], atol=4e-6
    )


def test_more_flow_steps_converge(make):
    chunks = [make(flow_steps=n).infer(see()).positions for n in (5, 40, 80)]
    far, near = (np.abs(chunk - chunks[-1]).max() for chunk in chunks[:2])
    assert near < far / 3


def test_units_of_the_checkpoint_become_rad_and_back(make):
    joints = dict.fromkeys(JOINTS, "deg")
    joints["gripper"] = {"native": [0, 100], "rad": [-0.2, 1.8]}
    degrees = np.array([10.0, -20.0, 30.0, -40.0, 50.0])
    rad = np.append(degrees * math.pi / 180, -0.2 + 0.02 * 25)
    native = np.append(degrees, 25.0)
    with_units = make(joints=joints, noise="fixed").infer(see(state=rad)).positions
    plain = make(noise="fixed").infer(see(state=native)).positions
    np.testing.assert_allclose(with_units[:, :5], plain[:, :5] * math.pi / 180, atol=1e-7)
    np.testing.assert_allclose(with_units[:, 5], -0.2 + 0.02 * plain[:, 5], atol=1e-7)


@pytest.mark.parametrize("rows", [50, 16])
@pytest.mark.parametrize("delay", [1, 6])
def test_a_new_chunk_continues_what_is_committed(make, rows, delay):
    joints = dict.fromkeys(JOINTS, "deg")
    policy = make(rows=rows, joints=joints)
    old = policy.infer(see(0)).positions[5:]
    assert isinstance(policy, ContinuingPolicy)
    new = policy.continue_chunk(see(1), Committed(old, delay)).positions
    assert np.abs(new[:delay] - old[:delay]).max() < 1e-4
    free = policy.infer(see(1)).positions
    assert np.abs(free[:delay] - old[:delay]).max() > 1e-3


def test_a_delay_longer_than_the_chunk_is_refused(make):
    with pytest.raises(PolicyError, match="leaves nothing"):
        make(rows=8).infer(see(), Committed(np.zeros((20, 6)), 8))


def test_a_subset_of_the_cameras_will_do(make):
    policy = make(cameras=[WRIST])
    assert [feature.name for feature in policy.spec.observation] == [WRIST, "observation.state"]
    observation = see()
    only = Observation(0, {WRIST: observation.images[WRIST]}, observation.state, observation.task)
    assert np.all(np.isfinite(policy.infer(only).positions))


@pytest.mark.parametrize("bad", [np.full(6, np.nan), np.full(6, np.inf), np.zeros(5)])
def test_a_state_that_cannot_be_used_is_refused(make, bad):
    with pytest.raises(PolicyError, match=r"observation\.state"):
        make().infer(see(state=bad))


def test_a_missing_camera_is_refused(make):
    observation = see()
    del observation.images[WRIST]
    with pytest.raises(PolicyError, match="wrist"):
        make().infer(observation)


def test_a_model_that_returns_no_number_is_refused(make):
    policy = make()
    policy._backend.model.action_out_proj.bias.fill_(float("nan"))
    with pytest.raises(PolicyError, match="not finite"):
        policy.infer(see())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dt_s": None}, "dt_s: is missing"),
        ({"dt_s": 0}, "dt_s"),
        ({"joints": None}, "joints: is missing"),
        ({"joints": {"shoulder_pan": "rad"}}, "names 1 joints, the checkpoint has 6"),
        ({"joints": {**dict.fromkeys(JOINTS, "rad"), "gripper": "ticks"}}, "gripper"),
        (
            {"joints": {**dict.fromkeys(JOINTS, "rad"),
                        "gripper": {"native": [1, 1], "rad": [0, 1]}}},
            "equal points",
        ),
        ({"made_up": 1}, "made_up: is not an option"),
        ({"dtype": "float8"}, "dtype"),
        ({"rows": 51}, "rows: is 51"),
        ({"flow_steps": 0}, "flow_steps"),
        ({"noise": "loud"}, "noise"),
        ({"device": "abacus"}, "abacus cannot be used"),
        ({"cameras": ["observation.images.left"]}, "knows no observation.images.left"),
        ({"cameras": []}, "cameras"),
        ({"checkpoint": "/nowhere"}, "/nowhere"),
        ({"statistics": "/nowhere.json"}, "/nowhere.json"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_are_refused_in_one_line(make, options, says):
    with pytest.raises(PolicyError) as caught:
        make(**options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("std", [0.0, 1e-3])
@pytest.mark.parametrize("off", [1e-3, 0.02, 0.5])
def test_a_joint_that_stood_still_in_training_does_not_drown_the_others(make, tmp_path, std, off):
    """It weighs no more than any joint within three standard deviations does."""
    place = tmp_path / "still"
    make_tiny(place)
    for path in place.glob("policy_*.safetensors"):
        tensors = load_file(path)
        tensors["observation.state.std"][4] = std
        save_file(tensors, path)
    mean = np.array([0.0, -1.2, 1.0, 1.25, 0.0, 0.5])

    def influence(policy, off):
        """Return by how much another joint's 0.3 rad change the chunk."""
        at = mean + np.eye(6)[4] * off
        moved = at + np.eye(6)[0] * 0.3
        one, other = (policy.infer(see(state=each)).positions for each in (at, moved))
        return np.abs(one - other).max()

    moving, still = make(noise="fixed"), make(noise="fixed", checkpoint=str(place))
    least = min(influence(moving, 0.4 * z) for z in (-3.0, -1.5, 0.0, 1.5, 3.0))
    for each in (off, -off):
        assert influence(still, each) > 0.9 * least > 0.0
    assert "wrist_roll" in still.spec.notes[0]
    assert moving.spec.notes == ()
    assert still.spec.observation[-1].span is not None
    assert still.spec.observation[-1].names == JOINTS


def test_what_is_committed_of_a_joint_that_stands_still_does_not_drown_the_others(tmp_path):
    place = tmp_path / "still"
    make_tiny(place)
    for path in place.glob("policy_*.safetensors"):
        tensors = load_file(path)
        tensors["action.std"][4] = 0.0
        save_file(tensors, path)
    joints = dict.fromkeys(JOINTS, "deg")
    options = {"checkpoint": str(place), "dt_s": 1 / 30, "dtype": "float32", "noise": "fixed"}
    policy = load_policy("smolvla", {**options, "joints": joints})
    rows = policy.infer(see()).positions
    again = policy.continue_chunk(see(), Committed(rows + np.eye(6)[4] * 1e-4, 5))
    assert np.abs(again.positions - rows)[:5].max() < 0.01


@pytest.mark.parametrize("key", ["joints", "state_joints"])
def test_joints_in_another_order_than_the_datasets_are_refused(make, tmp_path, key):
    mean = {
        name: {"mean": [0.0] * 6, "std": [1.0] * 6} for name in ("action", "observation.state")
    }
    (tmp_path / "stats.json").write_text(json.dumps(mean))
    names = {name: {"names": [f"{joint}.pos" for joint in JOINTS]} for name in mean}
    (tmp_path / "info.json").write_text(json.dumps({"features": names}))
    statistics = str(tmp_path / "stats.json")
    assert make(statistics=statistics).spec.joint_names == JOINTS
    shuffled = dict.fromkeys(sorted(JOINTS), "rad")
    with pytest.raises(PolicyError, match=rf"options\.{key}: elbow_flex stands where the dataset"):
        make(statistics=statistics, **{key: shuffled})
