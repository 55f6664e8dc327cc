# SPDX-License-Identifier: Apache-2.0
"""What pairs of trials say of two policies: the sign test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from vla_training.evaluation.live.trials import LiveLine

# Below, the policies are said to differ.
LEVEL = 0.05
# With fewer pairs no result whatever is below that: 2 / 2^5 is 0.0625.
FEWEST_PAIRS = 6


def sign_test(one: int, other: int) -> float:
    """Return the two-sided p-value of the exact sign test.

    How probable it is that a fair coin, thrown once for each pair that differs, falls at least as
    one-sidedly. Of successes and failures in pairs it is McNemar's exact test.

    Args:
        one: Pairs that speak for one of the two.
        other: Pairs that speak for the other one.
    """
    count = one + other
    tail = sum(comb(count, fewer) for fewer in range(min(one, other) + 1))
    return min(1.0, 2 * tail / (1 << count))


@dataclass(frozen=True)
class PairCounts:
    """Pairs of which both trials count.

    Attributes:
        both: Both policies succeeded.
        only_a: A alone did.
        only_b: B alone did.
        neither: None did.
    """

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def pairs(self) -> int:
        """How many there are."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def p(self) -> float:
        """Of the sign test."""
        return sign_test(self.only_a, self.only_b)

    @property
    def differ(self) -> bool:
        """Whether the policies are said to differ."""
        return self.p < LEVEL


def whole_pairs(lines: Sequence[LiveLine]) -> list[tuple[bool, bool]]:
    """Return whether A and B succeeded, of each pair of which both trials count."""
    found: dict[int, dict[str, bool]] = {}
    for line in lines:
        if line.result.outcome.counts:
            found.setdefault(line.case.pair, {})[line.case.side] = line.result.success
    return [(pair["A"], pair["B"]) for pair in found.values() if len(pair) == 2]


def count_pairs(pairs: Sequence[tuple[bool, bool]]) -> PairCounts:
    """Count pairs by which policy succeeded."""
    return PairCounts(
        pairs.count((True, True)),
        pairs.count((True, False)),
        pairs.count((False, True)),
        pairs.count((False, False)),
    )
