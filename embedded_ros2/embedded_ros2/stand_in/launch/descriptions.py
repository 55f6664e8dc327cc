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
    """A command line with its folder and environment."""

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
        self.__cmd = [normalize_to_list_of_substitutions(part) for part in cmd]
        self.__cmd += [normalize_to_list_of_substitutions(part) for part in arguments or []]
        self.__arguments = arguments
        self.__prefix_filter: list[Substitution] | None = None
        if prefix is None:
            # What `--launch-prefix` on the command line sets.
            prefix = LaunchConfiguration("launch-prefix", default="")
            self.__prefix_filter = [LaunchConfiguration("launch-prefix-filter", default="")]
        self.__prefix = normalize_to_list_of_substitutions(prefix)
        self.__name = None if name is None else normalize_to_list_of_substitutions(name)
        self.__cwd = None if cwd is None else normalize_to_list_of_substitutions(cwd)
        self.__env = _normalized(env)
        self.__additional_env = _normalized(additional_env)
        self.__final_cmd: list[str] | None = None
        self.__final_cwd: str | None = None
        self.__final_env: dict[str, str] | None = None
        self.__final_name: str | None = None

    @property
    def name(self) -> list[Substitution] | None:
        """The name, if one was given."""
        return self.__name

    @property
    def prefix(self) -> list[Substitution]:
        """What the command line is put behind, a debugger for example."""
        return self.__prefix

    @property
    def cmd(self) -> list[list[Substitution]]:
        """The command line."""
        return self.__cmd

    @property
    def cwd(self) -> list[Substitution] | None:
        """The working folder."""
        return self.__cwd

    @property
    def env(self) -> _Environment | None:
        """The environment instead of that of the launch."""
        return self.__env

    @property
    def additional_env(self) -> _Environment | None:
        """What is added to the environment."""
        return self.__additional_env

    @property
    def arguments(self) -> Iterable[SomeSubstitutionsType] | None:
        """What was given as arguments beside the command line."""
        return self.__arguments

    @property
    def final_name(self) -> str | None:
        """The name in the log, ``talker-1``, once prepared."""
        return self.__final_name

    @property
    def final_cmd(self) -> list[str] | None:
        """The command line, once prepared."""
        return self.__final_cmd

    @property
    def final_cwd(self) -> str | None:
        """The working folder, once prepared."""
        return self.__final_cwd

    @property
    def final_env(self) -> dict[str, str] | None:
        """The environment, once prepared."""
        return self.__final_env

    def prepare(self, context: LaunchContext, action: Action) -> None:
        """Perform all substitutions."""
        cmd: list[str] = []
        program = ""
        for part in self.__cmd:
            # The program of a Python package may be "python -m ..." rather than a file.
            if len(part) == 1 and hasattr(part[0], "perform_program"):
                name, argv = part[0].perform_program(context)
                cmd += argv
            else:
                name = perform_substitutions(context, part)
                cmd.append(name)
            program = program or os.path.basename(name)
        self.__final_cmd = self.__prefix_argv(context, program) + cmd
        if self.__name is not None:
            program = perform_substitutions(context, self.__name)
        self.__final_name = f"{program}-{next(_numbers)}"
        if self.__cwd is not None:
            self.__final_cwd = perform_substitutions(context, self.__cwd)
        env = {} if self.__env is not None else dict(context.environment)
        for key, value in [*(self.__env or []), *(self.__additional_env or [])]:
            env[perform_substitutions(context, key)] = perform_substitutions(context, value)
        self.__final_env = env

    def __prefix_argv(self, context: LaunchContext, program: str) -> list[str]:
        prefix = shlex.split(perform_substitutions(context, self.__prefix))
        if prefix and self.__prefix_filter is not None:
            pattern = perform_substitutions(context, self.__prefix_filter)
            if re.match(pattern, program) is None:
                return []
        return prefix


_deep_paths.publish(__name__, __all__)
