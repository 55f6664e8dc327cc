# SPDX-License-Identifier: Apache-2.0
"""What a SmolVLA checkpoint says about itself: LeRobot's config.json, read strictly.

Every key is known here: used, held to the one value that is supported, or about training only. An
unknown key is an error, because it may change what the weights mean.

Source: LeRobot 0.4.4 to 0.6 for the keys and their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smolvla.files import JsonObject, read_json
from vla_policies.protocol import IMAGES, STATE

CONFIG_FILE = "config.json"
ACTION = "action"
EMPTY_CAMERA = IMAGES + "empty_camera_"
NORMALISATIONS = ("IDENTITY", "MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10")

# They steer training, execution or the hub, and leave what the weights mean untouched.
_WITHOUT_EFFECT = frozenset(
    (
        "n_action_steps", "device", "use_amp", "push_to_hub", "repo_id", "private", "tags",
        "license", "pretrained_path", "pretrained_revision", "use_cache", "load_vlm_weights",
        "freeze_vision_encoder", "fine_tune_vision_encoder", "vision_encoder_lr_multiplier",
        "train_expert_only", "train_state_proj", "optimizer_lr", "optimizer_betas",
        "optimizer_eps", "optimizer_weight_decay", "optimizer_grad_clip_norm",
        "scheduler_warmup_steps", "scheduler_decay_steps", "scheduler_decay_lr", "rtc_config",
        "compile_model", "compile_mode", "prefix_length", "pad_language_to",
    )
)  # fmt: skip
_USED = frozenset(
    (
        "type", "n_obs_steps", "input_features", "output_features", "normalization_mapping",
        "chunk_size", "max_state_dim", "max_action_dim", "resize_imgs_with_padding",
        "empty_cameras", "adapt_to_pi_aloha", "use_delta_joint_actions_aloha",
        "tokenizer_max_length", "num_steps", "vlm_model_name", "add_image_special_tokens",
        "attention_mode", "num_expert_layers", "num_vlm_layers", "self_attn_every_n_layers",
        "expert_width_multiplier", "min_period", "max_period", "use_peft",
    )
)  # fmt: skip


@dataclass(frozen=True)
class SmolVLAConfig:
    """What config.json says.

    Attributes:
        cameras: Image features, in the order in which the model reads them.
        state_size: Elements of ``observation.state``.
        action_size: Columns of ``action``.
        normalisation: Of ``STATE`` and ``ACTION``, one of `NORMALISATIONS`.
        chunk_size: Rows of an action.
        max_state_size: Elements of the state as the model sees it, padded with 0.
        max_action_size: Columns of the action as the model sees it, padded with 0.
        image_size: Side of the square into which an image is fitted, pixels.
        text_length: Tokens of the instruction at most.
        flow_steps: Steps from noise to action.
        vlm: Name or folder of the vision-language model that gives the shapes.
        vlm_layers: Text layers that are used.
        self_attention_every: Each such expert layer attends to action tokens, the others do not.
        expert_width: Hidden size of the expert over that of the text model.
        min_period: Shortest period of the time embedding.
        max_period: Longest period of the time embedding.
    """

    cameras: tuple[str, ...]
    state_size: int
    action_size: int
    normalisation: dict[str, str]
    chunk_size: int
    max_state_size: int
    max_action_size: int
    image_size: int
    text_length: int
    flow_steps: int
    vlm: str
    vlm_layers: int
    self_attention_every: int
    expert_width: float
    min_period: float
    max_period: float


def read_config(folder: Path) -> SmolVLAConfig:
    """Read the config.json of a checkpoint folder.

    Raises:
        PolicyError: A key is unknown, missing, or says something that is not supported.
    """
    table = read_json(folder / CONFIG_FILE)
    if table.take("type") != "smolvla":
        raise table.error("type", f"is {table.values['type']!r}; give a SmolVLA checkpoint")
    for key in table.values:
        if key not in _USED and key not in _WITHOUT_EFFECT:
            raise table.error(
                key, "is unknown and may change what the weights mean; use LeRobot 0.4.4 to 0.6"
            )
    _refuse_what_is_unsupported(table)
    state_size, action_size = _vector(table, "input_features"), _vector(table, "output_features")
    max_state, max_action = table.whole("max_state_dim"), table.whole("max_action_dim")
    for name, size, limit in (
        (STATE, state_size, max_state), (ACTION, action_size, max_action)
    ):  # fmt: skip
        if size > limit:
            raise table.error("", f"{name} has {size} elements, the model takes {limit} at most")
    return SmolVLAConfig(
        cameras=_cameras(table),
        state_size=state_size,
        action_size=action_size,
        normalisation=_normalisation(table),
        chunk_size=table.whole("chunk_size"),
        max_state_size=max_state,
        max_action_size=max_action,
        image_size=_image_size(table),
        text_length=table.whole("tokenizer_max_length"),
        flow_steps=table.whole("num_steps"),
        vlm=table.text("vlm_model_name"),
        vlm_layers=table.whole("num_vlm_layers"),
        self_attention_every=table.whole("self_attn_every_n_layers"),
        expert_width=table.number("expert_width_multiplier"),
        min_period=table.number("min_period"),
        max_period=table.number("max_period"),
    )


def _refuse_what_is_unsupported(table: JsonObject) -> None:
    table.fixed("n_obs_steps", 1, otherwise="only one observation a step is supported")
    table.fixed("use_peft", False, otherwise="merge the adapter into the weights first")
    table.fixed("adapt_to_pi_aloha", False, otherwise="only false is supported")
    table.fixed("use_delta_joint_actions_aloha", False, otherwise="only false is supported")
    table.fixed("add_image_special_tokens", False, otherwise="only false is supported")
    table.fixed("attention_mode", "cross_attn", otherwise="only cross_attn is supported")
    experts = table.take("num_expert_layers")
    if isinstance(experts, int) and experts > 0 and experts != table.take("num_vlm_layers"):
        raise table.error(
            "num_expert_layers", f"is {experts}; it must be -1 or equal to num_vlm_layers"
        )


def _vector(table: JsonObject, group: str) -> int:
    """Return the size of the one vector feature of a group, and refuse any other."""
    wanted, kind = (STATE, "STATE") if group == "input_features" else (ACTION, "ACTION")
    features = table.table(group)
    size = 0
    for name in features.values:
        feature = features.table(name)
        if group == "input_features" and feature.take("type") == "VISUAL":
            continue
        if name != wanted or feature.take("type") != kind:
            raise features.error(
                name, f"is not supported; besides images, {group} may hold only {wanted}"
            )
        shape = feature.take("shape")
        if not isinstance(shape, list) or len(shape) != 1 or not isinstance(shape[0], int):
            raise feature.error("shape", f"is {shape!r}; it must be one size")
        size = shape[0]
    if size < 1:
        raise features.error(wanted, "is missing; a SmolVLA policy has it")
    return size


def _cameras(table: JsonObject) -> tuple[str, ...]:
    features = table.table("input_features")
    # The model masks empty cameras out, so leaving them out gives the same result.
    cameras = tuple(
        name
        for name in features.values
        if features.table(name).take("type") == "VISUAL" and not name.startswith(EMPTY_CAMERA)
    )
    if not cameras:
        raise features.error("", "names no camera; a SmolVLA policy has one at least")
    for name in cameras:
        if not name.startswith(IMAGES):
            raise features.error(name, f"is not supported; an image feature begins with {IMAGES}")
    return cameras


def _normalisation(table: JsonObject) -> dict[str, str]:
    mapping = table.table("normalization_mapping")
    mapping.fixed("VISUAL", "IDENTITY", otherwise="only IDENTITY is supported for images")
    found = {}
    for kind in ("STATE", "ACTION"):
        mode = mapping.text(kind)
        if mode not in NORMALISATIONS:
            raise mapping.error(kind, f"is {mode}; supported are {', '.join(NORMALISATIONS)}")
        found[kind] = mode
    return found


def _image_size(table: JsonObject) -> int:
    size = table.take("resize_imgs_with_padding")
    square = isinstance(size, list) and len(size) == 2 and size[0] == size[1]
    if not square or not isinstance(size[0], int) or size[0] < 1:
        raise table.error(
            "resize_imgs_with_padding", f"is {size!r}; only a square size, [S, S], is supported"
        )
    return int(size[0])
