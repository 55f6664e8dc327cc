# SPDX-License-Identifier: Apache-2.0
"""Results on disk: a line for each case, written as it ends, so that what was cut off goes on."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from vla_training.errors import TrainingError, writing
from vla_training.evaluation.measures import MotionMeasures

RESULTS, RUN = "results.csv", "run.json"
MAX_BYTES = 1 << 30
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
MOST_LETTERS = 500  # of why a case ended
MEASURES = tuple(each.name for each in fields(MotionMeasures))
CaseT = TypeVar("CaseT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ResultLine(Generic[CaseT, ResultT]):
    """A case and what became of it."""

    case: CaseT
    result: ResultT


@dataclass(frozen=True)
class Layout(Generic[CaseT, ResultT]):
    """How a case and its result are a line of the table.

    Attributes:
        columns: Names.
        key: What tells a case from every other of the same run.
        row: The values of a line.
        read: Of the texts of a line by column; raises ValueError where one is damaged.
    """

    columns: tuple[str, ...]
    key: Callable[[CaseT], tuple[str, ...]]
    row: Callable[[CaseT, ResultT], Sequence[object]]
    read: Callable[[Mapping[str, str]], tuple[CaseT, ResultT]]


class Ledger(Generic[CaseT, ResultT]):
    """The results of one run: those that are there, and those that are added."""

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], layout: Layout[CaseT, ResultT]
    ) -> None:
        """Open the folder of a run, or begin one.

        Args:
            folder: Made where there is none.
            settings: What all cases share: policy, robot, limits. Those of a run that is there
                must be the same.
            layout: How a case and its result are a line of the table.

        Raises:
            TrainingError: They differ, or a file cannot be read or written.
        """
        self._path, self._layout = folder / RESULTS, layout
        wanted = json.loads(json.dumps(settings))
        run = folder / RUN
        with writing(run):
            folder.mkdir(parents=True, exist_ok=True)
            if run.exists():
                self._same(run, wanted)
            elif self._path.exists():
                raise TrainingError(
                    f"{run}: is missing, so nobody knows whose the results beside it are; put it "
                    "back, or name a new folder"
                )
            else:
                part = run.with_suffix(".part")
                part.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
                part.replace(run)
        self.lines = self._read()

    def has(self, case: CaseT) -> bool:
        """Say whether a case was tried already."""
        return self._layout.key(case) in self._known

    def add(self, case: CaseT, result: ResultT) -> None:
        """Keep what became of a case.

        Raises:
            TrainingError: It cannot be written.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        if not self._path.exists():
            writer.writerow(self._layout.columns)
        writer.writerow(self._layout.row(case, result))
        with writing(self._path), self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(ResultLine(case, result))
        self._known.add(self._layout.key(case))

    def _same(self, run: Path, wanted: Mapping[str, Any]) -> None:
        try:
            there = json.loads(run.read_text(encoding="utf-8"))
            assert isinstance(there, dict)
        except (ValueError, AssertionError):
            raise TrainingError(f"{run}: is damaged; name a new folder") from None
        for name in {**there, **wanted}:
            if there.get(name) != wanted.get(name):
                raise TrainingError(
                    f"{run}: {name}: was {there.get(name)!r:.80} and is {wanted.get(name)!r:.80}; "
                    "name a new folder, or give what it was"
                )

    def _read(self) -> list[ResultLine[CaseT, ResultT]]:
        self._known: set[tuple[str, ...]] = set()
        if not self._path.exists():
            return []
        with writing(self._path):
            if self._path.stat().st_size > MAX_BYTES:
                raise TrainingError(f"{self._path}: is larger than {MAX_BYTES} bytes")
            text = self._path.read_text(encoding="utf-8", errors="replace")
            if text and not text.endswith("\n"):
                # The line that was being written when the last run was cut off.
                text = text[: text.rfind("\n") + 1]
                part = self._path.with_suffix(".part")
                part.write_text(text, encoding="utf-8")
                part.replace(self._path)
        try:
            rows = list(csv.reader(io.StringIO(text, newline="")))
        except csv.Error as error:
            raise TrainingError(f"{self._path}: is damaged ({error}); name a new folder") from None
        if not rows:
            self._path.unlink()
            return []
        if tuple(rows[0]) != self._layout.columns:
            raise TrainingError(f"{self._path}: has other columns; name a new folder")
        lines = []
        for number, row in enumerate(rows[1:], 2):
            try:
                told = dict(zip(self._layout.columns, row, strict=True))
                line = ResultLine(*self._layout.read(told))
            except (ValueError, IndexError):
                raise TrainingError(
                    f"{self._path}: line {number}: is damaged; remove that line"
                ) from None
            key = self._layout.key(line.case)
            if key in self._known:
                raise TrainingError(
                    f"{self._path}: line {number}: its case stands there before; remove that line"
                )
            lines.append(line)
            self._known.add(key)
        return lines


def measured(measures: MotionMeasures) -> tuple[object, ...]:
    """Return the values of `MEASURES`."""
    told = asdict(measures)
    return tuple(told[name] for name in MEASURES)


def read_measures(told: Mapping[str, str]) -> MotionMeasures:
    """Return the measures of a line; raises ValueError where one is damaged."""
    found: dict[str, Any] = {name: float(told[name]) for name in MEASURES}
    found["movements"] = int(told["movements"])
    if any(math.isinf(value) for value in found.values()):
        raise ValueError("a measure is infinite")
    return MotionMeasures(**found)


def one_line(text: str) -> str:
    """Return a text as a column holds it: in one line, of bounded length."""
    return " ".join(text.replace("\0", " ").split())[:MOST_LETTERS]


def flag(text: str) -> bool:
    """Read what is so (1) or not (0).

    Raises:
        ValueError: It is something else.
    """
    if text not in ("0", "1"):
        raise ValueError(f"{text} is neither 0 nor 1")
    return text == "1"


def latency(text: str) -> tuple[float, float]:
    """Read a latency, s: one number, or least and most with a hyphen between.

    Raises:
        ValueError: It is none.
    """
    parts = re.fullmatch(rf"({_NUMBER})(?:-({_NUMBER}))?", text)
    if parts is None:
        raise ValueError(f"{text} is no latency")
    found = float(parts[1]), float(parts[2] or parts[1])
    if not (0.0 <= found[0] <= found[1] <= 10.0 and math.isfinite(found[1])):
        raise ValueError(f"{text} is no latency of 0 to 10 s")
    return found
