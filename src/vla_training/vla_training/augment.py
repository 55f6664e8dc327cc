# SPDX-License-Identifier: Apache-2.0
"""Pictures as they might also have been: other colours, other light, a shadow, noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def augment(pictures: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Vary pictures, each on its own.

    Args:
        pictures: (N, 3, H, W) in 0..1.
        generator: Of what is varied and how; on the pictures' device.
        strength: 0 leaves them as they are.

    Returns:
        (N, 3, H, W) in 0..1.
    """
    if not strength > 0.0:
        return pictures
    count, _, height, width = pictures.shape
    device = pictures.device

    def share(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def uniform(*shape: int) -> Tensor:
        return share(*shape) * 2.0 - 1.0

    light = 1.0 + 0.25 * strength * uniform(count, 1, 1, 1)
    tint = 1.0 + 0.08 * strength * uniform(count, 3, 1, 1)
    x = pictures * light * tint
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (1.0 + 0.25 * strength * uniform(count, 1, 1, 1))
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * (1.0 + 0.20 * strength * uniform(count, 1, 1, 1))
    # A soft-edged shadow, or a patch of light: one side of a line, of a band or all but a band.
    angle = math.pi * uniform(count, 1, 1)
    rows = torch.linspace(-1.0, 1.0, height, device=device)[None, :, None]
    columns = torch.linspace(-1.0, 1.0, width, device=device)[None, None, :]
    across = rows * angle.sin() + columns * angle.cos() - uniform(count, 1, 1)
    half = 0.2 + 0.8 * share(count, 1, 1)
    soft = 4.0 + 26.0 * share(count, 1, 1)
    band = torch.sigmoid(soft * (half - across.abs()))
    depth = strength * (0.55 * share(count, 1, 1) - 0.12)
    there = (share(count, 1, 1) < 0.5).float()
    x = x * (1.0 - there * depth * band)[:, None]
    x = x + 0.015 * strength * torch.randn(x.shape, generator=generator, device=device)
    return x.clamp(0.0, 1.0)
