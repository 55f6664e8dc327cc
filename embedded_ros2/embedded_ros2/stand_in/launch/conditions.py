# SPDX-License-Identifier: Apache-2.0
"""Conditions under which actions run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from . import _deep_paths
from .condition import Condition
from .some_substitutions_type import SomeSubstitutionsType
from .substitution import Substitution
from .utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .launch_context import LaunchContext

__all__ = [
    "IfCondition",
    "InvalidConditionExpressionError",
    "UnlessCondition",
    "evaluate_condition_expression",
]

_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class InvalidConditionExpressionError(ValueError):
    """A condition is neither true nor false; says what it is."""

    def __init__(
        self,
        expression: str,
        unexpanded_expression: Iterable[Substitution],
        valid_expressions: Sequence[str],
    ) -> None:
        origin = " + ".join(part.describe() for part in unexpanded_expression)
        super().__init__(
            f"invalid condition expression, expected one of [{', '.join(valid_expressions)}] "
            f"but got '{expression}', expanded from {origin}"
        )


def evaluate_condition_expression(
    context: LaunchContext, expression: Iterable[Substitution]
) -> bool:
    """Return the truth of a text.

    Raises:
        InvalidConditionExpressionError: If it is none of true, false, 1 and 0.
    """
    parts = list(expression)
    text = perform_substitutions(context, parts).strip().lower()
    if text not in _TRUTH:
        raise InvalidConditionExpressionError(text, parts, list(_TRUTH))
    return _TRUTH[text]


class IfCondition(Condition):
    """Holds if the text is true."""

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        self.__expression = normalize_to_list_of_substitutions(predicate_expression)
        super().__init__(predicate=self._predicate_func)

    def _predicate_func(self, context: LaunchContext) -> bool:
        return evaluate_condition_expression(context, self.__expression)


class UnlessCondition(IfCondition):
    """Holds if the text is false."""

    def _predicate_func(self, context: LaunchContext) -> bool:
        return not super()._predicate_func(context)


_deep_paths.publish(
    __name__,
    __all__,
    also={"evaluate_condition_expression": "evaluate_condition_expression_impl"},
)
