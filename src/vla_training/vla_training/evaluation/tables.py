# SPDX-License-Identifier: Apache-2.0
"""Results together: a row for each executor, latency and perturbation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vla_training.evaluation.cells import Cell, said, wilson
from vla_training.evaluation.results import TrialLine

__all__ = ["FIGURES", "ResultCell", "cells", "in_words", "said", "wilson"]


@dataclass(frozen=True)
class ResultCell(Cell[TrialLine]):
    """Cases that differ in scene and colour alone.

    Attributes:
        executor: How chunks became commands.
        latency: In words, s.
        perturbation: What was changed.
    """

    executor: str
    latency: str
    perturbation: str


def cells(lines: Sequence[TrialLine]) -> list[ResultCell]:
    """Return the cells of some results, in the order in which they first come."""
    groups: dict[tuple[str, str, str], list[TrialLine]] = {}
    for line in lines:
        case = line.case
        groups.setdefault((case.executor, case.latency, case.perturbation), []).append(line)
    return [
        ResultCell(f"{name[0]}, {name[1]} s, {name[2]}", tuple(group), *name)
        for name, group in groups.items()
    ]


# Heading, unit, format, value.
FIGURES: tuple[tuple[str, str, str, Callable[[TrialLine], float]], ...] = (
    ("duration", "s", ".2f", lambda line: line.result.duration_s),
    ("joint jerk mean", "rad/s^3", ".1f", lambda line: line.result.measures.joint_jerk_mean),
    ("joint jerk rms", "rad/s^3", ".1f", lambda line: line.result.measures.joint_jerk_rms),
    ("joint jerk peak", "rad/s^3", ".0f", lambda line: line.result.measures.joint_jerk_peak),
    ("tip jerk mean", "m/s^3", ".2f", lambda line: line.result.measures.tip_jerk_mean),
    ("tip jerk rms", "m/s^3", ".2f", lambda line: line.result.measures.tip_jerk_rms),
    ("tip jerk peak", "m/s^3", ".1f", lambda line: line.result.measures.tip_jerk_peak),
    ("arm jerk rms", "rad/s^3", ".1f", lambda line: line.result.measures.arm_jerk_rms),
    ("LDLJ", "", ".2f", lambda line: line.result.measures.ldlj),
    ("SPARC", "", ".2f", lambda line: line.result.measures.sparc),
    ("joint path", "rad", ".2f", lambda line: line.result.measures.joint_path),
    ("tip path", "m", ".2f", lambda line: line.result.measures.tip_path),
    ("inference", "s", ".3f", lambda line: line.result.inference_s),
)


def in_words(lines: Sequence[TrialLine]) -> str:
    """Return a table for a terminal."""
    head = f"{'executor, latency, perturbation':38s} success    95 % interval  duration s"
    rows = [head + "  tip jerk mean m/s^3  joint jerk rms rad/s^3   LDLJ  SPARC"]
    for cell in cells(lines):
        low, high = cell.interval
        values = {name: cell.mean(value) for name, _, _, value in FIGURES}
        rows.append(
            f"{cell.name:38s} {cell.successes:4d}/{len(cell.lines):<4d} "
            f"{low:6.3f} to {high:.3f} {said(values['duration'], '10.2f'):>11s} "
            f"{said(values['tip jerk mean'], '19.2f'):>20s} "
            f"{said(values['joint jerk rms'], '22.1f'):>23s} "
            f"{said(values['LDLJ'], '.1f'):>6s} {said(values['SPARC'], '.2f'):>6s}"
        )
    return "\n".join(rows)
