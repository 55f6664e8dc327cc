# SPDX-License-Identifier: Apache-2.0
"""LeRobot 0.4.4's SmolVLA as the reference: random checkpoints in its own format, and its answers.

Needs an environment with lerobot 0.4.4 and transformers 4.57 (see smolvla_parity.py).
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from smolvla_scenes import MEAN, STD, TASK

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from smolvla.config import ACTION
from smolvla.shapes import KNOWN, Shapes, TextShape
from smolvla.tiny import TINY_SHAPES
from smolvla.write import train_tokenizer, write_vlm
from vla_policies.protocol import IMAGES, STATE

SIZES = {"full": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "tiny": "tiny"}


def import_lerobot() -> None:
    """Import LeRobot, also where torchvision came without the operators that it registers."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_library"] = library  # definitions last as long as it does
    import lerobot.policies.smolvla.modeling_smolvla  # noqa: F401


def exact_patch_positions() -> None:
    """Make transformers give every patch its own position in float32 too.

    4.57 finds a patch's row as bucketize(i / n * (1 - 1e-6), edges k / n, right=True). In
    bfloat16 the factor rounds to 1 and the row is i; in float32 it does not, and the row is
    i - 1: every patch but the first row and column gets its neighbour's embedding.
    """
    from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionEmbeddings

    def forward(self: Any, pixel_values: torch.Tensor, patch_attention_mask: Any) -> torch.Tensor:
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        order = torch.arange(patches.shape[1], device=patches.device)
        return patches + self.position_embedding(order)

    SmolVLMVisionEmbeddings.forward = forward


def make_checkpoint(folder: Path, size: str, dtype: str, cameras: int, seed: int = 0) -> None:
    """Let LeRobot make a checkpoint with its own random weights and write it.

    Args:
        folder: A new folder.
        size: ``full``, the shapes of smolvla_base, or ``tiny``.
        dtype: ``float32``, or ``bfloat16`` with float32 where smolvla_base has it.
        cameras: Number of cameras.
        seed: Of the weights.
    """
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
    from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors

    folder.mkdir(parents=True)
    shapes = TINY_SHAPES
    if size == "full":
        vision, shuffle, text, vocabulary = KNOWN[SIZES[size]]
        shapes = Shapes(vision, shuffle, text, vocabulary, TextShape(*[0] * 7))
    tokenizer = train_tokenizer([TASK + "\n"], 512)
    write_vlm(folder / "vlm", shapes, tokenizer, 48, dtype)
    edge = shapes.vision.image_size
    config = SmolVLAConfig(
        input_features={
            STATE: PolicyFeature(FeatureType.STATE, (6,)),
            **{
                f"{IMAGES}camera{index + 1}": PolicyFeature(FeatureType.VISUAL, (3, 256, 256))
                for index in range(cameras)
            },
        },
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, (6,))},
        vlm_model_name=str((folder / "vlm").resolve()),
        load_vlm_weights=False,
        resize_imgs_with_padding=(edge, edge),
        num_vlm_layers=16 if size == "full" else TINY_SHAPES.text.layers,
        pad_language_to="max_length",
        device="cpu",
        push_to_hub=False,
    )
    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        policy = SmolVLAPolicy(config)
    as_trained(policy, dtype)
    statistics = {
        name: {"mean": torch.from_numpy(MEAN), "std": torch.from_numpy(STD)}
        for name in (STATE, ACTION)
    }
    before, after = make_smolvla_pre_post_processors(config, statistics)
    policy.save_pretrained(folder)
    before.save_pretrained(folder)
    after.save_pretrained(folder)


def as_trained(policy: Any, dtype: str) -> None:
    """Give a LeRobot policy the number types that smolvla_base's file has: 474 and 26 tensors."""
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    parts = policy.model.vlm_with_expert
    policy.to(torch.float32)
    parts.to(kind)
    for index, layer in enumerate(parts.lm_expert.layers):
        if index % policy.config.self_attn_every_n_layers:
            layer.self_attn.k_proj.to(torch.float32)
            layer.self_attn.v_proj.to(torch.float32)


class LerobotPolicy:
    """LeRobot's policy with its processors."""

    def __init__(self, folder: Path, dtype: str) -> None:
        """Load a checkpoint as LeRobot does, strictly."""
        from lerobot.policies.factory import make_pre_post_processors
        from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

        with contextlib.redirect_stdout(io.StringIO()):
            self.policy = SmolVLAPolicy.from_pretrained(folder, strict=True)
        as_trained(self.policy, dtype)
        self.before, self.after = make_pre_post_processors(
            self.policy.config, pretrained_path=str(folder)
        )

    def __call__(
        self,
        images: dict[str, np.ndarray],
        state: np.ndarray,
        noise: np.ndarray,
        task: str = TASK,
    ) -> np.ndarray:
        """Return actions (50, 6) in the checkpoint's units for uint8 images and a state."""
        actions = self.policy.predict_action_chunk(
            self._batch(images, state, task), noise=torch.from_numpy(noise)[None]
        )
        return np.asarray(self.after(actions)[0].to(torch.float32).numpy())

    def losses(
        self,
        images: dict[str, np.ndarray],
        state: np.ndarray,
        noise: np.ndarray,
        task: str,
        actions: np.ndarray,
        t: float,
    ) -> np.ndarray:
        """Return the training loss of each element (50, 32) for normalised actions (50, 32)."""
        batch = self._batch(images, state, task)
        pictures, masks = self.policy.prepare_images(batch)
        with torch.no_grad():
            found = self.policy.model.forward(
                pictures,
                masks,
                batch["observation.language.tokens"],
                batch["observation.language.attention_mask"],
                self.policy.prepare_state(batch),
                torch.from_numpy(actions)[None],
                torch.from_numpy(noise)[None],
                torch.tensor([t], dtype=torch.float32),
            )
        return np.asarray(found[0].numpy())

    def _batch(self, images: dict[str, np.ndarray], state: np.ndarray, task: str) -> Any:
        batch = {
            name: torch.from_numpy(image).permute(2, 0, 1).to(torch.float32) / 255
            for name, image in images.items()
        }
        batch[STATE] = torch.from_numpy(state.astype(np.float32))
        return self.before({**batch, "task": task})
