# SPDX-License-Identifier: Apache-2.0
"""Guard conditions: callbacks that a program triggers itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy._entity import Entity, Work
from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context


class GuardCondition(Entity):
    """Runs its callback in the executor after `trigger`."""

    def __init__(
        self,
        callback: Callable[[], Any] | None,
        callback_group: CallbackGroup,
        context: Context | None = None,
    ) -> None:
        super().__init__(callback_group)
        self.callback = callback
        self._triggered = False

    def trigger(self) -> None:
        """Ask for the callback; several triggers before it runs count as one."""
        with self:
            self._triggered = True
            self._notify()

    def _has_work(self) -> bool:
        return self._triggered and not self._destroyed

    def _take(self) -> Work | None:
        if not self._has_work():
            return None
        self._triggered = False
        return self.callback
