# SPDX-License-Identifier: Apache-2.0
# mypy: disallow_subclassing_any=False, warn_return_any=False
"""Referring tasks: where is what the instruction names? They teach a small model to look.

The heads read what the action expert reads, the text model's values, so what they teach is there
for the expert too. They are no part of a checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from smolvla.model import Prefix, SmolVLA

LAYERS = 2  # of the text model, from its last one, whose values are read


@dataclass(frozen=True)
class Referred:
    """What is right for N instructions.

    Attributes:
        pixels: Where what is named lies in each camera's picture (N, C, 2), 0..1; nan: not known.
        away: From the hand to it (N, D), scaled to about 1; nan: not known.
        phase: What is to be done (N,), a whole number; -1: not known.
        all_pixels: Where each of K things lies in the pictures of B observations (B, C, K, 2),
            whatever the instruction.
        all_turns: Cosine and sine of four times how each is turned there (B, C, K, 2); nan: not
            known.
    """

    pixels: Tensor
    away: Tensor
    phase: Tensor
    all_pixels: Tensor
    all_turns: Tensor


class ReferringHeads(nn.Module):
    """Reads place, way and phase off the values that the expert attends to."""

    def __init__(
        self, model: SmolVLA, *, things: int, away: int, phases: int, hidden: int = 128
    ) -> None:
        """Make heads for a model.

        Args:
            model: Whose shapes they fit.
            things: K, that may be named.
            away: D, elements of the way.
            phases: How many there are.
            hidden: Width.
        """
        super().__init__()
        text = model.shapes.text
        size = LAYERS * text.kv_heads * text.head_size
        self.side = round(model.shapes.image_tokens**0.5)
        self.cameras = len(model.config.cameras)
        self.away, self.things = away, things
        # The pictures' own tokens, before any word: each thing's logit, where in the square, and
        # how it is turned.
        self.find = nn.Linear(text.hidden, 5 * things)
        self.unfound = nn.Parameter(torch.zeros(self.cameras, things))
        # A logit that the token's square holds it, and where in the square.
        self.point = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, 3))
        self.absent = nn.Parameter(torch.zeros(self.cameras))
        self.act = nn.Sequential(
            nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, away + phases)
        )

    def losses(self, seen: Tensor, prefix: Prefix, right: Referred) -> dict[str, Tensor]:
        """Return the mean loss of each task.

        Args:
            seen: Tokens (B, C, I, hidden) of the pictures.
            prefix: Of the N instructions about them.
            right: What is right.
        """
        values = torch.cat([each.flatten(2) for each in prefix.values[-LAYERS:]], dim=-1)
        count = self.cameras * self.side**2
        tokens = values[:, :count].unflatten(1, (self.cameras, -1))
        named, _ = self._places(
            self.point(tokens), self.absent.expand(len(tokens), -1), right.pixels
        )
        found = self.find(seen / seen.shape[-1] ** 0.5).unflatten(-1, (self.things, 5))
        every, at = self._places(
            found.movedim(3, 2), self.unfound.expand(len(found), -1, -1), right.all_pixels
        )
        act = self.act(values[:, -1])
        way, steps = act[:, : self.away], act[:, self.away :]
        phase = F.cross_entropy(steps, right.phase, ignore_index=-1, reduction="sum")
        return {
            "find": every,
            "point": named,
            "turn": _error(at[..., 2:], right.all_turns),
            "away": _error(way, right.away),
            "phase": phase / (right.phase >= 0).sum().clamp(min=1),
        }

    def _places(self, said: Tensor, absent: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compare where things are said to be with where they are.

        Args:
            said: For each square its logit, the place in it and more (..., I, 1 + 2 + E).
            absent: Logit that it is in none (...).
            pixels: Where it is (..., 2), 0..1; nan: behind the camera.

        Returns:
            The mean loss, and what the right square says behind its logit (..., 2 + E).
        """
        place = pixels.nan_to_num(-1.0)
        inside = ((place >= 0.0) & (place < 1.0)).all(-1)
        cell = (place * self.side).floor().clamp(0, self.side - 1)
        index = (cell[..., 1] * self.side + cell[..., 0]).long()
        logits = torch.cat([said[..., 0], absent[..., None].to(said.dtype)], dim=-1)
        target = torch.where(inside, index, self.side**2)
        square = F.cross_entropy(logits.flatten(0, -2), target.flatten())
        rest = said.shape[-1] - 1
        chosen = said[..., 1:].gather(-2, index[..., None, None].expand(*index.shape, 1, rest))
        offset = place * self.side - cell - 0.5
        offset = torch.where(inside[..., None], offset, torch.nan)
        return square + _error(chosen[..., 0, :2], offset), chosen[..., 0, :]


def _error(said: Tensor, right: Tensor) -> Tensor:
    """Return the smooth absolute error (..., D), summed over D, where `right` is not nan."""
    known = ~right.isnan()
    error = F.smooth_l1_loss(said.float(), right.nan_to_num(0.0), beta=0.1, reduction="none")
    return (error * known).sum() * right.shape[-1] / known.sum().clamp(min=1)
