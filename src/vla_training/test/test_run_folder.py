# SPDX-License-Identifier: Apache-2.0
"""What a run has written is there whole or not at all, also where the writing is interrupted."""

from pathlib import Path

import pytest

from vla_training.errors import TrainingError, writing
from vla_training.metrics import Metrics
from vla_training.run_folder import RunFolder


def write(folder: Path, text: str) -> None:
    with RunFolder(folder).writing("checkpoint") as spare:
        spare.mkdir()
        (spare / "weights").write_text(text)


def test_a_setting_that_a_run_has_no_word_of_was_as_it_is_by_default(tmp_path):
    def keep(**settings):
        RunFolder(tmp_path).keep(settings, {"data": 7}, ["free"], {"rate": 1.0, "free": 1})

    keep(free=1)  # before there was a rate
    keep(rate=1.0, free=2)
    with pytest.raises(TrainingError, match=r"rate: the run was begun with 1.0, not 0.5;"):
        keep(rate=0.5, free=1)


def test_what_a_run_was_begun_from_may_have_a_default_too(tmp_path):
    RunFolder(tmp_path).keep({}, {"data": 7}, [], {})  # before there were several processes
    RunFolder(tmp_path).keep({}, {"data": 7, "processes": 1}, [], {"processes": 1})
    with pytest.raises(TrainingError, match=r"processes: the run was begun with 1, not 2;"):
        RunFolder(tmp_path).keep({}, {"data": 7, "processes": 2}, [], {"processes": 1})


def test_a_run_that_does_not_say_what_it_was_begun_from_is_refused(tmp_path):
    RunFolder(tmp_path).keep({}, {"data": 7}, [], {})
    with pytest.raises(TrainingError, match=r"is damaged, or of an older version; name a new"):
        RunFolder(tmp_path).keep({}, {"data": 7, "base": "x"}, [], {})


@pytest.mark.parametrize(
    "words",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0",
    ],
)
def test_a_full_disk_is_one_line_whoever_says_it(words):
    line = r"^out/x: .*the disk is full: free some space"
    with pytest.raises(TrainingError, match=line), writing(Path("out/x")):
        raise Exception(words)  # safetensors has a class of its own for it
    with pytest.raises(KeyError), writing(Path("out/x")):
        raise KeyError("another thing")


@pytest.mark.parametrize("line", [b"nan,1\n", b"\xff\xfe,1\n", b"1e3,1\n", b"1,?\n"])
def test_damaged_metrics_are_one_line_and_kept(tmp_path, line):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"step,loss\n1,0.5\n" + line)
    with pytest.raises(TrainingError, match=r"metrics.csv: is damaged; move it away"):
        Metrics(tmp_path, ["loss"], 1)
    assert path.read_bytes().endswith(line)


def test_an_interrupted_exchange_of_a_folder_keeps_the_one_before(tmp_path, monkeypatch):
    write(tmp_path, "one")
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        if path.name.endswith(".part"):
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "two")
    assert (tmp_path / "checkpoint" / "weights").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_process_that_is_killed_in_an_exchange_leaves_what_the_next_puts_back(tmp_path):
    """`kill -9` runs nothing: the folder from before lies beside its place, and nothing in it."""
    write(tmp_path, "one")
    (tmp_path / "checkpoint").rename(tmp_path / ".checkpoint.before")
    RunFolder(tmp_path)
    assert (tmp_path / "checkpoint" / "weights").read_text() == "one"
    (tmp_path / ".checkpoint.before").mkdir()
    write(tmp_path, "two")
    assert (tmp_path / "checkpoint" / "weights").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
