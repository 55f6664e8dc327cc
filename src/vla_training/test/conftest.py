# SPDX-License-Identifier: Apache-2.0
"""Small datasets and small models, and the table where demonstrations are given."""

from pathlib import Path

import numpy as np
import pytest

from vla_recording.dataset import DatasetWriter, Feature, picture, vector
from vla_recording.dataset.rows import INTERVENTION
from vla_training.store import DemonstrationWriter, Info

TOP = Path(__file__).resolve().parents[3]
JOINTS = ("pan", "lift", "gripper")
CAMERAS = {"observation.images.front": (32, 32), "observation.images.wrist": (32, 32)}
COLOURS = ("red", "green", "blue")


def make_info(chunk_rows=4, **changes):
    values = {
        "fps": 10,
        "joints": JOINTS,
        "cameras": CAMERAS,
        "chunk_rows": chunk_rows,
        "related": True,
        "instructions": tuple((f"the {colour} one", f"take {colour}") for colour in COLOURS),
        **changes,
    }
    return Info(**values)


def make_episode(rows=12, seed=0, chunk_rows=4):
    """Return rows in which the joints go towards where the named colour's square is."""
    rng = np.random.default_rng(seed)
    state = rng.normal(0.0, 0.3, (rows, 3)).astype(np.float32)
    places = rng.uniform(0.1, 0.9, (rows, 3, 2)).astype(np.float32)
    images = rng.integers(60, 90, (rows, 32, 32, 3)).astype(np.uint8)
    for row in range(rows):
        for thing, (x, y) in enumerate(places[row]):
            left, top = int(x * 28), int(y * 28)
            images[row, top : top + 4, left : left + 4] = 0
            images[row, top : top + 4, left : left + 4, thing] = 255
    goal = np.concatenate([places, np.ones((rows, 3, 1), np.float32)], axis=2)
    share = np.linspace(0.0, 1.0, max(chunk_rows, 1))[:, None]
    chunks = state[:, None, None] + share * (goal - state[:, None])[:, :, None]
    found = {
        "observation.images.front": images,
        "observation.images.wrist": images[:, ::-1].copy(),
        "observation.state": state,
        "action": state + 0.1,
        "teacher.asked": rng.integers(0, 3, rows),
        "teacher.pixels": np.repeat(places[:, :, None], 2, axis=2),
        "teacher.phase": rng.integers(0, 3, (rows, 3)),
        "teacher.away": np.repeat(places, 2, axis=2).astype(np.float32),
    }
    if chunk_rows:
        found["teacher.chunk"] = chunks.astype(np.float32)
    return found


def write_dataset(folder, episodes=3, chunk_rows=4, **changes):
    if not chunk_rows:
        return write_recording(folder, episodes, **changes)
    with DemonstrationWriter(folder, make_info(chunk_rows, **changes), "so101") as writer:
        for index in range(episodes):
            writer.add(make_episode(seed=index, chunk_rows=chunk_rows), "the red one")
    return folder


def write_recording(folder, episodes, tasks=("the red one", "the green one")):
    """Write what somebody did, without a teacher beside."""
    features = {name: picture(*size, stored="image") for name, size in CAMERAS.items()}
    for name in ("observation.state", "action"):
        features[name] = vector([f"{joint}.pos" for joint in JOINTS])
    with DatasetWriter(folder, features, 10) as writer:
        for index in range(episodes):
            rows = make_episode(seed=index, chunk_rows=0)
            for row in range(len(rows["action"])):
                writer.add_frame({name: rows[name][row] for name in features})
            writer.save_episode(tasks[index % len(tasks)])
    return folder


def write_interventions(folder, led):
    """Write an episode in which somebody other than the policy led the arm in some rows."""
    features = {name: picture(*size, stored="image") for name, size in CAMERAS.items()}
    for name in ("observation.state", "action"):
        features[name] = vector([f"{joint}.pos" for joint in JOINTS])
    features[INTERVENTION] = Feature("bool", (1,))
    rows = make_episode(rows=len(led), chunk_rows=0)
    with DatasetWriter(folder, features, 10) as writer:
        for row, by_hand in enumerate(led):
            given = {name: rows[name][row] for name in features if name in rows}
            writer.add_frame({**given, INTERVENTION: np.array([by_hand])})
        writer.save_episode("the red one")
    return rows["action"]


@pytest.fixture
def info():
    return make_info


@pytest.fixture
def episode():
    return make_episode


@pytest.fixture
def make_dataset():
    return write_dataset


@pytest.fixture
def interventions():
    return write_interventions


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data")


@pytest.fixture
def settings():
    pytest.importorskip("safetensors", reason="safetensors is not installed: vla_training[torch]")
    from vla_training.settings import ImitationSettings
    from vla_training.start import Size

    small = Size(
        image=32, patch=8, shuffle=2, vision_hidden=64, vision_layers=1, text_hidden=64,
        text_layers=2, vocabulary=300, text_length=16,
    )  # fmt: skip
    return ImitationSettings(
        steps=20, refer_steps=5, batch=4, learning_rate=3e-3, warmup_steps=2, threads=1,
        relative=("pan", "lift"), size=small,
    )  # fmt: skip
