# SPDX-License-Identifier: Apache-2.0
"""Operations on whether, when and how often a message arrives, and on its stamp."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smooth_motion.messages import ControllerState
from vla_sim.faults.operation import Operation, Passed, param


@dataclass
class Drop(Operation):
    """Lose messages."""

    name = "drop"
    doc = "loses messages"
    probability: float = param("Share of the messages that are lost, 1 for all.")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Lose it or not."""
        return [] if self._random.random() < self.probability else [(0, message)]


@dataclass
class Delay(Operation):
    """Deliver late, in order."""

    name = "delay"
    doc = "delivers late"
    delay_s: float = param("By how much.", "s")
    jitter_s: float = param("Largest random addition.", "s")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it later."""
        delay_s = self.delay_s + self.jitter_s * self._random.random()
        return [(round(delay_s * 1e9), message)]


@dataclass
class Hold(Operation):
    """Keep messages back and release them all at once, in order."""

    name = "hold"
    doc = "keeps messages back and releases them at once"
    every_s: float = param("Time between two releases.", "s")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver it at the end of its period."""
        period_ns = round(self.every_s * 1e9)
        return [(period_ns - (now_ns - self._since_ns) % period_ns, message)]


@dataclass
class Duplicate(Operation):
    """Deliver each message several times."""

    name = "duplicate"
    doc = "delivers every message more than once"
    copies: int = param("How often in all.")
    apart_s: float = param("Time between the copies.", "s")

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver copies."""
        return [(round(i * self.apart_s * 1e9), message) for i in range(self.copies)]


@dataclass
class Swap(Operation):
    """Deliver every second message before the one that it follows."""

    name = "swap"
    doc = "swaps neighbouring messages"

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        """Begin with nothing kept back."""
        super().start(now_ns, random)
        self._kept: Any = None

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Keep it back, or deliver it and then the one kept back."""
        kept, self._kept = self._kept, None
        if kept is None:
            self._kept = message
            return []
        return [(0, message), (0, kept)]


@dataclass
class Stuck(Operation):
    """Deliver the first message again and again, stamp and all."""

    name = "stuck"
    doc = "repeats one message with its stamp"

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        """Begin without a message."""
        super().start(now_ns, random)
        self._first: Any = None

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver the first one."""
        if self._first is None:
            self._first = message
        return [(0, self._first)]


@dataclass
class Freeze(Operation):
    """Repeat the first values with fresh stamps."""

    name = "freeze"
    doc = "repeats the first values with fresh stamps"

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        """Begin without values."""
        super().start(now_ns, random)
        self._first: Any = None

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Deliver the first values under this message's stamp."""
        if self._first is None:
            self._first = message
        if isinstance(message, ControllerState):
            # Its velocity too: a controller that lies lies in every field but the time.
            kept = replace(
                self._first,
                stamp_ns=message.stamp_ns,
                time_from_start_ns=message.time_from_start_ns,
            )
            return [(0, kept)]
        return [(0, replace(self._first, stamp_ns=message.stamp_ns))]
