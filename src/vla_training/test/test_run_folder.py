# SPDX-License-Identifier: Apache-2.0
"""What a run has written is there whole or not at all, also where the writing is interrupted."""

from pathlib import Path

import pytest

from vla_training.run_folder import RunFolder


def write(folder: Path, text: str) -> None:
    with RunFolder(folder).writing("checkpoint") as spare:
        spare.mkdir()
        (spare / "weights").write_text(text)


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
