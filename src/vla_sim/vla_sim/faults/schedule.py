# SPDX-License-Identifier: Apache-2.0
"""Fault files: what goes wrong, where, when and for how long.

A file is a list. Every entry has `at_s`, counted from the first trajectory that goes to the
controller, and is one of these::

    - {at_s: 4.0, for_s: 2.0, stream: joint_states, do: freeze}
    - {at_s: 9.0, for_s: 1.0, stream: commands, do: delay, delay_s: 0.1, jitter_s: 0.02}
    - {at_s: 12.0, for_s: 0.5, intrude_every_s: 0.033}
    - {at_s: 20.0, process: vla_policy_node, signal: KILL}
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from strict_yaml import StrictYamlError, read_yaml
from vla_sim.faults.operations import OPERATIONS, FaultError, Operation

STREAMS = ("joint_states", "controller_state", "plans", "commands")
SIGNALS = ("KILL", "STOP", "CONT", "TERM", "INT")
_KINDS = {str: "a text", int: "an integer", float: "a number"}


@dataclass(frozen=True)
class StreamFault:
    """An operation on a stream for a while."""

    at_s: float
    for_s: float
    stream: str
    operation: Operation


@dataclass(frozen=True)
class Intrusion:
    """Another publisher on the controller's topic for a while; it sends points of its own."""

    at_s: float
    for_s: float
    every_s: float


@dataclass(frozen=True)
class ProcessFault:
    """A signal to a node's process."""

    at_s: float
    node: str
    signal: signal.Signals


Fault = StreamFault | Intrusion | ProcessFault


class _Entry:
    """One entry of a file, whose keys must all be used."""

    def __init__(self, path: Path, number: int, value: object) -> None:
        self._where = f"{path}: entry {number}"
        if not isinstance(value, dict):
            raise FaultError(f"{self._where}: must be a mapping, as in {{at_s: 1.0, ...}}")
        self._values = dict(value)

    def error(self, key: str, what: str) -> FaultError:
        return FaultError(f"{self._where}: {key}: {what}")

    def has(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, kind: type) -> Any:
        if key not in self._values:
            raise self.error(key, f"is missing; add {_KINDS[kind]}")
        value = self._values.pop(key)
        accepted = (int, float) if kind is float else kind
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise self.error(key, f"{value!r} is not {_KINDS[kind]}")
        return kind(value)

    def seconds(self, key: str) -> float:
        value: float = self.take(key, float)
        if not (0.0 <= value < float("inf")):
            raise self.error(key, f"{value} is not a time of 0 s or more")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value: str = self.take(key, str)
        if value not in choices:
            raise self.error(key, f"{value!r} is unknown; there are {', '.join(choices)}")
        return value

    def end(self) -> None:
        for key in self._values:
            raise self.error(key, "is not a key of this entry; remove it")


def load_schedule(path: str | Path) -> tuple[Fault, ...]:
    """Read a fault file.

    Raises:
        FaultError: The file cannot be read, or an entry is wrong. One line: file, entry, key.
    """
    path = Path(path)
    try:
        content = read_yaml(path)
    except StrictYamlError as error:
        raise FaultError(f"{path}: {error}") from None
    if not isinstance(content, list) or not content:
        raise FaultError(f"{path}: must be a list of one or more faults")
    return tuple(_fault(_Entry(path, i, value)) for i, value in enumerate(content, 1))


def _fault(entry: _Entry) -> Fault:
    at_s = entry.seconds("at_s")
    fault: Fault
    if entry.has("process"):
        node = entry.take("process", str)
        name = entry.choice("signal", SIGNALS)
        fault = ProcessFault(at_s, node, signal.Signals[f"SIG{name}"])
    elif entry.has("intrude_every_s"):
        fault = Intrusion(at_s, entry.seconds("for_s"), entry.seconds("intrude_every_s"))
    else:
        stream = entry.choice("stream", STREAMS)
        operation = OPERATIONS[entry.choice("do", tuple(OPERATIONS))]
        for_s = entry.seconds("for_s")
        types = {"float": float, "int": int, "str": str}
        values = {
            item.name: entry.take(item.name, types[str(item.type)]) for item in fields(operation)
        }
        fault = StreamFault(at_s, for_s, stream, operation(**values))
    entry.end()
    return fault
