# SPDX-License-Identifier: Apache-2.0
"""Text that is known only when the launch runs."""

from .. import _deep_paths
from .boolean import (
    AllSubstitution,
    AndSubstitution,
    AnySubstitution,
    EqualsSubstitution,
    IfElseSubstitution,
    NotEqualsSubstitution,
    NotSubstitution,
    OrSubstitution,
)
from .configuration import (
    LaunchConfiguration,
    LaunchLogDir,
    LocalSubstitution,
    ThisLaunchFile,
    ThisLaunchFileDir,
)
from .substitution_failure import SubstitutionFailure
from .system import (
    Command,
    EnvironmentVariable,
    FileContent,
    FindExecutable,
    PathJoinSubstitution,
    PythonExpression,
)
from .text import TextSubstitution

__all__ = [
    "AllSubstitution",
    "AndSubstitution",
    "AnySubstitution",
    "Command",
    "EnvironmentVariable",
    "EqualsSubstitution",
    "FileContent",
    "FindExecutable",
    "IfElseSubstitution",
    "LaunchConfiguration",
    "LaunchLogDir",
    "LocalSubstitution",
    "NotEqualsSubstitution",
    "NotSubstitution",
    "OrSubstitution",
    "PathJoinSubstitution",
    "PythonExpression",
    "SubstitutionFailure",
    "TextSubstitution",
    "ThisLaunchFile",
    "ThisLaunchFileDir",
]

_deep_paths.publish(
    __name__,
    __all__,
    also=dict.fromkeys(
        [
            "AllSubstitution",
            "AndSubstitution",
            "AnySubstitution",
            "NotSubstitution",
            "OrSubstitution",
        ],
        "boolean_substitution",
    ),
)
