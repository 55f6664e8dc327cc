# SPDX-License-Identifier: Apache-2.0
"""Compute parts of a bundle in int8: all of them, or those that an error allows.

Weights are rounded by what the layers are fed (`rounding`), activations get the range that they
have on the observations. Smoothing between the two is left out: it moves outliers of activations
into weights, which here costs more than the outliers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from smolvla.backend import Array32
from smolvla.bundle import read_bundle
from smolvla.calibrate import record
from smolvla.checkpoint import Checkpoint
from smolvla.export import note, trace
from smolvla.loading import LoadedModel, load_bundle
from smolvla.model import SmolVLA
from smolvla.openvino_import import openvino
from smolvla.parity import answers, compare
from smolvla.rounding import round_weights
from smolvla.samples import CheckpointSample
from smolvla.torch_backend import TorchBackend
from vla_policies.protocol import Array

# Of the observations, those that the weights are rounded by. More change little.
ROUND_BY = 4
# Of the error that is allowed: the rest is for observations that are not there.
MARGIN = 0.75
ENDS = ("xml", "bin")


@dataclass(frozen=True)
class Part:
    """What is quantised together.

    Attributes:
        name: For people.
        stage: Of the bundle.
        layers: How the names of its linear layers begin, and what they hold. Those of earlier
            parts of the stage are quantised already.
        left: Patterns of the stage's nodes that stay as they are.
        types: Of nodes that stay as they are.
    """

    name: str
    stage: str
    layers: tuple[str, ...]
    left: tuple[str, ...] = ()
    types: tuple[str, ...] = ("ScaledDotProductAttention",)


# In the order of the time that they save for the error that they make. Left as they are, since
# they cost little and lose most: the first and the last layer of the vision tower, what projects
# state, action and time, and the expert's keys and values.
PARTS = (
    Part(
        "vision MLPs", "vision", ("vision.encoder.", ".mlp."),
        (".*connector.*", ".*self_attn.*"), ("ScaledDotProductAttention", "Convolution"),
    ),
    Part("prefix", "prefix", ("text.layers.", ""), (".*expert.*",)),
    Part(
        "vision projections", "vision", ("vision.encoder.", ".self_attn."),
        (".*connector.*",), ("ScaledDotProductAttention", "Convolution"),
    ),
    Part("step", "step", ("expert.layers.", ""), (".*action_.*",)),
    Part("vision attention", "vision", (), (".*connector.*",), ("Convolution",)),
)  # fmt: skip


def quantise(
    checkpoint: Checkpoint,
    folder: Path,
    samples: Sequence[CheckpointSample],
    *,
    allowed: float | None,
    threads: int = 0,
    say: Callable[[str], object] = print,
) -> None:
    """Quantise a bundle, in place.

    Args:
        checkpoint: What the bundle was made of.
        folder: The bundle.
        samples: Observations to calibrate by.
        allowed: Largest error over standard deviation on the samples that is allowed, against
            torch in float32: a part that would exceed it, less a margin, stays as it is. None to
            quantise every part.
        threads: For the computation; 0 leaves the libraries' choice.
        say: Told what was done.
    """
    import nncf

    nncf.set_log_level(logging.ERROR)
    inputs = record(read_bundle(folder), samples, threads)
    backend = TorchBackend(checkpoint, "float32", "cpu")
    exact = LoadedModel(
        folder.name, folder, checkpoint.config, checkpoint.shapes, checkpoint.processing,
        checkpoint.tokens, backend,
    )  # fmt: skip
    wanted = answers(exact, samples) if allowed is not None else []
    taken: dict[str, float | None] = {}
    full: set[str] = set()
    for part in PARTS:
        if part.stage in full:
            continue
        layers = _layers(backend.model, part)
        round_weights(layers, lambda: answers(exact, samples[:ROUND_BY]))
        plain = trace(backend.model, [part.stage])[part.stage]
        stage = _quantised(plain, part, inputs[part.stage])
        for end in ENDS:
            (folder / f"{part.stage}.{end}").rename(folder / f"{part.stage}.kept.{end}")
        openvino.save_model(stage, folder / f"{part.stage}.xml", compress_to_fp16=True)
        del plain, stage
        if allowed is not None:
            error = _error(folder, samples, wanted, threads)
            keeps = error <= MARGIN * allowed
            say(f"  {part.name} in int8: error {error:.3g}" + ("" if keeps else ", left out"))
            if not keeps:
                for end in ENDS:
                    kept = folder / f"{part.stage}.kept.{end}"
                    kept.replace(folder / f"{part.stage}.{end}")
                full.add(part.stage)
                continue
            taken[part.name] = error
        else:
            say(f"  {part.name} in int8")
            taken[part.name] = None
        for end in ENDS:
            (folder / f"{part.stage}.kept.{end}").unlink()
    note(folder, "int8", taken)
    note(folder, "nncf", nncf.__version__)
    note(folder, "calibration", {name: len(values) for name, values in inputs.items()})


def _error(
    folder: Path, samples: Sequence[CheckpointSample], wanted: Sequence[Array], threads: int
) -> float:
    fast = load_bundle(folder, threads=threads)
    error = compare(wanted, answers(fast, samples)).worst
    fast.backend.close()
    return error


def _layers(model: SmolVLA, part: Part) -> dict[str, nn.Linear]:
    """Return the linear layers of a part that is not quantised yet."""
    if not part.layers:
        return {}
    begin, inside = part.layers
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.startswith(begin) and inside in name
    }


def _quantised(
    stage: openvino.Model, part: Part, inputs: Sequence[list[Array32]]
) -> openvino.Model:
    import nncf

    # Masked scores are statistics too, too large to be summed; nothing is made of them.
    with np.errstate(over="ignore"):
        return nncf.quantize(
            stage,
            nncf.Dataset(list(inputs)),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(types=list(part.types), patterns=list(part.left)),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=-1)
            ),
        )
