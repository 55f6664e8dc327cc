# SPDX-License-Identifier: Apache-2.0
"""A monitor that is started again knows what the one before it knew."""

import json
import os
import threading
import time
from dataclasses import replace

import pytest

from smoothness_monitor.core.types import CallRequest, Latch, StopState
from smoothness_monitor.latch_file import Found, LatchFile, file_of
from smoothness_monitor.params import ConfigError

MS = 1_000_000
S = 1_000_000_000
LATCHED = Latch(True, True, True, "tracking_error", "elbow_flex: 0.3 rad", 5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "0.smoothness_monitor.json"


def opened(path, robot="so101"):
    return LatchFile(path, robot)


def written(path, words):
    """Wait until the thread has written something."""
    end = time.monotonic() + 60.0
    while words not in path.read_text(encoding="utf-8"):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_first_start_is_not_latched(path):
    assert opened(path).found == Found()


def test_two_writers_of_one_file_do_not_take_each_others_new_file_away(path, monkeypatch):
    first, second = opened(path), opened(path)
    arrived, other_is_done, replace = threading.Event(), threading.Event(), os.replace

    def slowly(source, target):
        if threading.current_thread() is first._thread:
            arrived.set()
            assert other_is_done.wait(60.0)
        replace(source, target)

    monkeypatch.setattr(os, "replace", slowly)
    first.note(LATCHED)
    assert arrived.wait(60.0)
    second.close(Latch(False))
    other_is_done.set()
    end = time.monotonic() + 60.0
    while "tracking_error" not in path.read_text(encoding="utf-8"):
        assert not first.problem
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_orderly_end_at_rest_does_not_latch_the_next_one(path):
    opened(path).close(Latch(False))
    assert opened(path).found == Found()


def test_a_process_that_just_ends_latches_the_next_one(path):
    """H27."""
    opened(path)
    found = opened(path).found
    assert "ended without a word" in found.why


def test_an_end_in_motion_latches_the_next_one(path):
    """H27."""
    opened(path).close(Latch(False, rests=False))
    assert "while the arm moved" in opened(path).found.why


def test_a_latch_outlives_any_number_of_processes_and_says_why(path):
    """H27."""
    first = opened(path)
    first.note(LATCHED)
    written(path, "tracking_error")
    for _ in range(3):
        again = opened(path)
        assert again.found.why == "it was latched by tracking_error: elbow_flex: 0.3 rad"
        assert again.found.locked_out
    again.close(Latch(True, True, True, "restarted", again.found.why))
    assert opened(path).found.why == again.found.why


def test_a_reset_is_remembered_too(path):
    file = opened(path)
    file.note(LATCHED)
    file.note(Latch(False))
    file.close(Latch(False))
    assert opened(path).found == Found()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 20_000,
        b"0" * 100_000,
        json.dumps({"version": 1, "state": "ended"}).encode(),
    ],
)
def test_a_file_that_is_damaged_latches(path, content):
    """H27."""
    opened(path).close(Latch(False))
    path.write_bytes(content)
    assert "is damaged" in opened(path).found.why


@pytest.mark.parametrize(
    ("key", "value"),
    [("latched", 0), ("state", "fine"), ("version", 2), ("detail", None), ("more", 1)],
)
def test_a_file_of_another_kind_latches(path, key, value):
    """H27."""
    opened(path).close(Latch(False))
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, key: value}), encoding="utf-8")
    assert opened(path).found.why


def test_a_file_about_another_robot_latches(path):
    """H27."""
    opened(path).close(Latch(False))
    assert "is about the robot 'so101', this one is panda" in opened(path, "panda").found.why


def test_a_file_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match="latch_folder: "):
        opened(blocked / "latch.json")
    (tmp_path / "latch.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        opened(tmp_path / "latch.json")


def test_a_user_without_a_home_is_told_to_give_a_folder(monkeypatch):
    monkeypatch.delenv("ROS_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(ConfigError, match="latch_folder:=/var/lib/arm"):
        file_of("", "/smoothness_monitor", "0")
    with pytest.raises(ConfigError, match="latch_folder: ~nobody-of-this-name/x: "):
        file_of("~nobody-of-this-name/x", "/smoothness_monitor", "0")


def test_a_disk_that_fails_later_ends_nothing_and_latches_the_next_process(path):
    """H27."""
    file = opened(path)
    for each in path.parent.iterdir():
        each.unlink()
    os.rmdir(path.parent)
    path.parent.write_text("in the way")
    file.note(LATCHED)
    end = time.monotonic() + 60.0
    while not file.problem:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "cannot be written" in file.problem
    file.close(Latch(False))


def test_two_arms_and_two_graphs_have_files_of_their_own(tmp_path, monkeypatch):
    names = {
        file_of(tmp_path, node, domain)
        for node in ("/monitor", "/left/monitor", "/right/monitor")
        for domain in ("0", "7")
    }
    assert len(names) == 6
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "ros"))
    assert file_of("", "/a/b", "0") == tmp_path / "ros" / "smoothness_monitor" / "0.a.b.json"


# -- the core ------------------------------------------------------------------------------------


def restore(bench, locked_out=False):
    bench.take(bench.monitor.restore("it was latched by x", locked_out=locked_out, now=bench.now))


def test_a_restored_latch_waits_for_a_person_and_says_so(bench):
    """H27."""
    restore(bench)
    bench.policy_on = bench.insistent = True
    bench.run(3.0)
    assert bench.state is StopState.STOPPED_LATCHED
    snapshot = bench.monitor.snapshot()
    assert snapshot.causes == ("restarted",)
    assert snapshot.waiting_for == ("a person: it was latched by x; call ~/reset",)
    assert snapshot.plans_forwarded == 0
    bench.policy_on = False
    assert bench.reset() == (True, "READY")
    assert bench.monitor.snapshot().waiting_for == ()


def test_a_controller_that_was_locked_out_before_the_restart_is_activated_by_a_reset(bench):
    """H27."""
    bench.answers[CallRequest.ACTIVATE] = (True, 2 * MS)
    bench.plant.deactivate()
    restore(bench, locked_out=True)
    bench.run(1.0)
    assert bench.monitor.snapshot().locked_out
    assert bench.reset()[0] is None
    bench.run(0.5)
    assert bench.state is StopState.READY


def test_a_controller_that_is_found_inactive_after_a_restart_counts_as_locked_out(bench):
    """H27."""
    bench.answers[CallRequest.ACTIVATE] = (True, 2 * MS)
    bench.plant.deactivate()
    restore(bench)
    bench.take(bench.monitor.on_activity("inactive", bench.now))
    bench.run(1.0)
    assert bench.reset()[0] is None
    bench.run(0.5)
    assert bench.state is StopState.READY


def test_what_moves_on_after_a_restart_is_braked_unless_it_ends_by_itself(bench):
    """H27."""
    own = bench.motion
    began_ns = bench.now_ns

    def creep(t_ns):
        position, velocity, acceleration = own.at(t_ns)
        offset = 0.02 * (t_ns - began_ns) * 1e-9
        return position + offset, velocity + 0.02, acceleration

    bench.motion = replace(own, at=creep)
    restore(bench)
    bench.run(4.0)
    assert bench.sent == []
    bench.run(3.0)
    assert len(bench.sent) >= 1
    assert bench.travel(bench.now_ns - S) == 0.0
    assert bench.state is StopState.STOPPED_LATCHED
