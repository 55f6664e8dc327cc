# SPDX-License-Identifier: Apache-2.0
"""Definitions of message types, made from their classes, so that a bag explains itself."""

from __future__ import annotations

import importlib
import re
from typing import Any

_PRIMITIVES = {"boolean": "bool", "octet": "byte", "double": "float64", "float": "float32"}
_SEQUENCE = re.compile(r"sequence<(?P<of>.+?)(?:, (?P<bound>\d+))?>$")
_ARRAY = re.compile(r"(?P<of>.+)\[(?P<size>\d+)\]$")
_STRING = re.compile(r"(?P<of>w?string)<(?P<bound>\d+)>$")
_SEPARATOR = "=" * 80


def message_class(name: str) -> Any:
    """Return the class of a message type.

    Args:
        name: As in ``sensor_msgs/msg/JointState``.

    Raises:
        ImportError, AttributeError: Its package is not installed, or has no such message.
    """
    package, kind, stem = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), stem)


def definition(name: str) -> str:
    """Return the definition of a message type and of all that it is made of.

    It is that of the ``.msg`` files without constants and comments, in the form in which bags
    keep it.
    """
    done: dict[str, str] = {}
    _collect(name, done)
    own = done.pop(name)
    parts = [f"{_SEPARATOR}\nMSG: {_short(other)}\n{text}" for other, text in done.items()]
    return "\n".join([own, *parts])


def _short(name: str) -> str:
    package, _, stem = name.split("/")
    return f"{package}/{stem}"


def _collect(name: str, done: dict[str, str]) -> None:
    fields = message_class(name).get_fields_and_field_types()
    lines, inner = [], []
    for field, kind in fields.items():
        text, base = _translate(kind)
        lines.append(f"{text} {field}")
        if "/" in base:
            package, stem = base.split("/")
            inner.append(f"{package}/msg/{stem}")
    # Before what is inside, so that the message itself comes first.
    done[name] = "\n".join(lines)
    for other in inner:
        if other not in done:
            _collect(other, done)


def _translate(kind: str) -> tuple[str, str]:
    """Return a field's type as in a ``.msg`` file, and the type of its elements."""
    match = _SEQUENCE.match(kind)
    if match:
        inner, base = _translate(match["of"])
        return f"{inner}[{'<=' + match['bound'] if match['bound'] else ''}]", base
    match = _ARRAY.match(kind)
    if match:
        inner, base = _translate(match["of"])
        return f"{inner}[{match['size']}]", base
    match = _STRING.match(kind)
    if match:
        return f"{match['of']}<={match['bound']}", match["of"]
    primitive = _PRIMITIVES.get(kind, kind)
    return primitive, primitive
