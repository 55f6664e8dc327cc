# SPDX-License-Identifier: Apache-2.0
"""What updates the weights: AdamW, or Muon for the matrices inside the layers beside it."""

from __future__ import annotations

import torch

from vla_training.settings import MUON, ImitationSettings


def make_optimisers(
    parameters: dict[str, torch.nn.Parameter], settings: ImitationSettings
) -> list[torch.optim.Optimizer]:
    """Return what updates the parameters, each of them in one.

    Muon makes the update of a matrix orthogonal; `match_rms_adamw` gives it the size that AdamW's
    has, so one learning rate serves both. Source: arXiv 2502.16982.
    """
    inner = [
        each
        for name, each in parameters.items()
        if settings.optimiser == MUON and ".layers." in name and each.ndim == 2
    ]
    taken = {id(each) for each in inner}
    rest = [each for each in parameters.values() if id(each) not in taken]
    rate, decay = settings.learning_rate, settings.weight_decay
    found: list[torch.optim.Optimizer] = []
    if rest:
        found.append(torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=decay))
    if inner:
        muon = torch.optim.Muon(inner, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        found.append(muon)
    return found
