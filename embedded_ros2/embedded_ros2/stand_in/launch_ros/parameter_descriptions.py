# SPDX-License-Identifier: Apache-2.0
"""Parameters of nodes, given one by one or as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.utilities import (
    ensure_argument_type,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)
from launch.utilities.type_utils import (
    AllowedTypesType,
    SomeValueType,
    normalize_typed_substitution,
    perform_typed_substitution,
)

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

__all__ = ["Parameter", "ParameterFile", "ParameterValue"]


class ParameterValue:
    """A value whose type is said, rather than read from its text as YAML would.

    Attributes:
        value: The value, as given.
        value_type: The type, or None to read it from the text.
    """

    def __init__(
        self, value: SomeValueType, *, value_type: AllowedTypesType | None = None
    ) -> None:
        self.value = normalize_typed_substitution(value, value_type)
        self.value_type = value_type

    def __str__(self) -> str:
        return f"ParameterValue(value={self.value}, value_type={self.value_type})"

    def evaluate(self, context: LaunchContext) -> Any:
        """Return the value."""
        return perform_typed_substitution(context, self.value, self.value_type)


class Parameter:
    """A parameter by name."""

    def __init__(
        self,
        name: SomeSubstitutionsType,
        value: SomeValueType,
        *,
        value_type: AllowedTypesType | None = None,
    ) -> None:
        self.name = normalize_to_list_of_substitutions(name)
        self.__value = ParameterValue(value, value_type=value_type)

    @property
    def value(self) -> Any:
        """The value, as given."""
        return self.__value.value

    @property
    def value_type(self) -> AllowedTypesType | None:
        """The type, or None to read it from the text."""
        return self.__value.value_type

    def __str__(self) -> str:
        return f"Parameter(name={self.name}, value={self.value}, value_type={self.value_type})"

    def evaluate(self, context: LaunchContext) -> tuple[str, Any]:
        """Return the name and the value."""
        return perform_substitutions(context, self.name), self.__value.evaluate(context)


class ParameterFile:
    """A YAML file of parameters.

    Args:
        param_file: Its path.
        allow_substs: Must be False: ``$(var name)`` and the like in a file are not offered.

    Attributes:
        param_file: The path, as given.
        allow_substs: As given.
    """

    def __init__(
        self,
        param_file: SomeSubstitutionsType | os.PathLike[str] | bytes,
        *,
        allow_substs: bool | SomeSubstitutionsType = False,
    ) -> None:
        if isinstance(param_file, bytes):
            param_file = os.fsdecode(param_file)
        if isinstance(param_file, os.PathLike):
            param_file = os.fspath(param_file)
        ensure_argument_type(
            param_file, (str, Substitution, list, tuple), "param_file", "ParameterFile"
        )
        self.param_file = normalize_to_list_of_substitutions(param_file)
        self.allow_substs = normalize_typed_substitution(allow_substs, bool)

    def __str__(self) -> str:
        return f"ParameterFile(param_file={self.param_file}, allow_substs={self.allow_substs})"

    def evaluate(self, context: LaunchContext) -> Path:
        """Return the path of the file.

        Raises:
            NotImplementedError: Substitutions in it are to be replaced.
        """
        path = Path(perform_substitutions(context, self.param_file))
        if perform_typed_substitution(context, self.allow_substs, bool):
            raise NotImplementedError(
                f"parameter file '{path}': allow_substs is not offered without ROS 2; give such "
                "values in the launch file, as parameters=[{name: substitution}]"
            )
        return path
