# SPDX-License-Identifier: Apache-2.0
"""What vla-eval counts and measures, on the simulated table."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from vla_policies.protocol import PolicyUnavailableError
from vla_sim.world import sample_scene
from vla_training.errors import TrainingError
from vla_training.evaluation import command
from vla_training.evaluation.measures import measure
from vla_training.evaluation.perturb import PERTURBATIONS, SCENES, instruction, perturbed
from vla_training.evaluation.results import COLUMNS, ResultStore, latency
from vla_training.evaluation.run import TrialGrid, evaluate
from vla_training.evaluation.tables import cells, wilson
from vla_training.evaluation.trial import COLOURS, TrialCase, TrialSetup, TrialWorld

TOP = Path(__file__).resolve().parents[3]
ROBOT = TOP / "config/robots/so101/robot.yaml"
COLOR_PICK = TOP / "config/policies/so101_color_pick.yaml"
TEACHER = TrialSetup(ROBOT, None)
CASE = TrialCase("smooth", (0.05, 0.10), "none", 0, "red")


@pytest.fixture(scope="module")
def place():
    made = TrialWorld(TEACHER)
    yield made
    made.close()


@pytest.fixture(scope="module")
def seeing():
    made = TrialWorld(TrialSetup(ROBOT, COLOR_PICK))
    yield made
    made.close()


def figures(result):
    """Return what is counted and what is measured; all but how long the policy computed."""
    told = {**asdict(result), **asdict(result.measures), "measures": None, "inference_s": None}
    numbers = {name: value for name, value in told.items() if isinstance(value, float)}
    return {name: told[name] for name in told if name not in numbers}, numbers


def same(one, other):
    """Whether two results are the same, but for the last bits.

    The tracker's solver begins with what its last problem left behind.
    """
    (counts, numbers), (wanted, near) = figures(one), figures(other)
    return counts == wanted and numbers == pytest.approx(near, rel=1e-6, nan_ok=True)


def test_a_case_is_a_function_of_what_it_says(place):
    first = place.run(CASE)
    assert first.success, first
    assert (first.delivered, first.disturbed, first.ended) == (True, (), "done")
    assert 3.0 < first.duration_s < 15.0
    other = place.run(replace(CASE, seed=1, colour="blue"))
    assert not same(other, first)
    assert same(place.run(CASE), first)


def test_the_teacher_brings_the_named_cube_into_the_bin_and_touches_no_other(place):
    for seed, colour in ((1, "green"), (2, "blue")):
        result = place.run(replace(CASE, seed=seed, colour=colour))
        assert (result.success, result.disturbed) == (True, ()), result
        assert result.duration_s < 12.0


def test_the_smooth_executor_keeps_the_jerk_limit_and_straight_lines_do_not(place):
    smooth = place.run(CASE).measures
    lines = place.run(replace(CASE, executor="linear")).measures
    limit = place.robot.limits.jerk.max()
    assert smooth.joint_jerk_peak <= limit * (1.0 + 1e-6)
    assert lines.joint_jerk_peak > 10 * limit
    assert lines.tip_jerk_mean > 3 * smooth.tip_jerk_mean
    assert lines.ldlj < smooth.ldlj < -5.3
    assert smooth.sparc < -1.4


def test_chunks_that_come_late_are_late(place):
    late = place.run(replace(CASE, latency_s=(0.6, 0.6)))
    soon = place.run(replace(CASE, latency_s=(0.0, 0.0)))
    assert late.chunks / late.measures.moving_s < soon.chunks / soon.measures.moving_s
    assert not same(late, soon)


def test_slower_chunks_take_longer_and_have_less_jerk(place):
    slow = TrialWorld(replace(TEACHER, slower=1.3))
    try:
        found = slow.run(replace(CASE, executor="linear"))
    finally:
        slow.close()
    was = place.run(replace(CASE, executor="linear"))
    assert found.success
    assert found.duration_s > 1.1 * was.duration_s
    assert found.measures.tip_jerk_mean < 0.95 * was.measures.tip_jerk_mean


@pytest.mark.parametrize("text", ["nan", "0.5", "11", "fast"])
def test_how_much_slower_is_refused_out_of_its_bounds(text, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([str(tmp_path / "eval"), "--slower", text])
    assert ended.value.code == 2
    assert "argument --slower" in capsys.readouterr().err


def test_a_policy_that_sees_is_asked_through_its_contract(seeing):
    result = seeing.run(TrialCase("smooth", (0.05, 0.10), "none", 4, "green"))
    assert result.success, result
    assert result.chunks > 10


def test_another_cube_in_the_bin_is_a_failure_and_is_named(seeing):
    seed = next(
        seed for seed in range(100) if "blue" in instruction("shuffled", "red", COLOURS, seed)
    )
    result = seeing.run(TrialCase("smooth", (0.05, 0.10), "shuffled", seed, "red"))
    assert not result.success
    assert not result.delivered
    assert "blue_cube" in result.disturbed
    assert math.isnan(result.duration_s)


def test_in_a_sequence_every_cube_is_asked_for_and_each_has_to_be_brought(place):
    result = place.run(replace(CASE, perturbation="sequence"))
    assert result.success, result
    assert all(each.in_bin for each in place.world.objects())
    alone = place.run(CASE)
    assert result.duration_s > 2.0 * alone.duration_s
    assert result.chunks > 2 * alone.chunks
    # And from one to the next the arm goes on from where it was sent.
    assert result.measures.joint_jerk_peak < 1.001 * float(np.max(place.robot.limits.jerk))
    # Where one is not carried out, the next is not begun.
    hasty = TrialWorld(replace(TEACHER, limit_s=2.0))
    try:
        ended = hasty.run(replace(CASE, perturbation="sequence"))
    finally:
        hasty.close()
    assert (ended.success, ended.ended) == (False, "timed out")
    assert 0 < ended.chunks < 12


def test_a_policys_complaint_ends_the_case_and_is_kept(seeing):
    result = seeing.run(TrialCase("smooth", (0.05, 0.10), "missing", 0, "red"))
    assert not result.success
    assert "instruction" in result.ended or "cube" in result.ended
    assert result.measures.movements == 0


def test_a_policy_that_does_not_answer_is_no_failure_of_its(seeing, monkeypatch):
    def ask(_):
        raise PolicyUnavailableError("was ended by SIGKILL; it is started again")

    monkeypatch.setattr(seeing.policy, "infer", ask)
    with pytest.raises(PolicyUnavailableError):
        seeing.run(TrialCase("smooth", (0.05, 0.10), "none", 0, "red"))


@pytest.mark.parametrize("name", SCENES)
def test_a_perturbation_changes_what_it_says_and_nothing_else(name):
    changed = set()
    for seed in range(20):
        before = sample_scene(seed, randomise=True)
        after = perturbed(before, name, seed)
        again = perturbed(before, name, seed)
        scenes = before, after, again
        pairs = {
            "layout": (before.positions, after.positions, again.positions),
            **{
                key: tuple(np.asarray(getattr(each.look, field)) for each in scenes)
                for key, field in (
                    ("background", "colours"),
                    ("light", "key_direction"),
                    ("camera", "camera_shift"),
                )
            },
        }
        for kind, (old, new, twice) in pairs.items():
            assert np.array_equal(new, twice)
            assert np.array_equal(old, new) == (kind != name), (kind, seed)
        changed.add(float(np.sum(pairs[name][1])))
        # Of the cubes, and of the arm.
        assert np.array_equal(before.look.colours[:4], after.look.colours[:4])
    assert len(changed) == 20


def test_other_words_are_not_those_of_the_demonstrations():
    plain = {instruction("none", "red", COLOURS, seed) for seed in range(50)}
    other = {instruction("language", "red", COLOURS, seed) for seed in range(50)}
    assert plain == {"put the red cube in the bin"}
    assert len(other) > 2
    assert not plain & other
    assert all("red" in each for each in other)
    assert not set(COLOURS) & set(instruction("missing", "red", COLOURS, 0).split())
    named = [instruction("shuffled", "red", COLOURS, seed).split()[2] for seed in range(300)]
    assert 70 < named.count("red") < 130
    assert set(named) == set(COLOURS)


def turning(angle):
    """Return poses (N, 4, 4) that are turned about the axis y."""
    poses = np.tile(np.eye(4), (len(angle), 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    return poses


def test_a_minimum_jerk_movement_measures_as_the_literature_has_it():
    dt, seconds, far = 0.01, 2.0, 0.5
    t = np.linspace(0.0, 1.0, round(seconds / dt) + 1)
    s = far * (10 * t**3 - 15 * t**4 + 6 * t**5)
    commands = np.column_stack([s, 0.0 * s])
    tips = turning(angle=s)
    tips[:, 0, 3] = 2.0 * s
    found = measure(("a", "b"), commands, commands, tips, dt)
    jerk = far * (60 - 360 * t + 360 * t**2) / seconds**3
    assert found.ldlj == pytest.approx(-5.32, abs=0.15)
    assert found.sparc == pytest.approx(-1.41, abs=0.05)
    assert found.joint_jerk_rms == pytest.approx(np.sqrt(np.mean(jerk**2) / 2.0), rel=0.03)
    assert found.joint_jerk_mean == pytest.approx(np.mean(np.abs(jerk)), rel=0.03)
    assert found.joint_jerk_peak == pytest.approx(np.max(np.abs(jerk)), rel=0.05)
    assert found.tip_jerk_mean == pytest.approx(2.0 * np.mean(np.abs(jerk)), rel=0.03)
    # 2 m and 1 rad for each of s, together.
    assert found.twist_jerk_mean == pytest.approx(5**0.5 * np.mean(np.abs(jerk)), rel=0.03)
    assert (found.joint_path, found.tip_path) == pytest.approx((far, 2.0 * far))
    assert (found.movements, found.moving_s) == (1, pytest.approx(seconds + dt))


def test_an_arm_that_never_moves_has_no_smoothness():
    still = np.zeros((50, 2))
    found = measure(("a", "b"), still, still, turning(np.zeros(50)), 0.01)
    assert (found.movements, found.joint_jerk_peak, found.tip_path) == (0, 0.0, 0.0)
    assert math.isnan(found.ldlj)
    nothing = still[:0, :1]
    assert math.isnan(measure(("a",), nothing, nothing, turning(np.zeros(0)), 0.01).sparc)


GRID = TrialGrid(("smooth",), ((0.05, 0.10),), ("none", "layout"), range(1), ("red",), films=0)
SETTINGS = {"policy": "teacher", "limit_s": 40.0}


def test_what_was_tried_is_not_tried_again_and_processes_change_nothing(tmp_path):
    counts = []

    def run(folder, grid, processes):
        store = ResultStore(folder, SETTINGS)
        evaluate(TEACHER, grid, store, folder, processes, lambda done, of: counts.append(of))
        return ResultStore(folder, SETTINGS).lines

    def are_the_same(one, other):
        assert [line.case for line in one] == [line.case for line in other]
        return all(same(a.result, b.result) for a, b in zip(one, other, strict=True))

    alone = run(tmp_path / "alone", GRID, 1)
    assert [line.case.perturbation for line in alone] == ["none", "layout"]
    path = tmp_path / "alone/results.csv"
    # Cut off in the middle of the last line, as by a power cut.
    path.write_bytes(path.read_bytes()[:-40])
    counts.clear()
    assert are_the_same(run(tmp_path / "alone", GRID, 1), alone)
    assert counts == [1]
    assert are_the_same(run(tmp_path / "parallel", GRID, 2), alone)


def test_results_come_back_from_the_file_as_they_went_in(tmp_path, place):
    store = ResultStore(tmp_path, SETTINGS)
    cases = [CASE, replace(CASE, latency_s=(0.2, 0.2), perturbation="missing")]
    good = place.run(CASE)
    bad = replace(good, ended='odd, "quoted" words', success=False, delivered=False)
    results = [good, replace(bad, duration_s=math.nan)]
    for case, result in zip(cases, results, strict=True):
        assert not store.has(case)
        store.add(case, result)
        assert store.has(case)
    again = ResultStore(tmp_path, SETTINGS)
    assert repr([line.result for line in again.lines]) == repr(results)
    assert [line.case for line in again.lines] == cases
    header = (tmp_path / "results.csv").read_text().splitlines()[0]
    assert header == ",".join(COLUMNS)
    found = cells(again.lines)
    assert [(cell.latency, cell.successes, len(cell.lines)) for cell in found] == [
        ("0.05-0.1", 1, 1),
        ("0.2", 0, 1),
    ]
    low, high = found[0].interval
    assert (low, high) == (pytest.approx(0.2065, abs=1e-3), 1.0)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\0b", "x" * 200_000, "", " a "])
def test_whatever_a_policy_complains_of_can_be_read_again(tmp_path, place, text):
    store = ResultStore(tmp_path, SETTINGS)
    store.add(CASE, replace(place.run(CASE), ended=text))
    (line,) = ResultStore(tmp_path, SETTINGS).lines
    assert line.result.ended == " ".join(text.replace("\0", " ").split())[:500]


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-5), (1e-5, 2.5e-5), (0.05, 0.1), (0.0, 10.0)])
def test_every_latency_can_be_read_again(low, high):
    assert latency(replace(CASE, latency_s=(low, high)).latency) == (low, high)


def test_results_that_nobody_says_whose_they_are_are_refused(tmp_path, place):
    ResultStore(tmp_path, SETTINGS).add(CASE, place.run(CASE))
    (tmp_path / "run.json").unlink()
    with pytest.raises(TrainingError, match=r"run\.json: is missing, so nobody knows whose"):
        ResultStore(tmp_path, {**SETTINGS, "policy": "another"})


def test_what_is_named_twice_is_tried_once():
    once = TrialGrid(("smooth",), ((0.05, 0.1),), ("none",), range(2), ("red",), films=0)
    twice = replace(once, executors=("smooth",) * 2, colours=("red", "red"))
    assert twice.cases() == once.cases()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "results.csv").write_text("a,b\n"), "has other columns"),
        (
            lambda folder: (folder / "results.csv").write_text(",".join(COLUMNS) + "\n1,2\n"),
            "line 2: is damaged; remove that line",
        ),
        (lambda folder: (folder / "run.json").write_text("{"), "is damaged; name a new folder"),
        (
            lambda folder: (folder / "run.json").write_text(json.dumps({"policy": "other"})),
            "policy: was 'other' and is 'teacher'; name a new folder",
        ),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, break_it, message):
    ResultStore(tmp_path, SETTINGS)
    break_it(tmp_path)
    with pytest.raises(TrainingError, match=message) as raised:
        ResultStore(tmp_path, SETTINGS)
    assert "\n" not in str(raised.value)


def test_the_command_writes_a_table_and_one_page_with_plots_and_films(tmp_path, capsys):
    given = [str(tmp_path / "run"), "--policy", "teacher", "--config", str(TOP / "config")]
    given += ["--seeds", "1", "--colours", "red", "--processes", "1"]
    assert command.main([*given, "--executors", "smooth", "linear"]) == 0
    out = capsys.readouterr().out
    assert "smooth, 0.05-0.1 s, none" in out
    page = (tmp_path / "run/report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert page.count('src="data:video/mp4;base64,') == 2
    assert "linear, 0.05-0.1 s, none<td>1 / 1<td>0.207 to 1.000" in page
    assert "http" not in page
    assert command.main(given) == 0
    assert "1 of 1 were tried before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--policy", "dance"], "so101_dance.yaml: cannot be read"),
        (["--robot", "nosuch"], "nosuch/robot.yaml: cannot be read"),
        (["--policy", "teacher", "--checkpoint", "x"], "the teacher has none; name a --policy"),
        (["--rows", "3"], "--rows: the tabletop has none; leave it out"),
        (["--tasks", "easy"], "--tasks: the tabletop has none; leave it out"),
        (["--policy", "color_pick", "--checkpoint", "x"], "x: there is no such folder"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, capsys, given, message):
    base = [str(tmp_path), "--config", str(TOP / "config"), "--seeds", "1", "--processes", "1"]
    assert command.main([*base, *given]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    "text", ["", "-", "0.1-", "-1", "0.2-0.1", "11", "nan", "inf", "1e9", "a"]
)
def test_what_is_no_latency_is_refused(text):
    with pytest.raises(ValueError, match="is no latency"):
        latency(text)


def test_every_perturbation_has_a_meaning():
    from vla_training.evaluation.perturb import MEANINGS

    assert set(MEANINGS) == set(PERTURBATIONS)


def test_intervals_are_wilsons():
    low, high = wilson(95, 100)
    assert (low, high) == (pytest.approx(0.888, abs=1e-3), pytest.approx(0.978, abs=1e-3))
    assert wilson(0, 0) == (0.0, 1.0)
