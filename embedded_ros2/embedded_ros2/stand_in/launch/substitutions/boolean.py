# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Comparisons and logic; the result is ``true`` or ``false``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from ..utilities.type_utils import is_substitution, perform_typed_substitution
from .substitution_failure import SubstitutionFailure

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


def _truth(context: LaunchContext, value: list[Substitution]) -> bool:
    try:
        return bool(perform_typed_substitution(context, value, bool))
    except (TypeError, ValueError) as error:
        raise SubstitutionFailure(str(error)) from None


def _truths(context: LaunchContext, values: Iterable[list[Substitution]]) -> list[bool]:
    # All are read, so that a value that is no bool is found whatever the others say.
    return [_truth(context, value) for value in values]


def _text(value: bool) -> str:
    return "true" if value else "false"


def _words(values: Iterable[list[Substitution]]) -> str:
    return ", ".join(" + ".join(part.describe() for part in value) for value in values)


class NotSubstitution(Substitution):
    """The opposite of a truth value."""

    def __init__(self, value: SomeSubstitutionsType) -> None:
        self.value = normalize_to_list_of_substitutions(value)

    def describe(self) -> str:
        return f"NotSubstitution({_words([self.value])})"

    def perform(self, context: LaunchContext) -> str:
        return _text(not _truth(context, self.value))


class _Pair(Substitution):
    """A substitution of two values.

    Attributes:
        left: The first value.
        right: The second value.
    """

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType) -> None:
        self.left = normalize_to_list_of_substitutions(left)
        self.right = normalize_to_list_of_substitutions(right)

    def describe(self) -> str:
        return f"{type(self).__name__}({_words([self.left, self.right])})"


class AndSubstitution(_Pair):
    """True if both values are."""

    def perform(self, context: LaunchContext) -> str:
        return _text(all(_truths(context, [self.left, self.right])))


class OrSubstitution(_Pair):
    """True if one of the values is."""

    def perform(self, context: LaunchContext) -> str:
        return _text(any(_truths(context, [self.left, self.right])))


class _Several(Substitution):
    """A substitution of any number of values."""

    def __init__(self, *args: SomeSubstitutionsType) -> None:
        self.args = [normalize_to_list_of_substitutions(arg) for arg in args]

    def describe(self) -> str:
        return f"{type(self).__name__}({_words(self.args)})"


class AnySubstitution(_Several):
    """True if one of the values is."""

    def perform(self, context: LaunchContext) -> str:
        return _text(any(_truths(context, self.args)))


class AllSubstitution(_Several):
    """True if all values are."""

    def perform(self, context: LaunchContext) -> str:
        return _text(all(_truths(context, self.args)))


def _comparable(value: Any) -> SomeSubstitutionsType:
    """Return a value, which may be any Python value, as text or substitutions."""
    if is_substitution(value):
        return value  # type: ignore[no-any-return]
    if value is None:
        return ""
    return _text(value) if isinstance(value, bool) else str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class EqualsSubstitution(_Pair):
    """Compares as truth values if both are, else as numbers if both are, else as text."""

    def __init__(self, left: Any, right: Any) -> None:
        super().__init__(_comparable(left), _comparable(right))

    def perform(self, context: LaunchContext) -> str:
        left = perform_substitutions(context, self.left)
        right = perform_substitutions(context, self.right)
        if left.lower() in _TRUTH and right.lower() in _TRUTH:
            return _text(_TRUTH[left.lower()] == _TRUTH[right.lower()])
        left_number, right_number = _number(left), _number(right)
        if left_number is not None and right_number is not None:
            return _text(math.isclose(left_number, right_number))
        return _text(left == right)


class NotEqualsSubstitution(EqualsSubstitution):
    """The opposite of EqualsSubstitution."""

    def perform(self, context: LaunchContext) -> str:
        return _text(super().perform(context) == "false")


class IfElseSubstitution(Substitution):
    """One of two texts, by a condition.

    Attributes:
        condition: The condition.
        if_value: The text if the condition holds.
        else_value: The text if it does not.
    """

    def __init__(
        self,
        condition: SomeSubstitutionsType,
        if_value: SomeSubstitutionsType = "",
        else_value: SomeSubstitutionsType = "",
    ) -> None:
        if if_value == "" and else_value == "":
            raise RuntimeError("One of if_value and else_value must be specified")
        self.condition = normalize_to_list_of_substitutions(condition)
        self.if_value = normalize_to_list_of_substitutions(if_value)
        self.else_value = normalize_to_list_of_substitutions(else_value)

    def describe(self) -> str:
        return f"IfElseSubstitution({_words([self.condition, self.if_value, self.else_value])})"

    def perform(self, context: LaunchContext) -> str:
        chosen = self.if_value if _truth(context, self.condition) else self.else_value
        return perform_substitutions(context, chosen)
