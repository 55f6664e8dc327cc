# SPDX-License-Identifier: Apache-2.0
"""How far two ways to compute a checkpoint are apart, joint by joint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolvla.loading import LoadedModel
from smolvla.policy import FRESH, FlowSampling, SmolVLAPolicy
from smolvla.samples import CheckpointSample
from vla_policies.protocol import Array, Observation
from vla_policies.units import JointUnits


def plain_policy(loaded: LoadedModel, rows: int | None = None) -> SmolVLAPolicy:
    """Return a policy that speaks the checkpoint's own units."""
    config = loaded.config

    def units(size: int) -> JointUnits:
        names = tuple(f"column {index}" for index in range(size))
        return JointUnits(names, np.ones(size), np.zeros(size))

    return SmolVLAPolicy(
        loaded, dt_s=1.0, action_units=units(config.action_size),
        state_units=units(config.state_size),
        sampling=FlowSampling(rows or config.chunk_size, config.flow_steps, 0, FRESH),
    )  # fmt: skip


def answers(
    loaded: LoadedModel, samples: Sequence[CheckpointSample], seed: int = 0
) -> list[Array]:
    """Return a chunk (T, J) in the checkpoint's units for each sample, from the same noise."""
    policy = plain_policy(loaded)
    back = {new: old for old, new in loaded.processing.rename.items()}
    random = np.random.default_rng(seed)
    chunks = []
    for sample in samples:
        noise = random.standard_normal(
            (loaded.config.chunk_size, loaded.config.max_action_size), dtype=np.float32
        )
        images = {back.get(name, name): image for name, image in sample.images.items()}
        state = {policy.spec.observation[-1].name: sample.state}
        observation = Observation(0, images, state, sample.task)
        chunks.append(policy.infer(observation, noise=noise).positions)
    return chunks


@dataclass(frozen=True, eq=False)
class Parity:
    """Errors of each action column over samples and rows.

    Attributes:
        largest: (J,), in the checkpoint's units.
        rms: (J,), in the checkpoint's units.
        std: (J,), standard deviation of the first way's chunks, in the checkpoint's units.
        samples: How many samples.
    """

    largest: NDArray[np.float64]
    rms: NDArray[np.float64]
    std: NDArray[np.float64]
    samples: int

    @property
    def worst(self) -> float:
        """Largest error over standard deviation of any column."""
        return float(np.max(self.largest / self.std))

    def report(self) -> dict[str, Any]:
        """Return what to keep."""
        return {
            "samples": self.samples,
            "largest_error": self.largest.tolist(),
            "rms_error": self.rms.tolist(),
            "std": self.std.tolist(),
            "largest_error_over_std": self.worst,
        }


def compare(first: Sequence[Array], second: Sequence[Array]) -> Parity:
    """Compare chunks (T, J) of two ways, sample by sample."""
    apart = np.array([b - a for a, b in zip(first, second, strict=True)])
    flat = apart.reshape(-1, apart.shape[-1])
    # Within chunks: what differs between samples would hide errors.
    std = np.sqrt(np.mean([np.var(chunk, axis=0) for chunk in first], axis=0))
    return Parity(
        np.max(np.abs(flat), axis=0), np.sqrt(np.mean(flat**2, axis=0)),
        np.maximum(std, 1e-12), len(first),
    )  # fmt: skip
