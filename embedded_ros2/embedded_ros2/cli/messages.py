# SPDX-License-Identifier: Apache-2.0
"""Messages as text, and text as messages."""

from __future__ import annotations

import array
import importlib
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

from . import CommandError

_SEQUENCES = (list, tuple, array.array, np.ndarray)


def interface(name: str, kind: str) -> Any:
    """Return a message, service or action class.

    Args:
        name: ``package/kind/Name`` or ``package/Name``.
        kind: What is expected: ``msg``, ``srv`` or ``action``.

    Raises:
        CommandError: If there is no such class.
    """
    words = {"msg": "message", "srv": "service", "action": "action"}
    package, _, rest = name.partition("/")
    given_kind, slash, stem = rest.rpartition("/")
    try:
        if not stem or (slash and given_kind != kind):
            raise ValueError(f"expected package/{kind}/Name")
        return getattr(importlib.import_module(f"{package}.{kind}"), stem)
    except (ValueError, ImportError, AttributeError) as error:
        raise CommandError(
            f"The passed {words[kind]} type is invalid: '{name}': {error}"
        ) from None


def to_yaml(
    message: Any,
    *,
    truncate_length: int | None = None,
    no_arr: bool = False,
    no_str: bool = False,
    flow_style: bool = False,
) -> str:
    """Return a message as YAML.

    Args:
        message: The message.
        truncate_length: Text and sequences longer than this are cut; None for never.
        no_arr: Whether sequences are shown by their type and length only.
        no_str: Whether text is shown by its length only.
        flow_style: Whether to use one line.
    """
    plain = _plain(message, truncate_length, no_arr, no_str)
    return yaml.safe_dump(
        plain,
        allow_unicode=True,
        width=sys.maxsize,
        default_flow_style=flow_style,
        sort_keys=False,
    )


def _plain(
    value: Any, truncate: int | None, no_arr: bool, no_str: bool, field_type: str = ""
) -> Any:
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        return text if truncate is None or len(text) <= truncate else text[:truncate] + "..."
    if isinstance(value, str):
        if no_str:
            return f"<string length: <{len(value)}>>"
        return value if truncate is None or len(value) <= truncate else value[:truncate] + "..."
    if isinstance(value, _SEQUENCES):
        if no_arr and field_type:
            return _sequence_words(value, field_type)
        shown = value if truncate is None else value[:truncate]
        items = [_plain(item, truncate, no_arr, no_str) for item in shown]
        return items if len(shown) == len(value) else [*items, "..."]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bool, int, float)):
        return value
    return {
        name: _plain(getattr(value, name), truncate, no_arr, no_str, type_)
        for name, type_ in value.get_fields_and_field_types().items()
    }


_FIXED = re.compile(r"(?P<item>.+)\[(?P<size>\d+)\]$")
_SEQUENCE = re.compile(r"sequence<(?P<item>[^,]+?)(?:, *(?P<size>\d+))?>$")


def _sequence_words(value: Any, field_type: str) -> str:
    if fixed := _FIXED.match(field_type):
        return f"<array type: {_item_words(fixed['item'])}[{fixed['size']}]>"
    if sequence := _SEQUENCE.match(field_type):
        bound = f"[{sequence['size']}]" if sequence["size"] else ""
        return f"<sequence type: {_item_words(sequence['item'])}{bound}, length: {len(value)}>"
    return f"<sequence type: {field_type}, length: {len(value)}>"


def _item_words(item_type: str) -> str:
    package, slash, name = item_type.partition("/")
    return f"{package}/msg/{name}" if slash and "/" not in name else item_type


def to_csv(
    message: Any, *, truncate_length: int | None = None, no_arr: bool = False, no_str: bool = False
) -> str:
    """Return all fields of a message, nested ones too, separated by commas."""

    def flat(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in flat(item)]
        if isinstance(value, list):
            return [text for item in value for text in flat(item)]
        return [str(value)]

    return ",".join(flat(_plain(message, truncate_length, no_arr, no_str)))


def read_mapping(text: str) -> dict[str, Any]:
    """Return the values of a message given as YAML.

    Raises:
        CommandError: If the text is not a YAML mapping.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandError(f"The passed value is not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise CommandError("The passed value needs to be a dictionary in YAML format")
    return values


Stamp = Callable[[Any], None]


def fill(message: Any, values: dict[str, Any], *, stamps: list[Stamp] | None = None) -> None:
    """Set fields of a message.

    Args:
        message: The message.
        values: The values by field name.
        stamps: If given, ``auto`` for a header and ``now`` for a time are allowed; functions
            that set these times are added to the list.

    Raises:
        CommandError: If a field does not exist or cannot have the value.
    """
    types = message.get_fields_and_field_types()
    for name, value in values.items():
        if name not in types:
            raise CommandError(
                f"Failed to populate field: '{type(message).__name__}' has no field '{name}'; "
                f"it has: {', '.join(types)}"
            )
        if stamps is not None and types[name] == "std_msgs/Header" and value == "auto":
            header = getattr(message, name)
            stamps.append(lambda now, header=header: setattr(header, "stamp", now))  # type: ignore
            continue
        if stamps is not None and types[name] == "builtin_interfaces/Time" and value == "now":
            stamps.append(lambda now, name=name: setattr(message, name, now))  # type: ignore
            continue
        try:
            setattr(message, name, _converted(getattr(message, name), value, types[name], stamps))
        except (AssertionError, TypeError, ValueError, OverflowError) as error:
            raise CommandError(f"Failed to populate field: '{name}': {error}") from None


def _converted(present: Any, value: Any, field_type: str, stamps: list[Stamp] | None) -> Any:
    """Return a value from YAML in the type of the field's present value."""
    if hasattr(present, "get_fields_and_field_types"):
        if not isinstance(value, dict):
            raise TypeError(f"expected a dictionary, got '{value}'")
        fill(present, value, stamps=stamps)
        return present
    if isinstance(present, _SEQUENCES):
        return _converted_sequence(present, value, field_type, stamps)
    if isinstance(present, bytes):
        return bytes([value]) if isinstance(value, int) else value.encode("latin-1")
    if isinstance(present, float) and isinstance(value, (int, str)):
        return float(value)  # YAML reads 1e3 as text
    if isinstance(present, str) and not isinstance(value, (dict, list)):
        return str(value)
    return value


def _converted_sequence(
    present: Any, value: Any, field_type: str, stamps: list[Stamp] | None
) -> Any:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got '{value}'")
    if isinstance(present, array.array):
        return array.array(present.typecode, value)
    if isinstance(present, np.ndarray):
        return np.array(value, dtype=present.dtype)
    match = _SEQUENCE.match(field_type) or _FIXED.match(field_type)
    item_type = match["item"] if match else ""
    if "/" not in item_type:
        sample = {"float": 0.0, "double": 0.0, "octet": b"\0"}.get(item_type)
        if item_type.startswith(("string", "wstring")):
            sample = ""
        return [item if sample is None else _converted(sample, item, "", None) for item in value]
    items = []
    for item in value:
        message = interface(item_type, "msg")()
        items.append(_converted(message, item, "", stamps))
    return items
