# SPDX-License-Identifier: Apache-2.0
# mypy: disallow_subclassing_any=False, warn_return_any=False
"""The model cut into stages that can be traced: no cache object, no loop over time.

For one observation, with the weights of `model.SmolVLA`, whose modules they hold. What depends
only on positions comes in as tables, so that a backend's lower precision cannot spoil it.

Keys and values pass between the stages as (layers, groups, tokens, head size).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from smolvla.decoder import DecoderLayer
from smolvla.model import SmolVLA


def attend_rows(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Let the queries of a group attend as rows of one product.

    Args:
        q: (1, T, H, D).
        k: (1, G, S, D).
        v: (1, G, S, D).
        mask: (1, 1, H / G * T, S), added to the scores.

    Returns:
        (1, T, H * D).
    """
    groups, size = k.shape[1], q.shape[3]
    rows = q.shape[1]
    share = q.shape[2] // groups
    grouped = q.reshape(1, rows, groups, share, size).permute(0, 2, 3, 1, 4)
    grouped = grouped.reshape(1, groups, share * rows, size)
    out = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask)
    out = out.reshape(1, groups, share, rows, size).permute(0, 3, 1, 2, 4)
    return out.reshape(1, rows, groups * share * size)


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn x (1, T, H, D) by tables (1, T, 1, D / 2)."""
    half = x.shape[3] // 2
    low, high = x[..., :half], x[..., half:]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)


class VisionStage(nn.Module):
    """Pixels (1, 3, S, S) to tokens (1, I, hidden)."""

    def __init__(self, model: SmolVLA) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the tokens."""
        return self.model.encode_image(pixels)


class PrefixStage(nn.Module):
    """Tokens of images, instruction and state to the keys and values that the expert reads."""

    def __init__(self, model: SmolVLA) -> None:
        super().__init__()
        self.text = model.text
        self.expert = model.expert
        self.every = model.config.self_attention_every

    def forward(
        self, x: Tensor, mask: Tensor, cos: Tensor, sin: Tensor, past_k: Tensor, past_v: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return keys and values of the new tokens, and their projections for the expert.

        Args:
            x: (1, N, hidden).
            mask: (1, 1, share * N, P + N), added to the scores.
            cos: (1, N, 1, D / 2).
            sin: (1, N, 1, D / 2).
            past_k: (L, G, P, D) of the tokens before.
            past_v: (L, G, P, D).
        """
        keys, values, crossed_k, crossed_v = [], [], [], []
        last = len(self.text.layers) - 1
        for index, layer in enumerate(self.text.layers):
            attention = layer.self_attn
            normed = layer.normed(x)
            k = turn(attention.keys(normed), cos, sin)
            v = attention.values(normed)
            if index % self.every:
                expert = self.expert.layers[index].self_attn
                crossed_k.append(expert.keys(k.flatten(2)).transpose(1, 2))
                crossed_v.append(expert.values(v.flatten(2)).transpose(1, 2))
            k, v = k.transpose(1, 2), v.transpose(1, 2)
            keys.append(k)
            values.append(v)
            if index < last:
                q = attention.q_proj(normed).unflatten(-1, (-1, attention.head_size))
                attended = attend_rows(
                    turn(q, cos, sin),
                    torch.cat([past_k[index : index + 1], k], dim=2),
                    torch.cat([past_v[index : index + 1], v], dim=2),
                    mask,
                )
                x = layer.finish(x, attended)
        return torch.cat(keys), torch.cat(values), torch.cat(crossed_k), torch.cat(crossed_v)


class StepStage(nn.Module):
    """One flow step of the expert."""

    def __init__(self, model: SmolVLA) -> None:
        super().__init__()
        self.model = model
        self.every = model.config.self_attention_every

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        mask: Tensor,
        alone: Tensor,
        after: Tensor,
        self_k: Tensor,
        self_v: Tensor,
        crossed_k: Tensor,
        crossed_v: Tensor,
    ) -> Tensor:
        """Return the velocity (1, T, max_action_size).

        Args:
            x: (1, T, max_action_size).
            time: Embedding (1, 1, width).
            mask: (1, 1, share * T, P + T), added to the scores of self-attention.
            alone: Cosines and sines (2, T, 1, D / 2) of the positions from 0.
            after: Cosines and sines (2, T, 1, D / 2) of the positions after the prefix.
            self_k: (E, G, P, D) for the layers that attend to action tokens too.
            self_v: (E, G, P, D).
            crossed_k: (C, G, P, D) for the other layers.
            crossed_v: (C, G, P, D).
        """
        model = self.model
        action = model.action_in_proj(x)
        joined = torch.cat([action, time.expand_as(action)], dim=2)
        h = model.action_time_mlp_out(F.silu(model.action_time_mlp_in(joined)))
        looks_out = 0
        for index, layer in enumerate(model.expert.layers):
            place = index // self.every if index % self.every == 0 else looks_out
            h = self._layer(
                layer, h, mask, alone, after,
                *(
                    (self_k[place : place + 1], self_v[place : place + 1], True)
                    if index % self.every == 0
                    else (crossed_k[place : place + 1], crossed_v[place : place + 1], False)
                ),
            )  # fmt: skip
            looks_out += index % self.every != 0
        return model.action_out_proj(model.expert.norm(h))

    def _layer(
        self,
        layer: DecoderLayer,
        h: Tensor,
        mask: Tensor,
        alone: Tensor,
        after: Tensor,
        k: Tensor,
        v: Tensor,
        among_actions: bool,
    ) -> Tensor:
        attention = layer.self_attn
        normed = layer.normed(h)
        q = attention.q_proj(normed).unflatten(-1, (-1, attention.head_size))
        if not among_actions:
            return layer.finish(h, attend_rows(turn(q, alone[:1], alone[1:]), k, v, None))
        own_k = turn(attention.keys(normed), after[:1], after[1:]).transpose(1, 2)
        own_v = attention.values(normed).transpose(1, 2)
        k, v = torch.cat([k, own_k], dim=2), torch.cat([v, own_v], dim=2)
        return layer.finish(h, attend_rows(turn(q, after[:1], after[1:]), k, v, mask))
