# SPDX-License-Identifier: Apache-2.0
"""Messages that no correct node sends, at random: for fuzzing what takes them in.

`garble` changes a message anywhere, by its dataclass fields or its ROS fields, and keeps to what
the wire can carry: integers of their width, floats of any kind, texts of any letters, arrays of
any length.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

FLOATS = (
    *(math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, -5e-324, 2.2e-308, 1e308, -1e308),
    *(2.68e154, -2.68e154, 1.8e308, 1e154, 1e18, 1e9, 1e6, 1e5, 100.0, -7.0, 3.2, 1e-3, 1e-9),
)
TEXTS = (
    *("", "\0", "é关节", "\ud800", "x" * 10_000, "shoulder_pan"),
    *("a/b", "{}", "%s%n", "\n\x1b[2J"),
)
SECONDS = (0, 1, -1, 2**31 - 1, -(2**31), 1_700_000_000, 1_700_000_001, 1_699_999_999)
NANOSECONDS = (0, 1, 999_999_999, 1_000_000_000, 2**32 - 1)
LENGTHS = (0, 1, 2, 3, 64, 1025, 5000)


class Garbler:
    """Changes messages, by a seed."""

    def __init__(self, seed: int, *, longest: int = max(LENGTHS)) -> None:
        """Begin.

        Args:
            seed: Of everything random.
            longest: Of the arrays that are made.
        """
        self.random = np.random.default_rng(seed)
        self._longest = longest

    def garble(self, message: Any, times: int | None = None) -> Any:
        """Return a copy of a message with one change or a few."""
        message = copy.deepcopy(message)
        for _ in range(times or 1 + int(self.random.geometric(0.6))):
            message = self._changed(message)
        return message

    def _one(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def _changed(self, value: Any) -> Any:
        make: Callable[[Any], Any] | None = next(
            (make for kinds, make in self._makers() if isinstance(value, kinds)), None
        )
        if make is not None:
            return make(value)
        if is_dataclass(value) and not isinstance(value, type):
            return self._of_dataclass(value)
        if hasattr(value, "get_fields_and_field_types"):
            return self._of_message(value)
        if hasattr(value, "_replace"):
            name = self._one(value._fields)
            return value._replace(**{name: self._changed(getattr(value, name))})
        if hasattr(value, "__len__"):
            return self._sequence(value)
        return value

    def _makers(self) -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
        return (
            (bool, lambda value: not value),
            (int, self._integer),
            (float, self._number),
            (str, lambda _: self._one(TEXTS)),
            (bytes, lambda _: bytes([int(self.random.integers(256))])),
        )

    def _integer(self, value: int) -> int:
        """Return nanoseconds as a message's stamp can have them, near or far."""
        if self.random.random() < 0.5:
            return value + int(self.random.integers(-2_000_000_000, 2_000_000_000))
        return int(self._one(SECONDS)) * 1_000_000_000 + int(self._one(NANOSECONDS))

    def _number(self, value: float) -> float:
        if self.random.random() < 0.3:
            return float(value * self.random.uniform(-3.0, 3.0))
        return float(self._one(FLOATS))

    def _sequence(self, value: Any) -> Any:
        items = list(value)
        kind = self.random.integers(6)
        if kind == 0:
            items = items[: int(self._one(LENGTHS))]
        elif kind == 1 and items:
            items += [self._one(items) for _ in range(min(self._longest, self._one(LENGTHS)))]
        elif kind == 2 and items:
            items = [self._one(items) for _ in items]
        elif kind == 3 and items and isinstance(items[0], float):
            items = [float(self._one(FLOATS))] * len(items)
        elif items:
            at = int(self.random.integers(len(items)))
            items[at] = self._changed(items[at])
        return tuple(items) if isinstance(value, tuple) else items

    def _of_dataclass(self, value: Any) -> Any:
        name = self._one(fields(value)).name
        # Not `replace`: what a dataclass checks must be met where messages are taken in.
        object.__setattr__(value, name, self._changed(getattr(value, name)))
        return value

    def _of_message(self, value: Any) -> Any:
        kinds = value.get_fields_and_field_types()
        name = self._one(tuple(kinds))
        if kinds[name] == "int32":
            changed: Any = self._one(SECONDS)
        elif kinds[name] == "uint32":
            changed = self._one(NANOSECONDS)
        elif kinds[name] in ("uint8", "int8"):
            changed = self._one((0, 1, 4, 127))
        else:
            changed = self._changed(getattr(value, name))
        setattr(value, name, changed)
        return value
