# SPDX-License-Identifier: Apache-2.0
"""vla-eval --live: order, trials, ghost, statistics and the operator's keys, without ROS."""

import http.client
import json
import math
import os
import select
import signal
import time
import urllib.error
import urllib.request
from contextlib import closing

import numpy as np
import pytest

from vla_training.alone import alone
from vla_training.errors import TrainingError
from vla_training.evaluation.command import main
from vla_training.evaluation.live.command import GROUP, ended_in_order
from vla_training.evaluation.live.conduct import (
    JUDGED,
    ArmLostError,
    Comparison,
    LiveRun,
    Notice,
    Verdict,
    compare,
)
from vla_training.evaluation.live.ghost import StartPictures, difference, ghost
from vla_training.evaluation.live.keys import Keys, single_keys
from vla_training.evaluation.live.order import LiveCase, order
from vla_training.evaluation.live.pairs import (
    FEWEST_PAIRS,
    LEVEL,
    count_pairs,
    sign_test,
    whole_pairs,
)
from vla_training.evaluation.live.person import PersonJudge
from vla_training.evaluation.live.report import in_words, write_report
from vla_training.evaluation.live.screen import GhostPage
from vla_training.evaluation.live.trials import LiveStore, Outcome
from vla_training.evaluation.measures import measure, measure_reference

NAMES = {"A": "first", "B": "second"}
SETTINGS = {"policy A": {"policy": "first"}, "policy B": {"policy": "second"}, "pairs": 3}
TASKS = ("take the red one", "take the green one")
PERIOD_NS = 10_000_000


def scene(value, size=(12, 16)):
    return np.full((*size, 3), value, dtype=np.uint8)


def quintic(seconds=2.0, far=0.8):
    """Return times (N,) ns and positions (N, 2) rad of a movement of minimum jerk."""
    share = np.linspace(0.0, 1.0, round(seconds * 100) + 1)
    way = far * (10 * share**3 - 15 * share**4 + 6 * share**5)
    return np.arange(len(way)) * PERIOD_NS, np.stack([way, -0.5 * way], axis=1)


class TableArm:
    """An arm whose runs end as they are told to, in their order."""

    joint_names = ("pan", "lift")

    def __init__(self, ends):
        self.ends, self.sides, self.scene = list(ends), [], 10
        self.where, self.problems, self.homes = (0.0, 0.1), [], []

    def home(self, attend):
        return self.homes.pop(0) if self.homes else ""

    def problem(self, attend):
        return self.problems.pop(0) if self.problems else ""

    def picture(self):
        return scene(self.scene)

    def pose(self):
        return self.where

    def run(self, side, instruction, limit_s, judged):
        self.sides.append(side)
        end = self.ends.pop(0) if self.ends else "DONE"
        if isinstance(end, BaseException):
            raise end
        verdict = judged()
        times_ns, positions = quintic()
        return LiveRun(JUDGED if verdict else end, "why", 2.5, times_ns, positions, verdict)


class Sayings:
    """Says what it is told to, and keeps what it was told."""

    def __init__(self, verdicts=(), meanwhile=(), scenes=()):
        self.verdicts, self.meanwhile, self.scenes = list(verdicts), list(meanwhile), list(scenes)
        self.notices, self.attended = [], 0

    def lay_out(self, notice):
        self.notices.append(notice)
        return self.scenes.pop(0) if self.scenes else True

    def attend(self):
        self.attended += 1

    def watch(self):
        return self.meanwhile.pop(0) if self.meanwhile else None

    def judge(self, notice, run):
        return self.verdicts.pop(0) if self.verdicts else Verdict.SUCCESS


def run(folder, arm, judge, pairs=3, seed=1):
    store = LiveStore(folder, SETTINGS)
    comparison = Comparison(order(pairs, seed), TASKS, 45.0)
    return compare(comparison, store, StartPictures(folder), arm, judge), store


# -- order ----------------------------------------------------------------------------------------


def test_the_order_is_of_pairs_is_balanced_and_follows_from_the_seed():
    cases = order(20, seed=7)
    assert [case.trial for case in cases] == list(range(1, 41))
    for pair in range(20):
        both = cases[2 * pair : 2 * pair + 2]
        assert {case.side for case in both} == {"A", "B"}
        assert [case.pair for case in both] == [pair + 1] * 2
        assert [case.opens for case in both] == [True, False]
    begins = [case.side for case in cases if case.opens]
    assert begins.count("A") == 10
    assert order(20, seed=7) == cases
    assert begins != sorted(begins)
    assert len({tuple(case.side for case in order(20, seed)) for seed in range(10)}) == 10


def test_of_an_odd_number_of_pairs_either_policy_may_begin_more():
    counts = {sum(c.side == "A" for c in order(5, seed) if c.opens) for seed in range(20)}
    assert counts == {2, 3}


# -- statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (6, 0, 2 / 64), (0, 5, 2 / 32), (9, 1, 22 / 1024)],
)
def test_the_sign_test_is_that_of_a_fair_coin(one, other, p):
    assert sign_test(one, other) == pytest.approx(p, rel=1e-12)
    assert sign_test(other, one) == sign_test(one, other)


def test_with_fewer_pairs_than_said_nothing_can_be_found():
    assert sign_test(FEWEST_PAIRS - 1, 0) > LEVEL >= sign_test(FEWEST_PAIRS, 0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_of_two_policies_that_are_one_a_difference_is_found_in_at_most_one_comparison_in_20(share):
    """Of all outcomes of 20 pairs, weighed by how probable they are."""
    differ = 2 * share * (1 - share)
    found = 0.0
    for count in range(21):
        among = math.comb(20, count) * differ**count * (1 - differ) ** (20 - count)
        for one in range(count + 1):
            if sign_test(one, count - one) < LEVEL:
                found += among * math.comb(count, one) / 2**count
    assert 0.0 < found <= LEVEL


# -- trials ---------------------------------------------------------------------------------------


def test_every_trial_is_written_and_both_of_a_pair_have_one_instruction(tmp_path):
    arm, judge = TableArm([]), Sayings()
    whole, store = run(tmp_path, arm, judge)
    assert whole
    assert [line.case for line in store.lines] == list(order(3, 1))
    assert arm.sides == [case.side for case in order(3, 1)]
    told = [line.result.instruction for line in store.lines]
    assert told == [TASKS[0]] * 2 + [TASKS[1]] * 2 + [TASKS[0]] * 2
    again = LiveStore(tmp_path, SETTINGS)
    for one, other in zip(again.lines, store.lines, strict=True):
        assert one.case == other.case
        assert str(one.result) == str(other.result)


def test_nothing_that_the_operator_is_told_names_the_policy(tmp_path):
    judge = Sayings()
    run(tmp_path, TableArm([]), judge)
    for notice in judge.notices:
        assert "side" not in repr(notice)
        assert not {"A", "B", "first", "second"} & set(notice.title.split())


def test_the_second_of_a_pair_is_shown_the_start_of_the_first(tmp_path):
    arm, judge = TableArm([]), Sayings()
    scenes = iter([10, 14, 60, 60, 90, 200])

    def picture():
        arm.scene = next(scenes)
        return scene(arm.scene)

    arm.picture = picture
    _, store = run(tmp_path, arm, judge)
    starts = [notice.start for notice in judge.notices]
    assert [None if each is None else int(each[0, 0, 0]) for each in starts] == [
        None, 10, None, 60, None, 90
    ]  # fmt: skip
    apart = [line.result.scene_difference for line in store.lines]
    assert apart[1::2] == pytest.approx([4 / 255, 0.0, 110 / 255])
    assert all(math.isnan(each) for each in apart[::2])


@pytest.mark.parametrize("end", ["STOPPED", "ARM_TAKEN", "INPUT_LOST", "PREEMPTED", "CANCELED"])
def test_a_trial_that_something_else_ended_is_no_failure_unless_the_operator_says_so(
    tmp_path, end
):
    arm = TableArm([end, end])
    judge = Sayings([Verdict.AGAIN, Verdict.FAILURE])
    _, store = run(tmp_path, arm, judge)
    first, second = store.lines[:2]
    assert (first.result.outcome, first.result.ended) == (Outcome.INTERRUPTED, end)
    assert (second.result.outcome, second.result.ended) == (Outcome.FAILURE, end)
    assert (first.case.trial, first.case.attempt) == (1, 1)
    assert (second.case.trial, second.case.attempt) == (1, 2)
    assert second.case.side == first.case.side
    assert len(store.counted) == 6


def test_a_lost_node_is_recorded_and_the_same_command_goes_on(tmp_path):
    arm = TableArm(["DONE", ArmLostError("the policy node is gone")])
    with pytest.raises(ArmLostError):
        run(tmp_path, arm, Sayings())
    lines = LiveStore(tmp_path, SETTINGS).lines
    assert [line.result.outcome for line in lines] == [Outcome.SUCCESS, Outcome.INTERRUPTED]
    assert (lines[1].result.ended, lines[1].result.cause) == ("LOST", "the policy node is gone")
    judge = Sayings()
    whole, store = run(tmp_path, TableArm([]), judge)
    assert whole
    assert judge.notices[0].title == "trial 2 of 6"
    # The scene of before the break.
    assert int(judge.notices[0].start[0, 0, 0]) == 10
    assert len(store.counted) == 6


def test_ctrl_c_in_the_middle_of_a_trial_is_recorded_as_that(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, TableArm([KeyboardInterrupt()]), Sayings())
    (line,) = LiveStore(tmp_path, SETTINGS).lines
    assert (line.result.outcome, line.result.cause) == (Outcome.INTERRUPTED, "Ctrl-C")


def test_ctrl_c_at_the_question_is_recorded_with_what_was_measured(tmp_path):
    judge = Sayings()
    judge.judge = lambda notice, run: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, TableArm([]), judge)
    (line,) = LiveStore(tmp_path, SETTINGS).lines
    assert (line.result.outcome, line.result.ended) == (Outcome.INTERRUPTED, "DONE")
    assert line.result.duration_s == 2.5


def test_quitting_keeps_what_is_there_and_goes_on_where_it_was(tmp_path):
    whole, store = run(tmp_path, TableArm([]), Sayings(scenes=[True, True, False]))
    assert not whole
    assert len(store.lines) == 2
    whole, store = run(tmp_path, TableArm([]), Sayings([Verdict.SUCCESS, Verdict.QUIT]))
    assert not whole
    # Whoever quits before the verdict has not judged.
    assert [line.result.outcome for line in store.lines[2:]] == [
        Outcome.SUCCESS, Outcome.INTERRUPTED
    ]  # fmt: skip
    whole, store = run(tmp_path, TableArm([]), Sayings())
    assert whole
    assert len(store.counted) == 6


def test_a_verdict_in_the_middle_of_a_run_ends_it(tmp_path):
    judge = Sayings(meanwhile=[Verdict.FAILURE, Verdict.AGAIN])
    _, store = run(tmp_path, TableArm([]), judge)
    first, second, third = (line.result for line in store.lines[:3])
    assert (first.outcome, first.ended) == (Outcome.FAILURE, JUDGED)
    assert second.outcome is Outcome.AGAIN
    assert store.lines[2].case.attempt == 2
    assert third.outcome is Outcome.SUCCESS


def test_no_trial_begins_while_the_arm_cannot_or_is_not_home(tmp_path):
    arm, judge = TableArm([]), Sayings()
    arm.problems = ["no permit", "", "", "no permit", "", ""]
    arm.homes = ["the way home is not clear", ""]
    _, store = run(tmp_path, arm, judge, pairs=1)
    told = [notice.remark for notice in judge.notices if notice.case.trial == 1]
    assert told[:2] == ["no permit", "the way home is not clear"]
    assert len(told) == 4
    assert len(store.lines) == 2


def test_a_start_pose_that_is_off_is_told(tmp_path):
    arm, judge = TableArm([]), Sayings()
    poses = iter([(0.0, 0.1)] * 2 + [(0.3, 0.1)] * 4)
    arm.pose = lambda: next(poses)
    run(tmp_path, arm, judge, pairs=1)
    assert [notice.remark[:26] for notice in judge.notices] == ["", "the arm is 0.30 rad from w"]


def test_another_comparison_in_the_folder_is_refused_and_named(tmp_path):
    run(tmp_path, TableArm([]), Sayings(), pairs=1)
    with pytest.raises(TrainingError, match=r"policy B: was .*second.* name a new folder"):
        LiveStore(tmp_path, {**SETTINGS, "policy B": {"policy": "third"}})


# -- ghost ----------------------------------------------------------------------------------------


def test_the_ghost_is_the_mean_and_another_camera_has_none():
    start, live = scene(40), scene(200)
    assert np.all(ghost(start, live) == 120)
    assert difference(start, live) == pytest.approx(160 / 255)
    other = scene(0, (6, 8))
    assert ghost(other, live) is live
    assert math.isnan(difference(other, live))


def test_start_pictures_come_back_bit_for_bit_and_a_damaged_one_is_named(tmp_path):
    pictures = StartPictures(tmp_path)
    seen = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    pictures.keep(3, 1, seen)
    assert np.array_equal(pictures.find(3, 1), seen)
    assert pictures.find(3, 2) is None
    pictures.path(3, 1).write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"trial_003_1\.png: is damaged"):
        pictures.find(3, 1)


def test_the_page_shows_title_and_ghost_to_this_computer_alone():
    with closing(GhostPage(8100)) as page:
        page.show("trial 7 of 40", lambda: scene(90))
        with urllib.request.urlopen(f"{page.url}/title") as answer:
            assert answer.read() == b"trial 7 of 40"
        with urllib.request.urlopen(f"{page.url}/ghost.jpg") as answer:
            assert answer.read().startswith(b"\xff\xd8")
        foreign = urllib.request.Request(f"{page.url}/ghost.jpg", headers={"Host": "evil.test"})
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(foreign)
        page.show("trial 8 of 40", lambda: None)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{page.url}/ghost.jpg")


def test_a_browser_that_fails_is_not_told_at_the_operator_s_terminal(capfd):
    def fails():
        raise BrokenPipeError

    with closing(GhostPage(8100)) as page:
        page.show("trial 7 of 40", fails)
        with pytest.raises(http.client.RemoteDisconnected):
            urllib.request.urlopen(f"{page.url}/ghost.jpg")
    assert capfd.readouterr().err == ""


# -- the operator ---------------------------------------------------------------------------------


class NoScreen:
    url = "http://localhost:0"

    def show(self, title, picture):
        self.title, self.picture = title, picture


@pytest.fixture
def terminal():
    """Give what types, and a person's judge that reads it."""
    read, write = os.pipe()
    said, stops, screen = [], [], NoScreen()
    judge = PersonJudge(
        Keys(read), screen, lambda: scene(100), lambda: stops.append(1), said.append
    )
    judge.said, judge.stops, judge.screen = said, stops, screen
    yield lambda keys: os.write(write, keys.encode()), judge
    os.close(read)
    os.close(write)


def notice(start=None):
    return Notice(LiveCase(7, 4, "B"), 40, TASKS[0], start)


def ended(reason):
    return LiveRun(reason, "why", 2.0, np.zeros(0, np.int64), np.zeros((0, 2)))


def test_the_operator_sees_which_trial_it_is_and_never_whose(terminal):
    types, judge = terminal
    types("x\n")
    assert judge.lay_out(notice(start=scene(40)))
    assert judge.said[0] == f"trial 7 of 40: {TASKS[0]}"
    assert np.all(judge.screen.picture() == 70)
    types("q")
    assert not judge.lay_out(notice())
    assert np.all(judge.screen.picture() == 100)


@pytest.mark.parametrize(("key", "verdict"), [(each.value, each) for each in Verdict])
def test_keys_are_verdicts_during_the_run_and_after_it(terminal, key, verdict):
    types, judge = terminal
    assert judge.watch() is None
    types(key)
    assert judge.watch() is verdict
    types("z" + key.upper())
    assert judge.judge(notice(), ended("DONE")) is verdict


def test_an_interrupted_trial_cannot_be_a_success_and_the_policy_s_own_words_are_not_shown(
    terminal,
):
    types, judge = terminal
    types("ya")
    assert judge.judge(notice(), ended("STOPPED")) is Verdict.AGAIN
    types("n")
    judge.judge(notice(), ended("POLICY_FAILED"))
    assert "why" not in judge.said[-1]


def test_space_stops_the_arm_whatever_is_asked(terminal):
    types, judge = terminal
    types("  ")
    assert judge.watch() is None
    types("\n")
    assert judge.lay_out(notice())
    assert len(judge.stops) == 2


ARROW_UP, F2, CONTROL_RIGHT, CONSOLE_F1 = "\x1b[A", "\x1bOQ", "\x1b[1;5C", "\x1b[[A"


@pytest.mark.parametrize("key", [ARROW_UP, F2, CONTROL_RIGHT, CONSOLE_F1, "\x1b" + ARROW_UP])
def test_a_key_that_sends_several_letters_is_none_of_them(terminal, key):
    types, judge = terminal
    types(key + "y")
    assert judge.watch() is None
    assert judge.watch() is Verdict.SUCCESS


def test_space_stops_the_arm_behind_an_escape_too(terminal):
    types, judge = terminal
    for keys in ("\x1b ", "\x1b[ ", "\x1bO "):
        types(keys)
        assert judge.watch() is None
    assert len(judge.stops) == 3


def test_space_stops_the_arm_while_nothing_is_asked():
    operator, number = os.openpty()
    stops = []
    with open(number, "rb", buffering=0, closefd=False) as stream, single_keys(stream) as keys:
        judge = PersonJudge(
            keys, NoScreen(), lambda: None, lambda: stops.append(1), lambda _: None
        )
        judge.attend()
        assert stops == []
        os.write(operator, b"y a")
        select.select([number], [], [])
        judge.attend()
        assert stops == [1]
        assert judge.watch() is None, "of no account: nothing was asked"
    os.close(operator)
    os.close(number)


def test_the_arm_is_seen_to_while_it_goes_home(tmp_path):
    arm, judge = TableArm([]), Sayings()
    arm.home = lambda attend: attend() or ""
    run(tmp_path, arm, judge)
    assert judge.attended == 6


def test_what_was_interrupted_while_it_was_called_a_success_is_asked_for(tmp_path):
    arm, judge = TableArm([]), Sayings([Verdict.AGAIN])
    times_ns, positions = quintic()
    stopped = LiveRun("STOPPED", "why", 1.0, times_ns, positions, Verdict.SUCCESS)
    arm.run = lambda *given: stopped if not judge.notices[1:] else TableArm.run(arm, *given)
    _, store = run(tmp_path, arm, judge)
    assert [line.result.outcome for line in store.lines[:2]] == [
        Outcome.INTERRUPTED,
        Outcome.SUCCESS,
    ]


def test_the_end_of_the_input_quits():
    read, write = os.pipe()
    os.close(write)
    judge = PersonJudge(Keys(read), NoScreen(), lambda: None, lambda: None, lambda _: None)
    assert judge.watch() is Verdict.QUIT
    assert judge.judge(notice(), ended("DONE")) is Verdict.QUIT
    os.close(read)


# -- measures and the report ----------------------------------------------------------------------


def test_a_reference_is_measured_as_commands_are():
    times_ns, positions = quintic()
    tips = np.tile(np.eye(4), (len(positions), 1, 1))
    wanted = measure(("pan", "lift"), positions, positions, tips, 0.01)
    found = measure_reference(("pan", "lift"), times_ns, positions)
    for name in ("joint_jerk_mean", "joint_jerk_rms", "joint_jerk_peak", "ldlj", "sparc",
                 "movements", "joint_path"):  # fmt: skip
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-6), name
    assert found.moving_s == pytest.approx(2.0)


def test_samples_that_are_missing_make_no_jerk():
    times_ns, positions = quintic()
    whole = measure_reference(("pan", "lift"), times_ns, positions)
    kept = np.delete(np.arange(len(times_ns)), slice(60, 90))
    found = measure_reference(("pan", "lift"), times_ns[kept], positions[kept])
    assert found.joint_jerk_peak <= whole.joint_jerk_peak * (1.0 + 1e-6)


def test_a_trial_that_never_moved_is_measured_too():
    found = measure_reference(("pan", "lift"), np.zeros(0, np.int64), np.zeros((0, 2)))
    assert found.movements == 0
    assert math.isnan(found.joint_jerk_mean)


def test_the_report_tells_policies_pairs_and_what_did_not_count(tmp_path):
    verdicts = {"A": Verdict.SUCCESS, "B": Verdict.FAILURE}
    arm = TableArm(["STOPPED"])
    judge = Sayings()
    judge.judge = lambda notice, run: (
        Verdict.AGAIN if run.interrupted else verdicts[notice.case.side]
    )
    _, store = run(tmp_path, arm, judge, pairs=7)
    pairs = count_pairs(whole_pairs(store.lines))
    assert (pairs.pairs, pairs.only_a, pairs.only_b) == (7, 7, 0)
    assert pairs.differ
    words = in_words(store.lines, NAMES)
    assert "A: first: 7 of 7 succeeded (0.646 to 1.000)" in words
    assert "B: second: 0 of 7 succeeded (0.000 to 0.354)" in words
    assert "p = 0.0156; below 0.05: a difference, in favour of A." in words
    page = write_report(tmp_path, SETTINGS, store.lines, NAMES).read_text()
    assert "7 / 7" in page
    assert "STOPPED" in page
    assert "in favour of A" in page


# -- the command ----------------------------------------------------------------------------------


def test_of_two_commands_in_one_folder_the_second_is_refused(tmp_path, capsys):
    run(tmp_path, TableArm([]), Sayings())
    with alone(tmp_path):
        assert main([str(tmp_path), "--live", "--instructions", "go"]) == 2
        assert main([str(tmp_path), "--live", "--report"]) == 2
    assert capsys.readouterr().err.count("another process is at it; wait for its end") == 2
    assert main([str(tmp_path), "--live", "--report"]) == 0


@pytest.fixture
def as_in_a_terminal():
    """These tests may have been begun by nohup, which has SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("as_in_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed_ends_a_trial_as_ctrl_c_does(tmp_path, number):
    before = signal.getsignal(number)
    arm = TableArm([])
    arm.run = lambda *given: os.kill(os.getpid(), number) or time.sleep(60)
    with pytest.raises(KeyboardInterrupt), ended_in_order():
        run(tmp_path, arm, Sayings())
    assert signal.getsignal(number) is before
    (line,) = LiveStore(tmp_path, SETTINGS).lines
    assert line.result.outcome is Outcome.INTERRUPTED


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--live", "--instructions", " "], "--instructions: one is empty"),
        (["--live", "--instructions", "go", "--limit", "4000"], "--limit 4000: at most 3600 s"),
        (["--live"], "or none is given"),
        (["--live", "--report"], "holds no comparison"),
    ],
)
def test_what_its_caller_can_mend_is_one_line(tmp_path, capsys, words, line):
    assert main([str(tmp_path / "none"), *words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_without_a_graph_the_command_says_what_it_needs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "vla_training.evaluation.live.command.entry_points", lambda group: {GROUP: []}[group]
    )
    assert main([str(tmp_path), "--live", "--instructions", "go"]) == 2
    assert "needs vla_bringup and ROS 2" in capsys.readouterr().err


def test_the_report_can_be_had_before_the_end_and_says_what_that_costs(tmp_path, capsys):
    run(tmp_path, TableArm([]), Sayings(scenes=[True, True, False]))
    assert main([str(tmp_path), "--live", "--report"]) == 0
    told = capsys.readouterr()
    assert "2 of 6 trials are made: whoever ends when the figures please" in told.err
    assert (tmp_path / "report.html").is_file()
    settings = json.loads((tmp_path / "run.json").read_text())
    settings["policy A"] = "first"
    (tmp_path / "run.json").write_text(json.dumps(settings))
    assert main([str(tmp_path), "--live", "--report"]) == 2
    assert "is damaged, or of no comparison" in capsys.readouterr().err
