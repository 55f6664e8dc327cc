# SPDX-License-Identifier: Apache-2.0
# mypy: warn_return_any=False
"""Imitation: SmolVLA's flow matching on what a teacher shows, with referring tasks beside it.

As in SmolVLA: time t is 0.001 + 0.999 Beta(1.5, 1), x = t noise + (1 - t) action, and the model is
to say noise - action. Each observation is encoded once and used for several instructions, where
the teacher has shown them, and for several draws of noise and time.

Source: arXiv 2506.01844, and LeRobot 0.4.4 for the arithmetic.
"""

from __future__ import annotations

import math
import os
import shutil
import time as clock
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smolvla.model import Prefix, SmolVLA
from smolvla.relative import write_columns
from smolvla.saving import save_checkpoint
from smolvla.torch_backend import load_model
from vla_policies.protocol import PolicyError
from vla_training import fingerprints
from vla_training.batches import Batch, Batches
from vla_training.begin import HEADS, START, start_of, take_heads
from vla_training.compute import Compute
from vla_training.errors import TrainingError
from vla_training.heads import ReferringHeads
from vla_training.lessons import AWAY_PARTS, Lessons
from vla_training.metrics import Metrics, draw_curves
from vla_training.optimisers import make_optimisers
from vla_training.run_folder import CHECKPOINT, RunFolder
from vla_training.settings import BFLOAT16, CPU, EXPERT, ImitationSettings

LOG_STEPS = 25
LOSSES = ("flow", "find", "turn", "point", "away", "phase")
SMOOTHNESS = "smoothness"
PHASES = 8  # at most
# They may differ when a run goes on: the same numbers come out, but for their last bits.
_FREE = ("save_s", "threads", "stored", "compile", "device")
_EXPERT = ("expert.", "state_proj.", "action_in_proj.", "action_out_proj.", "action_time_mlp_")


@dataclass
class Progress:
    """Where a run is, for who watches it.

    Attributes:
        step: The last that was taken.
        steps: Of the whole run.
        flow: The mean loss of the flow since it was told last; NaN while it only learns to refer.
        step_s: Mean time of a step, s.
    """

    step: int
    steps: int
    flow: float
    step_s: float


class Imitation:
    """A training run in a folder. Made again in the same folder, it goes on where it was."""

    def __init__(
        self,
        folder: Path,
        lessons: Lessons,
        settings: ImitationSettings,
        base: Path | None = None,
        compute: Compute | None = None,
    ) -> None:
        """Begin a run, or take it up.

        Args:
            folder: Of the run.
            lessons: The data.
            settings: How to train.
            base: A checkpoint to begin from; None for a model from nothing.
            compute: Where it computes; None: on the CPU, in one process.

        Raises:
            TrainingError: The folder is of another run, or the data does not fit the model.
        """
        self.folder, self.settings, self.base = folder, settings, base
        self._compute = compute or Compute()
        self._kept = RunFolder(folder)
        for name in settings.relative:
            for known in (lessons.info.joints, lessons.info.state_names):
                if name not in known:
                    raise TrainingError(
                        f"relative: {name!r} is no joint of the data: {', '.join(known)}"
                    )
        torch.set_num_threads(settings.threads)
        self._columns = [lessons.info.joints.index(name) for name in settings.relative]
        given = {
            "data": lessons.fingerprint,
            "rows": len(lessons.state),
            "base": None if base is None else str(base),
            "base_files": None if base is None else fingerprints.of_checkpoint(base),
            "processes": self._compute.count,
        }
        defaults = {**type(settings)().document(), "processes": 1}
        # Whether the data says where things are; else there is nothing to refer to.
        self._refers = lessons.labelled
        with self._compute.first_before_others():
            new = self._kept.keep(settings.document(), given, _FREE, defaults)
            try:
                self.checkpoint = start_of(self._kept, lessons, settings, base)
            except PolicyError:
                if new:
                    self._kept.forget()
                raise
        device = self._compute.device
        self.model = load_model(self.checkpoint, device=str(device)).train()
        torch.manual_seed(settings.seed)  # of the heads' weights
        self.heads = ReferringHeads(
            self.model, things=lessons.pixels.shape[1], away=AWAY_PARTS, phases=PHASES
        )
        take_heads(self.folder / START, self.heads)
        self.heads.to(device)
        self.model.requires_grad_(True)
        if settings.train == EXPERT:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(name.startswith(_EXPERT))
        named = [*self.model.named_parameters()]
        named += [(f"{HEADS}{name}", each) for name, each in self.heads.named_parameters()]
        self._parameters = {name: each for name, each in named if each.requires_grad}
        self._optimisers = make_optimisers(self._parameters, settings)
        self._average = {name: each.detach().clone() for name, each in self._parameters.items()}
        self.step = 0
        self._recent: list[list[float]] = []  # figures that are not written yet
        self._computed = self._losses
        if settings.compile:
            if device.type == CPU and shutil.which(os.environ.get("CXX", "g++")) is None:
                raise TrainingError(
                    "compile: there is no C++ compiler; install g++, or set compile: false"
                )
            self._computed = torch.compile(self._losses, dynamic=False)
        self._kept.take_up(self._load)
        total = sum(float(each.detach().double().sum()) for each in self._parameters.values())
        self._compute.require_same(
            f"step {self.step}, data {lessons.fingerprint[:12]}, weights {total!r}"
        )
        self.saved_step = self.step
        self._batches = Batches(lessons, self.checkpoint, settings, self._compute)
        self._smoothed = _smoothed(lessons, settings)
        self._losses_told = (*LOSSES, SMOOTHNESS) if settings.smoothness else LOSSES
        self.figures = (*self._losses_told, "gradient", "learning_rate", "step_s")

    def run(
        self,
        *,
        until: int | None = None,
        seconds: float | None = None,
        watch: Callable[[Progress], None] | None = None,
    ) -> bool:
        """Train.

        Args:
            until: The step to stop at, kept to go on later; None for the last.
            seconds: Stop after this time, likewise; None for no such limit.
            watch: Is told the progress.

        Returns:
            Whether all steps are done.

        Raises:
            TrainingError: A file cannot be written, or the loss is no longer finite.
        """
        settings = self.settings
        last = settings.steps if until is None else min(until, settings.steps)
        metrics = Metrics(self.folder, self.figures, self.step) if self._compute.first else None
        began = saved = marked = clock.monotonic()
        taken, stop = 0, False
        try:
            for batch in self._made(self.step, last):
                late = seconds is not None and clock.monotonic() - began >= seconds
                figures, stop = self._update(batch, late)
                self._recent.append(figures)
                self.step, taken = self.step + 1, taken + 1
                now = clock.monotonic()
                if metrics is not None and (
                    self.step % LOG_STEPS == 0 or self.step == settings.steps
                ):
                    step_s = (now - marked) / taken
                    told = [*_means(self._recent), self._rate(self.step - 1), step_s]
                    metrics.add(self.step, dict(zip(self.figures, told, strict=True)))
                    marked, taken, self._recent = now, 0, []
                    if watch is not None:
                        watch(Progress(self.step, settings.steps, told[0], step_s))
                if now - saved >= settings.save_s:
                    self.save()
                    saved = clock.monotonic()
                if stop:
                    break
        finally:
            if metrics is not None:
                metrics.close()
        self.save()
        if self._compute.first:
            draw_curves(self.folder)
        return self.step >= settings.steps

    def _made(self, begin: int, end: int) -> Iterator[Batch]:
        """Yield the batches of some steps; for a GPU the next is made while it computes."""
        if self._compute.device.type == CPU:
            yield from map(self._batches.make, range(begin, end))
            return
        with ThreadPoolExecutor(1) as pool:
            following = None
            for step in range(begin, end):
                batch = (following or pool.submit(self._batches.make, step)).result()
                if step + 1 < end:
                    following = pool.submit(self._batches.make, step + 1)
                yield batch

    def losses(self, batch: Batch, *, flow: bool) -> dict[str, Tensor]:
        """Return the mean losses of a batch: ``flow`` where wanted, and the referring ones."""
        # Only tensors go in, and no numpy happens inside: so it can be compiled.
        time = self.model.embed_time(batch.time)
        narrow = self.settings.precision == BFLOAT16
        with torch.autocast(self._compute.device.type, torch.bfloat16, enabled=narrow):
            return self._computed(batch, time if flow else None)

    def _losses(self, batch: Batch, time: Tensor | None) -> dict[str, Tensor]:
        """Return the losses; `time` is the embedding of the flow's times, or None for no flow."""
        model = self.model
        count, cameras = batch.images.shape[:2]
        things = len(batch.text) // count
        seen = model.encode_image(batch.images.flatten(0, 1)).unflatten(0, (count, cameras))
        tokens = seen.flatten(1, 2).repeat_interleave(things, dim=0)
        context = torch.cat([tokens, model.embed_text(batch.text)], dim=1)
        image_valid = batch.text_valid.new_ones(len(tokens), tokens.shape[1])
        valid = torch.cat([image_valid, batch.text_valid], dim=1)
        state = model.embed_state(batch.state).repeat_interleave(things, dim=0)
        prefix = model.prefill(context, state, valid)
        found = self.heads.losses(seen, prefix, batch.referred) if self._refers else {}
        if time is not None:
            found |= self._flow(prefix, batch, time)
        return found

    def _flow(self, prefix: Prefix, batch: Batch, time: Tensor) -> dict[str, Tensor]:
        draws = len(batch.time) // len(batch.actions)
        actions = batch.actions.repeat_interleave(draws, dim=0)
        share = batch.time[:, None, None]
        x = share * batch.noise + (1 - share) * actions
        said = self.model.velocity(repeated(prefix, draws), x, time)
        error = (said.float() - (batch.noise - actions)).square().mean(-1)
        weight = batch.action_weight.repeat_interleave(draws, dim=0)
        found = {"flow": (error * weight).sum() / weight.sum().clamp(min=1e-6)}
        if self.settings.smoothness:
            found[SMOOTHNESS] = roughness(
                (x - share * said.float())[..., self._smoothed], weight > 0.0
            )
        return found

    def _loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what a step makes less, and the losses that it consists of."""
        settings = self.settings
        flow = self.step >= settings.refer_steps or not self._refers
        found = self.losses(batch, flow=flow)
        loss = found["flow"] if flow else torch.zeros((), device=self._compute.device)
        if flow and settings.smoothness:
            loss = loss + settings.smoothness * found[SMOOTHNESS]
        if self._refers:
            refer = (
                found["find"] + found["turn"] + found["point"] + found["away"]
                + 0.5 * found["phase"]
            )  # fmt: skip
            loss = loss + settings.refer_weight * refer if flow else refer
        self._require_finite(loss, "loss")
        return loss, found

    def _require_finite(self, value: Tensor, name: str) -> None:
        if not torch.isfinite(value):
            raise TrainingError(
                f"{self.folder}: the {name} is {float(value)} at step {self.step}; lower "
                "learning_rate, and begin again in a new folder"
            )

    def _update(self, batch: Batch, late: bool = False) -> tuple[list[float], bool]:
        """Take a step; return its figures, and whether a process has come to its end.

        Args:
            batch: What to learn from.
            late: Whether this process has.
        """
        settings = self.settings
        loss, found = self._loss(batch)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self._rate(self.step)
            optimiser.zero_grad()
        loss.backward()
        parameters = list(self._parameters.values())
        stop = self._compute.average(
            [each.grad for each in parameters if each.grad is not None], late
        )
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        self._require_finite(norm, "gradient")
        for optimiser in self._optimisers:
            optimiser.step()
        decay = min(settings.ema, (2 + self.step) / (11 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self._average.values()), parameters, 1.0 - decay)
        values = [found[name].item() if name in found else math.nan for name in self._losses_told]
        return [*values, float(norm)], stop

    def _rate(self, step: int) -> float:
        settings = self.settings
        rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
        fall = 0.5 * (1.0 + np.cos(np.pi * step / settings.steps))
        share = settings.final_rate + (1.0 - settings.final_rate) * fall
        return float(settings.learning_rate * rise * share)

    # -- on disk ----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the run's state, whole or not at all; of several processes the first does.

        Raises:
            TrainingError: It cannot be written; the one before is kept.
        """
        if not self._compute.first:
            self.saved_step = self.step
            return
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimisers": [each.state_dict() for each in self._optimisers],
            "average": self._average,
            "recent": self._recent,
        }
        self._kept.save(state)
        self.saved_step = self.step

    def write_checkpoint(self, card: str) -> Path:
        """Write the averaged weights as a checkpoint in LeRobot's format.

        Args:
            card: Text of its README.md.

        Raises:
            TrainingError: It cannot be written.
        """
        live = {name: each.detach().clone() for name, each in self._parameters.items()}
        with torch.no_grad():
            for name, each in self._parameters.items():
                each.copy_(self._average[name])
        try:
            with self._kept.writing(CHECKPOINT) as spare:
                narrow = self.settings.stored == BFLOAT16
                save_checkpoint(spare, self.model, self.checkpoint, narrow=narrow)
                write_columns(spare, self._columns)
                (spare / "README.md").write_text(card, encoding="utf-8")
        finally:
            with torch.no_grad():
                for name, each in self._parameters.items():
                    each.copy_(live[name])
        return self.folder / CHECKPOINT

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        for optimiser, there in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(there)
        for name, values in state["average"].items():
            self._average[name].copy_(values)
        self._recent = [[float(value) for value in each] for each in state["recent"]]
        self.step = int(state["step"])


def roughness(rows: Tensor, valid: Tensor) -> Tensor:
    """Return the mean square of the third difference of chunks.

    Args:
        rows: (N, T, J).
        valid: (N, T); of four rows in a row all have to be.
    """
    third = rows.diff(n=3, dim=1).square().mean(-1)
    whole = valid[:, 3:] & valid[:, 2:-1] & valid[:, 1:-2] & valid[:, :-3]
    return (third * whole).sum() / whole.sum().clamp(min=1)


def _smoothed(lessons: Lessons, settings: ImitationSettings) -> list[int]:
    """Return the columns of the action that are to be smooth: the arm's, where they are named."""
    joints, rows = lessons.info.joints, lessons.chunks.shape[2]
    if settings.smoothness and rows < 4:
        raise TrainingError(
            f"smoothness: a chunk of the data has {rows} rows; of fewer than 4 there is no third "
            "difference"
        )
    return [place for place, name in enumerate(joints) if name in (settings.relative or joints)]


def repeated(prefix: Prefix, times: int) -> Prefix:
    """Return a prefix with each of its observations several times in a row."""

    def again(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(times, dim=0)

    return replace(
        prefix,
        keys=tuple(again(each) for each in prefix.keys),
        values=tuple(again(each) for each in prefix.values),
        crossed=tuple(pair and (again(pair[0]), again(pair[1])) for pair in prefix.crossed),
        valid=again(prefix.valid),
    )


def memory_bytes(lessons: Lessons) -> int:
    """Return what the lessons take in memory, bytes."""
    arrays: Sequence[Any] = (
        *lessons.images.values(), lessons.state, lessons.chunks, lessons.chunks, lessons.away,
        lessons.phase, lessons.pixels,
    )  # fmt: skip
    return sum(int(each.nbytes) for each in arrays)


def parameter_count(model: SmolVLA) -> int:
    """Return the number of weights."""
    return sum(each.numel() for each in model.parameters())


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of each column over the rows that have it; NaN where none has."""
    columns = zip(*rows, strict=True)
    known = [[value for value in column if not math.isnan(value)] for column in columns]
    return [float(np.mean(values)) if values else math.nan for values in known]
