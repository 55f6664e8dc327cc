# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Text from outside the launch: environment, files, programs, Python."""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import (
    ensure_argument_type,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)
from .configuration import describe
from .substitution_failure import SubstitutionFailure

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class EnvironmentVariable(Substitution):
    """The value of an environment variable.

    Attributes:
        name: The name of the variable.
        default_value: The text if the variable is not set.
    """

    def __init__(
        self,
        name: SomeSubstitutionsType,
        *,
        default_value: SomeSubstitutionsType | None = None,
    ) -> None:
        self.name = normalize_to_list_of_substitutions(name)
        self.default_value = (
            None if default_value is None else normalize_to_list_of_substitutions(default_value)
        )

    def describe(self) -> str:
        return f"EnvVar({describe(self.name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.name)
        if name in context.environment:
            return context.environment[name]
        if self.default_value is None:
            raise SubstitutionFailure(f"environment variable '{name}' does not exist")
        return perform_substitutions(context, self.default_value)


class FileContent(Substitution):
    """The text in a file."""

    def __init__(self, path: SomeSubstitutionsType) -> None:
        self.path = normalize_to_list_of_substitutions(path)

    def describe(self) -> str:
        return f"FileContent({describe(self.path)})"

    def perform(self, context: LaunchContext) -> str:
        path = perform_substitutions(context, self.path)
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            raise SubstitutionFailure(f"File not found: {path}") from None


class FindExecutable(Substitution):
    """The path of a program on the PATH."""

    def __init__(self, *, name: SomeSubstitutionsType) -> None:
        self.name = normalize_to_list_of_substitutions(name)

    def describe(self) -> str:
        return f"FindExec({describe(self.name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.name)
        found = shutil.which(name, path=search_path(context))
        if found is None:
            raise SubstitutionFailure(f"executable '{name}' not found on the PATH")
        return found


def search_path(context: LaunchContext) -> str:
    """Return the PATH, with the folder of this interpreter's scripts at its end.

    A virtual environment that runs without being activated is not on the PATH, but the
    programs installed into it, xacro for one, belong to the launch all the same.
    """
    import sysconfig

    path = context.environment.get("PATH", os.defpath)
    return os.pathsep.join([path, sysconfig.get_path("scripts")])


class Command(Substitution):
    """The standard output of a command.

    Attributes:
        command: The command line.
        on_stderr: What error output means: ``fail``, ``warn``, ``ignore`` or ``capture``.
    """

    def __init__(
        self, command: SomeSubstitutionsType, *, on_stderr: SomeSubstitutionsType = "fail"
    ) -> None:
        self.command = normalize_to_list_of_substitutions(command)
        self.on_stderr = normalize_to_list_of_substitutions(on_stderr)

    def describe(self) -> str:
        return f"Command({describe(self.command)})"

    def perform(self, context: LaunchContext) -> str:
        line = perform_substitutions(context, self.command)
        on_stderr = perform_substitutions(context, self.on_stderr)
        if on_stderr not in ("fail", "ignore", "warn", "capture"):
            raise SubstitutionFailure(
                f"on_stderr is '{on_stderr}'; use 'fail', 'ignore', 'warn' or 'capture'"
            )
        stderr = subprocess.STDOUT if on_stderr == "capture" else subprocess.PIPE
        argv = shlex.split(line)
        program = shutil.which(argv[0], path=search_path(context)) if argv else None
        if program is None:
            raise SubstitutionFailure(f"file not found: {argv[0] if argv else line!r}")
        done = subprocess.run(
            [program, *argv[1:]], stdout=subprocess.PIPE, stderr=stderr, text=True, check=False
        )
        if done.returncode != 0:
            said = f"\nCaptured stderr output: {done.stderr}" if done.stderr else ""
            raise SubstitutionFailure(f"executed command failed. Command: {line}{said}")
        if done.stderr and on_stderr in ("fail", "warn"):
            message = (
                f"executed command showed stderr output. Command: {line}\n"
                f"Captured stderr output:\n{done.stderr}"
            )
            if on_stderr == "fail":
                raise SubstitutionFailure(message)
            from ..logging import get_logger

            get_logger("launch").warning(message)
        return done.stdout


class PathJoinSubstitution(Substitution):
    """A path put together from parts."""

    def __init__(self, substitutions: SomeSubstitutionsType) -> None:
        # Each part is text or a substitution. Later than Jazzy a part may be a list of both; a
        # launch file that needs this would not be one for Jazzy.
        self.substitutions = normalize_to_list_of_substitutions(substitutions)

    def describe(self) -> str:
        return f"PathJoin('{' + '.join(part.describe() for part in self.substitutions)}')"

    def perform(self, context: LaunchContext) -> str:
        return os.path.join(*(part.perform(context) for part in self.substitutions))


class PythonExpression(Substitution):
    """The result of a Python expression, as text.

    Attributes:
        expression: The expression.
        python_modules: The modules that the expression may use.
    """

    def __init__(
        self,
        expression: SomeSubstitutionsType,
        python_modules: SomeSubstitutionsType = ("math",),
    ) -> None:
        for name, value in (("expression", expression), ("python_modules", python_modules)):
            ensure_argument_type(value, (str, Substitution, Iterable), name, "PythonExpression")
        self.expression = normalize_to_list_of_substitutions(expression)
        self.python_modules = normalize_to_list_of_substitutions(python_modules)

    def describe(self) -> str:
        modules = ", ".join(module.describe() for module in self.python_modules)
        return f"PythonExpr({describe(self.expression)}, [{modules}])"

    def perform(self, context: LaunchContext) -> str:
        names: dict[str, Any] = {}
        for module in self.python_modules:
            imported = importlib.import_module(context.perform_substitution(module))
            if imported.__name__ == "math":
                names.update(vars(imported))
            names[imported.__name__] = imported
        expression = perform_substitutions(context, self.expression)
        try:
            # The expression comes from a launch file, which is Python code already.
            return str(eval(expression, {}, names))
        except Exception as error:
            raise SubstitutionFailure(
                f"cannot evaluate the Python expression '{expression}': "
                f"{type(error).__name__}: {error}"
            ) from error
