# SPDX-License-Identifier: Apache-2.0
"""Work that is spread over a few processes, each with a state of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from vla_training.errors import TrainingError


class Workers:
    """A few processes, each begun once. To be closed."""

    def __init__(self, processes: int, begin: Callable[..., None], given: tuple[Any, ...]) -> None:
        """Begin them when the first work comes.

        Args:
            processes: How many.
            begin: Called once in each process.
            given: Its arguments.
        """
        # Begun anew: a graphics context or a thread of torch does not outlive a fork.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(processes, context, _begin, (begin, given))
        self._ahead = 2 * processes

    def map(self, call: Callable[..., Any], wanted: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield what `call`, a function of a module, returns for each tuple of arguments.

        In their order, and the next ones are asked for as the first ones end.

        Raises:
            TrainingError: A process ended before its work was done.
        """
        rest = iter(wanted)
        try:
            waiting = deque(self._pool.submit(call, *each) for each in islice(rest, self._ahead))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(self._pool.submit(call, *each) for each in islice(rest, 1))
        except BrokenProcessPool:
            raise TrainingError(
                "a worker process ended before its work was done; its message is above. Run the "
                "same command again to go on, with --processes 1 if memory is short"
            ) from None

    def close(self) -> None:
        """End them; what was asked for and not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def in_parallel(
    call: Callable[..., Any],
    wanted: Iterable[tuple[Any, ...]],
    processes: int,
    begin: Callable[..., None],
    given: tuple[Any, ...],
) -> Iterator[Any]:
    """Yield what `call` returns for each tuple of arguments; see `Workers`, which it ends."""
    workers = Workers(processes, begin, given)
    try:
        yield from workers.map(call, wanted)
    finally:
        workers.close()


def _begin(begin: Callable[..., None], given: tuple[Any, ...]) -> None:
    """Begin a worker that ends with the process that began it, be that killed."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    begin(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
