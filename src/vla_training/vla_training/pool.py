# SPDX-License-Identifier: Apache-2.0
"""Work that is spread over a few processes, each with a state of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Protocol

from vla_policies.protocol import PolicyError
from vla_training.errors import TrainingError


class SupportsClose(Protocol):
    """What a worker has: a world, a policy."""

    def close(self) -> None:
        """Free what it holds."""


class Workers:
    """A few processes, each with a state of its own; one alone is this process. To be closed."""

    def __init__(
        self, processes: int, begin: Callable[..., SupportsClose], given: tuple[Any, ...] = ()
    ) -> None:
        """Begin them when the first work comes.

        Args:
            processes: How many.
            begin: Called once in each process; returns its state. Sent there with `given`.
            given: Its arguments.
        """
        self._begin, self._given = begin, given
        self._here: SupportsClose | None = None
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            # Begun anew: a graphics context or a thread of torch does not outlive a fork.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(processes, context, _begin, (begin, given))
        self._ahead = 2 * processes

    def map(self, call: Callable[..., Any], wanted: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield what `call`, a function that can be named, returns of a state and arguments.

        In their order, and the next ones are asked for as the first ones end.

        Raises:
            TrainingError: A state cannot be had, or a process ended before its work was done.
        """
        if self._pool is None:
            for each in wanted:
                if self._here is None:
                    self._here = self._begin(*self._given)
                yield call(self._here, *each)
            return
        yield from self._mapped(self._pool, call, iter(wanted))

    def _mapped(
        self,
        pool: ProcessPoolExecutor,
        call: Callable[..., Any],
        rest: Iterator[tuple[Any, ...]],
    ) -> Iterator[Any]:
        try:
            waiting = deque(pool.submit(_work, call, each) for each in islice(rest, self._ahead))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(_work, call, each) for each in islice(rest, 1))
        except BrokenProcessPool:
            raise TrainingError(
                "a worker process ended before its work was done; its message is above. Run the "
                "same command again to go on, with --processes 1 if memory is short"
            ) from None

    def close(self) -> None:
        """End them; what was asked for and not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._here is not None:
            self._here.close()


def in_parallel(
    call: Callable[..., Any],
    wanted: Iterable[tuple[Any, ...]],
    processes: int,
    begin: Callable[..., SupportsClose],
    given: tuple[Any, ...] = (),
) -> Iterator[Any]:
    """Yield what `call` returns of a state and arguments; see `Workers`, which it ends."""
    workers = Workers(processes, begin, given)
    try:
        yield from workers.map(call, wanted)
    finally:
        workers.close()


# Of a worker: its state, or why there is none, which whoever asks it for work is told.
_STATE: Any = None
_PROBLEM: str | None = None


def _begin(begin: Callable[..., SupportsClose], given: tuple[Any, ...]) -> None:
    """Begin a worker that ends with the process that began it, be that killed."""
    global _STATE, _PROBLEM
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    # One thread for each process: more would take the processors from one another.
    os.environ["OMP_NUM_THREADS"] = "1"
    # Ctrl-C reaches them all: the first process says what there is to say, and ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _STATE = begin(*given)
    except PolicyError as error:
        _PROBLEM = str(error)


def _work(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    if _PROBLEM is not None:
        raise TrainingError(_PROBLEM)
    return call(_STATE, *arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
