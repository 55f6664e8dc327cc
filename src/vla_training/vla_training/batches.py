# SPDX-License-Identifier: Apache-2.0
"""What a model is shown in each update: a function of the seed and the number of the update.

So training that was interrupted goes on as if it had not been: there is no state to keep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smolvla.checkpoint import Checkpoint
from smolvla.images import fit
from vla_training.augment import augment
from vla_training.compute import Compute, moved
from vla_training.heads import Referred
from vla_training.lessons import Lessons, hand_camera
from vla_training.settings import ImitationSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """B observations, and for each of them Q things to do.

    Attributes:
        images: (B, C, 3, S, S) in -1..1.
        state: (B, max_state_size), normalised.
        text: Token ids (B * Q, L).
        text_valid: (B * Q, L), false for padding.
        actions: (B * Q, T, max_action_size), normalised.
        action_weight: (B * Q, T), how much a row counts; 0 behind the end of an episode.
        referred: Of the B * Q things.
        noise: (B * Q * draws, T, max_action_size).
        time: (B * Q * draws,) in (0, 1].
    """

    images: Tensor
    state: Tensor
    text: Tensor
    text_valid: Tensor
    actions: Tensor
    action_weight: Tensor
    referred: Referred
    noise: Tensor
    time: Tensor


class Batches:
    """Makes the batches of a training run."""

    def __init__(
        self,
        lessons: Lessons,
        checkpoint: Checkpoint,
        settings: ImitationSettings,
        compute: Compute | None = None,
    ):
        """Prepare.

        Args:
            lessons: The data.
            checkpoint: Of the model, for its tokens and normalisers.
            settings: Of the run.
            compute: On which device they are wanted, and in which process; None: on the CPU.
        """
        self._compute = compute or Compute()
        self._lessons, self._settings = lessons, settings
        self._config = checkpoint.config
        self._hand = hand_camera(lessons.info)
        self._columns = [lessons.info.joints.index(name) for name in settings.relative]
        self._elements = lessons.info.elements(self._columns)
        self._targets = lessons.targets(self._columns)
        self._state = checkpoint.processing.state
        self._action = checkpoint.processing.action
        self._tokens = [
            [checkpoint.tokens(text) for text in texts] for texts in lessons.info.instructions
        ]
        self._length = max(len(each) for texts in self._tokens for each in texts)

    def make(self, step: int) -> Batch:
        """Return the batch of an update, counted from 0."""
        settings, lessons = self._settings, self._lessons
        # Of several processes each has its own.
        of = [self._compute.rank] if self._compute.count > 1 else []
        rng = np.random.default_rng([settings.seed, 1, step, *of])
        seed = int(rng.integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        rows = self._rows(rng)
        things = self._things(rng, rows)
        column = np.minimum(things, lessons.chunks.shape[1] - 1)
        at = rows[:, None]
        shift: NDArray[np.float32] = rng.normal(
            0.0, settings.state_noise_rad, lessons.state[rows].shape
        ).astype(np.float32)
        state = np.zeros((len(rows), self._config.max_state_size), np.float32)
        state[:, : self._config.state_size] = self._state.normalise(lessons.state[rows] + shift)
        text, text_valid = self._texts(rng, things)
        count = things.size * settings.draws
        actions = self._actions(at, column, shift)
        actions = actions.reshape(things.size, -1, self._config.max_action_size)
        time = 0.001 + 0.999 * rng.beta(1.5, 1.0, count)
        look = torch.Generator(self._compute.device).manual_seed(seed + 1)
        batch = Batch(
            images=self._images(rows, look),
            state=torch.from_numpy(state),
            text=torch.from_numpy(text),
            text_valid=torch.from_numpy(text_valid),
            actions=torch.from_numpy(actions),
            action_weight=torch.from_numpy(self._weights(rows, actions)),
            referred=Referred(
                pixels=_flat(lessons.pixels[at, column]),
                away=_flat(lessons.away[at, column]),
                phase=_flat(lessons.phase[at, column]),
                all_pixels=torch.from_numpy(lessons.pixels[rows].swapaxes(1, 2).copy()),
                all_turns=torch.from_numpy(self._turns(rows)),
            ),
            noise=torch.randn(count, *actions.shape[1:], generator=generator),
            time=torch.from_numpy(time.astype(np.float32)),
        )
        return moved(batch, self._compute.device)

    def _rows(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw rows, as many of each dataset, so that a large one does not drown a small one."""
        bounds, batch = self._lessons.bounds, self._settings.batch
        datasets = len(bounds) - 1
        # Where the batch is no multiple, those that get a row more differ from step to step.
        first = int(rng.integers(datasets)) if batch % datasets else 0
        which = rng.permutation((first + np.arange(batch)) % datasets)
        low, high = bounds[which], bounds[which + 1]
        return np.asarray(low + (rng.random(batch) * (high - low)).astype(np.int64))

    def _things(self, rng: np.random.Generator, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what is asked for (B, Q): what was, and others where they were shown."""
        shown = self._lessons.chunks.shape[1]
        asked = self._lessons.asked[rows]
        if shown == 1:
            return asked[:, None]
        order = rng.random((len(rows), shown))
        order[np.arange(len(rows)), asked] = -1.0
        return np.argsort(order, axis=1)[:, : min(shown, self._settings.instructions)]

    def _texts(
        self, rng: np.random.Generator, things: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        text = np.zeros((things.size, self._length), np.int64)
        valid = np.zeros(text.shape, dtype=bool)
        for row, thing in enumerate(things.flat):
            ways = self._tokens[int(thing)]
            ids = ways[int(rng.integers(len(ways)))]
            text[row, : len(ids)], valid[row, : len(ids)] = ids, True
        return text, valid

    def _actions(
        self, at: NDArray[np.int64], column: NDArray[np.int64], shift: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return chunks (B, Q, T, max_action_size), normalised."""
        chunks = self._targets[at, column].copy()
        # Wherever the joints are measured to be, the arm is to go to the same place.
        chunks[..., self._columns] -= shift[:, None, None, self._elements]
        actions = np.zeros((*chunks.shape[:3], self._config.max_action_size), np.float32)
        actions[..., : self._config.action_size] = self._action.normalise(chunks)
        return actions

    def _turns(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return how each thing is turned in each camera's picture (B, C, K, 2); nan: unknown."""
        away = self._lessons.away[rows]
        turns = np.full((len(rows), len(self._config.cameras), *away.shape[1:2], 2), np.nan)
        if self._hand is not None:
            turns[:, self._hand] = away[..., -2:]
        return turns.astype(np.float32)

    def _weights(
        self, rows: NDArray[np.int64], actions: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return how much each row of the chunks (B * Q, T, max_action_size) counts (B * Q, T)."""
        valid = self._lessons.valid[rows].astype(np.float32)
        valid = np.repeat(valid, len(actions) // len(rows), axis=0)
        if not self._columns:
            return valid
        still = self._action.normalise(np.zeros(self._config.action_size, np.float32))
        moved = (actions[..., : len(still)] - still)[..., self._columns]
        size = np.sqrt(np.mean(np.square(moved), axis=(1, 2)))
        return np.asarray(valid / (1.0 + self._settings.near_weight * size)[:, None], np.float32)

    def _images(self, rows: NDArray[np.int64], generator: torch.Generator) -> Tensor:
        size, device = self._config.image_size, self._compute.device
        pictures = []
        for name in self._config.cameras:
            given = self._lessons.images[name][rows]
            if given.shape[1:3] == (size, size):
                there = torch.from_numpy(given).to(device)
                pictures.append(there.permute(0, 3, 1, 2).float() / 255.0)
            else:
                fitted = np.stack([fit(picture, size) for picture in given])
                pictures.append(torch.from_numpy(fitted).to(device) * 0.5 + 0.5)
        stacked = torch.stack(pictures, dim=1)
        varied = augment(stacked.flatten(0, 1), generator, self._settings.augmentation)
        return varied.view_as(stacked) * 2.0 - 1.0


def _flat(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).flatten(0, 1)
