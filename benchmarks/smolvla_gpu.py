# SPDX-License-Identifier: Apache-2.0
"""Time SmolVLA on a GPU: computations recorded as CUDA graphs against one kernel after another.

    pip install torch ./src/smolvla[torch]
    python benchmarks/smolvla_gpu.py

The weights are random, at the full size of smolvla_base, made in memory: no checkpoint is needed.
An answer is a chunk of 50 rows by 10 flow steps for new images. The error is that of the whole
chunk against float32 on the same device, kernel by kernel, largest over rows and columns, over
the standard deviation of a column's rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smolvla.flow import integrate, times
from smolvla.model import SmolVLA
from smolvla.shapes import KNOWN, Shapes, TextShape
from smolvla.tiny import TINY_SHAPES, tiny_config
from smolvla.torch_backend import TorchBackend
from smolvla.weights import EXACT

FULL = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
TOKENS = 12
COLUMNS = 6


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=["full", "tiny"], default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rows", type=int, nargs="+", default=[50, 16])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    model = random_model(arguments.size).to(device)
    model.vision.embeddings.place(device)
    exact = TorchBackend.of(model, replay=False)
    scenes = {count: scene(model, count) for count in arguments.cameras}
    wanted = {count: answer(exact, *scenes[count], rows=50) for count in arguments.cameras}
    model.cast(torch.bfloat16)
    found = []
    print(f"{machine(device)}, torch {torch.__version__}, {arguments.size}, bfloat16")
    print(
        "| cameras | rows | how | answer, ms | same images, ms | a step, ms | error | memory, MB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for count in arguments.cameras:
        for rows in arguments.rows:
            for how in (False, True):
                row = contender(model, how, scenes[count], wanted[count], rows, arguments.rounds)
                row = {"cameras": count, "rows": rows, **row}
                found.append(row)
                cells = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()]
                print("| " + " | ".join(cells) + " |", flush=True)
    if arguments.output:
        about = {"machine": machine(device), "torch": torch.__version__, "figures": found}
        arguments.output.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return 0


def random_model(size: str) -> SmolVLA:
    """Return a model in float32 with random weights of the scale that training starts with."""
    config, shapes = tiny_config(), TINY_SHAPES
    if size == "full":
        vision, shuffle, text, vocabulary = KNOWN[FULL]
        text = replace(text, layers=16)
        expert = TextShape(720, 2048, 16, text.heads, text.kv_heads, text.head_size, text.norm_eps)
        shapes = Shapes(vision, shuffle, text, vocabulary, expert)
        config = replace(config, image_size=vision.image_size, vlm_layers=16)
    torch.manual_seed(0)
    model = SmolVLA(config, shapes, EXACT)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and ("embed_tokens" in name or "position_embedding" in name):
            parameter.data.normal_(std=0.02)
    return model.eval().requires_grad_(False)


def scene(model: SmolVLA, cameras: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return images in -1..1, a state, and noise."""
    random = np.random.default_rng(cameras)
    edge, config = model.config.image_size, model.config
    images = [random.uniform(-1, 1, (3, edge, edge)).astype(np.float32) for _ in range(cameras)]
    state = random.standard_normal(config.max_state_size).astype(np.float32)
    shape = (config.chunk_size, config.max_action_size)
    return images, state, random.standard_normal(shape).astype(np.float32)


def answer(
    backend: TorchBackend,
    images: list[np.ndarray],
    state: np.ndarray,
    noise: np.ndarray,
    rows: int,
    prefix: Any = None,
) -> np.ndarray:
    """Return a chunk (rows, 32); on the images of a prefix, if one is given."""
    if prefix is None:
        parts = [backend.encode_image(image) for image in images]
        prefix = backend.prefill([*parts, backend.embed_text(np.arange(TOKENS))], state)
    else:
        prefix = backend.renew(prefix, state)
    grid = times(10)
    return np.asarray(
        integrate(lambda x, i: backend.velocity(prefix, x, float(grid[i])), noise[:rows], 10)
    )


def contender(
    model: SmolVLA, how: bool, scene: tuple, wanted: np.ndarray, rows: int, rounds: int
) -> dict[str, Any]:
    on_gpu = next(model.parameters()).is_cuda
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    backend = TorchBackend.of(model, replay=how)
    images, state, noise = scene
    chunk = answer(backend, *scene, rows=rows)
    error = np.abs(chunk - wanted[:rows])[:, :COLUMNS].max(axis=0)
    parts = [backend.encode_image(image) for image in images]
    prefix = backend.prefill([*parts, backend.embed_text(np.arange(TOKENS))], state)
    return {
        "how": "recorded" if how else "kernel by kernel",
        "answer_ms": timed(lambda: answer(backend, *scene, rows=rows), rounds),
        "same_images_ms": timed(lambda: answer(backend, *scene, rows, prefix), rounds),
        "step_ms": timed(lambda: backend.velocity(prefix, noise[:rows], 0.5), rounds),
        "error": float((error / wanted[:, :COLUMNS].std(axis=0)).max()),
        "memory_mb": torch.cuda.max_memory_allocated() / 1e6 if on_gpu else 0.0,
    }


def timed(function: Callable[[], object], rounds: int) -> float:
    """Return the median, ms. What is timed ends in the processor's memory, so it is over."""
    function()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        function()
        found.append(time.perf_counter() - began)
    return float(np.median(found)) * 1e3


def machine(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    sys.exit(main())
