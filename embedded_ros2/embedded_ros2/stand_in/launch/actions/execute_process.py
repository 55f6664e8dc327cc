# SPDX-License-Identifier: Apache-2.0
"""Child processes that are given as a command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..descriptions import Executable
from ..some_substitutions_type import SomeSubstitutionsType
from .execute_local import ExecuteLocal


class ExecuteProcess(ExecuteLocal):
    """Runs a command line; see ExecuteLocal for the further arguments.

    Args:
        cmd: The program and its arguments.
        prefix: What to put the command line behind.
        name: The name in the log instead of the program's.
        cwd: The working folder.
        env: The environment instead of that of the launch.
        additional_env: What to add to the environment.
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
        **kwargs: Any,
    ) -> None:
        description = Executable(
            cmd=cmd, prefix=prefix, name=name, cwd=cwd, env=env, additional_env=additional_env
        )
        super().__init__(process_description=description, **kwargs)

    @property
    def name(self) -> Any:
        """The name in the log, or the name given."""
        return self.process_description.final_name or self.process_description.name

    @property
    def cmd(self) -> Any:
        """The command line."""
        return self.process_description.final_cmd or self.process_description.cmd

    @property
    def cwd(self) -> Any:
        """The working folder."""
        return self.process_description.final_cwd or self.process_description.cwd

    @property
    def env(self) -> Any:
        """The environment."""
        return self.process_description.final_env or self.process_description.env

    @property
    def additional_env(self) -> Any:
        """What is added to the environment."""
        return self.process_description.additional_env
