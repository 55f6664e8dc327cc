# SPDX-License-Identifier: Apache-2.0
"""A SmolVLA learns from a world's demonstrations, acts there over the wire, and is corrected."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from vla_training.cli import main as train  # noqa: E402
from vla_training.evaluation.command import main as evaluate  # noqa: E402
from vla_training.imitate import Imitation  # noqa: E402
from vla_training.lessons import _world_lessons, load_lessons  # noqa: E402
from vla_training.store import THING_AWAY, THING_PIXELS  # noqa: E402

WORLD = "plane_world:Plane"
POLICY = """
policy:
  name: smolvla
  options:
    checkpoint: ./run/checkpoint
    dt_s: 0.05
    joints: {dx: native, dy: native, gripper: native}
    state_joints: {x: native, y: native, z: native}
    image_size: [32, 32]
    dtype: float32
    threads: 1
  process: own
cameras:
  observation.images.top: top
"""


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def data(tmp_path):
    given = ["collect", str(tmp_path / "data"), "--world", WORLD, "--tasks", "to-red", "to-blue"]
    given += ["--image-size", "32", "--rows", "6", "--episodes", "4", "--processes", "1"]
    assert train(given) == 0
    return tmp_path / "data"


@pytest.fixture
def small(settings):
    return replace(settings, relative=(), steps=20, refer_steps=5, chunk_rows=6)


def test_what_it_sees_is_told_and_what_it_is_taught_is_the_experts_chunk(data, small, tmp_path):
    lessons = load_lessons([data], 99)
    assert lessons.chunks.shape[1:] == (1, 6, 3)
    assert lessons.pixels.shape[1:] == (1, 1, 2)
    assert lessons.labelled
    assert lessons.info.instructions == (("go to the red spot",), ("go to the blue spot",))
    # The spot is where the label says, in its colour.
    for row in range(0, len(lessons.state), 7):
        u, v = (lessons.pixels[row, 0, 0] * 32).astype(int)
        channel = (0, 2)[lessons.asked[row]]
        colour = lessons.images["observation.images.top"][row, v, u]
        at = lessons.state[row, :2]
        if np.hypot(*(lessons.away[row, 0, :2])) * 0.1 > 0.12:  # else the point hides it
            assert colour[channel] == 255, (row, at)
            assert colour.sum() == 255
    training = Imitation(tmp_path / "run", lessons, small)
    assert training.checkpoint.config.state_size == 3
    assert training.checkpoint.config.action_size == 3
    batch = training._batches.make(10_000)
    before = {k: v.item() for k, v in training.losses(batch, flow=True).items()}
    assert {"flow", "find", "point", "away"} <= set(before)
    training.run()
    after = {k: v.item() for k, v in training.losses(batch, flow=True).items()}
    assert after["flow"] < before["flow"]


def test_a_thing_that_is_not_there_is_not_taught_to_be_at_the_hand():
    seen = np.zeros((2, 2, 1, 2), np.float32)
    away = np.array([[[0.1, 0.0, -0.1], [0.0, 0.0, 0.0]]] * 2, np.float32)  # nan, as it is stored
    found = _world_lessons({THING_PIXELS: seen, THING_AWAY: away})["away"]
    np.testing.assert_allclose(found[:, 0, :3], [[1.0, 0.0, -1.0]] * 2)
    assert np.isnan(found[:, 1]).all()


def test_it_acts_over_the_wire_and_is_corrected_by_the_expert(data, small, tmp_path, capsys):
    from vla_recording.dataset import Dataset
    from vla_training.card import model_card

    lessons = load_lessons([data], 99)
    training = Imitation(tmp_path / "run", lessons, small)
    assert training.run(until=8) is False
    card = model_card(training, lessons, "vla-train imitate", [data])
    assert "`observation.state` (native: x, y, z)" in card
    training.write_checkpoint(card)
    (tmp_path / "plane.yaml").write_text(POLICY)
    given = [str(tmp_path / "eval"), "--world", WORLD, "--tasks", "to-red", "--seeds", "1"]
    given += ["--policy", str(tmp_path / "plane.yaml"), "--processes", "1", "--films", "0"]
    assert evaluate([*given, "--perturbations", "none", "shuffled"]) == 0
    with (tmp_path / "eval/results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["perturbation"] for line in lines] == ["none", "shuffled"]
    for line in lines:
        assert line["ended"] in ("solved", "timed out"), line
        assert int(line["chunks"]) == -(-int(line["steps"]) // 4)
    # A student in this process: it needs no wire to be corrected.
    (tmp_path / "plane.yaml").write_text(POLICY.replace("process: own", "process: shared"))
    student = ["collect", str(tmp_path / "corrections"), "--world", WORLD, "--tasks", "to-blue"]
    student += ["--student", str(tmp_path / "run/checkpoint"), "--episodes", "2", "--rows", "6"]
    student += ["--policy", str(tmp_path / "plane.yaml"), "--image-size", "32"]
    assert train([*student, "--processes", "1"]) == 0
    found = Dataset(tmp_path / "corrections")
    assert found.problems() == []
    assert len(load_lessons([data, tmp_path / "corrections"], 99).bounds) == 3
    away = found.column("world.away", 0)
    wanted = np.clip(away[:, :2] / 0.05, -1.0, 1.0)
    np.testing.assert_allclose(found.column("action", 0)[:, :2], wanted, atol=1e-5)


def test_it_is_reinforced_in_the_world_and_the_run_knows_which(
    data, small, tmp_path, capsys, monkeypatch
):
    training = Imitation(tmp_path / "run", load_lessons([data], 99), small)
    training.run(until=8)
    training.write_checkpoint("card")
    (tmp_path / "plane.yaml").write_text(POLICY)
    (tmp_path / "rl.yaml").write_text(
        "updates: 2\ngroups: 2\ngroup_size: 2\nflow_steps: 2\ndrawn_steps: 1\nthreads: 1\n"
        "reward: smoothvla\nreference_weight: 0.1\n"
    )
    given = ["rl", str(tmp_path / "rl"), str(tmp_path / "run/checkpoint"), "--processes", "1"]
    given += ["--settings", str(tmp_path / "rl.yaml"), "--world", WORLD]
    given += ["--policy", str(tmp_path / "plane.yaml")]
    both = ["--tasks", "to-red", "to-blue"]
    assert train([*given, *both, "--until", "1"]) == 0
    assert train([*given, *both]) == 0
    assert "update 2 of 2" in capsys.readouterr().out
    before, after = (
        torch.load(tmp_path / name / "state.pt", weights_only=True)["model"]
        for name in ("run", "rl")
    )
    assert any(not torch.equal(before[name], after[name]) for name in after)
    card = (tmp_path / "rl/checkpoint/README.md").read_text(encoding="utf-8")
    assert f"--world {WORLD} --tasks to-red to-blue" in card
    assert train([*given, "--tasks", "to-red"]) == 2
    said = capsys.readouterr().err
    assert "tasks: the run was begun with ['to-red', 'to-blue'], not ['to-red']" in said
    assert train([*given[:-1], "expert", *both]) == 2
    assert "the expert learns nothing" in capsys.readouterr().err
    (tmp_path / "plane.yaml").write_text(POLICY + "# another\n")
    assert train([*given, *both]) == 2
    assert "files: the run was begun with ['plane.yaml " in capsys.readouterr().err
    (tmp_path / "plane.yaml").write_text(POLICY)
    tokens = tmp_path / "run/checkpoint/config.json"
    tokens.write_text(tokens.read_text() + "\n")
    assert train([*given, *both]) == 2
    assert "base_files: the run was begun with" in capsys.readouterr().err
    (tmp_path / "few.yaml").write_text("scenes: 1\n")
    few = [str(tmp_path / "few.yaml") if word.endswith("rl.yaml") else word for word in given]
    assert train([*few, *both]) == 2
    assert "scenes: is 1, and there are 2 --tasks" in capsys.readouterr().err
    # As in the environment of a benchmark, where a policy is asked over the wire as a rule.
    monkeypatch.setattr("vla_training.cli.rl.find_spec", lambda name: None)
    assert train([*given, *both]) == 2
    assert "make .venv-metaworld/.training" in capsys.readouterr().err


def test_data_without_places_is_not_asked_for_any(make_dataset, settings, tmp_path):
    """Of a recording nobody says where a thing is: all of its steps teach to act."""
    folder = make_dataset(tmp_path / "data", chunk_rows=0)
    lessons = load_lessons([folder], 4)
    assert not lessons.labelled
    training = Imitation(tmp_path / "run", lessons, replace(settings, refer_steps=20))
    found = training.losses(training._batches.make(0), flow=True)
    assert set(found) == {"flow"}
    before = [each.detach().clone() for each in training.model.parameters()]
    training.run(until=1)
    assert not all(
        torch.equal(one, other)
        for one, other in zip(before, training.model.parameters(), strict=True)
    )
