# SPDX-License-Identifier: Apache-2.0
"""Record what the stages of a bundle are fed, to quantise them by it."""

from __future__ import annotations

from collections.abc import Sequence

from smolvla.backend import Array32
from smolvla.bundle import STAGES, Bundle
from smolvla.loading import LoadedModel
from smolvla.openvino_backend import OpenVinoBackend
from smolvla.parity import answers
from smolvla.samples import CheckpointSample

# Of a sample's flow steps; its other inputs are the same in all of them.
EVERY_STEP = 3


class _Recorder(OpenVinoBackend):
    """Keeps the inputs of every stage."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.inputs: dict[str, list[list[Array32]]] = {name: [] for name in STAGES}
        self._steps = 0
        super().__init__(bundle, threads)
        # Not what it was warmed up with.
        for inputs in self.inputs.values():
            inputs.clear()
        self._steps = 0

    def _run(self, stage: str, *inputs: Array32) -> list[Array32]:
        self._steps += stage == "step"
        if stage != "step" or self._steps % EVERY_STEP == 1:
            self.inputs[stage].append([value.copy() for value in inputs])
        return super()._run(stage, *inputs)


def record(
    bundle: Bundle, samples: Sequence[CheckpointSample], threads: int = 0
) -> dict[str, list[list[Array32]]]:
    """Return the inputs of each stage while a bundle answers samples."""
    backend = _Recorder(bundle, threads)
    answers(
        LoadedModel(
            bundle.folder.name, bundle.folder, bundle.config, bundle.shapes, bundle.processing,
            bundle.tokens, backend,
        ),
        samples, seed=1,
    )  # fmt: skip
    backend.close()
    return backend.inputs
