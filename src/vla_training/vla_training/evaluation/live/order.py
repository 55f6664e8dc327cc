# SPDX-License-Identifier: Apache-2.0
"""Which policy acts in which trial: in pairs, in an order that nobody can guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDES = ("A", "B")


@dataclass(frozen=True)
class LiveCase:
    """A trial: one instruction in one scene.

    Attributes:
        trial: Its number, from 1.
        pair: Its pair's, from 1. Both trials of a pair begin with the same scene.
        side: Which policy acts, of `SIDES`.
        attempt: From 1; more where one did not count and was made anew.
    """

    trial: int
    pair: int
    side: str
    attempt: int = 1

    @property
    def opens(self) -> bool:
        """Whether it is its pair's first trial, whose scene is laid out freely."""
        return self.trial % 2 == 1


def order(pairs: int, seed: int) -> tuple[LiveCase, ...]:
    """Return the trials of a comparison in their order.

    Each policy begins half of the pairs, for whoever is second acts on a table that was used,
    on warmer motors, and before eyes that have learnt.

    Args:
        pairs: How many.
        seed: The same seed, the same order.
    """
    begins = np.arange(pairs) % 2
    rng = np.random.default_rng(seed)
    # Of an odd number one policy begins one pair more: which one, is drawn too.
    begins = rng.permutation(begins ^ rng.integers(2))
    return tuple(
        LiveCase(2 * pair + place + 1, pair + 1, SIDES[(int(first) + place) % 2])
        for pair, first in enumerate(begins)
        for place in range(2)
    )
