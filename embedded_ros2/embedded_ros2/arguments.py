# SPDX-License-Identifier: Apache-2.0
"""Command-line arguments of ROS programs (`--ros-args ...`) and parameter files.

Source: https://design.ros2.org/articles/ros_command_line_arguments.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from embedded_ros2 import names
from embedded_ros2.names import RemapRule

ROS_ARGS, END_OF_ROS_ARGS = "--ros-args", "--"
_PARAMETERS_KEY = "ros__parameters"
LOG_LEVELS = {"unset": 0, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50}
_WITH_VALUE = {
    "-r": "remap",
    "--remap": "remap",
    "-p": "param",
    "--param": "param",
    "--params-file": "params_file",
    "--log-level": "log_level",
    "-e": "enclave",
    "--enclave": "enclave",
    "--log-config-file": "ignored",
    "--log-file-name": "ignored",
}
_SWITCHES = ("rosout-logs", "stdout-logs", "external-lib-logs")


class ArgumentError(ValueError):
    """An argument or a parameter file that cannot be read."""


@dataclass(frozen=True)
class ParameterRule:
    """A parameter's value for the nodes that `pattern` fits (``/**``, ``/ns/node``).

    The value is None where an empty list is given, which is of no type.
    """

    pattern: str
    name: str
    value: Any


@dataclass
class Arguments:
    """What a command line says to ROS; `rest` is what it says to the program."""

    remaps: list[RemapRule] = field(default_factory=list)
    parameters: list[ParameterRule] = field(default_factory=list)
    log_levels: dict[str, int] = field(default_factory=dict)
    enclave: str = ""
    rosout: bool = True
    stdout: bool = True
    rest: list[str] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """YAML with scalars as rcl reads them, which is neither YAML 1.1 nor 1.2; keys are text."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        assert isinstance(node, yaml.MappingNode)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


_PLAIN = "!plain"
_BOOLS = {
    word: value
    for value, words in ((True, "y yes on true"), (False, "n no off false"))
    for word in words.split()
}
_INTEGER = re.compile(r"[-+]?(?:0[xX](?P<hex>[0-9a-fA-F]+)|0(?P<octal>[0-7]*)|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|\.?inf|\.?nan)", re.IGNORECASE
)


def read_scalar(text: str) -> bool | int | float | str:
    """Return what a plain (unquoted) scalar means; what is no other type is a string."""
    if text in (text.lower(), text.capitalize(), text.upper()) and text.lower() in _BOOLS:
        return _BOOLS[text.lower()]
    match = _INTEGER.fullmatch(text)
    if match:
        sign = -1 if text[0] == "-" else 1
        if match["hex"]:
            number = sign * int(match["hex"], 16)
        elif match["octal"] is not None:
            number = sign * int(match["octal"] or "0", 8)
        else:
            number = int(text)
        if -(2**63) <= number < 2**63:
            return number
    if _FLOAT.fullmatch(text):
        value = float(re.sub(r"\.(?=inf|nan)", "", text, flags=re.IGNORECASE))
        if not math.isinf(value) or "inf" in text.lower():
            return value
    return text


def _construct_plain(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return read_scalar(node.value) if node.value else None


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)
_Loader.add_constructor(_PLAIN, _construct_plain)


def _check_value(name: str, value: Any, where: str) -> Any:
    """Return `value` if it is a parameter's.

    Raises:
        ArgumentError: If it is not.
    """
    if value is None or value == []:
        return None  # as in rcl: declared so, the parameter is without a value
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        for kind in (bool, int, float, str):
            if all(type(item) is kind for item in value):
                return value
        raise ArgumentError(
            f"{where}: the list of parameter '{name}' mixes types; write all its numbers with a "
            "decimal point, or quote its texts"
        )
    raise ArgumentError(f"{where}: parameter '{name}' is of no type that parameters have")


def _flatten(prefix: str, mapping: dict[Any, Any], where: str) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flatten(f"{name}.", value, where)
        else:
            yield name, _check_value(name, value, where)


def _sections(prefix: str, mapping: dict[Any, Any], where: str) -> Iterator[tuple[str, Any]]:
    """Yield (node pattern, parameters) for every `ros__parameters` in the file."""
    for key, value in mapping.items():
        if key == _PARAMETERS_KEY:
            if not prefix:
                raise ArgumentError(f"{where}: '{_PARAMETERS_KEY}' must be below a node's name")
            if not isinstance(value, dict):
                raise ArgumentError(f"{where}: '{_PARAMETERS_KEY}' of '{prefix}' holds no keys")
            yield prefix, value
        elif isinstance(value, dict):
            yield from _sections(f"{prefix}/{str(key).strip('/')}", value, where)
        else:
            raise ArgumentError(
                f"{where}: '{key}' stands outside of any '{_PARAMETERS_KEY}' section"
            )


def load_parameters(path: str | Path) -> list[ParameterRule]:
    """Read a parameter file.

    Raises:
        ArgumentError: If it cannot be read or is not a parameter file.
    """
    where = str(path)
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ArgumentError(f"{where}: cannot be read as a parameter file: {error}") from error
    if not isinstance(content, dict):
        raise ArgumentError(f"{where}: not a parameter file: no node's name at its top level")
    return [
        ParameterRule(pattern, name, value)
        for pattern, parameters in _sections("", content, where)
        for name, value in _flatten("", parameters, where)
    ]


def parse_parameter(text: str) -> ParameterRule:
    """Read ``[node:]name:=value``, the value being YAML.

    Raises:
        ArgumentError: If it is not of that form.
    """
    name, separator, value = text.partition(":=")
    if not separator or not name:
        raise ArgumentError(f"'{text}' sets no parameter: 'name:=value' is needed")
    node, colon, rest = name.rpartition(":")
    pattern = f"/{node.strip('/')}" if colon else "/**"
    try:
        parsed = yaml.load(value, _Loader)
    except yaml.YAMLError as error:
        raise ArgumentError(f"'{text}': the value is no YAML: {error}") from error
    if parsed is None and not value.strip():
        raise ArgumentError(f"'{text}' gives the parameter no value")
    return ParameterRule(pattern, rest, _check_value(rest, parsed, f"'{text}'"))


def _parse_log_level(text: str) -> tuple[str, int]:
    name, separator, level = text.rpartition(":=")
    if level.lower() not in LOG_LEVELS:
        raise ArgumentError(
            f"'{text}' is no log level; one of {', '.join(list(LOG_LEVELS)[1:])} is needed"
        )
    return (name if separator else ""), LOG_LEVELS[level.lower()]


def _apply(arguments: Arguments, option: str, value: str) -> None:
    if option == "remap":
        try:
            arguments.remaps.append(names.parse_remap(value))
        except ValueError as error:
            raise ArgumentError(str(error)) from error
    elif option == "param":
        arguments.parameters.append(parse_parameter(value))
    elif option == "params_file":
        arguments.parameters += load_parameters(value)
    elif option == "log_level":
        name, level = _parse_log_level(value)
        arguments.log_levels[name] = level
    elif option == "enclave":
        arguments.enclave = value


def parse(argv: Sequence[str], *, in_ros_args: bool = False) -> Arguments:
    """Read a command line.

    Args:
        argv: The arguments; the program's name is among `rest` like any other.
        in_ros_args: Whether `argv` starts within a `--ros-args` scope.

    Raises:
        ArgumentError: If a ROS argument is unknown, incomplete or malformed.
    """
    arguments = Arguments()
    items = iter(argv)
    for item in items:
        if item == ROS_ARGS:
            in_ros_args = True
        elif not in_ros_args:
            arguments.rest.append(item)
        elif item == END_OF_ROS_ARGS:
            in_ros_args = False
        elif item in _WITH_VALUE:
            value = next(items, None)
            if value is None:
                raise ArgumentError(f"'{item}' needs a value")
            _apply(arguments, _WITH_VALUE[item], value)
        elif item.startswith(("--enable-", "--disable-")) and item.endswith(_SWITCHES):
            enabled = item.startswith("--enable-")
            if item.endswith("rosout-logs"):
                arguments.rosout = enabled
            elif item.endswith("stdout-logs"):
                arguments.stdout = enabled
        elif ":=" in item and not item.startswith("-"):
            raise ArgumentError(f"'{item}' after {ROS_ARGS}: '-r' or '-p' before it is missing")
        else:
            raise ArgumentError(f"unknown ROS argument '{item}'")
    return arguments


def remove_ros_arguments(argv: Sequence[str]) -> list[str]:
    """Return the arguments that are not ROS's."""
    rest, in_ros_args = [], False
    for item in argv:
        if item == ROS_ARGS:
            in_ros_args = True
        elif in_ros_args and item == END_OF_ROS_ARGS:
            in_ros_args = False
        elif not in_ros_args:
            rest.append(item)
    return rest


def pattern_fits(pattern: str, full_node_name: str) -> bool:
    """Return whether a parameter section is for a node; `*` is one token, `**` any number."""
    expression = "".join(
        "(?:/[^/]+)*" if token == "**" else "/[^/]+" if token == "*" else "/" + re.escape(token)
        for token in pattern.strip("/").split("/")
    )
    return re.fullmatch(expression, full_node_name) is not None


def parameters_for(rules: Sequence[ParameterRule], full_node_name: str) -> dict[str, Any]:
    """Return {name: value} for a node.

    As in rcl, rules of one pattern form one section that stands where its first rule does; a later
    section goes over an earlier one, and within a section a later rule over an earlier one. So
    ``-p a:=1`` (pattern ``/**``) after a file does not go over the file's section for the node if
    that file had a section ``/**`` before it.
    """
    sections: dict[str, dict[str, Any]] = {}
    for rule in rules:
        sections.setdefault(rule.pattern, {})[rule.name] = rule.value
    values: dict[str, Any] = {}
    for pattern, section in sections.items():
        if pattern_fits(pattern, full_node_name):
            values.update(section)
    return values
