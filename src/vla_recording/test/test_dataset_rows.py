# SPDX-License-Identifier: Apache-2.0
"""What is recorded is what the policy sees: both come from the contract's own code."""

import numpy as np
import pytest
from dataset_scenes import H264, pixels

from vla_contract.contract import load_contract
from vla_contract.observation import ObservationBuffer
from vla_policies import Observation
from vla_recording.dataset import ContractRows, Dataset, DatasetError, DatasetWriter, observation

ARM, GRIPPER = ("shoulder", "elbow"), "jaw"
CONTRACT = """
policy: {name: color_pick, options: {}}
observation:
  observation.images.front:
    {topic: front, type: sensor_msgs/msg/Image, max_age_s: 0.5, frozen_after_s: 1.0, resize: crop}
  observation.state:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    field: position
    joints: [jaw, elbow, shoulder]
    units: deg
    max_age_s: 0.5
action: {joints: [shoulder, elbow, jaw], units: deg}
"""
FRONT, STATE = "observation.images.front", "observation.state"
MS = 1_000_000


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return load_contract(path, ARM, GRIPPER)


def seen(contract, index: int):
    """Return what the buffer makes of a large picture and of joints in another order, in rad."""
    now_ns = (1000 + 50 * index) * MS
    buffer = ObservationBuffer(contract, {FRONT: (64, 64, 3)})
    buffer.image(FRONT, pixels(120, 160, index), now_ns - 30 * MS, now_ns)
    joints = np.array([0.1 * index, 0.2, 0.3])
    buffer.state(STATE, ("shoulder", "elbow", "jaw"), joints, now_ns - 10 * MS, now_ns)
    return buffer.assemble(now_ns, now_ns, "pick the cube"), now_ns


@pytest.mark.parametrize("stored", ["image", "video"])
def test_the_policys_observation_and_the_row_are_the_same(tmp_path, contract, stored):
    rows = ContractRows(contract, {FRONT: (64, 64)}, stored=stored)
    given = []
    with DatasetWriter(tmp_path / "set", rows.features, 20, "arm", codec=H264) as writer:
        for index in range(6):
            assembled, now_ns = seen(contract, index)
            given.append(assembled.observation)
            writer.add_frame(rows.row(assembled, [1.0 * index, 2.0, 3.0], now_ns))
        writer.save_episode(given[0].task)
    dataset = Dataset(tmp_path / "set")
    assert dataset.problems() == []
    for index, policy_saw in enumerate(given):
        recorded = observation(dataset, index)
        assert isinstance(recorded, Observation)
        assert recorded.task == policy_saw.task
        assert set(recorded.images) == {FRONT}
        assert set(recorded.state) == {STATE}
        shown, kept = policy_saw.images[FRONT], recorded.images[FRONT]
        if stored == "image":
            assert kept.tobytes() == shown.tobytes()
        else:
            assert np.abs(kept.astype(int) - shown).mean() < 2.5
        assert np.array_equal(recorded.state[STATE], np.float32(policy_saw.state[STATE]))
    assert np.degrees(0.3) == pytest.approx(dataset.column(STATE)[0, 0], rel=1e-6)
    assert dataset.features[STATE].names == ["jaw.pos", "elbow.pos", "shoulder.pos"]
    assert dataset.features[STATE].info == {"units": "deg"}
    assert dataset.column("action")[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_age_and_skew_of_the_parts_and_the_true_time_stand_beside_each_row(tmp_path, contract):
    rows = ContractRows(contract, {FRONT: (64, 64)}, stored="image")
    with DatasetWriter(tmp_path / "set", rows.features, 20) as writer:
        for index in range(3):
            assembled, now_ns = seen(contract, index)
            writer.add_frame(rows.row(assembled, np.zeros(3), now_ns))
        writer.save_episode("pick")
    dataset = Dataset(tmp_path / "set")
    assert dataset.features["timing.age_s"].names == [FRONT, STATE]
    assert dataset.column("timing.age_s") == pytest.approx(np.tile([0.03, 0.01], (3, 1)))
    assert dataset.column("timing.skew_s") == pytest.approx(np.full((3, 1), 0.02))
    assert dataset.column("timing.time_s")[:, 0] == pytest.approx([0.0, 0.05, 0.10])


def test_a_loop_slower_than_its_rate_is_a_problem_and_not_hidden(tmp_path, contract):
    rows = ContractRows(contract, {FRONT: (64, 64)}, stored="image")
    with DatasetWriter(tmp_path / "set", rows.features, 30) as writer:
        for index in range(5):
            assembled, now_ns = seen(contract, index)  # 20 Hz
            writer.add_frame(rows.row(assembled, np.zeros(3), now_ns))
        writer.save_episode("pick")
    assert Dataset(tmp_path / "set").problems() == [
        f"{tmp_path / 'set'}: episode 0: row 3: was taken +0.050 s off 30 rows a second; "
        "record with an fps that is kept"
    ]


def test_a_row_without_its_times_is_refused_where_they_are_kept(contract):
    rows = ContractRows(contract, {FRONT: (64, 64)})
    assembled, _ = seen(contract, 0)
    with pytest.raises(DatasetError, match="the time of the row is not given"):
        rows.row(assembled, np.zeros(3))
    with pytest.raises(DatasetError, match=f"{FRONT}: its size is not given"):
        ContractRows(contract, {})
    plain = ContractRows(contract, {FRONT: (64, 64)}, timing=False)
    assert set(plain.row(assembled, np.zeros(3))) == {FRONT, STATE, "action"}
