# SPDX-License-Identifier: Apache-2.0
"""Helpers for ROS actions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from launch import _deep_paths
from launch.substitution import Substitution
from launch.utilities import normalize_to_list_of_substitutions

from ._names import (
    is_namespace_absolute,
    is_root_namespace,
    make_namespace_absolute,
    prefix_namespace,
)
from ._parameters import (
    evaluate_parameter_dict,
    evaluate_parameters,
    normalize_parameter_dict,
    normalize_parameters,
)

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

__all__ = [
    "add_node_name",
    "evaluate_parameters",
    "evaluate_parameters_dict",
    "get_node_name_count",
    "is_namespace_absolute",
    "is_root_namespace",
    "make_namespace_absolute",
    "normalize_parameters",
    "normalize_parameters_dict",
    "normalize_remap_rule",
    "normalize_remap_rules",
    "prefix_namespace",
]

evaluate_parameters_dict = evaluate_parameter_dict
normalize_parameters_dict = normalize_parameter_dict

_RemapRule = tuple[tuple[Substitution, ...], tuple[Substitution, ...]]


def normalize_remap_rule(remap_rule: Any) -> _RemapRule:
    """Return a remapping, a pair of names, as substitutions.

    Raises:
        TypeError: If it is no pair.
    """
    if not isinstance(remap_rule, tuple) or len(remap_rule) != 2:
        raise TypeError(f"a remapping must be a tuple (from, to), got '{remap_rule}'")
    source, target = remap_rule
    return (
        tuple(normalize_to_list_of_substitutions(source)),
        tuple(normalize_to_list_of_substitutions(target)),
    )


def normalize_remap_rules(remap_rules: Iterable[Any]) -> Iterator[_RemapRule]:
    """Return remappings as substitutions."""
    return map(normalize_remap_rule, remap_rules)


def _names(context: LaunchContext) -> dict[str, int]:
    if "unique_ros_node_names" not in context.get_locals_as_dict():
        context.extend_globals({"unique_ros_node_names": defaultdict(int)})
    names: dict[str, int] = context.locals.unique_ros_node_names
    return names


def add_node_name(context: LaunchContext, node_name: str) -> None:
    """Count a node that this launch has started."""
    _names(context)[node_name] += 1


def get_node_name_count(context: LaunchContext, node_name: str) -> int:
    """Return how many nodes of this name this launch has started."""
    return _names(context)[node_name]


_deep_paths.publish(
    __name__,
    [*__all__, "evaluate_parameter_dict", "normalize_parameter_dict"],
    also={
        "add_node_name": "track_node_names",
        "get_node_name_count": "track_node_names",
        "evaluate_parameter_dict": "evaluate_parameters",
        "evaluate_parameters_dict": "evaluate_parameters",
        "normalize_parameter_dict": "normalize_parameters",
        "normalize_parameters_dict": "normalize_parameters",
        "normalize_remap_rules": "normalize_remap_rule",
        "is_namespace_absolute": "namespace_utils",
        "is_root_namespace": "namespace_utils",
        "make_namespace_absolute": "namespace_utils",
        "prefix_namespace": "namespace_utils",
    },
)
