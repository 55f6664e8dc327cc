# SPDX-License-Identifier: Apache-2.0
"""Rows of numbers on disk: as long as a recording is, and never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vla_recording.report.errors import ReportError
from vla_recording.report.series import FloatArray, IntArray

BLOCK = 16384


class Spool:
    """A table of whole numbers (N, K) and floats (N, M) that is written once and read in blocks.

    Raises:
        ReportError: The disk is full (on writing).
    """

    def __init__(self, path: Path, whole: int, floats: int) -> None:
        self._path = path
        self._kind = np.dtype([("i", "<i8", (whole,)), ("f", "<f8", (floats,))])
        self.rows = 0

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._path.parent

    def append(self, whole: IntArray, floats: FloatArray) -> None:
        """Add rows (N, K) and (N, M)."""
        table = np.empty(len(whole), dtype=self._kind)
        table["i"], table["f"] = whole, floats
        try:
            with self._path.open("ab") as file:
                file.write(table.tobytes())
        except OSError as error:
            raise ReportError(
                f"{self._path.parent}: cannot be written ({error.strerror}); a report needs room "
                "for the joints' samples there: set TMPDIR to a folder on a larger disk"
            ) from None
        self.rows += len(whole)

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield the rows in order, up to `size` at a time."""
        if not self.rows:
            return
        with self._path.open("rb") as file:
            while data := file.read(size * self._kind.itemsize):
                table = np.frombuffer(data, dtype=self._kind)
                yield table["i"].copy(), table["f"].copy()

    def windows(
        self, context: int, size: int = BLOCK
    ) -> Iterator[tuple[IntArray, FloatArray, int, int]]:
        """Yield blocks with up to `context` rows before and behind, and the range that is new.

        Every row lies in the range of exactly one block.
        """
        whole = np.zeros((0, *self._kind["i"].shape), dtype=np.int64)
        floats = np.zeros((0, *self._kind["f"].shape))
        lo = 0
        for more, values in self.blocks(size):
            whole, floats = np.concatenate((whole, more)), np.concatenate((floats, values))
            hi = len(whole) - context
            if hi <= lo:
                continue
            yield whole, floats, lo, hi
            drop = max(0, hi - context)
            whole, floats, lo = whole[drop:], floats[drop:], hi - drop
        if len(whole) > lo:
            yield whole, floats, lo, len(whole)


def merged(
    spools: list[tuple[Spool, list[int]]], columns: int
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield the rows of several spools in the order of their first whole number.

    Args:
        spools: Each with the columns that its floats go to; twice as many floats as columns, the
            second half alike.
        columns: How many there are; what a row lacks is NaN, in the first half too.
    """
    ahead = []
    for spool, where in spools:
        index = np.array([*where, *(columns + np.array(where, dtype=int))], dtype=int)
        ahead.append((spool.blocks(), index))
    waiting: list[tuple[IntArray, FloatArray] | None] = [None] * len(ahead)
    while True:
        for k, (blocks, index) in enumerate(ahead):
            if waiting[k] is None:
                block = next(blocks, None)
                if block is not None:
                    wide = np.full((len(block[0]), 2 * columns), np.nan)
                    wide[:, index] = block[1]
                    waiting[k] = block[0], wide
        ready = [w for w in waiting if w is not None]
        if not ready:
            return
        until = min(int(w[0][-1, 0]) for w in ready)
        whole, floats = [], []
        for k, block in enumerate(waiting):
            if block is None:
                continue
            cut = int(np.searchsorted(block[0][:, 0], until, side="right"))
            whole.append(block[0][:cut])
            floats.append(block[1][:cut])
            waiting[k] = (block[0][cut:], block[1][cut:]) if cut < len(block[0]) else None
        rows = np.concatenate(whole)
        order = np.argsort(rows[:, 0], kind="stable")
        yield rows[order], np.concatenate(floats)[order]
