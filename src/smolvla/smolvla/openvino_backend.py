# SPDX-License-Identifier: Apache-2.0
"""The OpenVINO backend: a bundle's stages on a CPU, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from smolvla.backend import Array32
from smolvla.bundle import EMBEDDING, HOST_FILE, STAGES, Bundle
from smolvla.flow import time_embedding
from smolvla.hardware import (
    drop_mapped_pages,
    give_back,
    has_bfloat16,
    lacks_bfloat16,
    spare_amx,
)
from smolvla.openvino_import import openvino
from vla_policies.protocol import PolicyError

ROPE_BASE = 10_000.0
MASKED = np.float32(-1e9)


def rotary(positions: NDArray[Any], head_size: int) -> tuple[Array32, Array32]:
    """Return cosines and sines (1, T, 1, head_size / 2) of positions (T,)."""
    half = head_size // 2
    angle = np.asarray(positions)[:, None] / ROPE_BASE ** (np.arange(half) * (2 / head_size))
    table = angle.astype(np.float32)[None, :, None]
    return np.cos(table), np.sin(table)


@cache
def _core() -> Any:
    """Return the one OpenVINO of this process, which lasts as long as the process.

    OpenVINO 2026.4's CPU plugin brings a stack for signal handlers, and takes it away when the
    plugin ends: after two plugins that ended in the order of their begin, or in another thread,
    the kernel has a stack that is none, and the next signal ends the process.
    """
    spare_amx()
    return openvino.Core()


@dataclass(frozen=True, eq=False)
class _Prefix:
    """Keys and values (layers, groups, tokens, head size)."""

    k: Array32
    v: Array32
    crossed_k: Array32
    crossed_v: Array32
    steps: dict[int, tuple[Array32, ...]] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        return int(self.k.shape[2])


class OpenVinoBackend:
    """Runs a bundle."""

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        """Compile the stages.

        Args:
            bundle: Read, so known to be complete.
            threads: For the computation; 0 leaves the choice to OpenVINO.

        Raises:
            PolicyError: The processor lacks what the bundle needs, or a stage is damaged.
        """
        problem = lacks_bfloat16(bundle.precision)
        if problem:
            raise PolicyError(f"{bundle.folder}: {problem}")
        fast = bundle.precision != "float32" and has_bfloat16()
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        self.name = f"openvino {bundle.precision}"
        config, shapes = bundle.config, bundle.shapes
        try:
            self._stages = {
                name: _core()
                .compile_model(str(bundle.folder / f"{name}.xml"), "CPU", settings)
                .create_infer_request()
                for name in STAGES
            }
        except RuntimeError as error:
            first = str(error).strip().splitlines()[-1]
            raise PolicyError(f"{bundle.folder}: cannot be compiled ({first})") from None
        self._host = safe_open(bundle.folder / HOST_FILE, framework="np")
        self._embedding = self._host.get_slice(EMBEDDING)
        self._wide = self._embedding.get_dtype() == "F32"
        self._state_weight = self._host.get_tensor("state_proj.weight")
        self._state_bias = self._host.get_tensor("state_proj.bias")
        self._scale = np.float32(shapes.text.hidden**0.5)
        self._hidden = shapes.text.hidden
        self._head_size = shapes.text.head_size
        self._share = shapes.text.heads // shapes.text.kv_heads
        self._layers = (shapes.text.layers, shapes.text.kv_heads)
        self._every = config.self_attention_every
        self._time = (shapes.expert.hidden, config.min_period, config.max_period)
        self._warm_up(shapes.vision.image_size, config.max_state_size, config.max_action_size)
        # The library keeps the files mapped after it has packed their weights for itself.
        drop_mapped_pages(bundle.folder / f"{name}.bin" for name in STAGES)
        give_back()

    def encode_image(self, pixels: Array32) -> Array32:
        """Return the tokens (1, I, hidden) of an image (3, S, S) in -1..1."""
        return self._run("vision", pixels[None])[0]

    def embed_text(self, ids: NDArray[np.int64]) -> Array32:
        """Return the tokens (1, L, hidden) of an instruction's token ids (L,)."""
        rows = [np.asarray(self._embedding[int(i) : int(i) + 1]) for i in ids]
        table = np.concatenate(rows) if rows else np.zeros((0, self._hidden), np.float32)
        if not self._wide:
            table = (table.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(table[None] * self._scale, dtype=np.float32)

    def prefill(self, parts: Sequence[Array32], state: Array32) -> _Prefix:
        """Return what the expert attends to."""
        x = np.concatenate([*parts, self._state(state)], axis=1)
        count = x.shape[1]
        mask = np.zeros((self._share, count, count), np.float32)
        mask[:, :-1, -1] = MASKED
        nothing = np.zeros((*self._layers, 0, self._head_size), np.float32)
        cos, sin = rotary(np.arange(count), self._head_size)
        mask = mask.reshape(1, 1, self._share * count, count)
        k, v, crossed_k, crossed_v = self._run("prefix", x, mask, cos, sin, nothing, nothing)
        return _Prefix(k, v, crossed_k, crossed_v)

    def renew(self, prefix: _Prefix, state: Array32) -> _Prefix:
        """Return what `prefill` would for the same parts and another state."""
        before = prefix.tokens - 1
        old = [a[:, :, :before] for a in (prefix.k, prefix.v, prefix.crossed_k, prefix.crossed_v)]
        mask = np.zeros((1, 1, self._share, before + 1), np.float32)
        cos, sin = rotary(np.array([before]), self._head_size)
        new = self._run("prefix", self._state(state), mask, cos, sin, old[0], old[1])
        k, v, crossed_k, crossed_v = (
            np.concatenate(pair, axis=2) for pair in zip(old, new, strict=True)
        )
        return _Prefix(k, v, crossed_k, crossed_v)

    def velocity(self, prefix: _Prefix, x: Array32, t: float) -> Array32:
        """Return the flow's velocity (T, max_action_size) for x at time t."""
        rows = len(x)
        if rows not in prefix.steps:
            prefix.steps[rows] = self._tables(prefix, rows)
        time = time_embedding(np.array([t]), *self._time).astype(np.float32)[None]
        return np.asarray(self._run("step", x[None], time, *prefix.steps[rows])[0][0])

    def close(self) -> None:
        """Free the stages."""
        self._stages.clear()
        del self._embedding, self._host

    def _warm_up(self, side: int, state_size: int, columns: int) -> None:
        """Use every stage once: weights are packed at the first use, not at compilation."""
        image = self.encode_image(np.zeros((3, side, side), np.float32))
        state = np.zeros(state_size, np.float32)
        prefix = self.prefill([image, self.embed_text(np.zeros(1, np.int64))], state)
        self.velocity(self.renew(prefix, state), np.zeros((1, columns), np.float32), 1.0)

    def _tables(self, prefix: _Prefix, rows: int) -> tuple[Array32, ...]:
        """Return the inputs of a step that stay the same from step to step."""
        order = np.arange(rows)
        mask = np.zeros((self._share, rows, prefix.tokens + rows), np.float32)
        mask[:, :, prefix.tokens :][:, order[:, None] < order] = MASKED
        return (
            mask.reshape(1, 1, self._share * rows, -1),
            np.concatenate(rotary(order, self._head_size)),
            np.concatenate(rotary(prefix.tokens + order, self._head_size)),
            np.ascontiguousarray(prefix.k[:: self._every]),
            np.ascontiguousarray(prefix.v[:: self._every]),
            prefix.crossed_k,
            prefix.crossed_v,
        )

    def _state(self, state: Array32) -> Array32:
        return np.asarray((self._state_weight @ state + self._state_bias)[None, None])

    def _run(self, stage: str, *inputs: Array32) -> list[Array32]:
        request = self._stages[stage]
        request.infer([np.ascontiguousarray(a) for a in inputs], share_inputs=True)
        # Copies: the request writes its next outputs into the same memory.
        return [np.array(tensor.data, dtype=np.float32) for tensor in request.output_tensors]
