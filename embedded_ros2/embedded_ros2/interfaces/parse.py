# SPDX-License-Identifier: Apache-2.0
"""Read interface definitions: `.msg`, `.srv` and `.action` files, and tables of them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

SINGLE, ARRAY, SEQUENCE = "single", "array", "sequence"

INTEGER_RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "char": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
PRIMITIVES = frozenset(
    (*INTEGER_RANGES, "bool", "byte", "float32", "float64", "string", "wstring")
)

Value = bool | int | float | str | bytes | list[Any]


class DefinitionError(ValueError):
    """An interface definition that cannot be read."""


@dataclass(frozen=True)
class FieldType:
    """The type of a field.

    Attributes:
        base: A primitive's name, or the full name of a structure (``std_msgs/msg/Header``).
        shape: `SINGLE`, `ARRAY` (fixed length) or `SEQUENCE`.
        size: The array's length or the sequence's bound; 0 where there is none.
        string_bound: The most characters a bounded string may hold; 0 where there is none.
    """

    base: str
    shape: str = SINGLE
    size: int = 0
    string_bound: int = 0

    @property
    def is_primitive(self) -> bool:
        """Whether the base type is a primitive."""
        return self.base in PRIMITIVES


@dataclass(frozen=True)
class Field:
    """One field; `default` is None where the definition names none."""

    name: str
    type: FieldType
    default: Any = None


@dataclass(frozen=True)
class Constant:
    """One constant."""

    name: str
    base: str
    value: Value


@dataclass(frozen=True)
class Structure:
    """A structure with its full name (``std_msgs/msg/Header``, ``std_srvs/srv/Empty_Request``)."""

    name: str
    fields: tuple[Field, ...]
    constants: tuple[Constant, ...] = ()


_BASE = r"(?P<base>[A-Za-z][\w/]*)(?:<=(?P<string_bound>\d+))?"
_TYPE = re.compile(rf"^{_BASE}(?P<brackets>\[(?P<upto><=)?(?P<size>\d*)\])?$")
_CONSTANT = re.compile(r"^(?P<type>\S+)\s+(?P<name>[A-Za-z]\w*)\s*=\s*(?P<value>.*)$")
_FIELD = re.compile(r"^(?P<type>\S+)\s+(?P<name>[A-Za-z]\w*)(?:\s+(?P<default>.+))?$")
_FIELD_NAME = re.compile(r"^(?!.*__)(?!.*_$)[a-z][a-z0-9_]*$")


def parse_type(text: str, package: str) -> FieldType:
    """Read a field's type; names without a package belong to `package`.

    Raises:
        DefinitionError: If `text` is not a type.
    """
    match = _TYPE.match(text)
    if not match:
        raise DefinitionError(f"'{text}' is not a type")
    base = match["base"]
    if base not in PRIMITIVES:
        parts = base.split("/")
        if len(parts) == 1:
            base = f"{package}/msg/{parts[0]}"
        elif len(parts) == 2:
            base = f"{parts[0]}/msg/{parts[1]}"
        elif len(parts) != 3:
            raise DefinitionError(f"'{text}' is not a type")
    elif match["string_bound"] and base not in ("string", "wstring"):
        raise DefinitionError(f"'{text}': only strings are bounded in this way")
    shape, size = SINGLE, 0
    if match["brackets"]:
        size = int(match["size"] or 0)
        shape = ARRAY if size and not match["upto"] else SEQUENCE
        if match["upto"] and not size:
            raise DefinitionError(f"'{text}': the bound is missing")
    return FieldType(base, shape, size, int(match["string_bound"] or 0))


def parse_value(text: str, base: str) -> Value:
    """Read a constant's or a default's value as the Python value rclpy would give it.

    Raises:
        DefinitionError: If `text` is not a value of the primitive `base`.
    """
    text = text.strip()
    if base == "bool":
        if text.lower() not in ("true", "false", "1", "0"):
            raise DefinitionError(f"'{text}' is not a bool")
        return text.lower() in ("true", "1")
    if base in ("string", "wstring"):
        if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
            return text[1:-1].replace("\\" + text[0], text[0])
        return text
    try:
        if base in ("float32", "float64"):
            return float(text)
        number = int(text, 0)
    except ValueError as error:
        raise DefinitionError(f"'{text}' is not a {base}") from error
    if base == "byte":
        if not 0 <= number <= 255:
            raise DefinitionError(f"{number} is out of range for byte")
        return bytes((number,))
    low, high = INTEGER_RANGES[base]
    if not low <= number <= high:
        raise DefinitionError(f"{number} is out of range for {base}")
    return number


def _parse_default(text: str, field_type: FieldType) -> Value:
    if not field_type.is_primitive:
        raise DefinitionError(f"'{field_type.base}' takes no default")
    if field_type.shape == SINGLE:
        return parse_value(text, field_type.base)
    if not (text.startswith("[") and text.endswith("]")):
        raise DefinitionError(f"'{text}' is not a list")
    if field_type.base in ("string", "wstring"):
        return [str(item) for item in ast.literal_eval(text)]
    return [parse_value(item, field_type.base) for item in text[1:-1].split(",") if item.strip()]


def _without_comment(line: str) -> str:
    """Cut a `#` comment, but not a `#` within quotes of a default or a constant."""
    quote = ""
    for index, character in enumerate(line):
        if quote:
            if character == quote and line[index - 1] != "\\":
                quote = ""
        elif character == "#":
            return line[:index].strip()
        elif character in "\"'":
            quote = character
    # An apostrophe in an unquoted value opens no string: fall back to the plain rule.
    return (line.split("#", 1)[0] if quote else line).strip()


def parse_structure(name: str, lines: list[str]) -> Structure:
    """Read one structure from the lines of a definition.

    Args:
        name: The full name, ``package/kind/Name``.
        lines: The definition's lines, comments allowed.

    Raises:
        DefinitionError: If a line cannot be read.
    """
    package = name.split("/", 1)[0]
    fields: list[Field] = []
    constants: list[Constant] = []
    for raw in lines:
        line = _without_comment(raw)
        if not line:
            continue
        try:
            constant = _CONSTANT.match(line)
            if constant and _TYPE.match(constant["type"]):
                base = parse_type(constant["type"], package).base
                if base not in PRIMITIVES:
                    raise DefinitionError("a constant must be of a primitive type")
                constants.append(
                    Constant(constant["name"], base, parse_value(constant["value"], base))
                )
                continue
            field = _FIELD.match(line)
            if not field:
                raise DefinitionError("neither a field nor a constant")
            if not _FIELD_NAME.match(field["name"]):
                raise DefinitionError(f"'{field['name']}' is not a field name")
            field_type = parse_type(field["type"], package)
            default = field["default"]
            value = None if default is None else _parse_default(default, field_type)
            fields.append(Field(field["name"], field_type, value))
        except DefinitionError as error:
            raise DefinitionError(f"{name}: line '{raw.strip()}': {error}") from error
    return Structure(name, tuple(fields), tuple(constants))


def _split(name: str, lines: list[str], parts: int) -> list[list[str]]:
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == "---":
            sections.append([])
        else:
            sections[-1].append(line)
    if len(sections) != parts:
        raise DefinitionError(f"{name}: {parts} parts separated by '---' are needed")
    return sections


def _single(name: str, base: str) -> Field:
    return Field(name, FieldType(base))


def _event(service: str) -> Structure:
    return Structure(
        f"{service}_Event",
        (
            _single("info", "service_msgs/msg/ServiceEventInfo"),
            Field("request", FieldType(f"{service}_Request", SEQUENCE, 1)),
            Field("response", FieldType(f"{service}_Response", SEQUENCE, 1)),
        ),
    )


def _whole_service(service: str) -> Structure:
    """Return the structure that stands for the service itself in its type hash."""
    return Structure(
        service,
        (
            _single("request_message", f"{service}_Request"),
            _single("response_message", f"{service}_Response"),
            _single("event_message", f"{service}_Event"),
        ),
    )


def parse_service(name: str, lines: list[str]) -> list[Structure]:
    """Read a service: request, response, event, and the service as a structure of the three."""
    request, response = _split(name, lines, 2)
    return [
        parse_structure(f"{name}_Request", request),
        parse_structure(f"{name}_Response", response),
        _event(name),
        _whole_service(name),
    ]


def parse_action(name: str, lines: list[str]) -> list[Structure]:
    """Read an action: its three parts and the services and messages that carry them."""
    goal, result, feedback = _split(name, lines, 3)
    goal_id = _single("goal_id", "unique_identifier_msgs/msg/UUID")
    stamp = _single("stamp", "builtin_interfaces/msg/Time")
    structures = [
        parse_structure(f"{name}_Goal", goal),
        parse_structure(f"{name}_Result", result),
        parse_structure(f"{name}_Feedback", feedback),
        Structure(f"{name}_SendGoal_Request", (goal_id, _single("goal", f"{name}_Goal"))),
        Structure(f"{name}_SendGoal_Response", (_single("accepted", "bool"), stamp)),
        Structure(f"{name}_GetResult_Request", (goal_id,)),
        Structure(
            f"{name}_GetResult_Response",
            (_single("status", "int8"), _single("result", f"{name}_Result")),
        ),
        Structure(f"{name}_FeedbackMessage", (goal_id, _single("feedback", f"{name}_Feedback"))),
        Structure(
            name,
            (
                _single("goal", f"{name}_Goal"),
                _single("result", f"{name}_Result"),
                _single("feedback", f"{name}_Feedback"),
                _single("send_goal_service", f"{name}_SendGoal"),
                _single("get_result_service", f"{name}_GetResult"),
                _single("feedback_message", f"{name}_FeedbackMessage"),
            ),
        ),
    ]
    for service in (f"{name}_SendGoal", f"{name}_GetResult"):
        structures += [_event(service), _whole_service(service)]
    return structures


def parse_interface(name: str, lines: list[str]) -> list[Structure]:
    """Read the definition of ``package/kind/Name``, whichever kind it is."""
    kind = name.split("/")[1]
    if kind == "msg":
        return [parse_structure(name, lines)]
    return parse_service(name, lines) if kind == "srv" else parse_action(name, lines)


def split_table(text: str) -> dict[tuple[str, str], list[str]]:
    """Split a table of definitions into {(kind, name): lines}.

    A table holds the interfaces of one package. Each starts with ``msg Name``, ``srv Name`` or
    ``action Name`` at the line's start; its definition follows, indented.
    """
    interfaces: dict[tuple[str, str], list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            lines.append(line.strip())
        else:
            kind, name = line.split()
            lines = interfaces[kind, name] = []
    return interfaces
