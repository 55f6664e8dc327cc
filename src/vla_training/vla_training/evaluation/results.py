# SPDX-License-Identifier: Apache-2.0
"""Results on disk: a line for each case, written as it ends, so that what was cut off goes on."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vla_training.errors import TrainingError, writing
from vla_training.evaluation.measures import MotionMeasures
from vla_training.evaluation.trial import CaseResult, TrialCase

RESULTS, RUN = "results.csv", "run.json"
MAX_BYTES = 1 << 30
_KEY = ("executor", "latency_s", "perturbation", "seed", "colour")
_RESULT = ("success", "delivered", "disturbed", "ended", "duration_s", "refused", "chunks",
           "inference_s")  # fmt: skip
_MEASURES = tuple(each.name for each in fields(MotionMeasures))
COLUMNS = (*_KEY, *_RESULT, *_MEASURES)


@dataclass(frozen=True)
class TrialLine:
    """A case and what became of it."""

    case: TrialCase
    result: CaseResult


def key(case: TrialCase) -> tuple[str, ...]:
    """Return what tells a case from every other of the same run."""
    return (case.executor, case.latency, case.perturbation, str(case.seed), case.colour)


class ResultStore:
    """The results of one run: those that are there, and those that are added."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the folder of a run, or begin one.

        Args:
            folder: Made where there is none.
            settings: What all cases share: policy, robot, limits. Those of a run that is there
                must be the same.

        Raises:
            TrainingError: They differ, or a file cannot be read or written.
        """
        self._path = folder / RESULTS
        wanted = json.loads(json.dumps(settings))
        run = folder / RUN
        with writing(run):
            folder.mkdir(parents=True, exist_ok=True)
            if run.exists():
                self._same(run, wanted)
            else:
                part = run.with_suffix(".part")
                part.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
                part.replace(run)
        self.lines = self._read()

    def has(self, case: TrialCase) -> bool:
        """Say whether a case was tried already."""
        return key(case) in self._known

    def add(self, case: TrialCase, result: CaseResult) -> None:
        """Keep what became of a case.

        Raises:
            TrainingError: It cannot be written.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        if not self._path.exists():
            writer.writerow(COLUMNS)
        writer.writerow(_row(case, result))
        with writing(self._path), self._path.open("a", encoding="utf-8", newline="") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(TrialLine(case, result))
        self._known.add(key(case))

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

    def _read(self) -> list[TrialLine]:
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
        rows = list(csv.reader(io.StringIO(text)))
        if not rows:
            self._path.unlink()
            return []
        if tuple(rows[0]) != COLUMNS:
            raise TrainingError(f"{self._path}: has other columns; name a new folder")
        lines = []
        for number, row in enumerate(rows[1:], 2):
            try:
                line = _line(row)
            except (ValueError, IndexError):
                raise TrainingError(
                    f"{self._path}: line {number}: is damaged; remove that line"
                ) from None
            lines.append(line)
            self._known.add(key(line.case))
        return lines


def _row(case: TrialCase, result: CaseResult) -> Sequence[object]:
    measures = asdict(result.measures)
    return (
        case.executor, case.latency, case.perturbation, case.seed, case.colour,
        int(result.success), int(result.delivered), " ".join(result.disturbed), result.ended,
        result.duration_s, result.refused, result.chunks, result.inference_s,
        *(measures[name] for name in _MEASURES),
    )  # fmt: skip


def _line(row: Sequence[str]) -> TrialLine:
    told = dict(zip(COLUMNS, row, strict=True))
    case = TrialCase(
        told["executor"], latency(told["latency_s"]), told["perturbation"],
        int(told["seed"]), told["colour"],
    )  # fmt: skip
    measures: dict[str, Any] = {name: float(told[name]) for name in _MEASURES}
    measures["movements"] = int(told["movements"])
    result = CaseResult(
        success=bool(int(told["success"])),
        delivered=bool(int(told["delivered"])),
        disturbed=tuple(told["disturbed"].split()),
        ended=told["ended"],
        duration_s=float(told["duration_s"]),
        refused=int(told["refused"]),
        chunks=int(told["chunks"]),
        inference_s=float(told["inference_s"]),
        measures=MotionMeasures(**measures),
    )
    return TrialLine(case, result)


def latency(text: str) -> tuple[float, float]:
    """Read a latency, s: one number, or least and most with a hyphen between.

    Raises:
        ValueError: It is none.
    """
    low, _, high = text.partition("-")
    found = float(low), float(high or low)
    if not (0.0 <= found[0] <= found[1] <= 10.0 and math.isfinite(found[1])):
        raise ValueError(f"{text} is no latency of 0 to 10 s")
    return found
