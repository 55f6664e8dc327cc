# SPDX-License-Identifier: Apache-2.0
"""Where the numbers lie in a serialised message.

A walk over one message gives a template: where its numbers are, and which bytes (counts, names)
must be the same in another message for the numbers to lie there too. What matches is then read by
the thousand, without a walk. Every count is held against the bytes that are there before anything
is made of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.interfaces import Nodetype

from vla_recording.report.errors import ReportError

Bytes = npt.NDArray[np.uint8]
Types = dict[str, Any]

_NUMBERS = {
    "bool": "u1",
    "byte": "u1",
    "char": "u1",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float32": "f4",
    "float64": "f8",
}
# Of a message with more parts than this nothing is read: no joint has so many.
_MOST_PARTS = 100_000
_DEEPEST = 16
# Encapsulations of plain CDR, old and new, by the second byte of a message.
_PLAIN = {0: (">", 8), 1: ("<", 8), 6: (">", 4), 7: ("<", 4)}


class LayoutError(ReportError):
    """A message is not laid out as its type says."""


@dataclass(frozen=True)
class Span:
    """Numbers in a row: `count` of them from `offset` on, each a `code` (of numpy)."""

    offset: int
    count: int
    code: str


@dataclass(frozen=True, eq=False)
class Template:
    """One message taken apart.

    Attributes:
        tree: Field by name: a Span for a number or a row of them, text for a string, a list for
            other sequences, a tree for a message.
        fixed: (L,) the message's bytes.
        mask: (L,) which of them make the layout.
    """

    tree: dict[str, Any]
    fixed: Bytes
    mask: npt.NDArray[np.bool_]

    def matches(self, rows: Bytes) -> npt.NDArray[np.bool_]:
        """Return which messages (N, L) are laid out like this one."""
        where = np.flatnonzero(self.mask)
        return np.asarray((rows[:, where] == self.fixed[where]).all(axis=1))


def numbers(rows: Bytes, span: Span) -> npt.NDArray[Any]:
    """Return the numbers (N, count) of a span in messages (N, L)."""
    size = np.dtype(span.code).itemsize
    part = np.ascontiguousarray(rows[:, span.offset : span.offset + size * span.count])
    return part.view(span.code)


def take_apart(types: Types, msgtype: str, data: bytes, *, ros1: bool = False) -> Template:
    """Walk over a message.

    Args:
        types: Definitions, as of rosbags: name -> (constants, fields).
        msgtype: The message's.
        data: As recorded.
        ros1: It is serialised as by ROS 1: no header, nothing aligned.

    Raises:
        LayoutError: The bytes do not fit the type.
    """
    walk = _Walk(types, data, ros1)
    tree = walk.message(msgtype, 0)
    if len(data) - walk.at > 3:
        raise LayoutError(f"{len(data) - walk.at} bytes more than {msgtype} has")
    return Template(tree, np.frombuffer(data, dtype=np.uint8), walk.mask)


class _Walk:
    def __init__(self, types: Types, data: bytes, ros1: bool) -> None:
        self._types, self._data = types, data
        self.mask = np.zeros(len(data), dtype=bool)
        self._parts = 0
        if ros1:
            self._order, self._align_to, self._origin = "<", 1, 0
        else:
            if len(data) < 4 or data[0] != 0 or data[1] not in _PLAIN:
                raise LayoutError("is not serialised as plain CDR")
            self._order, self._align_to = _PLAIN[data[1]]
            self._origin = 4
            self.mask[:2] = True
        self.at = self._origin

    def message(self, name: str, depth: int) -> dict[str, Any]:
        if depth > _DEEPEST:
            raise LayoutError("its type is nested too deeply")
        if name not in self._types:
            raise LayoutError(f"its type uses {name}, which is not defined")
        return {field: self._field(desc, depth) for field, desc in self._types[name][1]}

    def _field(self, desc: Any, depth: int) -> Any:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise LayoutError(f"more than {_MOST_PARTS} parts")
        kind, inner = desc
        if kind == Nodetype.NAME:
            return self.message(inner, depth + 1)
        if kind == Nodetype.BASE:
            return self._text() if inner[0] == "string" else self._row(inner[0], 1)
        element, count = inner
        if kind == Nodetype.SEQUENCE:
            count = self._count()
        if element[0] == Nodetype.BASE and element[1][0] != "string":
            return self._row(element[1][0], count)
        if count > len(self._data) - self.at:
            raise LayoutError(f"{count} elements in {len(self._data) - self.at} bytes")
        return [self._field(element, depth + 1) for _ in range(count)]

    def _need(self, size: int) -> int:
        start = self.at
        if size > len(self._data) - start:
            raise LayoutError("is shorter than its type says")
        self.at += size
        return start

    def _align(self, size: int) -> None:
        self.at += -(self.at - self._origin) % min(size, self._align_to)

    def _count(self) -> int:
        self._align(4)
        start = self._need(4)
        self.mask[start : start + 4] = True
        return int(struct.unpack_from(f"{self._order}I", self._data, start)[0])

    def _text(self) -> str:
        size = self._count()
        start = self._need(size)
        self.mask[start : start + size] = True
        return self._data[start : start + size].rstrip(b"\0").decode("utf-8", "replace")

    def _row(self, name: str, count: int) -> Span:
        if name not in _NUMBERS:
            raise LayoutError(f"its type has a {name}, which is not read here")
        code = self._order + _NUMBERS[name]
        size = np.dtype(code).itemsize
        if count:
            self._align(size)
        return Span(self._need(size * count), count, code)
