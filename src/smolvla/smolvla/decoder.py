# SPDX-License-Identifier: Apache-2.0
# mypy: disallow_subclassing_any=False, warn_return_any=False
"""The layers of SmolVLA's text model and of its action expert, and their attention.

The names of the modules are those of the tensors in LeRobot's files. As there: rotary base 10,000,
softmax in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from smolvla.shapes import Shapes, TextShape

ROPE_BASE = 10_000.0


def rotary(positions: Tensor, head_size: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (..., 1, head_size / 2) for token positions (...)."""
    half = head_size // 2
    exponent = torch.arange(half, dtype=torch.float32, device=positions.device) * (2 / head_size)
    angle = positions[..., None, None].to(torch.float32) / ROPE_BASE**exponent
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (i, i + half) of each head of x (B, T, H, D) by its position's angles."""
    cos, sin = rope
    low, high = x.to(torch.float32).chunk(2, dim=-1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Let grouped queries attend.

    Args:
        q: (B, T, H, D).
        k: (B, S, G, D); H is a multiple of G.
        v: (B, S, G, D).
        mask: (B or 1, T, S), true where it may look; None for everywhere.

    Returns:
        (B, T, H * D), of v's type.
    """
    batch, rows, heads, size = q.shape
    groups = k.shape[2]
    if q.is_cuda:
        dtype = torch.promote_types(q.dtype, v.dtype)
        out = F.scaled_dot_product_attention(
            q.to(dtype).transpose(1, 2), k.to(dtype).transpose(1, 2), v.to(dtype).transpose(1, 2),
            attn_mask=None if mask is None else mask[:, None], enable_gqa=heads != groups,
        )  # fmt: skip
        return out.transpose(1, 2).reshape(batch, rows, heads * size).to(v.dtype)
    # On a CPU, plain products with the queries of a group as rows beat the fused kernel.
    share = heads // groups
    grouped = q.view(batch, rows, groups, share, size).permute(0, 2, 3, 1, 4)
    grouped = grouped.reshape(batch, groups, share * rows, size)
    score = grouped.to(torch.float32) @ k.to(torch.float32).permute(0, 2, 3, 1)
    score = score.view(batch, groups, share, rows, -1) * size**-0.5
    if mask is not None:
        score = score.masked_fill(~mask[:, None, None], torch.finfo(score.dtype).min)
    weight = score.softmax(dim=-1).to(v.dtype).view(batch, groups, share * rows, -1)
    out = (weight @ v.transpose(1, 2)).view(batch, groups, share, rows, size)
    return out.permute(0, 3, 1, 2, 4).reshape(batch, rows, heads * size)


class RMSNorm(nn.Module):
    """Scale to unit mean square, in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., size), scaled."""
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class Attention(nn.Module):
    """Projections of a decoder layer's attention."""

    def __init__(self, shape: TextShape, source: int) -> None:
        super().__init__()
        self.head_size = shape.head_size
        self.q_proj = nn.Linear(shape.hidden, shape.heads * shape.head_size, bias=False)
        self.k_proj = nn.Linear(source, shape.kv_heads * shape.head_size, bias=False)
        self.v_proj = nn.Linear(source, shape.kv_heads * shape.head_size, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_size, shape.hidden, bias=False)

    def queries(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """Return (B, T, H, D), turned by position."""
        return rotate(self.q_proj(x).unflatten(-1, (-1, self.head_size)), rope)

    def keys(self, x: Tensor) -> Tensor:
        """Return (B, T, G, D), not turned."""
        return self.k_proj(x.to(self.k_proj.weight.dtype)).unflatten(-1, (-1, self.head_size))

    def values(self, x: Tensor) -> Tensor:
        """Return (B, T, G, D)."""
        return self.v_proj(x.to(self.v_proj.weight.dtype)).unflatten(-1, (-1, self.head_size))


class Mlp(nn.Module):
    """The gated MLP of a decoder layer."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.mlp, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.mlp, bias=False)
        self.down_proj = nn.Linear(shape.mlp, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, hidden)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """A layer of the text model or of the expert."""

    def __init__(self, shape: TextShape, source: int | None = None) -> None:
        super().__init__()
        self.self_attn = Attention(shape, source or shape.hidden)
        self.mlp = Mlp(shape)
        self.input_layernorm = RMSNorm(shape.hidden, shape.norm_eps)
        self.post_attention_layernorm = RMSNorm(shape.hidden, shape.norm_eps)

    def normed(self, x: Tensor) -> Tensor:
        """Return what the projections read."""
        return self.input_layernorm(x).to(self.self_attn.q_proj.weight.dtype)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return the layer's output for its input x and what its queries gathered."""
        out = self.self_attn.o_proj(attended.to(self.self_attn.o_proj.weight.dtype))
        x = (out + x).to(out.dtype)
        return x + self.mlp(self.post_attention_layernorm(x))


class TextModel(nn.Module):
    """The text model: embeddings and its first layers."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        shape = shapes.text
        self.embed_tokens = nn.Embedding(shapes.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.hidden, shape.norm_eps)


class Expert(nn.Module):
    """The action expert."""

    def __init__(self, shapes: Shapes, every: int) -> None:
        super().__init__()
        shape = shapes.expert
        source = shapes.text.kv_heads * shapes.text.head_size
        self.layers = nn.ModuleList(
            DecoderLayer(shape, None if index % every == 0 else source)
            for index in range(shape.layers)
        )
        self.norm = RMSNorm(shape.hidden, shape.norm_eps)
