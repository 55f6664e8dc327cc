# SPDX-License-Identifier: Apache-2.0
"""Conversions of bags, one after the other, in processes of their own.

So they take nothing from the recorder's time, and their memory goes with them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# What moves the arm goes first; by more than this, a busy computer never comes to it.
NICENESS = 5
_CLOSE_S = 2.0


@dataclass(frozen=True)
class Converted:
    """What became of one.

    Attributes:
        bag: Its folder.
        problem: Why it is not in the dataset, in words; empty where it is.
    """

    bag: Path
    problem: str


class Conversions:
    """Runs `vla-record convert` for one bag at a time."""

    def __init__(self, dataset: Path, pictures: str) -> None:
        """Say where rows go.

        Args:
            dataset: Folder of the dataset.
            pictures: How they are stored: `video`, `image`, or empty for what is there already.
        """
        self._dataset, self._pictures = dataset, pictures
        self._waiting: deque[Path] = deque()
        self._running: tuple[Path, subprocess.Popen[bytes], IO[bytes]] | None = None
        self._not_begun: list[Converted] = []

    @property
    def count(self) -> int:
        """How many run or wait."""
        return len(self._waiting) + (self._running is not None)

    def has(self, bag: Path) -> bool:
        """Say whether a bag is being converted, or waits for it."""
        running = self._running is not None and self._running[0] == bag
        return running or bag in self._waiting

    def command(self, bag: Path) -> list[str]:
        """Return what a person would type for a bag."""
        words = ["convert", str(bag), "--output", str(self._dataset)]
        return words + (["--pictures", self._pictures] if self._pictures else [])

    def add(self, bag: Path) -> None:
        """Let a bag be converted when those before it are."""
        self._waiting.append(bag)
        self._start()

    def poll(self) -> list[Converted]:
        """Return what has been converted since it was asked last.

        The next one begins when it is asked again: whoever waits for the dataset comes between.
        """
        found, self._not_begun = self._not_begun, []
        if self._running is None:
            if not found:
                self._start()
            return found
        bag, process, said = self._running
        code = process.poll()
        if code is None:
            return found
        self._running = None
        said.seek(0)
        lines = said.read(65_536).decode("utf-8", "replace").strip().splitlines()
        said.close()
        if code == 0:
            return [*found, Converted(bag, "")]
        problem = lines[-1] if lines else f"the conversion ended with {code}"
        return [*found, Converted(bag, problem)]

    def close(self) -> list[Path]:
        """End the one that runs, and return the bags that are not converted."""
        left = list(self._waiting)
        self._waiting.clear()
        if self._running is not None:
            bag, process, said = self._running
            process.terminate()
            try:
                process.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            said.close()
            left.insert(0, bag)
            self._running = None
        return left

    def _start(self) -> None:
        while self._running is None and self._waiting:
            bag = self._waiting.popleft()
            try:
                self._running = bag, *self._begun(bag)
            except OSError as error:  # no memory, no process, no temporary file
                why = f"cannot be begun: {error.strerror}"
                self._not_begun.append(Converted(bag, f"the conversion {why}"))

    def _begun(self, bag: Path) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        said = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the process has ended
        module = [sys.executable, "-m", "vla_recording.episodes.command"]
        module += ["--nice", str(NICENESS), "--wait"]
        try:
            process = subprocess.Popen(
                [*module, *self.command(bag)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                # Ctrl-C at the terminal is for the recorder, which ends it.
                start_new_session=True,
            )
        except OSError:
            said.close()
            raise
        return process, said
