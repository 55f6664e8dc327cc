# SPDX-License-Identifier: Apache-2.0
"""Writers and readers of CDR as Python source, one of each a type."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from embedded_ros2.interfaces import registry
from embedded_ros2.interfaces.classes import ARRAY_CODES, message_class
from embedded_ros2.interfaces.parse import ARRAY, SEQUENCE, SINGLE, Field, Structure

HEADER = b"\x00\x01\x00\x00"
_FORMATS = ARRAY_CODES | {"bool": "?", "byte": "c"}
_SIZES = {base: struct.calcsize("<" + code) for base, code in _FORMATS.items()}
_MAX_DEPTH = 16

Writer = Callable[[Any], bytearray]
Reader = Callable[[bytes], Any]


class CdrError(ValueError):
    """A payload that is not a message of the expected type."""


class _Source:
    """A function under construction: its lines, and the names that it uses.

    What is known of the position is that it is `offset` modulo `modulus`.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.depth = 1
        self.modulus = 8
        self.offset = 0
        self.run_format = ""
        self.run_items: list[str] = []
        self._count = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def bind(self, prefix: str, value: Any) -> str:
        name = self.fresh(prefix)
        self.names[name] = value
        return name

    def forget_position(self, modulus: int = 1) -> None:
        self.modulus, self.offset = modulus, 0

    def advance(self, size: int) -> None:
        self.offset = (self.offset + size) % self.modulus

    def flush(self) -> None:
        raise NotImplementedError

    def align(self, size: int) -> None:
        """Flush the run and pad to a multiple of `size`."""
        raise NotImplementedError

    def add_to_run(self, base: str, item: str) -> None:
        """Add one primitive of fixed size to the current run."""
        size = _SIZES[base]
        if size > self.modulus:
            self.align(size)
        padding = -self.offset % size
        self.run_format += "x" * padding + _FORMATS[base]
        self.run_items.append(item)
        self.advance(padding + size)

    def compile(self, signature: str, filename: str) -> Any:
        source = f"def function({signature}):\n" + "\n".join(self.lines) + "\n"
        exec(compile(source, filename, "exec"), self.names)
        return self.names["function"]


class _WriterSource(_Source):
    def flush(self) -> None:
        if self.run_format:
            pack = self.bind("pack", struct.Struct("<" + self.run_format).pack)
            self.line(f"out += {pack}({', '.join(self.run_items)})")
            self.run_format, self.run_items = "", []

    def align(self, size: int) -> None:
        self.flush()
        if size > self.modulus:
            self.line(f"out += PAD[(4 - len(out)) & {size - 1}]")
            self.modulus, self.offset = size, 0
        elif -self.offset % size:
            padding = -self.offset % size
            self.line(f"out += PAD[{padding}]")
            self.advance(padding)

    def write_string(self, value: str) -> None:
        text = self.fresh("s")
        self.line(f"{text} = {value}.encode()")
        self.add_to_run("uint32", f"len({text}) + 1")
        self.flush()
        self.line(f"out += {text}")
        self.line("out += b'\\0'")
        self.forget_position()

    def write_structure(self, structure: Structure, value: str, depth: int = 0) -> None:
        if depth > _MAX_DEPTH:
            raise CdrError(f"{structure.name} nests too deeply")
        if not structure.fields:
            self.add_to_run("uint8", "0")
        for field in structure.fields:
            self._write_field(field, f"{value}._{field.name}", depth)

    def _write_field(self, field: Field, value: str, depth: int) -> None:
        field_type = field.type
        base = field_type.base
        if base == "wstring":
            raise NotImplementedError("embedded_ros2 does not offer wstring fields")
        if field_type.shape == SINGLE:
            if base == "string":
                self.write_string(value)
            elif base in _FORMATS:
                self.add_to_run(base, value)
            else:
                nested = self.fresh("m")
                self.line(f"{nested} = {value}")
                self.write_structure(registry.structure(base), nested, depth + 1)
            return
        items = self.fresh("a")
        self.line(f"{items} = {value}")
        if field_type.shape == SEQUENCE:
            self.add_to_run("uint32", f"len({items})")
        if base in _FORMATS:
            self._write_numbers(field, items)
            return
        self.flush()
        item = self.fresh("e")
        self.line(f"for {item} in {items}:")
        self.depth += 1
        self.forget_position()
        if base == "string":
            self.write_string(item)
        else:
            self.write_structure(registry.structure(base), item, depth + 1)
        self.flush()
        self.depth -= 1
        self.forget_position()

    def _write_numbers(self, field: Field, items: str) -> None:
        field_type = field.type
        base, size = field_type.base, _SIZES[field_type.base]
        data = items
        if base == "bool":
            data = f"bytes({items})"
        elif base == "byte":
            data = f"b''.join({items})"
        elif field_type.shape == ARRAY:
            data = f"{items}.tobytes()"
        if field_type.shape == ARRAY:
            self.align(size)
            self.flush()
            self.line(f"out += {data}")
            self.advance(size * field_type.size)
            return
        self.flush()
        if size > 4:
            self.line(f"if {items}:")
            self.depth += 1
            known = self.modulus, self.offset
            self.align(size)
            self.line(f"out += {data}")
            self.modulus, self.offset = known
            self.depth -= 1
        else:
            self.line(f"out += {data}")
        self.forget_position(min(size, 4))


class _ReaderSource(_Source):
    def flush(self) -> None:
        if self.run_format:
            layout = struct.Struct("<" + self.run_format)
            unpack = self.bind("unpack", layout.unpack_from)
            self.line(f"{', '.join(self.run_items)}, = {unpack}(data, at)")
            self.line(f"at += {layout.size}")
            self.run_format, self.run_items = "", []

    def align(self, size: int) -> None:
        self.flush()
        if size > self.modulus:
            self.line(f"at += (4 - at) & {size - 1}")
            self.modulus, self.offset = size, 0
        elif -self.offset % size:
            padding = -self.offset % size
            self.line(f"at += {padding}")
            self.advance(padding)

    def read_string(self, target: str, bound: int) -> None:
        count = self.fresh("n")
        self.add_to_run("uint32", count)
        self.flush()
        limit = f" or {count} > {bound + 1}" if bound else ""
        self.line(f"if {count} > end - at{limit}: raise CdrError('a string is too long')")
        # "replace", as rclpy does: text that is not UTF-8 still arrives.
        self.line(
            f"{target} = str(data[at:at + {count} - 1], 'utf-8', 'replace') if {count} else ''"
        )
        self.line(f"at += {count}")
        self.forget_position()

    def read_structure(self, structure: Structure, depth: int = 0) -> str:
        """Emit the reading of a structure; return the name that holds it after `flush`."""
        if depth > _MAX_DEPTH:
            raise CdrError(f"{structure.name} nests too deeply")
        values: list[tuple[str, str]] = []
        if not structure.fields:
            self.add_to_run("uint8", self.fresh("x"))
        for field in structure.fields:
            values.append((field.name, self._read_field(field, depth)))
        self.flush()
        cls = self.bind("C", message_class(structure.name))
        target = self.fresh("o")
        self.line(f"{target} = new({cls})")
        for name, value in values:
            self.line(f"{target}._{name} = {value}")
        return target

    def _read_field(self, field: Field, depth: int) -> str:
        field_type = field.type
        base = field_type.base
        if base == "wstring":
            raise NotImplementedError("embedded_ros2 does not offer wstring fields")
        if field_type.shape == SINGLE:
            if base in _FORMATS:
                value = self.fresh("v")
                self.add_to_run(base, value)
                return value
            if base == "string":
                value = self.fresh("v")
                self.read_string(value, field_type.string_bound)
                return value
            return self.read_structure(registry.structure(base), depth + 1)
        count = str(field_type.size)
        if field_type.shape == SEQUENCE:
            count = self.fresh("n")
            self.add_to_run("uint32", count)
            self.flush()
            size = _SIZES.get(base, 4 if base == "string" else 1)
            limit = f" or {count} > {field_type.size}" if field_type.size else ""
            self.line(
                f"if {count} * {size} > end - at{limit}: raise CdrError('a sequence is too long')"
            )
        if base in _FORMATS:
            return self._read_numbers(field, count)
        self.flush()
        target, item = self.fresh("v"), self.fresh("e")
        self.line(f"{target} = []")
        self.line(f"for _ in range({count}):")
        self.depth += 1
        self.forget_position()
        if base == "string":
            self.read_string(item, field_type.string_bound)
        else:
            item = self.read_structure(registry.structure(base), depth + 1)
        self.flush()
        self.line(f"{target}.append({item})")
        self.depth -= 1
        self.forget_position()
        return target

    def _read_numbers(self, field: Field, count: str) -> str:
        field_type = field.type
        base, size = field_type.base, _SIZES[field_type.base]
        target, stop = self.fresh("v"), self.fresh("t")
        fixed = field_type.shape == ARRAY
        self.flush()
        if not fixed and size > 4:
            known = self.modulus, self.offset
            self.line(f"if {count}:")
            self.depth += 1
            before = len(self.lines)
            self.align(size)
            if len(self.lines) == before:
                self.line("pass")
            self.depth -= 1
            self.modulus, self.offset = known
        else:
            self.align(size)
        self.line(f"{stop} = at + {count} * {size}")
        self.line(f"if {stop} > end: raise CdrError('the payload ends early')")
        if base == "bool":
            self.line(f"{target} = [b != 0 for b in data[at:{stop}]]")
        elif base == "byte":
            self.line(f"{target} = [data[i:i + 1] for i in range(at, {stop})]")
        elif fixed:
            dtype = self.bind("T", np.dtype("<" + _FORMATS[base]))
            self.line(f"{target} = frombuffer(data, {dtype}, {count}, at).copy()")
        elif size == 1:
            # An image: copied once.
            self.line(f"{target} = array('{_FORMATS[base]}')")
            self.line(f"{target}.frombytes(memoryview(data)[at:{stop}])")
        else:
            self.line(f"{target} = array('{_FORMATS[base]}', data[at:{stop}])")
        self.line(f"at = {stop}")
        if fixed:
            self.advance(size * field_type.size)
        else:
            self.forget_position(min(size, 4))
        return target


def make_writer(name: str) -> Writer:
    """Return a function that writes a message of the type ``package/kind/Name``."""
    source = _WriterSource()
    source.names |= {"PAD": tuple(bytes(n) for n in range(8)), "HEADER": HEADER}
    source.line("out = bytearray(HEADER)")
    source.write_structure(registry.structure(name), "m")
    source.flush()
    source.line("return out")
    return source.compile("m", f"<CDR writer of {name}>")  # type: ignore[no-any-return]


def make_reader(name: str) -> Reader:
    """Return a function that reads a message of the type ``package/kind/Name``."""
    source = _ReaderSource()
    source.names |= {
        "CdrError": CdrError,
        "array": array,
        "frombuffer": np.frombuffer,
        "new": object.__new__,
    }
    source.line("at = 4")
    source.line("end = len(data)")
    target = source.read_structure(registry.structure(name))
    source.line(f"return {target}")
    return source.compile("data", f"<CDR reader of {name}>")  # type: ignore[no-any-return]
