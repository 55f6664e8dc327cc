# SPDX-License-Identifier: Apache-2.0
"""Readers of CDR for one layout: all counts and lengths as in a message that is known.

Most streams never change theirs: a robot has the joints that it has. Then each field lies where
it lay before, and one `struct` call reads them all. The counts are read with the rest and
compared, so a message with another layout is noticed and left to the general reader.

Some messages hold many others, of which a subscriber wants few: a controller's state has eight
points. In those a nested message is made when it is asked for (`Message.__getattr__`).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from embedded_ros2.interfaces import registry
from embedded_ros2.interfaces.classes import ARRAY_CODES, message_class
from embedded_ros2.interfaces.parse import ARRAY, SEQUENCE, SINGLE, Field, Structure

# Longer payloads, such as images, gain nothing.
MAX_SIZE = 4096
_MAX_ITEMS = 256
# With more nested messages than this, they are made when they are asked for; but for the header.
_MAX_NESTED = 8
_HEADER = "std_msgs/msg/Header"
_FORMATS = ARRAY_CODES | {"bool": "?", "byte": "c"}

# Returns None for a message of another layout.
Reader = Callable[[bytes], Any]


class _TooMuchError(Exception):
    pass


class _Layout:
    """Walks through a message that the general reader accepts, and notes where everything is."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4  # alignment counts from here
        self._format = "<"
        self._items: list[str] = []
        self._checks: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self._names: dict[str, Any] = {
            "array": array,
            "frombuffer": np.frombuffer,
            "new": object.__new__,
        }

    def compile(self, structure: Structure) -> Reader:
        later: dict[str, Callable[[Any], Any]] = {}
        if self._nested(structure) <= _MAX_NESTED:
            result = self._structure(structure)
        else:
            result = self._message_of_many(structure, later)
        self._names["unpack"] = struct.Struct(self._format).unpack_from
        source = ["def function(data):"]
        if later:
            source += ["    values = unpack(data, 4)", f"    {', '.join(self._items)}, = values"]
        else:
            source.append(f"    {', '.join(self._items)}, = unpack(data, 4)")
        if self._checks:
            source += [f"    if {' or '.join(self._checks)}:", "        return None"]
        source += [*self._lines, f"    return {result}"]
        reader: Reader = self._function(source, structure.name)
        return reader

    def _function(self, source: list[str], name: str) -> Any:
        code = compile("\n".join([*source, ""]), f"<CDR layout of {name}>", "exec")
        exec(code, self._names)
        return self._names["function"]

    @staticmethod
    def _nested(structure: Structure) -> int:
        """Return how many messages a message holds, those in lists not counted."""
        inner = [field.type for field in structure.fields if field.type.shape == SINGLE]
        names = [each.base for each in inner if not each.is_primitive]
        return sum(1 + _Layout._nested(registry.structure(name)) for name in names)

    def _message_of_many(self, structure: Structure, later: dict[str, Any]) -> str:
        """As `_structure`, but only notes how to make the nested messages."""
        values = []
        for field in structure.fields:
            kind = field.type
            if kind.shape != SINGLE or kind.is_primitive or kind.base == _HEADER:
                values.append((field.name, self._field(field)))
                continue
            before, first = self._lines, len(self._items)
            self._lines = []
            result = self._field(field)
            made, self._lines = self._lines, before
            source = ["def function(values):"]
            items = self._items[first:]
            if items:
                part = f"values[{first}:{len(self._items)}]"
                source.append(f"    {', '.join(items)}, = {part}")
            make = self._function([*source, *made, f"    return {result}"], structure.name)
            later[field.name] = later[f"_{field.name}"] = (f"_{field.name}", make)
        target = self._fresh("o")
        self._lines.append(f"    {target} = new({self._bind(message_class(structure.name))})")
        self._lines += [f"    {target}._{name} = {value}" for name, value in values]
        self._lines.append(f"    {target}._unread = values, {self._bind(later)}")
        return target

    def _fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _bind(self, value: Any) -> str:
        name = self._fresh("K")
        self._names[name] = value
        return name

    def _align(self, size: int) -> None:
        padding = (4 - self._at) % size
        self._format += "x" * padding
        self._at += padding

    def _item(self, code: str) -> str:
        """Add a value to what the one call reads."""
        name = self._fresh("v")
        self._items.append(name)
        if len(self._items) > _MAX_ITEMS:
            raise _TooMuchError
        self._format += code
        self._at += struct.calcsize("<" + code)
        return name

    def _number(self, base: str) -> str:
        code = _FORMATS[base]
        self._align(struct.calcsize("<" + code))
        return self._item(code)

    def _length(self) -> int:
        """Return a count, which every message of the layout must have."""
        name = self._number("uint32")
        (value,) = struct.unpack_from("<I", self._data, self._at - 4)
        self._checks.append(f"{name} != {value}")
        return int(value)

    def _structure(self, structure: Structure) -> str:
        if not structure.fields:
            self._number("uint8")
        values = [(field.name, self._field(field)) for field in structure.fields]
        target = self._fresh("o")
        self._lines.append(f"    {target} = new({self._bind(message_class(structure.name))})")
        self._lines += [f"    {target}._{name} = {value}" for name, value in values]
        return target

    def _field(self, field: Field) -> str:
        """Return the expression for a field's value."""
        kind = field.type
        if kind.shape == SINGLE:
            if kind.base == "string":
                return self._string()
            if kind.base in _FORMATS:
                return self._number(kind.base)
            return self._structure(registry.structure(kind.base))
        count = self._length() if kind.shape == SEQUENCE else kind.size
        if kind.base in _FORMATS:
            return self._numbers(kind.base, count, fixed=kind.shape == ARRAY)
        if kind.base == "string":
            return self._strings(count)
        structure = registry.structure(kind.base)
        return f"[{', '.join(self._structure(structure) for _ in range(count))}]"

    def _string(self) -> str:
        size = self._length()
        known = self._data[self._at : self._at + size]
        raw = self._item(f"{size}s")
        text, same = str(known[:-1], "utf-8", "replace"), self._bind(known)
        return f"{text!r} if {raw} == {same} else str({raw}[:-1], 'utf-8', 'replace')"

    def _strings(self, count: int) -> str:
        """Names do not change: all of them are compared at once."""
        self._align(4)
        start, texts = self._at, []
        end = start
        for _ in range(count):
            end += (4 - end) % 4
            (size,) = struct.unpack_from("<I", self._data, end)
            texts.append(str(self._data[end + 4 : end + 4 + max(size - 1, 0)], "utf-8", "replace"))
            end += 4 + size
        raw = self._item(f"{end - start}s")
        self._checks.append(f"{raw} != {self._bind(self._data[start:end])}")
        return f"{self._bind(texts)}.copy()"

    def _numbers(self, base: str, count: int, *, fixed: bool) -> str:
        code = _FORMATS[base]
        size = struct.calcsize("<" + code)
        if count or size <= 4:
            self._align(size)
        raw = self._item(f"{count * size}s")
        if base == "bool":
            return f"[b != 0 for b in {raw}]"
        if base == "byte":
            return f"[{raw}[i:i + 1] for i in range({count})]"
        if fixed:
            return f"frombuffer({raw}, {self._bind(np.dtype('<' + code))}).copy()"
        return f"array('{code}', {raw})"


def make_reader(name: str, data: bytes) -> Reader | None:
    """Return a reader for messages that are laid out like one of them.

    Args:
        name: The type, ``package/kind/Name``.
        data: A payload that the general reader has accepted.

    Returns:
        The reader, which returns None for a message of another layout and raises struct.error for
        one that is shorter. None if the type has too many values for it to be of use.
    """
    try:
        return _Layout(data).compile(registry.structure(name))
    except _TooMuchError:
        return None
