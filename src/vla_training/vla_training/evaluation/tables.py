# SPDX-License-Identifier: Apache-2.0
"""Results together: a row for each executor, latency and perturbation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vla_training.evaluation.results import TrialLine


@dataclass(frozen=True)
class ResultCell:
    """Cases that differ in scene and colour alone.

    Attributes:
        executor: How chunks became commands.
        latency: In words, s.
        perturbation: What was changed.
        lines: The cases.
    """

    executor: str
    latency: str
    perturbation: str
    lines: tuple[TrialLine, ...]

    @property
    def name(self) -> str:
        """All three in words."""
        return f"{self.executor}, {self.latency} s, {self.perturbation}"

    @property
    def successes(self) -> int:
        """How many."""
        return sum(line.result.success for line in self.lines)

    @property
    def rate(self) -> float:
        """Share of successes."""
        return self.successes / len(self.lines)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, 95 %, by Wilson."""
        return wilson(self.successes, len(self.lines))

    def mean(self, value: Callable[[TrialLine], float]) -> float:
        """Return the mean over the cases for which a value is defined; NaN for none."""
        values = [value(line) for line in self.lines]
        defined = [each for each in values if not math.isnan(each)]
        return float(np.mean(defined)) if defined else math.nan


def cells(lines: Sequence[TrialLine]) -> list[ResultCell]:
    """Return the cells of some results, in the order in which they first come."""
    groups: dict[tuple[str, str, str], list[TrialLine]] = {}
    for line in lines:
        case = line.case
        groups.setdefault((case.executor, case.latency, case.perturbation), []).append(line)
    return [ResultCell(*name, tuple(group)) for name, group in groups.items()]


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


def said(value: float, form: str) -> str:
    """Return a number in words; a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


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


def wilson(good: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's method."""
    if count == 0:
        return 0.0, 1.0
    share = good / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) * z
    half /= 1 + z * z / count
    return max(0.0, middle - half), min(1.0, middle + half)
