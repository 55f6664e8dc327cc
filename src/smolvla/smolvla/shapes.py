# SPDX-License-Identifier: Apache-2.0
"""Shapes of the vision-language model inside SmolVLA: built in, or read from its config.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smolvla.config import SmolVLAConfig
from smolvla.files import JsonObject, read_json
from vla_policies.protocol import PolicyError

VLM_FOLDER = "vlm"


@dataclass(frozen=True)
class VisionShape:
    """The vision tower: a transformer over square patches."""

    hidden: int
    mlp: int
    layers: int
    heads: int
    image_size: int
    patch_size: int
    norm_eps: float

    @property
    def patches(self) -> int:
        """Patches of an image."""
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True)
class TextShape:
    """A stack of decoder layers with grouped queries: the text model, or the expert beside it."""

    hidden: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    norm_eps: float


@dataclass(frozen=True)
class Shapes:
    """Every shape of the model.

    Attributes:
        vision: The vision tower.
        shuffle: Patches along one side that the connector folds into one token.
        text: The text model, with the layers that are used.
        vocabulary: Tokens of the text model.
        expert: The action expert.
    """

    vision: VisionShape
    shuffle: int
    text: TextShape
    vocabulary: int
    expert: TextShape

    @property
    def image_tokens(self) -> int:
        """Tokens of an image."""
        return self.vision.patches // self.shuffle**2


_LAYERS = 1000  # every layer has tensors, whose names are made before the file is looked at
# Of the models that checkpoints name, so that no file has to be fetched for them.
KNOWN = {
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct": (
        VisionShape(768, 3072, 12, 12, 512, 16, 1e-6),
        4,
        TextShape(960, 2560, 32, 15, 5, 64, 1e-5),
        49280,
    )
}


def read_shapes(folder: Path, config: SmolVLAConfig) -> Shapes:
    """Find the shapes for a checkpoint.

    They come from ``vlm/config.json`` in the checkpoint folder, from the folder that the config
    names (relative to the checkpoint), or from the built-in list. Nothing is downloaded.

    Raises:
        PolicyError: They are found nowhere, or are not supported.
    """
    for place in (folder / VLM_FOLDER, folder / config.vlm):
        if (place / "config.json").is_file():
            vision, shuffle, text, vocabulary = _read(read_json(place / "config.json"))
            break
    else:
        if config.vlm not in KNOWN:
            raise PolicyError(
                f"{folder / 'config.json'}: vlm_model_name: the shapes of {config.vlm} are not "
                f"known here; put its config.json at {folder / VLM_FOLDER / 'config.json'}"
            )
        vision, shuffle, text, vocabulary = KNOWN[config.vlm]
    if config.vlm_layers > text.layers:
        raise PolicyError(
            f"{folder / 'config.json'}: num_vlm_layers: is {config.vlm_layers}, but "
            f"{config.vlm} has {text.layers} layers; one of the two is wrong"
        )
    if config.image_size != vision.image_size:
        raise PolicyError(
            f"{folder / 'config.json'}: resize_imgs_with_padding: is {config.image_size}; only "
            f"the image size of {config.vlm}, {vision.image_size}, is supported"
        )
    text = TextShape(
        text.hidden, text.mlp, config.vlm_layers,
        text.heads, text.kv_heads, text.head_size, text.norm_eps,
    )  # fmt: skip
    width = int(text.hidden * config.expert_width)
    expert = TextShape(
        width, expert_mlp(width), text.layers,
        text.heads, text.kv_heads, text.head_size, text.norm_eps,
    )  # fmt: skip
    return Shapes(vision, shuffle, text, vocabulary, expert)


def expert_mlp(width: int) -> int:
    """Return the MLP size of an expert: 8/3 of its width, up to the next multiple of 256."""
    return -(-4 * int(2 * width / 3) // 256) * 256


def _read(table: JsonObject) -> tuple[VisionShape, int, TextShape, int]:
    table.fixed("model_type", "smolvlm", otherwise="only smolvlm is supported")
    vision, text = table.table("vision_config"), table.table("text_config")
    gelu = "gelu_pytorch_tanh"
    vision.fixed("hidden_act", gelu, otherwise=f"only {gelu} is supported")
    vision.fixed("num_channels", 3, otherwise="only 3 is supported")
    text.fixed("hidden_act", "silu", otherwise="only silu is supported")
    for key in ("attention_bias", "mlp_bias"):
        text.fixed(key, False, otherwise="only false is supported")
    # The hub's files leave out what the library's defaults are.
    given = vision.values
    shape = VisionShape(
        hidden=vision.whole("hidden_size"),
        mlp=vision.whole("intermediate_size") if "intermediate_size" in given else 3072,
        layers=vision.whole("num_hidden_layers", most=_LAYERS)
        if "num_hidden_layers" in given
        else 12,
        heads=vision.whole("num_attention_heads"),
        image_size=vision.whole("image_size"),
        patch_size=vision.whole("patch_size"),
        norm_eps=vision.number("layer_norm_eps") if "layer_norm_eps" in given else 1e-6,
    )
    heads, hidden = text.whole("num_attention_heads"), text.whole("hidden_size")
    decoder = TextShape(
        hidden=hidden,
        mlp=text.whole("intermediate_size"),
        layers=text.whole("num_hidden_layers", most=_LAYERS),
        heads=heads,
        kv_heads=text.whole("num_key_value_heads"),
        head_size=text.whole("head_dim") if "head_dim" in text.values else hidden // heads,
        norm_eps=text.number("rms_norm_eps"),
    )
    return shape, table.whole("scale_factor"), decoder, text.whole("vocab_size")
