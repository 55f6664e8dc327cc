# SPDX-License-Identifier: Apache-2.0
"""In the simulated world, with the contract's own eyes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from vla_recording.dataset import Dataset
from vla_training.cli import main
from vla_training.collect import prepare, pushed, rows_of
from vla_training.errors import TrainingError
from vla_training.store import CHUNK, PIXELS, read_episodes, read_info
from vla_training.workers import Job, WorldProcess, collect

TOP = Path(__file__).resolve().parents[3]
CONFIG = TOP / "config"


@pytest.fixture(scope="module")
def job():
    return Job(
        robot_file=CONFIG / "robots" / "so101" / "robot.yaml",
        contract_file=CONFIG / "policies" / "so101_smolvla_cubes.yaml",
        rows=12, image_size=(96, 96), look_s=0.1, student=None, limit_s=20.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def worker(job):
    return WorldProcess(job)


@pytest.fixture(scope="module")
def table(worker):
    return worker._table


def test_pushed_off_its_way_it_still_does(table):
    plan, rng = prepare(table, 100_003)
    drive = pushed(table.world.joint_names, 0.1, 0.06, rng)
    outcome = table.rollout(drive, target=plan.target, task=plan.task, rng=rng, limit_s=30.0)
    assert outcome.delivered


def test_a_seed_gives_the_same_episode_again(table):
    first, second = (
        rows_of(table, table.rollout(
            pushed(table.world.joint_names, 0.1, plan.level, rng),
            target=plan.target, task=plan.task, rng=rng, limit_s=2.0,
        ), plan)
        for plan, rng in (prepare(table, 100_001) for _ in range(2))
    )  # fmt: skip
    for name, values in first.items():
        if name.startswith("observation.images."):
            # Pictures carry a sensor's noise that is a function of the world's clock.
            assert np.abs(values.astype(int) - second[name]).max() <= 6
        else:
            np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_what_is_recorded_is_what_a_policy_sees(table):
    """The pictures go through the contract, and a cube is where its label says."""
    table.world.place_arm(table.world.home)
    table.world.reset_scene(5)
    row = table.look(0, "put the red cube in the bin", 0)
    picture = row.observation.images["observation.images.front"]
    assert picture.shape == (96, 96, 3)
    for cube, channel in ((0, 0), (2, 2)):
        x, y = row.pixels[cube, 0] * 96
        around = picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].reshape(-1, 3)
        assert around.mean(0).argmax() == channel


def test_collecting_goes_on_where_it_was_interrupted(job, tmp_path):
    job, folder = replace(job, limit_s=1.0), tmp_path / "data"
    first = collect(folder, job, range(100_000, 100_003), 1)
    assert next(first).rows == 10
    first.close()  # as Ctrl-C would
    assert len(Dataset(folder).episodes) == 1
    assert len(list(collect(folder, job, range(100_000, 100_003), 1))) == 2
    whole = tmp_path / "whole"
    list(collect(whole, job, range(100_000, 100_003), 1))
    for name in ("observation.state", "teacher.chunk", "teacher.asked"):
        np.testing.assert_array_equal(Dataset(folder).column(name), Dataset(whole).column(name))
    info = read_info(folder)
    found = next(iter(read_episodes(folder, info)))
    assert found[CHUNK].shape[1:] == (3, 12, 6)
    assert found[PIXELS].shape[1:] == (3, 2, 2)
    assert Dataset(folder).problems() == []


def test_other_scenes_are_not_added_to_a_dataset(job, tmp_path):
    job = replace(job, limit_s=0.5)
    list(collect(tmp_path, job, [100_000], 1))
    with pytest.raises(TrainingError, match="is another dataset"):
        list(collect(tmp_path, job, [100_001, 100_002], 1))


def test_several_processes_collect_what_one_does(job, tmp_path):
    its = replace(job, limit_s=0.5)
    for name, processes in (("one", 1), ("two", 2)):
        assert len(list(collect(tmp_path / name, its, range(100_000, 100_004), processes))) == 4
    one, two = Dataset(tmp_path / "one"), Dataset(tmp_path / "two")
    assert one.tasks == two.tasks
    for name in ("observation.state", "action", "teacher.chunk", "teacher.phase"):
        np.testing.assert_array_equal(one.column(name), two.column(name), err_msg=name)


def test_situations_are_all_different_and_taught(job, tmp_path, monkeypatch):
    monkeypatch.setattr("vla_training.workers.BLOCK", 6)
    job = replace(job, related=False)
    assert [each.rows for each in collect(tmp_path, job, [500_000], 1)] == [6]
    info = read_info(tmp_path)
    assert not info.related
    found = next(iter(read_episodes(tmp_path, info)))
    places = found[PIXELS][:, 0, 0]
    assert len({tuple(place) for place in places.tolist()}) == 6


def test_a_student_that_is_not_there_is_one_line(job, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: vla_training[torch]")
    pytest.importorskip("safetensors", reason="safetensors is not installed: vla_training[torch]")
    with pytest.raises(TrainingError, match="nowhere") as caught:
        WorldProcess(replace(job, student=tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)


def test_a_contract_that_is_not_there_is_one_line(job, tmp_path):
    with pytest.raises(TrainingError, match=r"none\.yaml"):
        WorldProcess(replace(job, contract_file=tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["collect", "x", "--episodes", "0"], "0 is not within 1 to"),
        (["collect", "x", "--episodes", "many"], "'many' is no whole number"),
        (["imitate", "run", "nowhere"], "nowhere"),
    ],
)
def test_bad_arguments_are_one_line(words, says, capsys, monkeypatch, tmp_path):
    if words[0] == "imitate":
        pytest.importorskip("torch", reason="torch is not installed: vla_training[torch]")
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
