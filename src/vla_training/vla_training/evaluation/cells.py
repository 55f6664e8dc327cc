# SPDX-License-Identifier: Apache-2.0
"""Shares of successes, with their intervals, and means over cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np


class _Counted(Protocol):
    @property
    def success(self) -> bool: ...


class _Line(Protocol):
    @property
    def result(self) -> _Counted: ...


LineT = TypeVar("LineT", bound=_Line)


@dataclass(frozen=True)
class Cell(Generic[LineT]):
    """Cases that are counted together.

    Attributes:
        title: In words.
        lines: The cases.
    """

    title: str
    lines: tuple[LineT, ...]

    @property
    def name(self) -> str:
        """In words."""
        return self.title

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

    def mean(self, value: Callable[[LineT], float]) -> float:
        """Return the mean over the cases for which a value is defined; NaN for none."""
        values = [value(line) for line in self.lines]
        defined = [each for each in values if not math.isnan(each)]
        return float(np.mean(defined)) if defined else math.nan


def said(value: float, form: str) -> str:
    """Return a number in words; a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def wilson(good: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson's method."""
    if count == 0:
        return 0.0, 1.0
    share = good / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) * z
    half /= 1 + z * z / count
    return max(0.0, middle - half), min(1.0, middle + half)
