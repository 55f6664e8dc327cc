# SPDX-License-Identifier: Apache-2.0
"""What substitutions are called in parameter files; XML and YAML launch files are not offered."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..substitutions import (
    AllSubstitution,
    AndSubstitution,
    AnonName,
    AnySubstitution,
    Command,
    EnvironmentVariable,
    EqualsSubstitution,
    FileContent,
    FindExecutable,
    IfElseSubstitution,
    LaunchConfiguration,
    LaunchLogDir,
    NotEqualsSubstitution,
    NotSubstitution,
    OrSubstitution,
    PythonExpression,
    SubstitutionFailure,
    TextSubstitution,
    ThisLaunchFile,
    ThisLaunchFileDir,
)

__all__ = ["expose_action", "expose_substitution", "parse_substitution"]

_Exposed = TypeVar("_Exposed")
_Parse = Callable[[Sequence[SomeSubstitutionsType]], tuple[Callable[..., Substitution], Any]]

_substitutions: dict[str, _Parse] = {
    "anon": AnonName.parse,
    "command": Command.parse,
    "dirname": ThisLaunchFileDir.parse,
    "env": EnvironmentVariable.parse,
    "equals": EqualsSubstitution.parse,
    "eval": PythonExpression.parse,
    "file-content": FileContent.parse,
    "filename": ThisLaunchFile.parse,
    "find-exec": FindExecutable.parse,
    "if": IfElseSubstitution.parse,
    "launch_log_dir": LaunchLogDir.parse,
    "log_dir": LaunchLogDir.parse,
    "not": NotSubstitution.parse,
    "not-equals": NotEqualsSubstitution.parse,
    "and": AndSubstitution.parse,
    "or": OrSubstitution.parse,
    "var": LaunchConfiguration.parse,
    "all": lambda data: (lambda args: AllSubstitution(*args), {"args": data}),
    "any": lambda data: (lambda args: AnySubstitution(*args), {"args": data}),
}


def expose_substitution(name: str) -> Callable[[_Exposed], _Exposed]:
    """Make a substitution class, by its ``parse`` method, available as ``$(name ...)``."""

    def expose(exposed: _Exposed) -> _Exposed:
        parse: Any = getattr(exposed, "parse", exposed)
        _substitutions[name] = parse
        return exposed

    return expose


def expose_action(name: str) -> Callable[[_Exposed], _Exposed]:
    """Return the action as it is; the name would be for XML and YAML launch files."""
    return lambda exposed: exposed


def parse_substitution(text: str) -> list[Substitution]:
    """Return text with ``$(name argument ...)`` in it as substitutions.

    Arguments are separated by a space, may be quoted, and may hold substitutions. A backslash
    takes the special meaning from the character after it.

    Raises:
        SubstitutionFailure: If the text is malformed or names an unknown substitution.
    """
    if not text:
        return [TextSubstitution(text="")]
    return _Reader(text).template(end="")


class _Reader:
    """Reads a text from left to right."""

    _NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def template(self, end: str) -> list[Substitution]:
        """Read up to one of the characters in ``end``, or to the end of the text."""
        parts: list[Substitution] = []
        plain = ""
        while self._at < len(self._text) and self._text[self._at] not in (end or ()):
            if self._text.startswith("$(", self._at):
                if plain:
                    parts.append(TextSubstitution(text=plain))
                    plain = ""
                parts.append(self._substitution())
                continue
            if self._text[self._at] == "\\" and self._at + 1 < len(self._text):
                self._at += 1
            plain += self._text[self._at]
            self._at += 1
        if plain or not parts:
            parts.append(TextSubstitution(text=plain))
        return parts

    def _substitution(self) -> Substitution:
        start = self._at
        match = self._NAME.match(self._text, start + 2)
        if match is None:
            raise SubstitutionFailure(f"no name after '$(' in '{self._text[start : start + 40]}'")
        self._at = match.end()
        arguments: list[list[Substitution]] = []
        while self._at < len(self._text) and self._text[self._at] == " ":
            self._at += 1
            arguments.append(self._argument())
        if self._at >= len(self._text) or self._text[self._at] != ")":
            raise SubstitutionFailure(f"no ')' after '{self._text[start : start + 40]}'")
        self._at += 1
        if match[0] not in _substitutions:
            raise SubstitutionFailure(
                f"unknown substitution '$({match[0]} ...)'; known: "
                f"{', '.join(sorted(_substitutions))}"
            )
        make, kwargs = _substitutions[match[0]](arguments)
        return make(**kwargs)

    def _argument(self) -> list[Substitution]:
        quote = self._text[self._at : self._at + 1]
        if quote not in ("'", '"') or not quote:
            return self.template(end=" )")
        start = self._at
        self._at += 1
        parts = self.template(end=quote)
        if self._at >= len(self._text):
            raise SubstitutionFailure(
                f"no closing {quote} after '{self._text[start : start + 40]}'"
            )
        self._at += 1
        return parts
