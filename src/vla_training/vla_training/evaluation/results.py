# SPDX-License-Identifier: Apache-2.0
"""The table of results of the tabletop's trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_training.evaluation.ledger import (
    MEASURES,
    Layout,
    Ledger,
    ResultLine,
    flag,
    latency,
    measured,
    one_line,
    read_measures,
)
from vla_training.evaluation.perturb import PERTURBATIONS
from vla_training.evaluation.trial import COLOURS, CaseResult, TrialCase

__all__ = ["COLUMNS", "ResultStore", "TrialLine", "key", "latency"]

_KEY = ("executor", "latency_s", "perturbation", "seed", "colour")
_RESULT = ("success", "delivered", "disturbed", "ended", "duration_s", "refused", "chunks",
           "inference_s")  # fmt: skip
COLUMNS = (*_KEY, *_RESULT, *MEASURES)
TrialLine = ResultLine[TrialCase, CaseResult]


def key(case: TrialCase) -> tuple[str, ...]:
    """Return what tells a case from every other of the same run."""
    return (case.executor, case.latency, case.perturbation, str(case.seed), case.colour)


class ResultStore(Ledger[TrialCase, CaseResult]):
    """The results of one run: those that are there, and those that are added."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the folder of a run, or begin one; see `Ledger`."""
        super().__init__(folder, settings, Layout(COLUMNS, key, _row, _read))


def _row(case: TrialCase, result: CaseResult) -> Sequence[object]:
    return (
        case.executor, case.latency, case.perturbation, case.seed, case.colour,
        int(result.success), int(result.delivered), " ".join(result.disturbed),
        one_line(result.ended),
        result.duration_s, result.refused, result.chunks, result.inference_s,
        *measured(result.measures),
    )  # fmt: skip


def _read(told: Mapping[str, str]) -> tuple[TrialCase, CaseResult]:
    if told["perturbation"] not in PERTURBATIONS or told["colour"] not in COLOURS:
        raise ValueError("there is no such perturbation or colour")
    case = TrialCase(
        told["executor"], latency(told["latency_s"]), told["perturbation"],
        int(told["seed"]), told["colour"],
    )  # fmt: skip
    result = CaseResult(
        success=flag(told["success"]),
        delivered=flag(told["delivered"]),
        disturbed=tuple(told["disturbed"].split()),
        ended=told["ended"],
        duration_s=float(told["duration_s"]),
        refused=int(told["refused"]),
        chunks=int(told["chunks"]),
        inference_s=float(told["inference_s"]),
        measures=read_measures(told),
    )
    return case, result
