# SPDX-License-Identifier: Apache-2.0
# mypy: warn_return_any=False, disallow_untyped_decorators=False
"""The torch backend: the model itself, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smolvla.backend import Array32
from smolvla.checkpoint import Checkpoint
from smolvla.hardware import give_back, has_bfloat16
from smolvla.model import Prefix, SmolVLA
from smolvla.replay import ReplayedFunction
from smolvla.weights import file_name
from vla_policies.protocol import PolicyError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_model(
    checkpoint: Checkpoint, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> SmolVLA:
    """Build the model with the weights of a checkpoint, for inference.

    For training call `requires_grad_` and `train` on what is to learn.

    Args:
        checkpoint: Read, so known to be complete.
        dtype: Of all weights but those that keep float32.
        device: Where to put it.
    """
    with torch.device("meta"):
        model = SmolVLA(checkpoint.config, checkpoint.shapes, checkpoint.patch_positions)
    names = {file_name(name): name for name, _ in model.named_parameters()}
    tensors = {
        names[there]: values for there, values in checkpoint.header.read(names, "pt", device)
    }
    model.load_state_dict(tensors, strict=True, assign=True)
    del tensors
    model.vision.embeddings.place(device)
    return model.cast(dtype).eval().requires_grad_(False)


# Prefixes of this many lengths keep what was recorded for them: cameras and instructions vary.
KEPT = 8


class TorchBackend:
    """Runs the model in torch. On a GPU its computations are recorded and replayed."""

    def __init__(
        self, checkpoint: Checkpoint, dtype: str, device: str, replay: bool | None = None
    ) -> None:
        """Load the model.

        Args:
            checkpoint: The checkpoint.
            dtype: ``float32``, ``bfloat16``, or ``auto``: bfloat16 where the device computes it.
            device: As torch names it.
            replay: Whether to keep inputs where they are and, on a GPU, to record; None for on a
                GPU.

        Raises:
            PolicyError: The device is not there.
        """
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            first = str(error).splitlines()[0]
            raise PolicyError(f"device: {device} cannot be used ({first}); try cpu") from None
        if dtype == "auto":
            fast = has_bfloat16() if device == "cpu" else True
            dtype = "bfloat16" if fast else "float32"
        self._start(load_model(checkpoint, DTYPES[dtype], device), f"torch {dtype}", replay)
        give_back()

    @classmethod
    def of(cls, model: SmolVLA, replay: bool | None = None) -> TorchBackend:
        """Return the backend of a model that is in memory."""
        backend = cls.__new__(cls)
        backend._start(model, "torch", replay)
        return backend

    def _start(self, model: SmolVLA, name: str, replay: bool | None) -> None:
        self.model = model
        self._device = next(model.parameters()).device
        self.name = f"{name} on {self._device}"
        self._record = self._device.type == "cuda"
        self._replay = self._record if replay is None else replay
        self._image: ReplayedFunction[Tensor] | None = None
        self._steps: dict[tuple[int, int], _Step] = {}
        self._times: dict[float, Tensor] = {}

    @torch.inference_mode()
    def encode_image(self, pixels: Array32) -> Tensor:
        """Return the tokens (1, I, hidden) of an image (3, S, S) in -1..1."""
        image = self._tensor(pixels)
        if not self._replay:
            return self.model.encode_image(image)
        if self._image is None:
            self._image = ReplayedFunction(self.model.encode_image, [image.clone()], self._record)
        # A copy, since the tokens of an unchanged camera are used again.
        return self._image(image).clone()

    @torch.inference_mode()
    def embed_text(self, ids: NDArray[np.int64]) -> Tensor:
        """Return the tokens (1, L, hidden) of an instruction's token ids (L,)."""
        return self.model.embed_text(self._tensor(ids))

    @torch.inference_mode()
    def prefill(self, parts: Sequence[Tensor], state: Array32) -> Prefix:
        """Return what the expert attends to."""
        token = self.model.embed_state(self._tensor(state))
        return self.model.prefill(torch.cat(list(parts), dim=1), token)

    @torch.inference_mode()
    def renew(self, prefix: Prefix, state: Array32) -> Prefix:
        """Return what `prefill` would for the same parts and another state."""
        token = self.model.embed_state(self._tensor(state))
        return self.model.prefill(prefix.first(prefix.valid.shape[1] - 1), token)

    @torch.inference_mode()
    def velocity(self, prefix: Prefix, x: Array32, t: float) -> Array32:
        """Return the flow's velocity (T, max_action_size) for x at time t."""
        if t not in self._times:
            time = self.model.embed_time(torch.tensor([t]))
            self._times[t] = time.to(self._device)
        time = self._times[t]
        if not self._replay:
            return self.model.velocity(prefix, self._tensor(x), time)[0].cpu().numpy()
        key = (prefix.valid.shape[1], len(x))
        if key not in self._steps:
            if len(self._steps) == KEPT:
                del self._steps[next(iter(self._steps))]
            self._steps[key] = _Step(self.model, prefix, self._tensor(x), time, self._record)
        return self._steps[key](prefix, self._tensor(x), time)[0].cpu().numpy()

    def close(self) -> None:
        """Free the weights."""
        self._image = None
        self._steps.clear()
        del self.model

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))[None].to(self._device)


class _Step:
    """A flow step for a number of tokens and rows, on keys and values that stay in place."""

    def __init__(
        self, model: SmolVLA, prefix: Prefix, x: Tensor, time: Tensor, record: bool
    ) -> None:
        self._prefix = here = prefix.clone()
        self._of: Prefix | None = None
        self._run = ReplayedFunction(
            lambda x, time: model.velocity(here, x, time), [x.clone(), time.clone()], record
        )

    def __call__(self, prefix: Prefix, x: Tensor, time: Tensor) -> Tensor:
        # Once an observation, not once a step.
        if self._of is not prefix:
            for place, value in zip(self._prefix.tensors(), prefix.tensors(), strict=True):
                place.copy_(value)
            self._of = prefix
        return self._run(x, time)
