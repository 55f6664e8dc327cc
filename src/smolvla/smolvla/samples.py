# SPDX-License-Identifier: Apache-2.0
"""Observations from files, by which a converted model is calibrated and held against the first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smolvla.config import SmolVLAConfig
from smolvla.processing import Processing
from vla_policies.protocol import STATE, Image, PolicyError


@dataclass(frozen=True, eq=False)
class CheckpointSample:
    """One observation, under the checkpoint's own names and in its own units.

    Attributes:
        images: (H, W, 3) uint8 RGB by feature name.
        state: (N,).
        task: The instruction.
    """

    images: dict[str, Image]
    state: NDArray[np.float64]
    task: str


def read_samples(folder: Path, config: SmolVLAConfig) -> list[CheckpointSample]:
    """Read the .npz files of a folder, in the order of their names.

    Each holds ``observation.state`` in the checkpoint's units, ``task``, and one array for each
    camera of the checkpoint.

    Raises:
        PolicyError: There is none, or one lacks something.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise PolicyError(f"{folder}: holds no .npz files; give a folder of observations")
    return [_read(path, config) for path in paths]


def write_sample(path: Path, sample: CheckpointSample) -> None:
    """Write an observation as `read_samples` reads it."""
    np.savez_compressed(path, task=sample.task, **{STATE: sample.state}, **sample.images)  # type: ignore[arg-type]


def random_samples(
    config: SmolVLAConfig, processing: Processing, count: int, seed: int = 0
) -> list[CheckpointSample]:
    """Make observations for where there are none: noise at two scales, a likely state."""
    random = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        images = {}
        for name in config.cameras:
            coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            fine = random.integers(0, 64, (480, 640, 3), dtype=np.uint8)
            big = coarse.repeat(40, axis=0).repeat(40, axis=1)
            images[name] = np.asarray(big // 4 * 3 + fine, dtype=np.uint8)
        state = processing.state.unnormalise(random.standard_normal(config.state_size))
        task = "pick up the red cube and put it in the box"
        samples.append(CheckpointSample(images, state.astype(np.float64), task))
    return samples


def pattern_sample(config: SmolVLAConfig, processing: Processing) -> CheckpointSample:
    """Make an observation that is the same everywhere: stripes, and a state near the mean."""
    y, x, channel = np.indices((480, 640, 3))
    images = {
        name: ((x * (channel + 1) + 2 * y * (camera + 1)) // 4 % 256).astype(np.uint8)
        for camera, name in enumerate(config.cameras)
    }
    state = processing.state.unnormalise(np.linspace(-1.0, 1.0, config.state_size))
    return CheckpointSample(images, state.astype(np.float64), "pick up the red cube")


def pattern_noise(config: SmolVLAConfig) -> NDArray[np.float32]:
    """Return noise (chunk_size, max_action_size) that is the same on every machine."""
    random = np.random.Generator(np.random.PCG64(1))
    shape = (config.chunk_size, config.max_action_size)
    return random.standard_normal(shape).astype(np.float32)


def _read(path: Path, config: SmolVLAConfig) -> CheckpointSample:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path}: cannot be read ({error}); write it with numpy.savez") from None
    for name in (*config.cameras, STATE, "task"):
        if name not in arrays:
            raise PolicyError(f"{path}: lacks {name}; it holds {', '.join(arrays)}")
    images = {name: arrays[name] for name in config.cameras}
    for name, image in images.items():
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise PolicyError(f"{path}: {name}: is not uint8 of shape (H, W, 3)")
    state = np.asarray(arrays[STATE], dtype=np.float64)
    if state.shape != (config.state_size,) or not np.all(np.isfinite(state)):
        raise PolicyError(f"{path}: {STATE}: must be {config.state_size} finite numbers")
    return CheckpointSample(images, state, str(arrays["task"]))
