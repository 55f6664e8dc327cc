# SPDX-License-Identifier: Apache-2.0
"""The folder of a training run: what the run is, where it is, and what it has written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vla_recording.dataset.files import flush
from vla_training.errors import TrainingError, writing

STATE_FILE, SETTINGS_FILE, CHECKPOINT = "state.pt", "run.json", "checkpoint"
# Of a folder that is being exchanged for a new one.
BEFORE = ".before"


class RunFolder:
    """Keeps a run so that it can go on. What is written there is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Take a folder as it is, and put back what a process that was killed left out of it."""
        self.path = path
        for before in path.glob(f".*{BEFORE}"):
            folder = path / before.name[1 : -len(BEFORE)]
            if not folder.exists():
                with writing(folder):
                    before.replace(folder)

    def keep(
        self,
        settings: Mapping[str, Any],
        given: Mapping[str, Any],
        free: Sequence[str],
        defaults: Mapping[str, Any],
    ) -> bool:
        """Write what the run is, or check that it is the one that is there.

        Args:
            settings: How to train.
            given: From what, by name.
            free: Names of both that may differ when a run goes on.
            defaults: Of both: what a run was begun with that has no word of one.

        Returns:
            Whether it is a new one.

        Raises:
            TrainingError: Another run is there.
        """
        path = self.path / SETTINGS_FILE
        now = json.loads(json.dumps({"settings": settings, **given}))
        if not path.exists():
            with writing(path):
                self.path.mkdir(parents=True, exist_ok=True)
                spare = path.with_suffix(".part")
                spare.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
                _replace(spare, path)
            return True
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
            was = {**json.loads(json.dumps(defaults)), **there.pop("settings"), **there}
            if not given.keys() <= was.keys():
                raise KeyError
        except (OSError, ValueError, KeyError, TypeError):
            raise TrainingError(
                f"{path}: is damaged, or of an older version; name a new folder for the run"
            ) from None
        for name, value in {**now.pop("settings"), **now}.items():
            if name not in free and was[name] != value:
                raise TrainingError(
                    f"{path}: {name}: the run was begun with {was[name]}, not {value}; set it "
                    "back to go on, or name a new folder"
                )
        return False

    def forget(self) -> None:
        """Take back what `keep` wrote: the run could not begin."""
        (self.path / SETTINGS_FILE).unlink(missing_ok=True)

    def take_up(self, load: Callable[[dict[str, Any]], None]) -> None:
        """Load the state, where there is one.

        Raises:
            TrainingError: It is damaged.
        """
        path = self.path / STATE_FILE
        if not path.exists():
            return
        try:
            load(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # torch raises whatever its unpickler raises
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise TrainingError(
                f"{path}: is damaged ({first}); delete it to train from the beginning"
            ) from None

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state.

        Raises:
            TrainingError: It cannot be written; the one before is kept.
        """
        path = self.path / STATE_FILE
        spare = path.with_suffix(".part")
        try:
            with writing(path):
                torch.save(state, spare)
                _replace(spare, path)
        finally:
            spare.unlink(missing_ok=True)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a path for a folder's new content, which then takes the place of the old.

        Args:
            name: Of the folder, within this one.

        Raises:
            TrainingError: It cannot be written; the one before is kept.
        """
        folder, spare = self.path / name, self.path / f".{name}.part"
        before = self.path / f".{name}{BEFORE}"
        shutil.rmtree(spare, ignore_errors=True)
        try:
            with writing(folder):
                yield spare
                for each in (*spare.rglob("*"), spare):
                    flush(each)
                shutil.rmtree(before, ignore_errors=True)
                if folder.exists():
                    folder.replace(before)
                spare.replace(folder)
                flush(self.path)
        finally:
            if before.exists() and not folder.exists():
                before.replace(folder)
            shutil.rmtree(before, ignore_errors=True)
            shutil.rmtree(spare, ignore_errors=True)


def _replace(spare: Path, path: Path) -> None:
    """Give a file its name once its content is on the disk, so that a power cut leaves either."""
    flush(spare)
    os.replace(spare, path)
    flush(path.parent)
