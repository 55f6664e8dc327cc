# SPDX-License-Identifier: Apache-2.0
"""RIHS01 type hashes: SHA-256 over the JSON form of a type description (REP-2016)."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from embedded_ros2.interfaces import registry
from embedded_ros2.interfaces.parse import ARRAY, SEQUENCE, FieldType, Structure

_TYPE_IDS = {
    "int8": 2,
    "uint8": 3,
    "char": 3,  # rosidl maps the .msg type `char` to uint8
    "int16": 4,
    "uint16": 5,
    "int32": 6,
    "uint32": 7,
    "int64": 8,
    "uint64": 9,
    "float32": 10,
    "float64": 11,
    "bool": 15,
    "byte": 16,
    "string": 17,
    "wstring": 18,
}
_NESTED, _BOUNDED_STRING, _BOUNDED_WSTRING = 1, 21, 22
_ARRAY_OFFSET, _BOUNDED_SEQUENCE_OFFSET, _SEQUENCE_OFFSET = 48, 96, 144
# A structure without members gets this one, on the wire and in the hash.
EMPTY_MEMBER = "structure_needs_at_least_one_member"


def _field_type(field_type: FieldType) -> dict[str, Any]:
    if not field_type.is_primitive:
        type_id = _NESTED
    elif field_type.string_bound:
        type_id = _BOUNDED_STRING if field_type.base == "string" else _BOUNDED_WSTRING
    else:
        type_id = _TYPE_IDS[field_type.base]
    if field_type.shape == ARRAY:
        type_id += _ARRAY_OFFSET
    elif field_type.shape == SEQUENCE:
        type_id += _BOUNDED_SEQUENCE_OFFSET if field_type.size else _SEQUENCE_OFFSET
    return {
        "type_id": type_id,
        "capacity": field_type.size,
        "string_capacity": field_type.string_bound,
        "nested_type_name": "" if field_type.is_primitive else field_type.base,
    }


def _description(structure: Structure) -> dict[str, Any]:
    members = [{"name": field.name, "type": _field_type(field.type)} for field in structure.fields]
    if not members:
        members = [{"name": EMPTY_MEMBER, "type": _field_type(FieldType("uint8"))}]
    return {"type_name": structure.name, "fields": members}


def _collect(structure: Structure, found: dict[str, Structure]) -> None:
    for field in structure.fields:
        if not field.type.is_primitive and field.type.base not in found:
            nested = registry.structure(field.type.base)
            found[nested.name] = nested
            _collect(nested, found)


def describe(name: str) -> dict[str, Any]:
    """Return the type description of a message, service or action by its full name.

    Raises:
        DefinitionError: If the definition, or one that it refers to, is not found.
    """
    structure = registry.structure(name)
    referenced: dict[str, Structure] = {}
    _collect(structure, referenced)
    return {
        "type_description": _description(structure),
        "referenced_type_descriptions": [
            _description(referenced[key]) for key in sorted(referenced)
        ],
    }


@cache
def type_hash(name: str) -> str:
    """Return the RIHS01 hash of a message, service or action by its full name.

    Raises:
        DefinitionError: If the definition, or one that it refers to, is not found.
    """
    return "RIHS01_" + hashlib.sha256(json.dumps(describe(name)).encode()).hexdigest()
