# SPDX-License-Identifier: Apache-2.0
"""Measure the stages of a checkpoint or bundle in this process, and print the figures as JSON.

Run by ``smolvla bench`` once for each environment, since thread and memory settings are read
when a process begins. For wall time the machine should do nothing else; CPU time counts this
process alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from smolvla.images import fit
from smolvla.loading import LoadedModel, load
from smolvla.samples import random_samples


@dataclass(frozen=True)
class StageTiming:
    """Medians of a stage, ms."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Figures:
    """What was measured for a number of cameras.

    Attributes:
        cameras: How many.
        fit: Fitting one image.
        vision: Encoding one image.
        prefix: Keys and values of all tokens.
        state: The same for a new state on unchanged images.
        steps: One flow step, by the number of rows.
    """

    cameras: int
    fit: StageTiming
    vision: StageTiming
    prefix: StageTiming
    state: StageTiming
    steps: dict[int, StageTiming]


def measure(
    loaded: LoadedModel, cameras: Sequence[int], rows: Sequence[int], repeats: int
) -> list[Figures]:
    """Time every stage.

    Args:
        loaded: What to measure.
        cameras: Numbers of cameras; any number can be measured with any checkpoint.
        rows: Numbers of rows.
        repeats: Of each stage; a flow step is repeated four times as often.
    """
    backend, config = loaded.backend, loaded.config
    sample = random_samples(config, loaded.processing, 1)[0]
    image = next(iter(sample.images.values()))
    pixels = fit(image, config.image_size)
    fitting = _time(partial(fit, image, config.image_size), repeats)
    vision = _time(partial(backend.encode_image, pixels), repeats)
    tokens = backend.encode_image(pixels)
    text = backend.embed_text(loaded.tokens(sample.task))
    state = np.zeros(config.max_state_size, np.float32)
    noise = np.random.default_rng(0).standard_normal(
        (config.chunk_size, config.max_action_size), dtype=np.float32
    )
    found = []
    for count in cameras:
        parts = [tokens] * count + [text]
        prefix = backend.prefill(parts, state)
        steps = {
            number: _time(partial(backend.velocity, prefix, noise[:number], 0.5), 4 * repeats)
            for number in rows
        }
        found.append(
            Figures(
                count, fitting, vision,
                prefix=_time(partial(backend.prefill, parts, state), repeats),
                state=_time(partial(backend.renew, prefix, state), repeats),
                steps=steps,
            )
        )  # fmt: skip
    return found


def _time(function: Callable[[], Any], repeats: int) -> StageTiming:
    function()
    wall, cpu = [], []
    for _ in range(repeats):
        wall_0, cpu_0 = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - wall_0)
        cpu.append(time.process_time() - cpu_0)
    return StageTiming(float(np.median(wall)) * 1e3, float(np.median(cpu)) * 1e3)


def resident_mb() -> float:
    """Return the memory that this process holds, MB; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cameras", type=int, nargs="+", required=True)
    parser.add_argument("--rows", type=int, nargs="+", required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype")
    parser.add_argument("--patch-positions")
    given = parser.parse_args(arguments)
    loaded = load(
        given.folder, dtype=given.dtype, threads=given.threads,
        patch_positions=given.patch_positions,
    )  # fmt: skip
    figures = measure(loaded, given.cameras, given.rows, given.repeats)
    json.dump(
        {
            "backend": loaded.backend.name,
            "flow_steps": loaded.config.flow_steps,
            "resident_mb": resident_mb(),
            "figures": [asdict(each) for each in figures],
        },
        sys.stdout,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
