# SPDX-License-Identifier: Apache-2.0
# mypy: warn_return_any=False
"""Computations of fixed shapes that a GPU replays in one launch.

At a batch of one a GPU waits for its next kernel longer than it computes. What is recorded once
as a CUDA graph is launched as a whole; its inputs and outputs stay where they were recorded, so
inputs are copied there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
WARM_UP = 3


class ReplayedFunction(Generic[Result]):
    """A function of tensors whose shapes stay the same."""

    def __init__(
        self, function: Callable[..., Result], inputs: Sequence[Tensor], record: bool
    ) -> None:
        """Record it.

        Args:
            function: Reads the tensors that it is given and nothing else that changes.
            inputs: What to give it. Kept, and overwritten by each call.
            record: As a CUDA graph. Else it is called each time, on the same memory.
        """
        self._function, self._inputs = function, list(inputs)
        self._graph: torch.cuda.CUDAGraph | None = None
        if not record:
            return
        # On a stream of its own, as capturing wants it: allocations and libraries settle first.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Result:
        """Return the result, which the next call overwrites."""
        for place, value in zip(self._inputs, inputs, strict=True):
            place.copy_(value)
        if self._graph is None:
            return self._function(*self._inputs)
        self._graph.replay()
        return self._result
