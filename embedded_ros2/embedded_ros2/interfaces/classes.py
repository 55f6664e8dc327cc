# SPDX-License-Identifier: Apache-2.0
"""Python classes for messages, services and actions, with the semantics of rclpy's own.

Each field is a property over a slot (`_name`), and assigning checks the type: what passes here
passes every distribution's rclpy, including those that check only on request.
"""

from __future__ import annotations

import math
from array import array
from collections import UserList
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

from embedded_ros2.interfaces import registry
from embedded_ros2.interfaces.parse import (
    ARRAY,
    INTEGER_RANGES,
    SEQUENCE,
    SINGLE,
    Field,
    FieldType,
    Structure,
)

ARRAY_CODES = {
    "int8": "b",
    "uint8": "B",
    "char": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
_NUMPY_TYPES = {base: np.dtype(code) for base, code in ARRAY_CODES.items()}
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_IDL_NAMES = {"bool": "boolean", "byte": "octet", "char": "uint8"} | {
    "float32": "float",
    "float64": "double",
}
_ZEROS: dict[str, Any] = {"bool": False, "byte": b"\x00", "float32": 0.0, "float64": 0.0} | {
    "string": "",
    "wstring": "",
}

Check = Callable[[Any], bool]


class Message:
    """Base of all generated structures."""

    # Received and not read: values, and how each nested message is made of them (`layouts`).
    __slots__ = ("_unread",)

    _structure: Structure
    # Of each field: its name, what stores a sound value, and its initial value or what makes one.
    _initial: tuple[tuple[str, Callable[[Any, Any], None], Any, Callable[[], Any] | None], ...]
    # Of each field: what the constructor does with a value. As in rclpy, it takes whatever makes
    # an array of numbers, such as a numpy array or a list of ints; assignment does not.
    _take: dict[str, Callable[[Any, Any], None]]
    _fields_and_field_types: dict[str, str]
    __hash__ = None  # type: ignore[assignment]  # mutable, as in rclpy

    def __init__(self, **kwargs: Any) -> None:
        for name, store, value, make in self._initial:
            if name not in kwargs:
                store(self, value if make is None else make())
        for name, value in kwargs.items():
            take = self._take.get(name)
            if take is not None:
                take(self, value)
            # `check_fields` is an argument of newer rclpy; the checks here are always on.
            elif name != "check_fields":
                raise AssertionError(
                    f"{self._structure.name} has no field '{name}' "
                    f"(its fields: {', '.join(self._take) or 'none'})"
                )

    def __getattr__(self, name: str) -> Any:
        """Make a nested message that was received and is asked for now, for the first time."""
        if name != "_unread":
            try:
                values, later = self._unread
                slot, make = later[name]
            except (AttributeError, KeyError):
                pass
            else:
                setattr(self, slot, make(values))
                return getattr(self, slot)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Return what a copy or a pickle keeps."""
        return None, {f"_{name}": getattr(self, name) for name in self._fields_and_field_types}

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        """Return {field name: IDL type name}."""
        return dict(cls._fields_and_field_types)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        for name in self._fields_and_field_types:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
                if not np.array_equal(mine, theirs):
                    return False
            elif mine != theirs:
                return False
        return True

    def __repr__(self) -> str:
        parts = []
        for name in self._fields_and_field_types:
            value = getattr(self, name)
            if isinstance(value, (array, np.ndarray)):
                value = value.tolist()
            parts.append(f"{name}={value!r}")
        cls = type(self)
        return f"{cls.__module__}.{cls.__qualname__}({', '.join(parts)})"


_classes: dict[str, type[Message]] = {}


def message_class(name: str) -> type[Message]:
    """Return the class of the structure with the full name ``package/kind/Name``.

    Raises:
        DefinitionError: If no definition of it is found.
    """
    cls = _classes.get(name)
    if cls is None:
        cls = _classes[name] = _make_class(registry.structure(name))
    return cls


def idl_name(field_type: FieldType) -> str:
    """Return the type's name as `get_fields_and_field_types` spells it."""
    if field_type.is_primitive:
        name = _IDL_NAMES.get(field_type.base, field_type.base)
        if field_type.string_bound:
            name += f"<{field_type.string_bound}>"
    else:
        package, _, stem = field_type.base.split("/")
        name = f"{package}/{stem}"
    if field_type.shape == ARRAY:
        return f"{name}[{field_type.size}]"
    if field_type.shape == SEQUENCE:
        return f"sequence<{name}{f', {field_type.size}' if field_type.size else ''}>"
    return name


def _element_check(field_type: FieldType) -> tuple[Check, str]:
    """Return a check of one element and the words for what it wants."""
    base = field_type.base
    if base in INTEGER_RANGES:
        low, high = INTEGER_RANGES[base]
        return (
            lambda value: isinstance(value, int) and low <= value <= high,
            f"an int in [{low}, {high}]",
        )
    if base == "float64":
        return lambda value: isinstance(value, float), "a float"
    if base == "float32":
        return (
            lambda value: (
                isinstance(value, float) and (not abs(value) > _FLOAT32_MAX or math.isinf(value))
            ),
            "a float within float32's range",
        )
    if base == "bool":
        return lambda value: isinstance(value, bool), "a bool"
    if base == "byte":
        return (
            lambda value: isinstance(value, (bytes, bytearray)) and len(value) == 1,
            "bytes of length 1",
        )
    if base in ("string", "wstring"):
        bound = field_type.string_bound
        if bound:
            return (
                lambda value: isinstance(value, str) and len(value) <= bound,
                f"a str of at most {bound} characters",
            )
        return lambda value: isinstance(value, str), "a str"
    cls = message_class(base)
    return lambda value: isinstance(value, cls), f"a {base}"


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (Sequence, Set, UserList)) and not isinstance(value, str)


def _length_fits(field_type: FieldType, length: int) -> bool:
    if field_type.shape == ARRAY:
        return length == field_type.size
    return not field_type.size or length <= field_type.size


def _refuse(structure: Structure, field: Field, wanted: str, value: Any) -> AssertionError:
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return AssertionError(
        f"{structure.name}: the '{field.name}' field must be {wanted}, "
        f"not {type(value).__name__} {shown}"
    )


def _make_convert(structure: Structure, field: Field) -> Callable[[Any], Any]:
    """Return a function that checks a value for `field` and gives what the slot stores."""
    field_type = field.type
    check, words = _element_check(field_type)
    if field_type.shape == SINGLE:

        def convert_single(value: Any) -> Any:
            if not check(value):
                raise _refuse(structure, field, words, value)
            return value

        return convert_single

    count = (
        f"{field_type.size} elements"
        if field_type.shape == ARRAY
        else f"at most {field_type.size} elements"
        if field_type.size
        else "elements"
    )
    wanted = f"a sequence of {count}, each {words}"
    code = ARRAY_CODES.get(field_type.base)

    def check_sequence(value: Any) -> None:
        if (
            not _is_sequence(value)
            or not _length_fits(field_type, len(value))
            or not all(map(check, value))
        ):
            raise _refuse(structure, field, wanted, value)

    if code is None:

        def convert_list(value: Any) -> Any:
            check_sequence(value)
            return value

        return convert_list

    if field_type.shape == ARRAY:
        dtype = _NUMPY_TYPES[field_type.base]

        def convert_fixed(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                if value.dtype != dtype or value.size != field_type.size:
                    raise _refuse(
                        structure, field, f"{wanted} (a numpy array needs dtype {dtype})", value
                    )
                return value
            if isinstance(value, (bytes, bytearray)):
                raise _refuse(structure, field, f"{wanted} (bytes are no such sequence)", value)
            check_sequence(value)
            return np.array(list(value), dtype=dtype)

        return convert_fixed

    def convert_dynamic(value: Any) -> Any:
        if isinstance(value, array):
            if value.typecode != code or not _length_fits(field_type, len(value)):
                raise _refuse(
                    structure, field, f"{wanted} (an array.array needs type '{code}')", value
                )
            return value
        if code == "B" and isinstance(value, (bytes, bytearray)):
            if not _length_fits(field_type, len(value)):
                raise _refuse(structure, field, wanted, value)
            made = array("B")
            made.frombytes(value)
            return made
        check_sequence(value)
        return array(code, value)

    return convert_dynamic


def _make_coercion(structure: Structure, field: Field) -> Callable[[Any], Any] | None:
    """Return a function that makes an array of numbers of what a constructor is given."""
    field_type = field.type
    code = ARRAY_CODES.get(field_type.base)
    if code is None or field_type.shape == SINGLE:
        return None
    dtype = _NUMPY_TYPES[field_type.base]

    def coerce(value: Any) -> Any:
        try:
            if field_type.shape == ARRAY:
                made = np.array(value, dtype=dtype)
                if made.shape != (field_type.size,):
                    raise ValueError(f"{field_type.size} elements are needed")
                return made
            if isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == 1:
                copied = array(code)
                copied.frombytes(value.tobytes())
                return copied
            if isinstance(value, (bytes, bytearray)):
                return value  # assignment copies it whole
            return array(code, value)
        except (TypeError, ValueError, OverflowError) as error:
            wanted = f"a sequence of {field_type.base} ({error})"
            raise _refuse(structure, field, wanted, value) from error

    return coerce


def _make_initial(field: Field) -> tuple[Any, Callable[[], Any] | None]:
    """Return the field's initial value, or a function that makes one where it is mutable."""
    field_type, default = field.type, field.default
    base = field_type.base
    code = ARRAY_CODES.get(base)
    if field_type.shape == SINGLE:
        if not field_type.is_primitive:
            return None, message_class(base)
        return (_ZEROS.get(base, 0) if default is None else default), None
    if field_type.shape == ARRAY:
        size = field_type.size
        if not field_type.is_primitive:
            cls = message_class(base)
            return None, lambda: [cls() for _ in range(size)]
        if code is not None:
            values = np.array([0] * size if default is None else default, _NUMPY_TYPES[base])
            return None, values.copy
        items = [_ZEROS[base]] * size if default is None else default
        return None, items.copy
    if code is not None:
        if default:
            return None, lambda: array(code, default)
        return None, lambda: array(code)
    return None, (default or []).copy


def _make_class(structure: Structure) -> type[Message]:
    package, kind, stem = structure.name.split("/")
    names = [field.name for field in structure.fields]
    cls: Any = type(
        stem,
        (Message,),
        {
            "__slots__": tuple(f"_{name}" for name in names),
            "__module__": f"{package}.{kind}",
            "__doc__": f"{structure.name}.",
            "_structure": structure,
            "_fields_and_field_types": {
                field.name: idl_name(field.type) for field in structure.fields
            },
        },
    )
    for constant in structure.constants:
        setattr(cls, constant.name, constant.value)
    initial, takes = [], {}
    for field in structure.fields:
        slot = getattr(cls, f"_{field.name}")
        convert = _make_convert(structure, field)
        write = _make_write(slot.__set__, convert)
        setattr(cls, field.name, property(slot.__get__, write))
        if field.default is not None:
            setattr(cls, f"{field.name.upper()}__DEFAULT", field.default)
        initial.append((field.name, slot.__set__, *_make_initial(field)))
        coerce = _make_coercion(structure, field)
        takes[field.name] = write
        if coerce is not None:
            takes[field.name] = _make_write(slot.__set__, _one_after_the_other(coerce, convert))
    cls._initial, cls._take = tuple(initial), takes
    return cls  # type: ignore[no-any-return]


def _one_after_the_other(
    first: Callable[[Any], Any], second: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    return lambda value: second(first(value))


def _make_write(
    store: Callable[[Any, Any], None], convert: Callable[[Any], Any]
) -> Callable[[Any, Any], None]:
    def write(message: Any, value: Any) -> None:
        store(message, convert(value))

    return write
