# SPDX-License-Identifier: Apache-2.0
"""Substitutions that stand for a bool, a number, text or a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, List, get_args, get_origin  # noqa: UP035

import yaml

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from . import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

ScalarTypesTuple = (int, float, bool, str)
# Launch files name these types as typing.List[int] and as list[int]; both are taken.
ListTypesTuple = (List[int], List[float], List[bool], List[str])  # noqa: UP006
AllowedTypesTuple = ScalarTypesTuple + ListTypesTuple

AllowedTypesType = Any
ScalarValueType = int | float | bool | str
SomeValueType = SomeSubstitutionsType | ScalarValueType | Sequence[Any]
NormalizedValueType = ScalarValueType | list[Any]


def extract_type(data_type: AllowedTypesType) -> tuple[type, bool]:
    """Return the scalar type of an allowed type, and whether it is a list of it.

    Raises:
        ValueError: If the type is none of those allowed.
    """
    origin: Any = get_origin(data_type)
    is_list = origin is list
    scalar = get_args(data_type)[0] if is_list and get_args(data_type) else data_type
    if scalar not in ScalarTypesTuple:
        raise ValueError(
            f"type {data_type} is not allowed; use bool, int, float, str or List[...]"
        )
    return scalar, is_list


def _is_scalar_of(value: object, scalar: type) -> bool:
    # bool is a subclass of int, but True is no count.
    if isinstance(value, bool):
        return scalar is bool
    return isinstance(value, scalar)


def is_uniform_list(value: object) -> bool:
    """Return whether the value is a list whose items are scalars of one type."""
    if not isinstance(value, list):
        return False
    return any(all(_is_scalar_of(item, one) for item in value) for one in ScalarTypesTuple)


def coerce_to_type(value: str, data_type: AllowedTypesType | None = None) -> Any:
    """Read text as a value of the type, or as YAML would read it if no type is given.

    Raises:
        ValueError: If the text is no such value.
    """
    if data_type is None:
        result = _read_yaml(value) if value else value
        if isinstance(result, ScalarTypesTuple) or is_uniform_list(result):
            return result
        raise ValueError(
            f"'{value}' is read as {type(result).__name__}; "
            "it must be a bool, a number, text or a list of one of these"
        )
    scalar, is_list = extract_type(data_type)
    if is_list:
        items = _read_yaml(value)
        if scalar is float and isinstance(items, list):
            items = [float(item) if _is_scalar_of(item, int) else item for item in items]
        if isinstance(items, list) and all(_is_scalar_of(item, scalar) for item in items):
            return items
        raise ValueError(f"'{value}' is not a list of {scalar.__name__}")
    if scalar is str:
        return value
    if scalar is bool:
        result = {"1": True, "0": False}.get(value, _read_yaml(value))
        if isinstance(result, bool):
            return result
        raise ValueError(f"'{value}' is not a bool; use true or false")
    try:
        return scalar(value)
    except ValueError:
        raise ValueError(f"'{value}' is not of type {scalar.__name__}") from None


def _read_yaml(value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"'{value}' is not valid YAML: {error}") from None


def is_substitution(value: object) -> bool:
    """Return whether the value is a substitution, or a list of text with one among it."""
    if isinstance(value, Substitution):
        return True
    if isinstance(value, str) or not isinstance(value, Iterable):
        return False
    items = list(value)
    return all(isinstance(item, (Substitution, str)) for item in items) and any(
        isinstance(item, Substitution) for item in items
    )


def is_normalized_substitution(value: object) -> bool:
    """Return whether the value is a non-empty list of substitutions."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, Substitution) for item in value)
    )


def normalize_typed_substitution(
    value: SomeValueType, data_type: AllowedTypesType | None
) -> NormalizedValueType:
    """Return a value or substitution in the form that perform_typed_substitution takes.

    Raises:
        TypeError: If the value can never become one of the type.
    """
    if isinstance(value, ScalarTypesTuple):
        if data_type is not None:
            scalar, is_list = extract_type(data_type)
            # As in the original, 1 passes for 1.0, and True for 1.
            accepted = (int, float) if scalar is float else scalar
            if is_list or not isinstance(value, accepted):
                raise TypeError(f"value '{value}' is not of type {data_type}")
        return value
    if is_substitution(value):
        return normalize_to_list_of_substitutions(value)
    if not isinstance(value, Iterable):
        raise TypeError(f"value '{value}' of type {type(value).__name__} is not a parameter value")
    scalar_type: type | None = None
    if data_type is not None:
        scalar_type, is_list = extract_type(data_type)
        if not is_list:
            raise TypeError(f"value '{value}' is a list, but {data_type} is expected")
    items: list[Any] = []
    for item in value:
        if isinstance(item, ScalarTypesTuple):
            items.append(item)
        elif is_substitution(item):
            items.append(normalize_to_list_of_substitutions(item))
        else:
            raise TypeError(
                f"list '{value}' holds '{item}', which is no scalar and no substitution"
            )
    plain = {type(item) for item in items if not isinstance(item, list)}
    if plain == {int, float} or (plain == {int} and scalar_type is float):
        items = [item if isinstance(item, list) else float(item) for item in items]
        plain = {float}
    if len(plain) > 1 or (scalar_type is not None and not plain <= {scalar_type}):
        raise TypeError(f"list '{value}' must hold values of one type: {data_type or 'any'}")
    return items


def perform_typed_substitution(
    context: LaunchContext, value: NormalizedValueType, data_type: AllowedTypesType | None
) -> Any:
    """Return the value, with its substitutions performed and read as the type.

    Raises:
        ValueError: If the text of a substitution is no value of the type.
    """
    if isinstance(value, ScalarTypesTuple):
        return value
    if is_normalized_substitution(value):
        return coerce_to_type(perform_substitutions(context, value), data_type)
    scalar = extract_type(data_type)[0] if data_type is not None else None
    items = [
        coerce_to_type(perform_substitutions(context, item), scalar)
        if is_normalized_substitution(item)
        else item
        for item in value
    ]
    if not is_uniform_list(items):
        raise ValueError(f"list {items} must hold values of one type")
    return items
