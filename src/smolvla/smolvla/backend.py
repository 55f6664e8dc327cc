# SPDX-License-Identifier: Apache-2.0
"""What a backend computes: the stages of the model, for one observation at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array32 = NDArray[np.float32]


class Backend(Protocol):
    """The stages of the model. What passes from one to the next is the backend's own."""

    name: str

    def encode_image(self, pixels: Array32) -> Any:
        """Return the tokens of an image (3, S, S) in -1..1."""

    def embed_text(self, ids: NDArray[np.int64]) -> Any:
        """Return the tokens of an instruction's token ids (L,)."""

    def prefill(self, parts: Sequence[Any], state: Array32) -> Any:
        """Return what the expert attends to.

        Args:
            parts: Tokens of images and instruction, in the model's order.
            state: Normalised and padded, (max_state_size,).
        """

    def renew(self, prefix: Any, state: Array32) -> Any:
        """Return what `prefill` would for the same parts and another state."""

    def velocity(self, prefix: Any, x: Array32, t: float) -> Array32:
        """Return the flow's velocity (T, max_action_size) for x at time t."""

    def close(self) -> None:
        """Free what it holds."""
