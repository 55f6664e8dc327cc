# SPDX-License-Identifier: Apache-2.0
"""What to run."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from . import _deep_paths
from .some_substitutions_type import SomeSubstitutionsType
from .substitution import Substitution
from .substitutions import LaunchConfiguration
from .utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .action import Action
    from .launch_context import LaunchContext

__all__ = ["Executable"]

_numbers = itertools.count(1)

_Environment = list[tuple[list[Substitution], list[Substitution]]]


def _normalized(
    env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None,
) -> _Environment | None:
    if env is None:
        return None
    return [
        (normalize_to_list_of_substitutions(key), normalize_to_list_of_substitutions(value))
        for key, value in env.items()
    ]


class Executable:
    """A command line with its folder and environment.

    Attributes:
        name: The name, if one was given.
        prefix: What the command line is put behind, a debugger for example.
        cmd: The command line.
        cwd: The working folder.
        env: The environment instead of that of the launch.
        additional_env: What is added to the environment.
        arguments: What was given as arguments beside the command line.
        final_name: The name in the log, ``talker-1``, once prepared.
        final_cmd: The command line, once prepared.
        final_cwd: The working folder, once prepared.
        final_env: The environment, once prepared.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        prefix: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        additional_env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
    ) -> None:
        self.cmd = [normalize_to_list_of_substitutions(part) for part in cmd]
        self.cmd += [normalize_to_list_of_substitutions(part) for part in arguments or []]
        self.arguments = arguments
        self.__prefix_filter: list[Substitution] | None = None
        if prefix is None:
            # What `--launch-prefix` on the command line sets.
            prefix = LaunchConfiguration("launch-prefix", default="")
            self.__prefix_filter = [LaunchConfiguration("launch-prefix-filter", default="")]
        self.prefix = normalize_to_list_of_substitutions(prefix)
        self.name = None if name is None else normalize_to_list_of_substitutions(name)
        self.cwd = None if cwd is None else normalize_to_list_of_substitutions(cwd)
        self.env = _normalized(env)
        self.additional_env = _normalized(additional_env)
        self.final_cmd: list[str] | None = None
        self.final_cwd: str | None = None
        self.final_env: dict[str, str] | None = None
        self.final_name: str | None = None

    def prepare(self, context: LaunchContext, action: Action) -> None:
        """Perform all substitutions."""
        cmd: list[str] = []
        program = ""
        for part in self.cmd:
            # The program of a Python package may be "python -m ..." rather than a file.
            if len(part) == 1 and hasattr(part[0], "perform_program"):
                name, argv = part[0].perform_program(context)
                cmd += argv
            else:
                name = perform_substitutions(context, part)
                cmd.append(name)
            program = program or os.path.basename(name)
        self.final_cmd = self.__prefix_argv(context, program) + cmd
        if self.name is not None:
            program = perform_substitutions(context, self.name)
        self.final_name = f"{program}-{next(_numbers)}"
        if self.cwd is not None:
            self.final_cwd = perform_substitutions(context, self.cwd)
        env = {} if self.env is not None else dict(context.environment)
        for key, value in [*(self.env or []), *(self.additional_env or [])]:
            env[perform_substitutions(context, key)] = perform_substitutions(context, value)
        self.final_env = env

    def __prefix_argv(self, context: LaunchContext, program: str) -> list[str]:
        prefix = shlex.split(perform_substitutions(context, self.prefix))
        if prefix and self.__prefix_filter is not None:
            pattern = perform_substitutions(context, self.__prefix_filter)
            if re.match(pattern, program) is None:
                return []
        return prefix


_deep_paths.publish(__name__, __all__)
