# SPDX-License-Identifier: Apache-2.0
"""What became of the trials of a comparison, on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from vla_training.evaluation.ledger import (
    MEASURES,
    Layout,
    Ledger,
    ResultLine,
    measured,
    read_measures,
)
from vla_training.evaluation.live.order import SIDES, LiveCase
from vla_training.evaluation.measures import MotionMeasures

COLUMNS = (
    "trial", "attempt", "pair", "policy", "instruction", "outcome", "ended", "cause", "duration_s",
    "scene_difference", "start_rad", *MEASURES,
)  # fmt: skip


class Outcome(Enum):
    """What a trial says of its policy. The first two count, the others are made anew."""

    SUCCESS = "success"
    FAILURE = "failure"
    AGAIN = "again"  # the operator wanted it again: the scene was not right, say
    INTERRUPTED = "interrupted"  # by a stop, another source, an input or a node that was lost

    @property
    def counts(self) -> bool:
        """Whether it is a result of the policy."""
        return self in (Outcome.SUCCESS, Outcome.FAILURE)


@dataclass(frozen=True)
class LiveResult:
    """What became of a trial.

    Attributes:
        instruction: What the policy was told.
        outcome: What it says of the policy.
        ended: Why the run ended: a reason of RunPolicy, `JUDGED` where the operator ended it,
            or `LOST`.
        cause: The same in words.
        duration_s: From the instruction to the end, s; NaN where it never began.
        scene_difference: Mean difference of the start picture from that of the pair's first
            trial, share of the range; NaN for that one, and without a camera.
        start_rad: Where the arm's joints were at the start (J,).
        measures: How the controller's reference moved.
    """

    instruction: str
    outcome: Outcome
    ended: str
    cause: str
    duration_s: float
    scene_difference: float
    start_rad: tuple[float, ...]
    measures: MotionMeasures

    @property
    def success(self) -> bool:
        """Whether the policy did it."""
        return self.outcome is Outcome.SUCCESS


LiveLine = ResultLine[LiveCase, LiveResult]


class LiveStore(Ledger[LiveCase, LiveResult]):
    """The trials of one comparison: those that are there, and those that are added."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the folder of a comparison, or begin one; see `Ledger`."""
        super().__init__(folder, settings, Layout(COLUMNS, _key, _row, _read))

    def settled(self, trial: int) -> LiveLine | None:
        """Return the line of a trial that counts, None where it has to be made yet."""
        return next((line for line in self.counted if line.case.trial == trial), None)

    def attempts(self, trial: int) -> int:
        """Return how often a trial was made."""
        return sum(line.case.trial == trial for line in self.lines)

    @property
    def counted(self) -> list[LiveLine]:
        """The trials that say something of a policy."""
        return [line for line in self.lines if line.result.outcome.counts]


def _key(case: LiveCase) -> tuple[str, ...]:
    return str(case.trial), str(case.attempt)


def _row(case: LiveCase, result: LiveResult) -> Sequence[object]:
    return (
        case.trial, case.attempt, case.pair, case.side, result.instruction, result.outcome.value,
        result.ended, result.cause, result.duration_s, result.scene_difference,
        " ".join(f"{each:.6g}" for each in result.start_rad), *measured(result.measures),
    )  # fmt: skip


def _read(told: Mapping[str, str]) -> tuple[LiveCase, LiveResult]:
    if told["policy"] not in SIDES:
        raise ValueError(told["policy"])
    case = LiveCase(
        int(told["trial"]), int(told["pair"]), told["policy"], int(told["attempt"])
    )  # fmt: skip
    result = LiveResult(
        instruction=told["instruction"],
        outcome=Outcome(told["outcome"]),
        ended=told["ended"],
        cause=told["cause"],
        duration_s=float(told["duration_s"]),
        scene_difference=float(told["scene_difference"]),
        start_rad=tuple(map(float, told["start_rad"].split())),
        measures=read_measures(told),
    )
    return case, result
