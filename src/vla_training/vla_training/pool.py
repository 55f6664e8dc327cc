# SPDX-License-Identifier: Apache-2.0
"""Work that is spread over a few processes, each with a state of its own."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from vla_training.errors import TrainingError


def in_parallel(
    call: Callable[..., Any],
    wanted: Iterable[tuple[Any, ...]],
    processes: int,
    begin: Callable[..., None],
    given: tuple[Any, ...],
) -> Iterator[Any]:
    """Yield what `call` returns for each tuple of arguments, in their order.

    Args:
        call: A function of a module.
        wanted: Its arguments, a tuple for each call.
        processes: How many.
        begin: Called once in each process.
        given: Its arguments.

    Raises:
        TrainingError: A process ended before its work was done.
    """
    # Begun anew: a graphics context or a thread of torch does not outlive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, begin, given)
    rest = iter(wanted)
    try:
        waiting = deque(pool.submit(call, *each) for each in islice(rest, 2 * processes))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(call, *each) for each in islice(rest, 1))
    except BrokenProcessPool:
        raise TrainingError(
            "a worker process ended before its work was done; its message is above. Run the same "
            "command again to go on, with --processes 1 if memory is short"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
