# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 param``: list, get, set, describe, dump, load and delete."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

import yaml
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
)
from rclpy.node import Node
from rclpy.parameter import (
    get_parameter_value,
    parameter_dict_from_yaml_file,
    parameter_value_to_python,
)

from . import CommandError, add_verbs, ros

# Type to (name, label of a value).
_TYPES = {
    ParameterType.PARAMETER_NOT_SET: ("not set", "Parameter not set."),
    ParameterType.PARAMETER_BOOL: ("boolean", "Boolean value is:"),
    ParameterType.PARAMETER_INTEGER: ("integer", "Integer value is:"),
    ParameterType.PARAMETER_DOUBLE: ("double", "Double value is:"),
    ParameterType.PARAMETER_STRING: ("string", "String value is:"),
    ParameterType.PARAMETER_BYTE_ARRAY: ("byte array", "Byte values are:"),
    ParameterType.PARAMETER_BOOL_ARRAY: ("boolean array", "Boolean values are:"),
    ParameterType.PARAMETER_INTEGER_ARRAY: ("integer array", "Integer values are:"),
    ParameterType.PARAMETER_DOUBLE_ARRAY: ("double array", "Double values are:"),
    ParameterType.PARAMETER_STRING_ARRAY: ("string array", "String values are:"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "list": (_add_list, _list),
            "get": (_add_get, _get),
            "set": (_add_set, _set),
            "describe": (_add_describe, _describe),
            "dump": (_add_node, _dump),
            "load": (_add_load, _load),
            "delete": (_add_delete, _delete),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _add_common(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument(
        "--include-hidden-nodes", action="store_true", help="consider hidden nodes as well"
    )


def _add_node(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    parser.add_argument("node_name", help="name of the node")
    parser.add_argument(
        "--timeout",
        metavar="N",
        type=float,
        default=1.0,
        help="wait N seconds for the node (default: 1)",
    )


def _node(own: Node, args: argparse.Namespace) -> str:
    return ros.wait_for_node(own, args.node_name, args.include_hidden_nodes, args.timeout)


def _names(own: Node, full_name: str, prefixes: list[str]) -> list[str]:
    request = ListParameters.Request(prefixes=prefixes)
    response = ros.call(own, ListParameters, f"{full_name}/list_parameters", request)
    return sorted(response.result.names)


def _values(own: Node, full_name: str, names: list[str]) -> list[ParameterValue]:
    request = GetParameters.Request(names=names)
    return list(ros.call(own, GetParameters, f"{full_name}/get_parameters", request).values)


def _descriptors(own: Node, full_name: str, names: list[str]) -> list[Any]:
    request = DescribeParameters.Request(names=names)
    response = ros.call(own, DescribeParameters, f"{full_name}/describe_parameters", request)
    return list(response.descriptors)


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    parser.add_argument("node_name", nargs="?", help="name of the node; all nodes without one")
    parser.add_argument("--filter", metavar="REGEX", help="only names that match")
    parser.add_argument("--param-prefixes", nargs="+", default=[], help="only these prefixes")
    parser.add_argument("--param-type", action="store_true", help="show the types too")


def _list(args: argparse.Namespace) -> None:
    """Output a list of available parameters."""
    with ros.node(args) as own:
        nodes = ros.node_names(own, args.include_hidden_nodes)
        if args.node_name:
            full_name = ros.absolute(args.node_name)
            if full_name not in nodes:
                raise CommandError("Node not found")
            nodes = [full_name]
        for full_name in nodes:
            try:
                names = _names(own, full_name, args.param_prefixes)
            except CommandError as error:
                print(f"{full_name}: {error}", file=sys.stderr)
                continue
            if args.filter:
                names = [name for name in names if re.match(args.filter, name)]
            if names and not args.node_name:
                print(f"{full_name}:")
            types = {}
            if args.param_type and names:
                for descriptor in _descriptors(own, full_name, names):
                    types[descriptor.name] = f" (type: {_TYPES[descriptor.type][0]})"
            for name in names:
                print(f"  {name}{types.get(name, '')}")


def _add_get(parser: argparse.ArgumentParser) -> None:
    _add_node(parser)
    parser.add_argument("parameter_name", help="name of the parameter")
    parser.add_argument("--hide-type", action="store_true", help="only the value")


def _get(args: argparse.Namespace) -> None:
    """Get a parameter."""
    with ros.node(args) as own:
        values = _values(own, _node(own, args), [args.parameter_name])
    if not values or values[0].type == ParameterType.PARAMETER_NOT_SET:
        raise CommandError("Parameter not set")
    value = parameter_value_to_python(values[0])
    print(value if args.hide_type else f"{_TYPES[values[0].type][1]} {value}")


def _add_set(parser: argparse.ArgumentParser) -> None:
    _add_node(parser)
    parser.add_argument("parameter_name", help="name of the parameter")
    parser.add_argument("value", help="its value, in YAML")


def _set(args: argparse.Namespace) -> int:
    """Set a parameter."""
    parameter = Parameter(name=args.parameter_name, value=get_parameter_value(args.value))
    with ros.node(args) as own:
        results = _set_all(own, _node(own, args), [parameter])
    return _tell(results[0], "Set parameter successful", "Setting parameter failed")


def _set_all(own: Node, full_name: str, parameters: list[Parameter]) -> list[Any]:
    request = SetParameters.Request(parameters=parameters)
    return list(ros.call(own, SetParameters, f"{full_name}/set_parameters", request).results)


def _tell(result: Any, success: str, failure: str) -> int:
    text = success if result.successful else failure
    if result.reason:
        text += f": {result.reason}"
    print(text, file=sys.stdout if result.successful else sys.stderr)
    return 0 if result.successful else 1


def _add_delete(parser: argparse.ArgumentParser) -> None:
    _add_node(parser)
    parser.add_argument("parameter_name", help="name of the parameter")


def _delete(args: argparse.Namespace) -> int:
    """Delete a parameter."""
    with ros.node(args) as own:
        results = _set_all(own, _node(own, args), [Parameter(name=args.parameter_name)])
    return _tell(results[0], "Deleted parameter successfully", "Deleting parameter failed")


def _add_describe(parser: argparse.ArgumentParser) -> None:
    _add_node(parser)
    parser.add_argument("parameter_names", nargs="+", help="names of parameters")


def _describe(args: argparse.Namespace) -> None:
    """Show descriptive information about declared parameters."""
    with ros.node(args) as own:
        for descriptor in _descriptors(own, _node(own, args), args.parameter_names):
            print(f"Parameter name: {descriptor.name}")
            print(f"  Type: {_TYPES[descriptor.type][0]}")
            if descriptor.description:
                print(f"  Description: {descriptor.description}")
            print("  Constraints:")
            if descriptor.read_only:
                print("    Read only: true")
            for interval in (*descriptor.floating_point_range, *descriptor.integer_range):
                print(f"    Min value: {interval.from_value}")
                print(f"    Max value: {interval.to_value}")
                if interval.step:
                    print(f"    Step: {interval.step}")
            if descriptor.additional_constraints:
                print(f"    Additional constraints: {descriptor.additional_constraints}")


def _dump(args: argparse.Namespace) -> None:
    """Show all of the parameters of a node in a YAML file format."""
    with ros.node(args) as own:
        full_name = _node(own, args)
        names = _names(own, full_name, [])
        values = _values(own, full_name, names)
    parameters: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        *groups, last = name.split(".")
        place = parameters
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = parameter_value_to_python(value)
    content = {full_name: {"ros__parameters": parameters}}
    print(yaml.safe_dump(content, default_flow_style=False, allow_unicode=True))


def _add_load(parser: argparse.ArgumentParser) -> None:
    _add_node(parser)
    parser.add_argument("parameter_file", help="path of the file")
    parser.add_argument(
        "--no-use-wildcard", action="store_true", help="leave out what is for '/**'"
    )


def _load(args: argparse.Namespace) -> int:
    """Load parameter file for a node."""
    with ros.node(args) as own:
        full_name = _node(own, args)
        try:
            parameters = _from_file(args.parameter_file, full_name, not args.no_use_wildcard)
        except (OSError, RuntimeError, yaml.YAMLError) as error:
            raise CommandError(f"{args.parameter_file}: {error}") from None
        results = _set_all(own, full_name, parameters)
    codes = [
        _tell(
            result,
            f"Set parameter {parameter.name} successful",
            f"Set parameter {parameter.name} failed",
        )
        for parameter, result in zip(parameters, results, strict=True)
    ]
    return max(codes, default=0)


def _from_file(path: str, full_name: str, use_wildcard: bool) -> list[Parameter]:
    with open(path, encoding="utf-8") as file:
        sections = yaml.safe_load(file) or {}
    # A file may name the node with or without its leading slash.
    targets = [name for name in (full_name, full_name[1:]) if name in sections]
    if not targets and not (use_wildcard and "/**" in sections):
        raise RuntimeError(f"no parameters for {full_name}, only for {list(sections)}")
    return list(parameter_dict_from_yaml_file(path, use_wildcard, targets or ["/**"]).values())
