# SPDX-License-Identifier: Apache-2.0
"""Groups of entities that a node adds as one: action servers and clients."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy._entity import Entity
from rclpy.callback_groups import CallbackGroup


class Waitable:
    """Base of action servers and clients; waitables over rcl's wait sets are not offered."""

    def __init__(self, callback_group: CallbackGroup) -> None:
        self.callback_group = callback_group

    def _entities(self) -> Iterable[Entity]:
        raise NotImplementedError(
            "embedded_ros2 does not offer custom waitables: there are no wait sets"
        )

    def destroy(self) -> None:
        """Destroy the entities."""
        for entity in self._entities():
            entity.destroy()
