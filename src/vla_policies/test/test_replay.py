# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import yaml

from vla_policies import Observation, PolicyError, check_action, load_policy

POSITIONS = np.column_stack([np.linspace(0.0, 1.0, 11), np.linspace(1.0, 0.0, 11)])
GOOD = {"joint_names": ["a", "b"], "dt_s": 0.1, "positions": POSITIONS.tolist()}


def at(stamp_s):
    return Observation(round(stamp_s * 1e9), {}, {}, "anything")


def replay(path, rows=4):
    return load_policy("replay", {"file": str(path), "rows": rows})


def written(folder, **changes):
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path = folder / "motion.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_npz_and_yaml_play_the_same(tmp_path):
    npz = tmp_path / "motion.npz"
    np.savez(npz, joint_names=np.array(["a", "b"]), dt_s=0.1, positions=POSITIONS)
    first, second = replay(npz).infer(at(5.0)), replay(written(tmp_path)).infer(at(5.0))
    np.testing.assert_array_equal(first.positions, second.positions)
    np.testing.assert_allclose(first.positions, POSITIONS[:4])


def test_it_plays_by_the_stamps_from_the_first_observation_on(tmp_path):
    policy = replay(written(tmp_path))
    policy.infer(at(5.0))
    action = policy.infer(at(5.25))
    check_action(action, policy.spec)
    np.testing.assert_allclose(action.positions[:, 0], [0.25, 0.35, 0.45, 0.55])


def test_at_the_end_it_holds_and_is_done_and_a_reset_begins_anew(tmp_path):
    policy = replay(written(tmp_path))
    assert not policy.infer(at(5.0)).done
    last = policy.infer(at(6.5))
    assert last.done
    np.testing.assert_allclose(last.positions, np.tile(POSITIONS[-1], (4, 1)))
    policy.reset()
    np.testing.assert_allclose(policy.infer(at(9.0)).positions[0], POSITIONS[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dt_s": None}, "motion.yaml: dt_s: is missing"),
        ({"speed": 1}, "motion.yaml: speed: is not a key"),
        ({"dt_s": -0.1}, "dt_s is -0.1"),
        ({"dt_s": [0.1]}, "dt_s: must be one number"),
        ({"joint_names": "a"}, "joint_names: must be a list of names"),
        ({"joint_names": ["a", "a"]}, "joint_names: names one joint twice"),
        ({"joint_names": ["a", "b", "c"]}, r"shape \(11, 2\); it must be \(T, 3\)"),
        ({"positions": [[0.0, 0.0], [0.0]]}, "positions: must be numbers, in rows of one length"),
        ({"positions": [[0.0, float("nan")]]}, "positions: .*nan. is not a finite number"),
        ({"positions": "x"}, "positions: must be numbers"),
    ],
)
def test_a_wrong_recording_is_an_error_that_names_file_and_key(tmp_path, changes, words):
    with pytest.raises(PolicyError, match=words):
        replay(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("motion.csv", b"", "is neither .npz nor .yaml"),
        ("motion.npz", b"not a zip", "is not a .npz file"),
        ("motion.yaml", b"{", "is not YAML"),
        ("motion.yaml", b"- 1", "must be a mapping"),
        ("absent.yaml", None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyError, match=words):
        replay(path)


def test_a_recording_with_pickled_objects_is_refused(tmp_path):
    path = tmp_path / "motion.npz"
    np.savez(path, joint_names=np.array(["a", None], dtype=object), dt_s=0.1, positions=POSITIONS)
    with pytest.raises(PolicyError, match=r"is not a \.npz file"):
        replay(path)


def test_a_chunk_without_rows_is_refused(tmp_path):
    with pytest.raises(PolicyError, match=r"replay: options\.rows: is 0"):
        replay(written(tmp_path), rows=0)
