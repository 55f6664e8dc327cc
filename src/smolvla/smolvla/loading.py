# SPDX-License-Identifier: Apache-2.0
"""Load what a folder holds, a checkpoint or a converted bundle, with the backend it is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smolvla.backend import Backend
from smolvla.bundle import is_bundle, read_bundle
from smolvla.checkpoint import Checkpoint, read_checkpoint
from smolvla.config import SmolVLAConfig
from smolvla.processing import Processing
from smolvla.shapes import Shapes
from smolvla.text import TaskTokens
from vla_policies.checkpoint_folder import checkpoint_name, find_checkpoint
from vla_policies.protocol import PolicyError

INSTALL = "pip install './src/smolvla[torch]'"
INSTALL_OPENVINO = "pip install './src/smolvla[openvino]'"


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready.

    Attributes:
        name: Of its folder.
        folder: Where it is.
        config: Of the checkpoint.
        shapes: Of the model.
        processing: What happens around it.
        tokens: Makes tokens of an instruction.
        backend: Computes it.
    """

    name: str
    folder: Path
    config: SmolVLAConfig
    shapes: Shapes
    processing: Processing
    tokens: TaskTokens
    backend: Backend


def load(
    folder: Path,
    *,
    dtype: str | None = None,
    device: str | None = None,
    threads: int = 0,
    statistics: Path | None = None,
    patch_positions: str | None = None,
) -> LoadedModel:
    """Load a checkpoint (in torch) or a bundle that was converted from one (in OpenVINO).

    Args:
        folder: Which.
        dtype: Of a checkpoint's weights: ``float32``, ``bfloat16``, or None or ``auto`` for
            bfloat16 where the device computes it. A bundle has its own.
        device: Of a checkpoint, as torch names it; None for the CPU.
        threads: For the computation; 0 leaves the library's choice.
        statistics: See `read_checkpoint`.
        patch_positions: See `read_checkpoint`.

    Raises:
        PolicyError: The folder holds neither, or what it needs is not installed.
    """
    folder = find_checkpoint(folder)
    if is_bundle(folder):
        for key, value in (
            ("dtype", dtype), ("device", device), ("patch_positions", patch_positions)
        ):  # fmt: skip
            if value is not None:
                raise PolicyError(f"{folder}: {key}: is fixed in a converted bundle; remove it")
        return load_bundle(folder, threads=threads, statistics=statistics)
    checkpoint = read_checkpoint(folder, statistics=statistics, patch_positions=patch_positions)
    return load_checkpoint(checkpoint, dtype or "auto", device or "cpu", threads)


def load_checkpoint(
    checkpoint: Checkpoint, dtype: str = "auto", device: str = "cpu", threads: int = 0
) -> LoadedModel:
    """Load a checkpoint that has been read, in torch.

    Raises:
        PolicyError: torch is not installed, or the device is not there.
    """
    try:
        import torch

        from smolvla.torch_backend import TorchBackend
    except ImportError as error:
        raise PolicyError(f"smolvla: {error}; run: {INSTALL}") from None
    if threads:
        torch.set_num_threads(threads)
    backend = TorchBackend(checkpoint, dtype, device)
    return LoadedModel(
        checkpoint_name(checkpoint.folder), checkpoint.folder, checkpoint.config,
        checkpoint.shapes, checkpoint.processing, checkpoint.tokens, backend,
    )  # fmt: skip


def load_bundle(folder: Path, *, threads: int = 0, statistics: Path | None = None) -> LoadedModel:
    """Load a bundle, in OpenVINO.

    Raises:
        PolicyError: OpenVINO is not installed, or the bundle cannot be used.
    """
    try:
        from smolvla.openvino_backend import OpenVinoBackend
    except ImportError as error:
        raise PolicyError(f"smolvla: {error}; run: {INSTALL_OPENVINO}") from None
    bundle = read_bundle(folder, statistics)
    backend = OpenVinoBackend(bundle, threads)
    return LoadedModel(
        checkpoint_name(folder), folder, bundle.config, bundle.shapes, bundle.processing,
        bundle.tokens, backend,
    )  # fmt: skip
