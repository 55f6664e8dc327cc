# SPDX-License-Identifier: Apache-2.0
"""The base of all conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Condition:
    """Decides at launch time whether an action runs."""

    def __init__(self, *, predicate: Callable[[LaunchContext], bool] | None = None) -> None:
        self._predicate = predicate

    def describe(self) -> str:
        """Return a one-line description."""
        return repr(self)

    def evaluate(self, context: LaunchContext) -> bool:
        """Return whether the condition holds; False without a predicate."""
        return self._predicate is not None and self._predicate(context)
