# SPDX-License-Identifier: Apache-2.0
"""The base of what a launch description may hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class LaunchDescriptionEntity:
    """Something that the launch service visits."""

    def describe(self) -> str:
        """Return a one-line description."""
        return repr(self)

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return what is visited after this, without a condition."""
        return []

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Return what may be visited after this, with the condition in words."""
        return []

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Do the work; return what to visit next."""
        return None

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        """Return a future that ends when this is no longer active, or None if it never is."""
        return None
