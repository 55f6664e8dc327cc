# SPDX-License-Identifier: Apache-2.0
"""A node's parameters as one dataclass, from which its checks and its table come. No ROS here.

`node_kit.declare` makes ROS parameters of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, TypeVar

from node_kit.tables import rows

Parameters = TypeVar("Parameters")


class ParameterError(ValueError):
    """A parameter has no value or a wrong one. The message names it and the remedy."""


def parameter(
    default: object,
    doc: str,
    unit: str = "",
    lower: float | None = None,
    upper: float | None = None,
    *,
    choices: tuple[str, ...] = (),
    required: bool = False,
    live: bool = False,
) -> Any:
    """Return the field of a parameter.

    Args:
        default: Its default, which also says its type: bool, int, float, str or texts in a tuple.
        doc: What it does, in a sentence.
        unit: Of its value and its bounds.
        lower: Least value. A float has both bounds.
        upper: Greatest value.
        choices: The only texts that it may be, where not every text will do.
        required: Its default, which is empty, will not do.
        live: It can be set while the node runs.
    """
    metadata = {
        "doc": doc,
        "unit": unit,
        "lower": lower,
        "upper": upper,
        "choices": choices,
        "required": required,
        "live": live,
    }
    return field(default=default, metadata=metadata)


def check(kind: type[Parameters], values: Mapping[str, Any]) -> Parameters:
    """Make checked parameters of values by name.

    Args:
        kind: Their dataclass, which checks in `__post_init__` what concerns several of them.
        values: Those that are given; the others have their defaults.

    Raises:
        ParameterError: A value is missing, of the wrong type or out of bounds.
    """
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    for name, item in known.items():
        problem = _problem(item, values.get(name, item.default))
        if problem:
            raise ParameterError(f"parameter {name}: {problem}")
    return kind(**values)


def _problem(item: Field[Any], value: Any) -> str:
    meta = item.metadata
    wanted: Any = type(item.default)
    if type(value) is not wanted:
        return f"is {value!r}; write a value of type {wanted.__name__}"
    if meta["required"] and not value:
        return f"is not set; give one with --ros-args -p {item.name}:=... ({meta['doc']})"
    if meta["choices"] and value not in meta["choices"]:
        return f"is {value!r}; write {' or '.join(meta['choices'])}"
    if meta["lower"] is None or (math.isfinite(value) and meta["lower"] <= value <= meta["upper"]):
        return ""
    return f"is {value:g}; write a value between {_bounds(meta)}"


def _bounds(meta: Mapping[str, Any]) -> str:
    return f"{meta['lower']:g} and {meta['upper']:g} {meta['unit']}".rstrip()


def table(kind: type[Any]) -> str:
    """Return the parameters of a dataclass as a table in Markdown."""
    return rows(("parameter", "default", "bounds", "what it does"), map(_row, fields(kind)))


def _row(item: Field[Any]) -> tuple[str, str, str, str]:
    meta, default = item.metadata, item.default
    if meta["required"]:
        shown = "required"
    elif isinstance(default, tuple):
        shown = ", ".join(f"`{each}`" for each in default)
    else:
        shown = f"`{default}` {meta['unit']}" if default != "" else "empty"
    bounds = " or ".join(f"`{choice}`" for choice in meta["choices"])
    if meta["lower"] is not None:
        bounds = _bounds(meta).replace(" and ", " to ")
    return f"`{item.name}`", shown.rstrip(), bounds, meta["doc"]
