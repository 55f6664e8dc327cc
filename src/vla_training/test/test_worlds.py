# SPDX-License-Identifier: Apache-2.0
"""What is the same in every world, tried in one that a package adds."""

import csv
import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_policies.protocol import PolicyUnavailableError
from vla_training.alone import alone
from vla_training.cli import main as train
from vla_training.errors import TrainingError
from vla_training.evaluation.command import main as evaluate
from vla_training.evaluation.measures import measure_hand
from vla_training.worlds.interface import chosen, open_world, project
from vla_training.worlds.policies import WorldPolicy, read_policy_file
from vla_training.worlds.rollout import WorldPace, run_in_world, slowed
from vla_training.worlds.trial import SHUFFLED, WorldCase, WorldPlace, instruction

TOP = Path(__file__).resolve().parents[3]
WORLD = "plane_world:Plane"
PLANE_POLICY = """
policy:
  name: {name}
  options: {options}
cameras:
  observation.images.top: top
"""


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def plane():
    return open_world(WORLD)


def lines_of(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def expert_run(folder, *given):
    return evaluate([str(folder), "--world", WORLD, "--tasks", "to-red", "to-blue", *given])


# -- trials ---------------------------------------------------------------------------------------


def test_the_expert_is_tried_in_each_task_and_counted_by_group(tmp_path, capsys):
    assert expert_run(tmp_path / "run", "--seeds", "2", "--processes", "1") == 0
    out = capsys.readouterr().out
    assert "to-red                                    2/2" in out
    assert "redish (1 tasks)                          2/2" in out
    assert "all (2 tasks)                             4/4" in out
    lines = lines_of(tmp_path / "run")
    assert [(line["task"], line["seed"]) for line in lines] == [
        ("to-red", "0"), ("to-blue", "0"), ("to-red", "1"), ("to-blue", "1"),
    ]  # fmt: skip
    for line in lines:
        assert line["ended"] == "solved"
        assert float(line["duration_s"]) == pytest.approx(int(line["steps"]) * 0.05)
        assert line["joint_jerk_mean"] == "nan"
        assert float(line["tip_path"]) > 0.0
    page = (tmp_path / "run/report.html").read_text()
    assert page.count('src="data:video/mp4;base64,') == 2
    assert "http" not in page


def test_what_was_cut_off_goes_on_with_the_same_figures_in_any_number_of_processes(
    tmp_path, capsys
):
    given = ("--seeds", "3", "--films", "0")
    assert expert_run(tmp_path / "one", *given, "--processes", "1") == 0
    whole = lines_of(tmp_path / "one")
    path = tmp_path / "one/results.csv"
    path.write_bytes(path.read_bytes()[:-30])  # as by a power cut
    capsys.readouterr()
    assert expert_run(tmp_path / "one", *given, "--processes", "1") == 0
    assert "5 of 6 were tried before" in capsys.readouterr().out
    assert expert_run(tmp_path / "two", *given, "--processes", "2") == 0

    def figures(lines):
        return [{k: v for k, v in line.items() if k != "inference_s"} for line in lines]

    assert figures(lines_of(tmp_path / "one")) == figures(whole)
    assert figures(lines_of(tmp_path / "two")) == figures(whole)


def test_a_folder_of_another_world_or_policy_is_refused(tmp_path, capsys):
    assert expert_run(tmp_path, "--seeds", "1", "--processes", "1") == 0
    run = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**run, "version": "plane 0"}))
    assert expert_run(tmp_path, "--seeds", "1", "--processes", "1") == 2
    assert "version: was 'plane 0' and is 'plane 1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--world", "mars"], "there is no world 'mars'; there are tabletop, metaworld, libero"),
        (["--world", "plane_world:Cube"], "plane_world:Cube cannot be imported"),
        (["--world", WORLD, "--tasks", "to-green"], "plane has no task or group 'to-green'"),
        (["--world", WORLD], "plane has no expert for to-nowhere; leave them out"),
        (["--world", WORLD, "--perturbations", "light"], "light is none of plane_world:Plane"),
        (["--world", WORLD, "--executors", "jump"], "--executors: a world has none; leave it out"),
        (["--world", WORLD, "--colours", "red"], "--colours: a world has none; leave it out"),
        (["--world", WORLD, "--limit", "3"], "--limit: a world has none; leave it out"),
        (["--world", WORLD, "--robot", "panda"], "--robot: a world has none; leave it out"),
        (["--world", WORLD, "--checkpoint", "x"], "the expert has none; name a --policy"),
        (["--world", WORLD, "--policy", "dance"], "worlds/plane_world_dance.yaml: "),
        (["--executors", "jump"], "'jump' is unknown; choose of hold, linear, smooth"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, capsys, given, message):
    pytest.importorskip("vla_sim") if "jump" in given else None
    base = [str(tmp_path), "--seeds", "1", "--processes", "1", "--config", str(TOP / "config")]
    assert evaluate([*base, *given]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(("world", "module"), [("metaworld", "metaworld"), ("libero", "libero")])
def test_where_a_benchmark_is_missing_one_line_says_what_to_install(
    tmp_path, capsys, world, module
):
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed here")
    for command in (
        lambda: evaluate([str(tmp_path / "eval"), "--world", world]),
        lambda: train(["collect", str(tmp_path / "data"), "--world", world]),
    ):
        assert command() == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"is not installed here; make .venv-{world}" in error
    assert list(tmp_path.iterdir()) == []


# -- the loop -------------------------------------------------------------------------------------


class Recorder:
    """Somebody who counts rows: row i of his n-th chunk is 100 n + i."""

    def __init__(self):
        self.asked_ns = []

    def ask(self, now_ns):
        self.asked_ns.append(now_ns)
        rows = 100.0 * (len(self.asked_ns) - 1) + np.arange(10)
        return np.column_stack([rows, np.zeros((10, 2))])


@pytest.mark.parametrize(
    ("rows", "late_s", "wanted"),
    [
        (4, 0.0, [0, 1, 2, 3, 100, 101, 102, 103, 200, 201]),
        (1, 0.0, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]),
        # Two steps late: what is over by then is left out, and at first there is nothing.
        (4, 0.1, [None, None, 2, 3, 4, 5, 102, 103, 104, 105]),
        # Later than the next look would be: there is no other question while one is out.
        (1, 0.1, [None, None, 2, 3, 102, 103, 202, 203, 302, 303]),
    ],
)
def test_a_chunk_is_followed_from_when_it_was_seen(plane, rows, late_s, wanted):
    plane.begin("to-nowhere", 0)
    done = []
    plane.step = lambda action: done.append(float(action[0])) and False
    who = Recorder()
    course = run_in_world(
        plane, who.ask, WorldPace(rows, (late_s, late_s)), horizon=10, rng=np.random.default_rng(0)
    )
    assert course.ended == "timed out"
    assert not course.success
    idle = 0.0
    assert done == [idle if value is None else float(value) for value in wanted]
    assert len(course.hands) == 11
    assert who.asked_ns[0] == 0


def test_what_the_policy_complains_of_ends_the_episode_and_is_told(plane):
    plane.begin("to-red", 0)

    def ask(_):
        raise TrainingError("the lens is dirty")

    course = run_in_world(plane, ask, WorldPace(1), horizon=10, rng=np.random.default_rng(0))
    assert (course.ended, course.steps, course.success) == ("the lens is dirty", 0, False)


def test_a_policy_that_does_not_answer_is_no_failure_of_its(plane, tmp_path, capsys, monkeypatch):
    """A policy's process that was killed had 37 of 40 cases counted against it, for good."""
    plane.begin("to-red", 0)

    def ask(_):
        raise PolicyUnavailableError("was ended by SIGKILL; it is started again")

    with pytest.raises(PolicyUnavailableError):
        run_in_world(plane, ask, WorldPace(1), horizon=10, rng=np.random.default_rng(0))
    run, count = WorldPlace.run, iter(range(9))

    def run_two(place, case, film=None):
        if next(count) == 2:
            ask(0)
        return run(place, case, film=film)

    monkeypatch.setattr(WorldPlace, "run", run_two)
    given = ("--seeds", "2", "--films", "0", "--processes", "1")
    assert expert_run(tmp_path, *given) == 2
    assert "the policy does not answer (was ended by SIGKILL; it is" in capsys.readouterr().err
    assert len(lines_of(tmp_path)) == 2
    monkeypatch.setattr(WorldPlace, "run", run)
    assert expert_run(tmp_path, *given) == 0
    assert "2 of 4 were tried before" in capsys.readouterr().out


def test_two_that_try_in_one_folder_are_refused(tmp_path, capsys):
    with alone(tmp_path):
        assert expert_run(tmp_path, "--seeds", "1", "--processes", "1") == 2
    assert "another process is at it" in capsys.readouterr().err
    assert not (tmp_path / "results.csv").exists()


def test_a_shuffled_instruction_is_another_tasks_whichever_are_tried():
    world = open_world(WORLD)
    for task in world.tasks:
        told = {
            instruction(world, WorldCase(task, seed, SHUFFLED, (0.0, 0.0))) for seed in range(50)
        }
        others = {each.instruction for each in world.tasks.values() if each.name != task}
        assert told == others
    case = WorldCase("to-red", 3, "none", (0.0, 0.0))
    assert instruction(world, case) == "go to the red spot"


def test_of_one_instruction_there_is_no_other(tmp_path, monkeypatch, capsys):
    opened = open_world

    def alike(name):
        world = opened(name)
        world.tasks = {each: replace(task, instruction="go") for each, task in world.tasks.items()}
        return world

    monkeypatch.setattr("vla_training.worlds.command.open_world", alike)
    assert expert_run(tmp_path, "--perturbations", "shuffled", "--processes", "1") == 2
    assert "and all of plane have one" in capsys.readouterr().err
    assert not (tmp_path / "results.csv").exists()


def test_other_weights_behind_the_same_file_are_other_results(tmp_path, capsys):
    """A run went on with a checkpoint that had been trained further, and counted both as one."""
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"one")
    file = tmp_path / "plane.yaml"
    file.write_text(PLANE_POLICY.format(name="no_such", options="{checkpoint: ./weights}"))
    given = [str(tmp_path / "eval"), "--world", WORLD, "--tasks", "to-red", "--seeds", "1"]
    given += ["--policy", str(file), "--processes", "1", "--films", "0"]
    assert evaluate(given) == 2
    assert "no_such" in capsys.readouterr().err
    (weights / "model.safetensors").write_bytes(b"two")
    assert evaluate(given) == 2
    assert "files: was 'checkpoint " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("success", "7", "line 2: is damaged; remove that line"),
        ("success", "-1", "line 2: is damaged"),
        ("tip_jerk_mean", "1e400", "line 2: is damaged"),
        ("tip_jerk_mean", "-inf", "line 2: is damaged"),
        ("perturbation", "nonne", "line 2: is damaged"),
        ("task", "to-green", "plane has no task to-green; remove its lines"),
        ("seed", "1", "line 3: its case stands there before; remove that line"),
    ],
)
def test_lines_that_were_never_measured_are_refused(tmp_path, capsys, column, text, message):
    given = ("--seeds", "2", "--films", "0", "--processes", "1")
    assert expert_run(tmp_path, *given) == 0
    lines = lines_of(tmp_path)
    if column == "seed":
        lines.insert(1, lines[0])
    else:
        lines[0][column] = text
    with (tmp_path / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    capsys.readouterr()
    assert expert_run(tmp_path, *given) == 2
    assert message in capsys.readouterr().err


def test_the_hands_jerk_is_the_third_difference_of_where_it_was():
    time_s = np.arange(0.0, 1.0, 0.01)
    hands = np.repeat(np.eye(4)[None], len(time_s), axis=0)
    hands[:, 0, 3] = 2.0 * time_s**3  # a jerk of 12 m/s^3
    found = measure_hand(hands, 0.01)
    assert found.tip_jerk_mean == pytest.approx(12.0, rel=1e-6)
    assert found.tip_jerk_peak == pytest.approx(12.0, rel=1e-6)
    assert found.tip_path == pytest.approx(2.0 * 0.99**3, rel=1e-9)
    assert math.isnan(found.joint_jerk_rms)
    assert measure_hand(hands[:2], 0.01).movements == 1


def test_points_are_found_in_a_picture_as_a_camera_sees_them():
    # At (0, -2, 0), looking along +y with z up.
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -3.0, 0.0]])
    found = project(points, np.array([0.0, -2.0, 0.0]), rotation, math.radians(90.0))
    np.testing.assert_allclose(found[:3], [[0.5, 0.5], [0.75, 0.5], [0.5, 0.25]], atol=1e-12)
    assert np.isnan(found[3]).all()


def test_tasks_are_chosen_by_name_or_group_each_once(plane):
    names = [task.name for task in chosen(plane, ["blueish", "to-red", "to-red"])]
    assert names == ["to-red", "to-blue"]
    assert len(chosen(plane, ["all"])) == 3


# -- policies -------------------------------------------------------------------------------------


def test_the_files_of_policies_that_are_here_can_be_read():
    files = sorted((TOP / "config" / "worlds").glob("*.yaml"))
    assert files
    for path in files:
        assert read_policy_file(path).cameras


def test_a_policy_of_an_arm_is_refused(plane, tmp_path):
    from vla_policies import load_policy

    path = tmp_path / "arm.yaml"
    path.write_text(PLANE_POLICY.format(name="replay", options="{}"))
    recording = tmp_path / "chunk.npz"
    columns = np.array(["dx", "dy", "gripper"])
    np.savez(recording, joint_names=columns, dt_s=0.05, positions=np.zeros((4, 3)))
    policy = load_policy("replay", {"file": str(recording), "rows": 4})
    with pytest.raises(TrainingError, match="joints: are in rad; write native for each"):
        WorldPolicy(plane, policy, read_policy_file(path))


def test_no_contract_takes_a_policy_of_a_benchmark():
    from dataclasses import replace

    from vla_contract.contract import ContractError, load_contract
    from vla_policies import FeatureKind, FeatureSpec, PolicySpec

    joints = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
    path = TOP / "config/policies/so101_color_pick.yaml"
    contract = load_contract(path, joints, "gripper")
    columns = contract.action_joints
    spec = PolicySpec("x", (), columns, contract.action_unit.name, 0.1, 2)
    contract.narrowed_to(spec)
    with pytest.raises(ContractError, match="a benchmark's own numbers"):
        contract.narrowed_to(replace(spec, units="native"))
    state = FeatureSpec("observation.state", FeatureKind.STATE, (len(columns),), "native")
    with pytest.raises(ContractError, match="a benchmark's own numbers"):
        contract.narrowed_to(replace(spec, observation=(state,)))


# -- demonstrations -------------------------------------------------------------------------------


def collect(folder, *given):
    base = ["collect", str(folder), "--world", WORLD, "--tasks", "to-red", "to-blue"]
    return train([*base, "--image-size", "32", "--rows", "6", *given])


def test_demonstrations_are_a_lerobot_dataset_that_can_be_added_to(tmp_path, capsys):
    from vla_recording.dataset import Dataset
    from vla_training.store import read_info

    data = tmp_path / "data"
    assert collect(data, "--episodes", "2", "--processes", "1") == 0
    assert "4 of the 4 collected now were solved" in capsys.readouterr().out
    found = Dataset(data)
    assert found.problems() == []
    assert found.fps == 20
    assert found.robot_type == "plane"
    assert found.tasks == ("go to the red spot", "go to the blue spot")
    assert list(found.features["action"].names) == ["dx", "dy", "gripper"]
    info = read_info(data)
    assert (info.joints, info.states) == (("dx", "dy", "gripper"), ("x", "y", "z"))
    assert (info.units, info.things, info.chunk_rows) == ("native", ("spot",), 6)
    # The same command with more episodes goes on; the first ones are the same.
    first = found.column("action", 1)
    assert collect(data, "--episodes", "3", "--processes", "2") == 0
    assert "of which 4 were there already" in capsys.readouterr().out
    more = Dataset(data)
    assert len(more.episodes) == 6
    np.testing.assert_array_equal(more.column("action", 1), first)
    assert collect(data, "--episodes", "3", "--seed", "7") == 2
    assert "is another dataset" in capsys.readouterr().err


def test_what_is_stored_is_what_the_expert_would_do_not_what_was_done(tmp_path):
    """Pushed off its way, the expert shows how to come back (noise injection)."""
    from vla_recording.dataset import Dataset

    data = tmp_path / "data"
    assert collect(data, "--episodes", "8", "--processes", "1") == 0
    found = Dataset(data)
    astray = 0
    for episode in range(len(found.episodes)):
        state = found.column("observation.state", episode)
        action = found.column("action", episode)
        chunk = found.column("world.chunk", episode).reshape(len(state), 6, 3)
        away = found.column("world.away", episode)
        np.testing.assert_array_equal(chunk[:, 0], action)
        # The expert heads for the spot from wherever the hand is.
        wanted = np.clip(away[:, :2] / 0.05, -1.0, 1.0)
        np.testing.assert_allclose(action[:, :2], wanted, atol=1e-5)
        moved = np.diff(state[:, :2], axis=0) / 0.05
        inside = ((state[1:, :2] > 0.0) & (state[1:, :2] < 1.0)).all(1)
        astray += int((np.abs(moved - action[:-1, :2]).max(1) > 0.05)[inside].sum())
    assert astray > 5


def test_an_expert_that_never_succeeds_is_one_line(tmp_path, capsys, monkeypatch):
    import plane_world

    monkeypatch.setattr(plane_world, "REACHED", -1.0)
    assert collect(tmp_path / "data", "--episodes", "1", "--processes", "1") == 2
    error = capsys.readouterr().err
    assert "the expert of to-red failed with 10 seeds from 100000 on; leave the task out" in error
    assert error.count("\n") == 1


def test_the_expert_is_no_student(tmp_path, capsys):
    """Its demonstrations were collected where corrections of a student were asked for."""
    given = ["collect", str(tmp_path / "data"), "--world", WORLD, "--tasks", "to-red"]
    given += ["--student", str(tmp_path / "checkpoint"), "--policy", "expert"]
    assert train(given) == 2
    assert capsys.readouterr().err.endswith("name the student's policy\n")
    assert not (tmp_path / "data").exists()


def test_a_slowed_chunk_goes_the_same_way_in_more_steps():
    chunk = np.array([[0.4, -0.2, 1.0], [0.0, 0.6, -1.0], [0.2, 0.2, -1.0], [0.4, 0.0, 1.0]])
    held = np.array([False, False, True])
    found = slowed(chunk, 1.5, held)
    assert found.shape == (6, 3)
    np.testing.assert_allclose(found[:, :2].sum(axis=0), chunk[:, :2].sum(axis=0))
    np.testing.assert_allclose(found[:3, :2].sum(axis=0), chunk[:2, :2].sum(axis=0))
    # Each is as far in a step as the chunk was there, divided by how much slower it is.
    np.testing.assert_allclose(found[0, :2], chunk[0, :2] / 1.5)
    np.testing.assert_allclose(found[:, 2], [1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
    assert slowed(chunk, 1.0, held) is chunk
    assert slowed(chunk[:1], 1.05, held).shape == (1, 3)


def test_a_slower_policy_takes_longer_over_the_same_way(tmp_path):
    # The plane's own expert, whose chunks are as those of a policy.
    from vla_training.worlds.interface import open_world

    plane = open_world("plane_world:Plane")
    steps = []
    for slower in (1.0, 2.0):
        plane.begin("to-red", 3)
        held = np.array([name in plane.spec.held for name in plane.spec.action_names])
        course = run_in_world(
            plane,
            lambda _, slower=slower, held=held: slowed(plane.foreseen(8), slower, held),
            WorldPace(4), horizon=80, rng=np.random.default_rng(0),
        )  # fmt: skip
        assert course.success
        steps.append(course.steps)
    assert steps[1] == pytest.approx(2 * steps[0], abs=2)
