# SPDX-License-Identifier: Apache-2.0
"""What can be destroyed."""

from __future__ import annotations

from typing import Protocol


class DestroyableType(Protocol):
    """Has `destroy`."""

    def destroy(self) -> None:
        """Destroy it."""
