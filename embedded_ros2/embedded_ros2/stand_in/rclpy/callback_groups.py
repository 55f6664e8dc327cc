# SPDX-License-Identifier: Apache-2.0
"""Which callbacks may run at the same time."""

from __future__ import annotations

import threading
import weakref
from typing import Any


class CallbackGroup:
    """Base of callback groups; it decides whether an entity's callback may run now."""

    def __init__(self) -> None:
        self.entities: set[weakref.ref[Any]] = set()

    def add_entity(self, entity: Any) -> None:
        """Add a subscription, timer, client, service, guard condition or waitable."""
        self.entities.add(weakref.ref(entity))

    def has_entity(self, entity: Any) -> bool:
        """Return whether the entity is in the group."""
        return weakref.ref(entity) in self.entities

    def can_execute(self, entity: Any) -> bool:
        """Return whether the entity's callback may run now."""
        raise NotImplementedError

    def beginning_execution(self, entity: Any) -> bool:
        """Claim permission to run; if granted, `ending_execution` must follow."""
        raise NotImplementedError

    def ending_execution(self, entity: Any) -> None:
        """Give the permission back."""
        raise NotImplementedError


class ReentrantCallbackGroup(CallbackGroup):
    """Callbacks may run at the same time as any other."""

    def can_execute(self, entity: Any) -> bool:
        """Return True."""
        return True

    def beginning_execution(self, entity: Any) -> bool:
        """Return True."""
        return True

    def ending_execution(self, entity: Any) -> None:
        """Do nothing."""


class MutuallyExclusiveCallbackGroup(CallbackGroup):
    """One callback of the group runs at a time."""

    def __init__(self) -> None:
        super().__init__()
        # Held while a callback runs; a coroutine's may end on another thread than it began on.
        self._busy = threading.Lock()

    def can_execute(self, entity: Any) -> bool:
        """Return whether none of the group runs."""
        return not self._busy.locked()

    def beginning_execution(self, entity: Any) -> bool:
        """Claim permission to run."""
        return self._busy.acquire(blocking=False)

    def ending_execution(self, entity: Any) -> None:
        """Give the permission back."""
        self._busy.release()
