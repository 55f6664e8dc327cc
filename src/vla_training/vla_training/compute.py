# SPDX-License-Identifier: Apache-2.0
# mypy: warn_return_any=False
"""Where a training computes: on a device, and in which of the processes that share the work.

Several processes are begun by torch's own launcher (``torchrun``), which says in the environment
which process is which.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from vla_training.errors import TrainingError
from vla_training.settings import AUTO, CPU, CUDA

T = TypeVar("T")


class Compute:
    """A device, and one of N processes with a copy of the model each.

    Attributes:
        device: Where the model is.
        rank: Which of the processes this is, from 0.
        count: N.
    """

    def __init__(self, device: str = CPU) -> None:
        """Take the device, and meet the other processes.

        Args:
            device: `CPU`, `CUDA`, or `AUTO`: a GPU where torch can use one.

        Raises:
            TrainingError: There is no such device, or the processes cannot meet.
        """
        self.rank, self.count = _told("RANK", 0), _told("WORLD_SIZE", 1)
        there = torch.cuda.is_available()
        if device == CUDA and not there:
            raise TrainingError(
                "device: torch can use no GPU here; write device: cpu, or install a torch that "
                "is built for yours (https://pytorch.org/get-started/locally)"
            )
        self.device = torch.device(CPU)
        if device in (AUTO, CUDA) and there:
            index = _told("LOCAL_RANK", 0)
            if index >= torch.cuda.device_count():
                raise TrainingError(
                    f"device: there are {torch.cuda.device_count()} GPUs here and more processes; "
                    "begin one a GPU"
                )
            self.device = torch.device(CUDA, index)
            torch.cuda.set_device(self.device)
        if self.count > 1 and not dist.is_initialized():
            try:
                dist.init_process_group("nccl" if self.device.type == CUDA else "gloo")
            except (RuntimeError, ValueError) as error:
                first = str(error).splitlines()[0]
                raise TrainingError(
                    f"the {self.count} processes cannot meet ({first}); begin them by torchrun"
                ) from None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Let the first process be done before the others begin: they find what it has written."""
        if self.count > 1 and not self.first:
            dist.barrier()
        yield
        if self.count > 1 and self.first:
            dist.barrier()

    def require_same(self, what: str) -> None:
        """Check that all processes begin at the same.

        Args:
            what: Step, data and weights of this one, in some words.

        Raises:
            TrainingError: They differ: they would average gradients of different models.
        """
        if self.count == 1:
            return
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, what)
        if len(set(found)) > 1:
            raise TrainingError(
                f"the processes hold different runs or data ({found[0]} against "
                f"{next(each for each in found if each != found[0])}); give them one folder that "
                "all of them see"
            )

    def average(self, gradients: Sequence[Tensor], stop: bool) -> bool:
        """Replace gradients by their mean over the processes.

        Args:
            gradients: Of the same parameters in each; they are changed in place.
            stop: Whether this process wants all to stop.

        Returns:
            Whether any wants to.
        """
        if self.count == 1:
            return stop
        flag = torch.full((1,), float(stop), device=self.device)
        flat = torch.cat([*(each.flatten() for each in gradients), flag])
        dist.all_reduce(flat)
        begin = 0
        for each in gradients:
            part = flat[begin : begin + each.numel()]
            each.copy_(part.view_as(each) / self.count)
            begin += each.numel()
        return bool(flat[-1] > 0.0)

    def close(self) -> None:
        """Part from the other processes."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()


def moved(value: T, device: torch.device) -> T:
    """Return a dataclass of tensors, or of such dataclasses, on a device."""
    changed: dict[str, Any] = {}
    for each in fields(value):  # type: ignore[arg-type]
        part = getattr(value, each.name)
        if isinstance(part, Tensor):
            changed[each.name] = part.to(device)
        elif is_dataclass(part):
            changed[each.name] = moved(part, device)
    return replace(value, **changed)  # type: ignore[type-var]


def _told(name: str, otherwise: int) -> int:
    """Return a number that a launcher has put into the environment."""
    text = os.environ.get(name, str(otherwise))
    if not text.isdecimal():
        raise TrainingError(f"{name}: is {text!r} in the environment; unset it")
    return int(text)
