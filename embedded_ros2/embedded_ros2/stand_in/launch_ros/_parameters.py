# SPDX-License-Identifier: Apache-2.0
"""From the parameters of a launch file to those that a node reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from launch.substitution import Substitution
from launch.substitutions import TextSubstitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch.utilities.type_utils import is_substitution

from .parameter_descriptions import Parameter, ParameterFile, ParameterValue

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

# Name as substitutions, and the value: a scalar, a ParameterValue, a tuple of substitutions that
# together form one text, or a list of values.
ParametersDict = dict[tuple[Substitution, ...], Any]
Parameters = tuple[ParametersDict | Parameter | ParameterFile, ...]

_SCALARS = (bool, int, float, str)


def normalize_parameters(parameters: Sequence[Any]) -> Parameters:
    """Return the parameters of a node, checked, and nested names joined by dots.

    Raises:
        TypeError: If something can never be a parameter.
    """
    if isinstance(parameters, (str, Mapping)) or not isinstance(parameters, Sequence):
        raise TypeError(f"'parameters' must be a list of dicts and files, got '{parameters}'")
    return tuple(
        normalize_parameter_dict(item)
        if isinstance(item, Mapping)
        else item
        if isinstance(item, (Parameter, ParameterFile))
        else ParameterFile(item)
        for item in parameters
    )


def normalize_parameter_dict(
    parameters: Mapping[Any, Any], *, prefix: Sequence[Substitution] = ()
) -> ParametersDict:
    """Return one dict of parameters, checked, and nested names joined by dots."""
    normalized: ParametersDict = {}
    for key, value in parameters.items():
        name = tuple(normalize_to_list_of_substitutions(key))
        if prefix:
            name = (*prefix, TextSubstitution(text="."), *name)
        if isinstance(value, Mapping):
            normalized.update(normalize_parameter_dict(value, prefix=name))
        else:
            normalized[name] = _normalize_value(name, value)
    return normalized


def _normalize_value(name: tuple[Substitution, ...], value: Any) -> Any:
    if isinstance(value, (ParameterValue, bytes, *_SCALARS)):
        return value
    if isinstance(value, Substitution):
        return (value,)
    if not isinstance(value, Sequence):
        raise TypeError(
            f"parameter '{_words(name)}' has a value of type '{type(value).__name__}'; "
            "use bool, int, float, str, bytes, a list of these or substitutions"
        )
    if is_substitution(value):
        return tuple(normalize_to_list_of_substitutions(value))  # parts of one text
    return [
        tuple(normalize_to_list_of_substitutions(item)) if not isinstance(item, _SCALARS) else item
        for item in value
    ]


def _words(name: Sequence[Substitution]) -> str:
    return "".join(
        part.text if isinstance(part, TextSubstitution) else part.describe() for part in name
    )


def evaluate_parameters(
    context: LaunchContext, parameters: Parameters
) -> tuple[dict[str, Any] | Path | Parameter, ...]:
    """Return the parameters with all substitutions performed."""
    return tuple(
        item.evaluate(context)
        if isinstance(item, ParameterFile)
        else item
        if isinstance(item, Parameter)
        else evaluate_parameter_dict(context, item)
        for item in parameters
    )


def evaluate_parameter_dict(context: LaunchContext, parameters: ParametersDict) -> dict[str, Any]:
    """Return names and values of the parameters.

    Raises:
        TypeError: If the text of a substitution, read as YAML, is no parameter value.
    """
    result: dict[str, Any] = {}
    for name, value in parameters.items():
        text = perform_substitutions(context, name)
        try:
            result[text] = _evaluate(context, value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"parameter '{text}': {error}") from None
    return result


def _evaluate(context: LaunchContext, value: Any) -> Any:
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, tuple):
        return _checked(_read(perform_substitutions(context, value)))
    if isinstance(value, list):
        return _checked(
            [
                _read(perform_substitutions(context, item)) if isinstance(item, tuple) else item
                for item in value
            ]
        )
    return value


def _read(text: str) -> Any:
    """Return text as YAML reads it; empty text is empty text."""
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        raise TypeError(
            f"'{text}' is not valid YAML; if it is meant as text, use "
            "launch_ros.parameter_descriptions.ParameterValue(value, value_type=str)"
        ) from None


def _checked(value: Any) -> Any:
    if isinstance(value, (bytes, *_SCALARS)):
        return value
    if not isinstance(value, list):
        raise TypeError(
            f"a value of type '{type(value).__name__}' is not allowed; if it is meant as text, "
            "use launch_ros.parameter_descriptions.ParameterValue(value, value_type=str)"
        )
    kinds = {type(item) for item in value}
    if kinds == {int, float}:
        return [float(item) for item in value]
    if len(kinds) != 1 or not kinds <= set(_SCALARS):
        raise TypeError(f"list {value} must be non-empty, with bool, int, float or str throughout")
    return value


def parameters_yaml(node_name: str, values: Mapping[str, Any]) -> str:
    """Return a parameter file for a node, or for all nodes if the name is ``/**``."""
    content = {node_name: {"ros__parameters": dict(values)}}
    return yaml.safe_dump(content, default_flow_style=False, sort_keys=False, allow_unicode=True)


def parameter_rule(name: str, value: Any) -> str:
    """Return ``name:=value`` for the command line of a node."""
    if isinstance(value, float) and not math.isfinite(value):
        text = ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    else:
        text = json.dumps(value, ensure_ascii=False)  # which YAML reads as the same value
    return f"{name}:={text}"
