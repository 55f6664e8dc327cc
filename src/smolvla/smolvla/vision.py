# SPDX-License-Identifier: Apache-2.0
# mypy: disallow_subclassing_any=False, warn_return_any=False
"""SmolVLA's vision tower (SigLIP without its head), and the connector to the text model.

The names of the modules are those of the tensors in LeRobot's files.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from smolvla.shapes import Shapes, VisionShape


class VisionAttention(nn.Module):
    """Every patch attends to every patch."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.hidden, shape.hidden)
        self.k_proj = nn.Linear(shape.hidden, shape.hidden)
        self.v_proj = nn.Linear(shape.hidden, shape.hidden)
        self.out_proj = nn.Linear(shape.hidden, shape.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, P, hidden)."""
        split = (*x.shape[:2], self.heads, -1)
        q, k, v = (
            project(x).view(split).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        # On a CPU the fused kernel's gradient takes three times as long as that of plain products.
        if x.is_cuda or (q.dtype == torch.float32 and not torch.is_grad_enabled()):
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            score = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
            out = score.softmax(dim=-1) @ v
        return self.out_proj(out.transpose(1, 2).flatten(2))


class VisionMlp(nn.Module):
    """Two linear layers with a tanh-approximated GELU between."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.hidden, shape.mlp)
        self.fc2 = nn.Linear(shape.mlp, shape.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, P, hidden)."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class VisionLayer(nn.Module):
    """A layer of the vision tower."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.self_attn = VisionAttention(shape)
        self.layer_norm1 = nn.LayerNorm(shape.hidden, eps=shape.norm_eps)
        self.mlp = VisionMlp(shape)
        self.layer_norm2 = nn.LayerNorm(shape.hidden, eps=shape.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, P, hidden)."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class PatchEmbeddings(nn.Module):
    """Patches as vectors, with their places."""

    def __init__(self, shape: VisionShape, *, shifted: bool) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, shape.hidden, shape.patch_size, shape.patch_size)
        self.position_embedding = nn.Embedding(shape.patches, shape.hidden)
        self._side = shape.image_size // shape.patch_size
        self._shifted = shifted
        self.register_buffer("places", torch.empty(0, dtype=torch.long), persistent=False)
        self.place("cpu")

    def place(self, device: torch.device | str) -> None:
        """Compute which position each patch has. It is no weight, so no file brings it."""
        side = torch.arange(self._side, device=device)
        if self._shifted:
            side = (side - 1).clamp(min=0)
        self.places = (side[:, None] * self._side + side).flatten()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, P, hidden) of pixels (B, 3, S, S)."""
        return self.patch_embedding(pixels).flatten(2).transpose(1, 2) + self.position_embedding(
            self.places
        )


class VisionEncoder(nn.Module):
    """The layers of the vision tower."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(VisionLayer(shape) for _ in range(shape.layers))


class VisionTower(nn.Module):
    """SigLIP without its head."""

    def __init__(self, shape: VisionShape, *, shifted: bool) -> None:
        super().__init__()
        self.embeddings = PatchEmbeddings(shape, shifted=shifted)
        self.encoder = VisionEncoder(shape)
        self.post_layernorm = nn.LayerNorm(shape.hidden, eps=shape.norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, P, hidden) of pixels (B, 3, S, S)."""
        x = self.embeddings(pixels.to(self.post_layernorm.weight.dtype))
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)


class Projection(nn.Module):
    """The linear layer of the connector, under the name that it has in the file."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs, bias=False)


class Connector(nn.Module):
    """Folds squares of patches into tokens of the text model."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.shuffle = shapes.shuffle
        folded = shapes.vision.hidden * shapes.shuffle**2
        self.modality_projection = Projection(folded, shapes.text.hidden)

    def forward(self, patches: Tensor) -> Tensor:
        """Return tokens (B, P / shuffle^2, hidden) of patches (B, P, vision hidden)."""
        batch, count, size = patches.shape
        fold = self.shuffle
        side = int(count**0.5)
        x = patches.view(batch, side // fold, fold, side // fold, fold, size)
        x = x.transpose(2, 3).reshape(batch, count // fold**2, fold**2 * size)
        return self.modality_projection.proj(x)
