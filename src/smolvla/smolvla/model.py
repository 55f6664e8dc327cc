# SPDX-License-Identifier: Apache-2.0
# mypy: disallow_subclassing_any=False, warn_return_any=False
"""SmolVLA in torch, for inference and for training, with LeRobot's tensors and arithmetic.

A vision tower and a text model make keys and values of images, instruction and state, once an
observation. A smaller expert turns noise into actions, step by step: its even layers attend to
those keys and values and causally to the action tokens, its odd layers to a projection of those
keys and values alone. So the first rows of a chunk do not depend on how many follow, and nothing
of the observation is computed again from step to step.

Source: arXiv 2506.01844, and LeRobot 0.4.4 for what the weights expect: positions of the valid
tokens only, rotary base 10,000, softmax in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from smolvla.config import SmolVLAConfig
from smolvla.decoder import Expert, TextModel, attend, rotary, rotate
from smolvla.flow import time_embedding
from smolvla.shapes import Shapes
from smolvla.vision import Connector, VisionTower
from smolvla.weights import SHIFTED, stays_float32


@dataclass(frozen=True)
class Prefix:
    """What the expert attends to: keys and values of an observation, layer by layer.

    Attributes:
        keys: Of the text model, each (B, P, G, D), turned by position.
        values: Of the text model, each (B, P, G, D).
        crossed: Projected keys and values for the expert's layers that only look there; None
            for the others.
        valid: (B, P), false for padding.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    crossed: tuple[tuple[Tensor, Tensor] | None, ...]
    valid: Tensor

    @property
    def tokens(self) -> Tensor:
        """Number of valid tokens (B,)."""
        return self.valid.sum(dim=1)

    def tensors(self) -> list[Tensor]:
        """Return all that it holds, in one order."""
        pairs = [tensor for pair in self.crossed if pair is not None for tensor in pair]
        return [*self.keys, *self.values, *pairs, self.valid]

    def clone(self) -> Prefix:
        """Return a copy that shares no memory."""
        return Prefix(
            tuple(k.clone() for k in self.keys),
            tuple(v.clone() for v in self.values),
            tuple(c and (c[0].clone(), c[1].clone()) for c in self.crossed),
            self.valid.clone(),
        )

    def first(self, count: int) -> Prefix:
        """Return the first tokens only."""
        return Prefix(
            tuple(k[:, :count] for k in self.keys),
            tuple(v[:, :count] for v in self.values),
            tuple(c and (c[0][:, :count], c[1][:, :count]) for c in self.crossed),
            self.valid[:, :count],
        )


class SmolVLA(nn.Module):
    """The whole model.

    For one observation: `encode_image` each camera, `embed_text`, `embed_state`, then `prefill`.
    For each flow step: `velocity`. For training: `forward`.
    """

    def __init__(self, config: SmolVLAConfig, shapes: Shapes, patch_positions: str) -> None:
        super().__init__()
        self.config = config
        self.shapes = shapes
        self.vision = VisionTower(shapes.vision, shifted=patch_positions == SHIFTED)
        self.connector = Connector(shapes)
        self.text = TextModel(shapes)
        self.expert = Expert(shapes, config.self_attention_every)
        width = shapes.expert.hidden
        self.state_proj = nn.Linear(config.max_state_size, shapes.text.hidden)
        self.action_in_proj = nn.Linear(config.max_action_size, width)
        self.action_out_proj = nn.Linear(width, config.max_action_size)
        self.action_time_mlp_in = nn.Linear(2 * width, width)
        self.action_time_mlp_out = nn.Linear(width, width)

    def cast(self, dtype: torch.dtype) -> SmolVLA:
        """Convert the weights, but for those that keep float32."""
        for name, parameter in self.named_parameters():
            keeps = stays_float32(name, self.config)
            parameter.data = parameter.data.to(torch.float32 if keeps else dtype)
        return self

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Return tokens (B, I, hidden) of pixels (B, 3, S, S) in -1..1."""
        tokens = self.connector(self.vision(pixels))
        # The factor is rounded to the tokens' type, as it was in training.
        return tokens * tokens.new_tensor(self.shapes.text.hidden**0.5)

    def embed_text(self, ids: Tensor) -> Tensor:
        """Return tokens (B, L, hidden) of token ids (B, L)."""
        return self.text.embed_tokens(ids) * self.shapes.text.hidden**0.5

    def embed_state(self, state: Tensor) -> Tensor:
        """Return the token (B, 1, hidden) of a normalised, padded state (B, max_state_size)."""
        return self.state_proj(state.to(torch.float32))[:, None]

    def prefill(
        self, context: Tensor | Prefix, state: Tensor, valid: Tensor | None = None
    ) -> Prefix:
        """Compute what the expert attends to.

        Images and instruction see one another but not the state, the state sees all. So where
        images and instruction are those of an earlier call, pass its prefix without its last
        token instead: only the state is computed.

        Args:
            context: Tokens (B, N, hidden) of images and instruction, or their prefix.
            state: Token (B, 1, hidden) of the state.
            valid: (B, N), false for padding among the tokens; None for no padding.
        """
        batch = state.shape[0]
        state_valid = torch.ones(batch, 1, dtype=torch.bool, device=state.device)
        if isinstance(context, Prefix):
            seen = torch.cat([context.valid, state_valid], dim=1)
            position = context.tokens[:, None]
            return self._extend(state, seen[:, None], position, context, seen)
        x = torch.cat([context.to(torch.promote_types(context.dtype, state.dtype)), state], dim=1)
        if valid is None:
            valid = torch.ones(x.shape[0], x.shape[1] - 1, dtype=torch.bool, device=x.device)
        seen = torch.cat([valid, state_valid], dim=1)
        mask = seen[:, None, :].repeat(1, x.shape[1], 1)
        mask[:, :-1, -1] = False
        return self._extend(x, mask, seen.cumsum(dim=1) - 1, None, seen)

    def _extend(
        self, x: Tensor, mask: Tensor, positions: Tensor, past: Prefix | None, seen: Tensor
    ) -> Prefix:
        """Run the text model over new tokens x (B, N, hidden) that follow a past."""
        rope = rotary(positions, self.shapes.text.head_size)
        keys, values, crossed = [], [], []
        last = len(self.text.layers) - 1
        for index, layer in enumerate(self.text.layers):
            attention = layer.self_attn
            normed = layer.normed(x)
            k = rotate(attention.keys(normed), rope)
            v = attention.values(normed)
            cross = self._cross(index, k, v)
            if past is not None:
                k = torch.cat([past.keys[index], k], dim=1)
                v = torch.cat([past.values[index], v], dim=1)
                earlier = past.crossed[index]
                if cross is not None and earlier is not None:
                    cross = (
                        torch.cat([earlier[0], cross[0]], dim=1),
                        torch.cat([earlier[1], cross[1]], dim=1),
                    )
            keys.append(k)
            values.append(v)
            crossed.append(cross)
            # Nothing reads what leaves the last layer.
            if index < last:
                x = layer.finish(x, attend(attention.queries(normed, rope), k, v, mask))
        return Prefix(tuple(keys), tuple(values), tuple(crossed), seen)

    def _cross(self, index: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor] | None:
        if index % self.config.self_attention_every == 0:
            return None
        attention = self.expert.layers[index].self_attn
        return attention.keys(k.flatten(2)), attention.values(v.flatten(2))

    def embed_time(self, t: Tensor) -> Tensor:
        """Return the time embedding (B, width) of times (B,)."""
        angles = time_embedding(
            t.detach().to("cpu", torch.float64).numpy(), self.shapes.expert.hidden,
            self.config.min_period, self.config.max_period,
        )  # fmt: skip
        return torch.from_numpy(angles).to(t.device, torch.float32)

    def velocity(self, prefix: Prefix, x: Tensor, time: Tensor) -> Tensor:
        """Return the flow's velocity.

        Args:
            prefix: Of the observation.
            x: (B, T, max_action_size). Rows beyond those wanted may be left out: the result for
                the others is the same.
            time: Embedding (B, width) of the time, from `embed_time`.

        Returns:
            (B, T, max_action_size), float32.
        """
        rows = x.shape[1]
        action = self.action_in_proj(x)
        joined = torch.cat([action, time[:, None].expand_as(action)], dim=2)
        h = self.action_time_mlp_out(F.silu(self.action_time_mlp_in(joined)))

        size = self.shapes.expert.head_size
        order = torch.arange(rows, device=x.device)[None]
        rope_alone = rotary(order, size)
        rope_after = rotary(prefix.tokens[:, None] + order, size)
        seen = prefix.valid[:, None].expand(-1, rows, -1)
        causal = (order.transpose(0, 1) >= order)[None].expand(len(seen), -1, -1)
        mask = torch.cat([seen, causal], dim=2)
        for index, layer in enumerate(self.expert.layers):
            attention = layer.self_attn
            normed = layer.normed(h)
            crossed = prefix.crossed[index]
            if crossed is not None:
                attended = attend(attention.queries(normed, rope_alone), *crossed, seen)
            else:
                k = torch.cat([prefix.keys[index], rotate(attention.keys(normed), rope_after)], 1)
                v = torch.cat([prefix.values[index], attention.values(normed)], 1)
                attended = attend(attention.queries(normed, rope_after), k, v, mask)
            h = layer.finish(h, attended)
        return self.action_out_proj(self.expert.norm(h).to(torch.float32))

    def forward(
        self,
        images: Tensor,
        text: Tensor,
        text_valid: Tensor,
        state: Tensor,
        actions: Tensor,
        noise: Tensor,
        t: Tensor,
    ) -> Tensor:
        """Return the flow-matching loss of each element, (B, T, max_action_size).

        Args:
            images: (B, C, 3, S, S) in -1..1, the cameras in the config's order.
            text: Token ids (B, L), padded on the right.
            text_valid: (B, L), false for padding.
            state: (B, max_state_size), normalised and padded with 0.
            actions: (B, T, max_action_size), normalised and padded with 0.
            noise: Of the actions' shape, standard normal.
            t: (B,) in (0, 1]; LeRobot draws 0.001 + 0.999 Beta(1.5, 1).
        """
        batch, cameras = images.shape[:2]
        tokens = self.encode_image(images.flatten(0, 1)).unflatten(0, (batch, cameras))
        context = torch.cat([tokens.flatten(1, 2), self.embed_text(text)], dim=1)
        image_valid = text_valid.new_ones(batch, cameras * tokens.shape[2])
        valid = torch.cat([image_valid, text_valid], dim=1)
        prefix = self.prefill(context, self.embed_state(state), valid)
        share = t[:, None, None]
        x = share * noise + (1 - share) * actions
        return (self.velocity(prefix, x, self.embed_time(t)) - (noise - actions)).square()
