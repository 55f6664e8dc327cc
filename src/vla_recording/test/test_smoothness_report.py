# SPDX-License-Identifier: Apache-2.0
"""The command reports on any robot's recording, or says in one line why it cannot."""

import builtins
import sqlite3
import sys

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("matplotlib")

from report_bags import (
    EARLY_HUMBLE,
    JAZZY,
    LATE_HUMBLE,
    MS,
    NAMES,
    NEWEST,
    PEAK_JERK,
    PNG,
    SECOND,
    STEP,
    STORAGE,
    T0,
    Bag,
    both,
    reach,
    record,
    run,
    streams,
    write_robot_file,
)

from vla_recording.report import command
from vla_recording.report.encoder import on_grid, quantum
from vla_recording.report.errors import ExitCode
from vla_recording.report.layouts import JOINT_STATE


@pytest.fixture
def robot_file(tmp_path):
    return write_robot_file(tmp_path / "robot.yaml")


@pytest.mark.parametrize("storage", STORAGE)
def test_a_recording_gives_three_files_with_the_figures_of_its_motion(tmp_path, capsys, storage):
    with Bag(tmp_path / "bag", storage=storage) as bag:
        both(bag)
    out = tmp_path / "out"
    code, printed, err = run(capsys, tmp_path / "bag", "--out", out, picture=True)
    assert (code, err) == (0, "")
    assert printed.splitlines()[-1] == f"not judged: {out / 'report.html'}"
    assert (out / "report.png").read_bytes().startswith(PNG)
    assert record(out)["streams"][0]["source"] == "reference"
    wanted = streams(out)["/arm_controller/controller_state", "reference"]
    pan, lift = wanted["joints"][:2]
    assert pan["jerk_peak_rad_s3"] == pytest.approx(PEAK_JERK, rel=0.01)
    assert pan["velocity_peak_rad_s"] == pytest.approx(0.5 * 1.875 / 1.5, rel=1e-3)
    assert lift["position_lowest_rad"] == pytest.approx(-0.5)
    (movement,) = wanted["movements"]
    assert movement["duration_s"] == pytest.approx(1.5, abs=0.05)
    assert movement["sparc"] == pytest.approx(-1.41, abs=0.02)
    assert movement["ldlj"] == pytest.approx(-5.32, abs=0.1)
    assert wanted["worst_moments"][0]["joint"] in ("shoulder_pan", "shoulder_lift")
    assert wanted["time"]["clock"] == "trajectory time"
    measured = streams(out)["/joint_states", None]
    assert [j["joint"] for j in measured["joints"]] == [*NAMES, "gripper"]
    assert measured["movement_joints"] == list(NAMES)
    assert measured["joints"][0]["encoder_step_rad"] == pytest.approx(STEP, rel=1e-3)
    assert not measured["joints"][0]["encoder_step_from_robot_file"]
    assert measured["joints"][0]["jerk_noise_floor_rad_s3"] == pytest.approx(3.4, rel=0.05)
    (seen,) = measured["movements"]
    assert seen["ldlj"] is None
    assert seen["sparc"] == pytest.approx(-1.41, abs=0.15)


@pytest.mark.parametrize(
    ("store", "source"),
    [
        (NEWEST, "reference"),
        (JAZZY, "reference"),
        (LATE_HUMBLE, "reference"),
        (EARLY_HUMBLE, "desired"),
    ],
    ids=["newest", "jazzy", "late humble", "early humble"],
)
@pytest.mark.parametrize("defined", [True, False], ids=["defined", "undefined"])
def test_every_layout_of_controller_states_is_read_with_or_without_definitions(
    tmp_path, capsys, store, source, defined
):
    with Bag(tmp_path / "bag", storage="sqlite3", store=store) as bag:
        both(bag, 3.0, 50)
    if not defined:
        # As Humble writes it: no definitions, an older schema.
        with sqlite3.connect(tmp_path / "bag" / "bag.db3") as database:
            for name in ("message_definitions", "schema", "metadata"):
                database.execute(f"DROP TABLE {name}")
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    one = streams(tmp_path)["/arm_controller/controller_state", source]
    assert one["time"]["messages"] == 150
    assert len(one["movements"]) == 1


@pytest.mark.parametrize("storage", STORAGE)
def test_a_file_alone_or_a_folder_without_metadata_is_read_too(tmp_path, capsys, storage):
    with Bag(tmp_path / "bag", storage=storage) as bag:
        both(bag, 2.0, 50)
    (tmp_path / "bag" / "metadata.yaml").unlink()
    (file,) = (tmp_path / "bag").iterdir()
    for path in (file, tmp_path / "bag"):
        code, _, err = run(capsys, path, "--out", tmp_path / "out")
        assert (code, err) == (0, "")


def test_limits_give_a_verdict_and_an_exit_code(tmp_path, capsys, robot_file):
    with Bag(tmp_path / "sound") as bag:
        both(bag)
    out = tmp_path / "out"
    code, printed, _ = run(capsys, tmp_path / "sound", "--out", out, "--robot", robot_file)
    assert code == 0
    assert "within limits" in printed
    assert record(out)["verdict"] == "within limits"
    assert record(out)["robot"] == "arm"
    with Bag(tmp_path / "steps") as bag:
        for k in range(200):
            bag.controller(T0 + k * 10 * MS, NAMES, [0.2 * (k > 100)] * 5, [0.0] * 5)
    code, printed, _ = run(capsys, tmp_path / "steps", "--out", out, "--robot", robot_file)
    assert code == ExitCode.BEYOND
    assert "jerk of shoulder_pan is 4e+05, its limit 100" in printed
    assert record(out)["verdict"] == "beyond limits"
    worst = record(out)["streams"][0]["worst_moments"][0]
    assert worst["time_s"] == pytest.approx(1.01, abs=0.03)
    assert worst["share_of_limit"] == pytest.approx(4000.0, rel=1e-6)


def test_uneven_stamps_make_a_commands_jerk_unclear_and_trajectory_time_makes_it_clear(
    tmp_path, capsys, robot_file
):
    rng = np.random.default_rng(0)
    for name, known in (("stamped", False), ("timed", True)):
        with Bag(tmp_path / name) as bag:
            for k in range(400):
                late = int(rng.uniform(0.0, 0.5) * MS)
                wanted = np.full(5, reach(k * 0.01))
                elapsed = k * 10 * MS if known else 0
                bag.controller(T0 + k * 10 * MS + late, NAMES, wanted, wanted, elapsed=elapsed)
        out = tmp_path / f"out {name}"
        code, _, _ = run(capsys, tmp_path / name, "--out", out, "--robot", robot_file)
        verdicts = {
            (j["quantity"], j["verdict"], j["because"])
            for j in record(out)["streams"][0]["judgements"]
        }
        if known:
            assert code == 0
            assert {verdict for _, verdict, _ in verdicts} == {"within limits"}
        else:
            assert code == ExitCode.UNCLEAR
            because = "stamps that are uneven or late may be why"
            assert ("jerk", "not clear", because) in verdicts


def test_a_robot_whose_joints_are_not_in_the_recording_judges_nothing(
    tmp_path, capsys, robot_file
):
    with Bag(tmp_path / "bag") as bag:
        for k in range(200):
            bag.joints(T0 + k * 10 * MS, ["panda_joint1"], [reach(k * 0.01)])
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", tmp_path, "--robot", robot_file)
    assert code == ExitCode.NOT_JUDGED
    assert "has none of the robot's joints" in printed


def test_joint_states_without_velocities_and_without_an_encoders_grid_do(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(800):
            t = k * 0.005
            bag.joints(T0 + k * 5 * MS, ["j1", "j2"], [reach(t), np.pi * reach(t)])
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    (one,) = record(tmp_path)["streams"]
    assert one["role"] == "measured"
    assert one["joints"][0]["encoder_step_rad"] is None
    assert one["joints"][0]["velocity_peak_rad_s"] == pytest.approx(0.625, rel=0.02)
    assert len(one["movements"]) == 1


def test_publishers_of_different_joints_on_one_topic_are_reported_apart(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(300):
            ns = T0 + k * 10 * MS
            bag.joints(ns, ["a", "b"], [reach(k * 0.01)] * 2)
            if k % 2:
                bag.joints(ns + 3 * MS, ["left_finger"], [0.01 * k])
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    first, second = record(tmp_path)["streams"]
    assert [j["joint"] for j in first["joints"]] == ["a", "b"]
    assert [j["joint"] for j in second["joints"]] == ["left_finger"]
    assert first["time"]["backward_stamps"] == second["time"]["backward_stamps"] == 0
    assert first["missing_joint_values"] == 0
    assert second["movements"] == []


def test_two_publishers_of_the_same_joints_are_noticed(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(300):
            ns = T0 + k * 10 * MS
            bag.joints(ns, ["a"], [reach(k * 0.01)])
            bag.joints(ns - 25 * MS, ["a"], [0.0], received=ns + MS)
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    (one,) = record(tmp_path)["streams"]
    assert one["time"]["backward_stamps"] == 300
    assert one["joints"][0]["jerk_peak_rad_s3"] is None
    assert "several publishers" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_joints_that_are_missing_at_times_are_counted_and_the_rest_is_used(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(300):
            names = ["a", "b"] if k % 10 else ["b"]
            bag.joints(T0 + k * 10 * MS, names, [reach(k * 0.01)] * len(names))
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    (one,) = record(tmp_path)["streams"]
    assert one["missing_joint_values"] == 30
    assert [(j["joint"], j["samples"]) for j in one["joints"]] == [("a", 270), ("b", 300)]


def test_lost_messages_gaps_and_wrong_values_are_counted(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(300):
            if k in (50, 51, 120):
                continue
            position = [np.nan if k == 200 else reach(k * 0.01)]
            bag.joints(T0 + k * 10 * MS, ["a"], position)
        bag.joints(T0 + 3001 * MS, ["a"], [0.1, 0.2])
        bag.joints(T0 + 3002 * MS, ["a"], [])
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    (one,) = record(tmp_path)["streams"]
    assert (one["time"]["missing"], one["time"]["gaps"]) == (3, 2)
    assert one["time"]["longest_gap_s"] == pytest.approx(0.03)
    assert one["values_not_finite"] == 1
    assert one["malformed_messages"] == 1


def test_messages_without_stamps_are_placed_by_their_reception(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(200):
            bag.joints(0, ["a"], [reach(k * 0.01)], received=T0 + k * 10 * MS)
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    (one,) = record(tmp_path)["streams"]
    assert "reception" in one["time"]["clock"]
    assert one["time"]["duration_s"] == pytest.approx(1.99)


def test_joint_states_that_command_are_taken_for_commands(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(300):
            bag.joints(T0 + k * 10 * MS, ["a"], [reach(k * 0.01)], topic="/left/joint_commands")
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == 0
    (one,) = record(tmp_path)["streams"]
    assert one["role"] == "command"
    assert one["joints"][0]["jerk_peak_rad_s3"] == pytest.approx(PEAK_JERK, rel=0.01)


def test_a_controller_that_never_had_a_trajectory_and_single_messages_do_no_harm(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        bag.controller(T0, ["a"], [], [0.1])
        bag.joints(T0, ["a"], [0.1])
    code, _, err = run(capsys, tmp_path / "bag", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert all(s["joints"][0]["jerk_peak_rad_s3"] is None for s in record(tmp_path)["streams"])


def test_a_damaged_message_is_left_out_and_said(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(200):
            bag.joints(T0 + k * 10 * MS, ["a"], [reach(k * 0.01)])
        bag.write_raw("/joint_states", JOINT_STATE, T0 + 2 * SECOND, b"\x00\x01\x00\x00\xff\xff")
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", tmp_path)
    assert code == 0
    assert "messages on /joint_states are damaged" in printed
    assert record(tmp_path)["notes"]


def test_the_page_needs_nothing_else_and_names_are_not_markup(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        for k in range(200):
            bag.joints(T0 + k * 10 * MS, ["<b>a & b</b>"], [reach(k * 0.01)])
    assert run(capsys, tmp_path / "bag", "--out", tmp_path, picture=True)[0] == 0
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in html
    assert "<b>a & b" not in html
    assert 'src="data:image/png;base64,' in html
    for outside in ("http:", "https:", "<script", "<link", "@import"):
        assert outside not in html


WITH_PAGE = (ExitCode.BEYOND, ExitCode.UNCLEAR, ExitCode.NOT_JUDGED)


def test_what_cannot_be_estimated_is_drawn_all_the_same(tmp_path, capsys, robot_file):
    """One topic for each kind of thing that the other tests find without a picture."""
    rng = np.random.default_rng(5)
    late = np.cumsum(rng.uniform(1.0, 40.0, 300)) * 1e6
    ns = [T0 + k * 10 * MS for k in range(300)]
    kinds = {
        "/one/joint_states": [(T0, 0.1)],
        "/nan/joint_states": [(n, np.nan) for n in ns],
        "/huge/joint_states": [(n, 1e308 * (-1) ** k) for k, n in enumerate(ns)],
        "/still/joint_states": [(n, 0.3) for n in ns],
        "/uneven/joint_states": [(T0 + int(t), reach(t * 1e-9)) for t in late],
        "/back/joint_states": [(n - (k > 150) * 900 * SECOND, 0.1) for k, n in enumerate(ns)],
        "/gap/joint_states": [(n + (k > 150) * 3600 * SECOND, 0.1) for k, n in enumerate(ns)],
        "/same/joint_states": [(T0, reach(k * 0.01)) for k in range(300)],
        "/steps/joint_commands": [(n, 0.2 * (k > 100)) for k, n in enumerate(ns)],
    }
    with Bag(tmp_path / "bag") as bag:
        for topic, samples in kinds.items():
            for k, (stamp, position) in enumerate(samples):
                bag.joints(stamp, NAMES, [position] * 5, topic=topic, received=T0 + k * 10 * MS)
    drawn = 0
    for chosen in ([], *([topic] for topic in kinds)):
        words = [word for topic in chosen for word in ("--topic", topic)]
        where = ("--out", tmp_path / "out", "--robot", robot_file)
        code, _, err = run(capsys, tmp_path / "bag", *where, *words, picture=True)
        assert code in (ExitCode.DONE, *WITH_PAGE) or (
            code == ExitCode.NO_REPORT and err.count("\n") == 1
        ), (chosen, err)
        if code != ExitCode.NO_REPORT:
            assert (tmp_path / "out" / "report.png").read_bytes().startswith(PNG)
            drawn += 1
    assert drawn >= 8


def test_a_report_without_a_picture_needs_no_matplotlib_and_leaves_no_old_picture(
    tmp_path, capsys, monkeypatch
):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 1.0, 50)
    out = tmp_path / "out"
    assert run(capsys, tmp_path / "bag", "--out", out, picture=True)[0] == 0
    figures = record(out)
    without(monkeypatch, "matplotlib", "figure")
    assert run(capsys, tmp_path / "bag", "--out", out)[0] == 0
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json"}
    assert record(out) == figures
    assert "<img" not in (out / "report.html").read_text(encoding="utf-8")


# What cannot be reported on: one clear line, exit code 2, nothing written.


def refused(capsys, tmp_path, path, *more, picture=False):
    out = tmp_path / "refused"
    code, printed, err = run(capsys, path, "--out", out, *more, picture=picture)
    assert (code, printed) == (ExitCode.NO_REPORT, "")
    assert err.count("\n") == 1, err
    assert err.startswith("smoothness report: ")
    assert not out.exists()
    return err


def test_a_path_that_is_no_recording_is_refused(tmp_path, capsys):
    missing = refused(capsys, tmp_path, tmp_path / "nothing")
    assert "does not exist" in missing
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    assert "no rosbag2 file" in refused(capsys, tmp_path, tmp_path / "notes.txt")
    (tmp_path / "folder").mkdir()
    assert "neither metadata.yaml" in refused(capsys, tmp_path, tmp_path / "folder")
    (tmp_path / "empty.mcap").touch()
    assert "is empty" in refused(capsys, tmp_path, tmp_path / "empty.mcap")
    (tmp_path / "text.mcap").write_text("hello" * 50, encoding="utf-8")
    assert "cannot be read" in refused(capsys, tmp_path, tmp_path / "text.mcap")
    (tmp_path / "text.db3").write_text("hello" * 50, encoding="utf-8")
    assert "cannot be read" in refused(capsys, tmp_path, tmp_path / "text.db3")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metadata.yaml").write_text("a: [", encoding="utf-8")
    assert "neither metadata.yaml" in refused(capsys, tmp_path, tmp_path / "broken")


@pytest.mark.parametrize("storage", STORAGE)
def test_an_empty_recording_is_refused(tmp_path, capsys, storage):
    with Bag(tmp_path / "bag", storage=storage):
        pass
    assert "0 topics" in refused(capsys, tmp_path, tmp_path / "bag")


def test_a_recording_of_other_things_is_refused(tmp_path, capsys):
    with Bag(tmp_path / "other") as bag:
        message = bag.make("std_msgs/msg/String", data="x")
        bag.write("/chatter", "std_msgs/msg/String", T0, message)
    assert "record joint_states" in refused(capsys, tmp_path, tmp_path / "other")
    with Bag(tmp_path / "efforts") as bag:
        bag.joints(T0, ["a"], [])
    assert "1 messages have no position" in refused(capsys, tmp_path, tmp_path / "efforts")


def test_what_lies_before_a_cut_is_reported_and_never_called_within(tmp_path, capsys, robot_file):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 2.0, 500)
    file = tmp_path / "bag" / "bag.mcap"
    whole = file.read_bytes()
    for size in (60_000, 200_000):
        file.write_bytes(whole[:size])
        for path in (tmp_path / "bag", file):
            out = tmp_path / "out"
            code, printed, _ = run(capsys, path, "--out", out, "--robot", robot_file)
            assert code == ExitCode.UNCLEAR
            assert "cut off" in printed
            assert "mcap recover" in printed
            assert 10 < record(out)["streams"][0]["time"]["messages"] < 1000
    file.write_bytes(whole[:60])
    assert "cut off" in refused(capsys, tmp_path, file)


def test_a_cut_off_sqlite_file_yields_a_line_or_what_is_left_of_it(tmp_path, capsys):
    with Bag(tmp_path / "bag", storage="sqlite3") as bag:
        both(bag, 2.0, 50)
    file = tmp_path / "bag" / "bag.db3"
    whole = file.read_bytes()
    for share in (0.01, 0.3, 0.7, 0.95):
        file.write_bytes(whole[: int(share * len(whole))])
        code, printed, err = run(capsys, file, "--out", tmp_path / f"out {share}")
        assert code in (ExitCode.DONE, ExitCode.NO_REPORT)
        if code == ExitCode.NO_REPORT:
            assert err.count("\n") == 1, err
        else:
            assert "damaged" in printed or err == ""


def test_a_wrong_robot_file_is_refused_by_its_key(tmp_path, capsys, robot_file):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 1.0, 50)
    robot_file.write_text(robot_file.read_text() + "colour: red\n", encoding="utf-8")
    line = refused(capsys, tmp_path, tmp_path / "bag", "--robot", robot_file)
    assert "colour" in line
    assert str(robot_file) in line


def test_a_place_that_cannot_be_written_is_refused(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 1.0, 50)
    (tmp_path / "file").touch()
    code, _, err = run(capsys, tmp_path / "bag", "--out", tmp_path / "file" / "out")
    assert code == ExitCode.NO_REPORT
    assert "choose --out" in err


def without(monkeypatch, library, module):
    """Let a library be missing for the module that imports it."""
    real = builtins.__import__

    def importing(name, *rest, **named):
        if name.split(".")[0] == library:
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **named)

    monkeypatch.delitem(sys.modules, f"vla_recording.report.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", importing)


@pytest.mark.parametrize(
    ("library", "module"), [("rosbags", "bag"), ("matplotlib", "figure")], ids=str
)
def test_a_missing_library_is_named(tmp_path, capsys, monkeypatch, library, module):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 1.0, 50)
    without(monkeypatch, library, module)
    refusal = refused(capsys, tmp_path, tmp_path / "bag", picture=True)
    assert f"pip install {library}" in refusal


def test_help_says_what_the_exit_codes_mean(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["report", "--help"])
    assert ended.value.code == 0
    assert "3 when they were exceeded; 4 when that is not clear; 5 when" in " ".join(
        capsys.readouterr().out.split()
    )


# The encoder's step.


@pytest.mark.parametrize("ticks", [360, 4096, 65536])
@pytest.mark.parametrize("offset", [0.0, 1.2345])
def test_an_encoders_step_is_seen_whatever_its_zero(ticks, offset):
    step = 2.0 * np.pi / ticks
    truth = 0.7 * np.sin(np.linspace(0.0, 20.0, 5000))
    positions = np.round(truth / step) * step + offset
    assert quantum(positions) == pytest.approx(step, rel=1e-4)
    assert on_grid(positions, step)
    assert not on_grid(positions, 1.37 * step)


def test_no_step_is_seen_where_there_is_none():
    rng = np.random.default_rng(0)
    assert quantum(rng.normal(size=5000)) is None
    assert quantum(np.sin(np.linspace(0.0, 20.0, 5000))) is None
    assert quantum(np.sin(np.linspace(0.0, 20.0, 5000)).astype(np.float32).astype(float)) is None
    assert quantum(np.zeros(100)) is None
    assert quantum(np.full(100, np.nan)) is None


def test_even_steps_of_a_command_are_no_encoders():
    """As a controller draws a straight line: a recording of it looks like a grid."""
    line = np.concatenate((np.zeros(50), np.linspace(0.0, 1.0, 41), np.ones(50)))
    assert quantum(0.03 * np.arange(40.0)) is None
    assert quantum(0.1 * line) is None
    assert quantum(np.concatenate((0.1 * line, 0.1 * line[::-1]))) is None
    # A joint that creeps over some ticks is none of these.
    creep = np.round(np.linspace(0.0, 20.0, 1001)) * STEP
    assert quantum(creep) == pytest.approx(STEP, rel=1e-6)
