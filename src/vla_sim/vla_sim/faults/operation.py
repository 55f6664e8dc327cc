# SPDX-License-Identifier: Apache-2.0
"""What an operation is, and the way on which several act. No ROS, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from smooth_motion.messages import ControllerState, JointStates, Trajectory

Message = JointStates | ControllerState | Trajectory
MessageT = TypeVar("MessageT", JointStates, ControllerState, Trajectory)
# What goes on: (delay in ns, message).
Passed = list[tuple[int, Any]]
Change = Callable[[list[float]], list[float]]


class FaultError(ValueError):
    """A fault cannot be used. The message is one line: what, and what to do."""


def param(doc: str, unit: str = "") -> Any:
    """Return the field of a parameter."""
    return field(metadata={"doc": doc, "unit": unit})


@dataclass
class Operation:
    """One thing done to every message while a fault is on.

    Attributes:
        name: As in a fault file.
        doc: What it does, for the table.
    """

    name: ClassVar[str]
    doc: ClassVar[str]

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        """Begin; `random` is the source of everything random."""
        self._since_ns, self._random = now_ns, random

    def apply(self, message: Any, now_ns: int) -> Passed:
        """Return what goes on instead of a message."""
        raise NotImplementedError


class Link:
    """A way for messages, with the operations that are on.

    Attributes:
        operations: Applied one after the other to what the one before let through.
    """

    def __init__(self) -> None:
        """Let everything pass."""
        self.operations: list[Operation] = []
        self._newest_ns: dict[int, int] = {}

    def due(self, passed: Passed, now_ns: int) -> list[tuple[int, Any]]:
        """Return when what came out of `carry` is to be delivered, (time in ns, message) each.

        Nothing overtakes what was sent before it, also not once an operation is over. Copies that
        come later are in order among their like.
        """
        out = []
        for later_ns, message in passed:
            copy = later_ns - passed[0][0]
            at_ns = max(now_ns + later_ns, self._newest_ns.get(copy, 0))
            self._newest_ns[copy] = at_ns
            out.append((at_ns, message))
        return out

    def carry(self, message: Any, now_ns: int) -> Passed:
        """Return what comes out, (delay in ns, message) each, in the order of delivery."""
        out: Passed = [(0, message)]
        for operation in self.operations:
            out = [
                (before_ns + later_ns, changed)
                for before_ns, each in out
                for later_ns, changed in operation.apply(each, now_ns)
            ]
        return out
