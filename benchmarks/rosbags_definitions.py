# SPDX-License-Identifier: Apache-2.0
"""Definitions, type hashes and bytes of rosbags held against those of embedded_ros2.

rosbags reads `.msg` files. Services and actions are put together from their parts here, as one
would have to; and `char` is uint8 in the hash, which rosbags takes for IDL's char.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.base import TypesysError

from embedded_ros2.interfaces import cdr, hashes, parse, registry
from embedded_ros2.interfaces.classes import Message, message_class

TOP = Path(__file__).resolve().parents[1]
GOLDEN = TOP / "embedded_ros2" / "test" / "golden" / "jazzy_type_hashes.json"

Typesdict = dict[str, tuple[list[Any], list[Any]]]


def _read_part(part: str, lines: list[str]) -> Typesdict:
    """Read one structure with rosbags; it knows no names but those of messages."""
    package, kind, stem = part.split("/")
    read = get_types_from_msg("\n".join(lines) + "\n", f"{package}/msg/{stem}")
    return {f"{package}/{kind}/{stem}": read[f"{package}/msg/{stem}"]}


def _as_rosbags(structure: parse.Structure) -> Typesdict:
    """Return a structure that no file holds (an event, a goal request) as rosbags notes one."""

    def noted(kind: parse.FieldType) -> Any:
        inner = (1, (kind.base, kind.string_bound)) if kind.is_primitive else (2, kind.base)
        if kind.shape == parse.SINGLE:
            return inner
        return (3 if kind.shape == parse.ARRAY else 4), (inner, kind.size)

    return {structure.name: ([], [(field.name, noted(field.type)) for field in structure.fields])}


PARTS = {"srv": ("_Request", "_Response"), "action": ("_Goal", "_Result", "_Feedback")}


def read_with_rosbags(package: str, kind: str, stem: str) -> Typesdict:
    """Read the definition of an interface, with all the structures that belong to it."""
    name = f"{package}/{kind}/{stem}"
    lines = registry.definition(name)
    if kind == "msg":
        return _read_part(name, lines)
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == "---":
            sections.append([])
        else:
            sections[-1].append(line)
    found: Typesdict = {}
    for end, section in zip(PARTS[kind], sections, strict=True):
        found |= _read_part(name + end, section)
    for structure in parse.parse_interface(name, lines):
        if structure.name not in found:
            found |= _as_rosbags(structure)
    return found


def offered() -> list[tuple[str, str, str]]:
    """Return (package, kind, name) of every definition that comes along."""
    tables = sorted(Path(registry.__file__).with_name("definitions").glob("*.txt"))
    return [(path.stem, *each) for path in tables for each in registry.interfaces(path.stem)]


def rosbags_store() -> tuple[Any, Typesdict]:
    """Return rosbags' store with every definition that comes along, read by itself."""
    every: Typesdict = {}
    for interface in offered():
        every |= read_with_rosbags(*interface)
    store = get_typestore(Stores.EMPTY)
    store.register(every)
    return store, every


def twin(message: Message, store: Any) -> Any:
    """Return rosbags' message with the same content."""
    values: dict[str, Any] = {}
    for field in message._structure.fields:
        value, base = getattr(message, field.name), field.type.base
        if not field.type.is_primitive:
            single = field.type.shape == parse.SINGLE
            values[field.name] = (
                twin(value, store) if single else [twin(item, store) for item in value]
            )
        elif field.type.shape == parse.SINGLE or base == "string":
            values[field.name] = value[0] if base == "byte" else value
        else:
            kind = {"byte": "uint8", "char": "uint8"}.get(base, base)
            items = [item[0] for item in value] if base == "byte" else value
            values[field.name] = np.array(items, kind)
    if not message._structure.fields:
        values[hashes.EMPTY_MEMBER] = 0
    return store.types[message._structure.name](**values)


def _random(kind: parse.FieldType, rng: np.random.Generator) -> Any:
    """Return a value of a type, whatever its shape."""
    single = parse.FieldType(kind.base, string_bound=kind.string_bound)
    if kind.shape != parse.SINGLE:
        bound = min(kind.size or 4, 4)
        count = kind.size if kind.shape == parse.ARRAY else int(rng.integers(0, bound + 1))
        return [_random(single, rng) for _ in range(count)]
    if not kind.is_primitive:
        message = message_class(kind.base)()
        for field in message._structure.fields:
            setattr(message, field.name, _random(field.type, rng))
        return message
    if kind.base in parse.INTEGER_RANGES:
        low, high = parse.INTEGER_RANGES[kind.base]
        kind_of_number = np.dtype({"char": "uint8"}.get(kind.base, kind.base))
        return int(rng.integers(low, high, dtype=kind_of_number, endpoint=True))
    if kind.base == "string":
        return "äb"[: int(rng.integers(0, 3))] * int(rng.integers(0, 5))
    if kind.base == "byte":
        return rng.bytes(1)
    return bool(rng.integers(2)) if kind.base == "bool" else float(rng.integers(-9, 9))


def encoded_alike(store: Any, every: Typesdict) -> tuple[int, int]:
    """Return how many messages rosbags encodes to the same bytes, and how many it refuses.

    At its end rosbags fills up to a multiple of four, which is as good.
    """
    rng = np.random.default_rng(0)
    alike = refused = 0
    for name in every:
        for _ in range(20):
            message = _random(parse.FieldType(name), rng)
            written = bytes(cdr.serialize(message))
            read = cdr.deserialize(written, message_class(name))
            assert read == message, name
            try:
                theirs = bytes(store.serialize_cdr(twin(message, store), name))
            except struct.error:
                refused += 1
                continue
            alike += theirs[: len(written)] == written and len(theirs) - len(written) < 4
    return alike, refused


def _char_as_uint8(noted: Any) -> Any:
    if isinstance(noted, dict):
        return {name: _char_as_uint8(value) for name, value in noted.items()}
    if isinstance(noted, (list, tuple)):
        return type(noted)(_char_as_uint8(item) for item in noted)
    return "uint8" if noted == "char" else noted


def definitions(store: Any, every: Typesdict) -> list[list[object]]:
    """Return the rows of the table of definitions: how many each gets right."""
    golden = {
        name: value for name, value in json.loads(GOLDEN.read_text()).items() if name in every
    }
    corrected = get_typestore(Stores.EMPTY)
    corrected.register(_char_as_uint8(every))
    stock = get_typestore(Stores.ROS2_JAZZY)
    mine = sum(hashes.type_hash(name) == value for name, value in golden.items())
    given = sum(
        name in stock.fielddefs and stock.hash_rihs01(name) == value
        for name, value in golden.items()
    )
    read = sum(store.hash_rihs01(name) == value for name, value in golden.items())
    mended = sum(corrected.hash_rihs01(name) == value for name, value in golden.items())
    read_from_files = [
        structure
        for package, kind, stem in offered()
        for structure in parse.parse_interface(
            f"{package}/{kind}/{stem}", registry.definition(f"{package}/{kind}/{stem}")
        )
        if kind == "msg" or structure.name.endswith(PARTS[kind])
    ]
    alike = sum(
        _as_rosbags(structure)[structure.name][1] == every[structure.name][1]
        for structure in read_from_files
    )
    encoded, refused = encoded_alike(store, every)
    total, structures = len(golden), len(read_from_files)
    return [
        [f"structures in the definitions that come along, of {structures}, fields read alike",
         structures, alike],
        [f"type hashes equal to Jazzy's, of {total}", mine, f"{given} with its own types"],
        ["", "", f"{read} with all types given to it"],
        ["", "", f"{mended} if `char` is replaced by `uint8` beforehand"],
        [f"messages of random content encoded, of {20 * len(every)}", 20 * len(every),
         f"{encoded} to the same bytes, {refused} refused (a `byte` over 127)"],
    ]  # fmt: skip


# A line of a definition, and what is to be found in what becomes of it; "" if it is to be refused.
FEATURES = {
    "float64 ratio 1.5": ("default 1.5", "1.5", "1.5"),
    "wstring text": ("type wstring", "base='wstring'", "('wstring', 0)"),
    "string<=5[<=3] words": ("both bounds", "size=3, string_bound=5", "('string', 5)), 3)"),
    "string HASH='#1'": ("value #1", "'#1'", "'#1'"),
    "int32 Upper": ("refused", "", ""),
    "int8 X=200": ("refused", "", ""),
    "int32": ("refused", "", ""),
}


def features() -> list[list[str]]:
    """Return the rows of what each makes of particular lines."""
    rows = []
    for line, (title, mine, other) in FEATURES.items():
        try:
            ours = repr(parse.parse_structure("pkg/msg/Thing", [line]))
        except parse.DefinitionError:
            ours = ""
        try:
            theirs = repr(get_types_from_msg(line + "\n", "pkg/msg/Thing"))
        except (TypesysError, ValueError):
            theirs = ""
        cells = [
            "yes" if (wanted in found if wanted else not found) else "no"
            for wanted, found in ((mine, ours), (other, theirs))
        ]
        rows.append([f"`{line}`", title, *cells])
    return rows
