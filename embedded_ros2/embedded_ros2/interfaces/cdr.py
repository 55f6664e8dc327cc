# SPDX-License-Identifier: Apache-2.0
"""CDR v1, little-endian: one writer and one reader a type, as Python source made on first use.

Alignment counts from the end of the four-byte header. Runs of fixed-size fields become one
`struct` call; sequences of numbers are copied whole (`cdr_source.py`). For a stream whose messages
have one layout there is a quicker reader (`layouts.py`).
"""

from __future__ import annotations

import struct
import sys
from typing import Any

from embedded_ros2.interfaces import layouts
from embedded_ros2.interfaces.cdr_source import (
    HEADER,
    CdrError,
    Writer,
    make_reader,
    make_writer,
)
from embedded_ros2.interfaces.classes import Message

__all__ = ["HEADER", "CdrError", "deserialize", "serialize"]

# A reader for one layout is made of the message that is the so-maniest of its length.
_LAYOUT_AFTER = 50
_MAX_LAYOUTS, _MAX_LAYOUT_TRIALS = 8, 3


class _Readers:
    """Reads the messages of one class."""

    def __init__(self, cls: type[Message]) -> None:
        self._name = cls._structure.name
        self._general = make_reader(self._name)
        # By the length of the payload.
        self._of_layout: dict[int, layouts.Reader] = {}
        self._seen: dict[int, int] = {}
        self._trials: dict[int, int] = {}

    def read(self, data: bytes) -> Any:
        quick = self._of_layout.get(len(data))
        if quick is not None:
            message = quick(data)
            if message is not None:
                return message
            # Another layout of the same length.
            self._of_layout.pop(len(data), None)
        message = self._general(data)
        if len(data) <= layouts.MAX_SIZE and len(self._of_layout) < _MAX_LAYOUTS:
            self._note(data)
        return message

    def _note(self, data: bytes) -> None:
        """Count messages of a length; make a reader for a layout that stays."""
        size = len(data)
        if len(self._seen) > 8 * _MAX_LAYOUTS and size not in self._seen:
            self._seen.clear()
        self._seen[size] = seen = self._seen.get(size, 0) + 1
        trials = self._trials.get(size, 0)
        if seen < _LAYOUT_AFTER or trials >= _MAX_LAYOUT_TRIALS:
            return
        if len(self._trials) < 8 * _MAX_LAYOUTS:
            self._seen[size], self._trials[size] = 0, trials + 1
            reader = layouts.make_reader(self._name, data)
            if reader is not None:
                self._of_layout[size] = reader


_writers: dict[type, Writer] = {}
_readers: dict[type, _Readers] = {}


def serialize(message: Message) -> bytearray:
    """Return the message as CDR with its header."""
    writer = _writers.get(type(message))
    if writer is None:
        if sys.byteorder != "little":
            raise NotImplementedError("embedded_ros2 does not run on big-endian machines")
        writer = _writers[type(message)] = make_writer(message._structure.name)
    return writer(message)


def deserialize(data: bytes, cls: type[Message]) -> Any:
    """Return the message of class `cls` that `data` holds.

    Raises:
        CdrError: If `data` is not little-endian CDR v1, ends early, or exceeds a bound.
    """
    readers = _readers.get(cls)
    if readers is None:
        readers = _readers[cls] = _Readers(cls)
    if data[:2] != b"\x00\x01":
        raise CdrError("not little-endian CDR version 1")
    try:
        return readers.read(data)
    except struct.error as error:
        raise CdrError("the payload ends early") from error
