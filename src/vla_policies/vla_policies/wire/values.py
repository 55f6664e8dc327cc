# SPDX-License-Identifier: Apache-2.0
"""Values of a message by key, each of its kind; a `WireError` says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vla_policies.wire.codec import Packed, WireError, brief

MAX_ROWS = 4096
FLOATS = ("<f4", "<f8")


def table(found: Mapping[Any, Any], key: str, columns: int | None) -> Any:
    """Return the rows (N, columns) of an array."""
    value = found.get(key)
    if not isinstance(value, Packed) or value.dtype not in FLOATS or len(value.shape) != 2:
        raise WireError(f"{key} must be an array of rows of float32 or float64")
    if value.shape[0] > MAX_ROWS or (columns is not None and value.shape[1] != columns):
        raise WireError(f"{key} has shape {value.shape}; at most {MAX_ROWS} rows are allowed")
    return value.array().astype(np.float64)


def text(found: Mapping[Any, Any], key: str, *, empty: bool = False) -> str:
    """Return a text."""
    value = found.get(key)
    if not isinstance(value, str) or not (value or empty):
        raise WireError(f"{key} must be a text")
    return value


def whole(found: Mapping[Any, Any], key: str, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`."""
    value = found.get(key)
    if type(value) is not int or not low <= value <= high:
        raise WireError(f"{key} is {brief(value)}; it must be a whole number, {low} to {high}")
    return value


def positive(found: Mapping[Any, Any], key: str) -> float:
    """Return a positive number."""
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < 1e6:
        raise WireError(f"{key} is {brief(value)}; it must be a positive number")
    return float(value)


def flag(found: Mapping[Any, Any], key: str) -> bool:
    """Return true or false."""
    value = found.get(key)
    if not isinstance(value, bool):
        raise WireError(f"{key} is {brief(value)}; it must be true or false")
    return value


def listed(found: Mapping[Any, Any], key: str) -> list[Any]:
    """Return a list."""
    value = found.get(key)
    if not isinstance(value, list):
        raise WireError(f"{key} must be a list")
    return value


def texts(found: Mapping[Any, Any], key: str) -> list[str]:
    """Return a list of texts, one at least."""
    value = listed(found, key)
    if not value or not all(isinstance(each, str) and each for each in value):
        raise WireError(f"{key} must be a list of texts")
    return value


def optional_texts(found: Mapping[Any, Any], key: str) -> tuple[str, ...]:
    """Return texts, none where there is no list."""
    return tuple(texts(found, key)) if found.get(key) else ()


def one_of(found: Mapping[Any, Any], key: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices."""
    value = found.get(key)
    if value not in choices:
        raise WireError(f"{key} is {brief(value)}; it must be one of {', '.join(choices)}")
    return str(value)


def finite(value: object) -> float:
    """Return a finite number of a span."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise WireError("a span has something else than finite numbers")
    return float(value)
