# SPDX-License-Identifier: Apache-2.0
"""Names, shapes and types of the tensors of a checkpoint, known before any is read.

The model here names its tensors as LeRobot does below one prefix for each part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from smolvla.config import SmolVLAConfig
from smolvla.shapes import Shapes, TextShape, VisionShape
from vla_policies.checkpoint_folder import INDEX, weight_files
from vla_policies.protocol import PolicyError

WEIGHTS_FILE = "model.safetensors"
# Patch positions were one too small wherever this says so; see `patch_positions`.
POSITIONS_KEY = "vla_policies.patch_positions"
EXACT, SHIFTED = "exact", "shifted"

_VLM = "model.vlm_with_expert.vlm."
_PARTS = (
    ("vision.", _VLM + "model.vision_model."),
    ("connector.", _VLM + "model.connector."),
    ("text.", _VLM + "model.text_model."),
    ("expert.", "model.vlm_with_expert.lm_expert."),
    ("", "model."),
)
# The text model's output layer: saved by LeRobot, used by no step from observation to action.
UNUSED = _VLM + "lm_head.weight"
# LeRobot before its processors kept the statistics among the weights, by these prefixes.
OLD_STATISTICS = ("normalize_inputs.", "normalize_targets.", "unnormalize_outputs.")
# Kept in float32 whatever the type of the rest: small, and they carry the action's precision.
_FLOAT32 = ("state_proj.", "action_in_proj.", "action_out_proj.", "action_time_mlp_")

Named = Iterator[tuple[str, tuple[int, ...]]]


def file_name(name: str) -> str:
    """Return the name in the file for a name in the model."""
    for part, prefix in _PARTS:
        if name.startswith(part):
            return prefix + name[len(part) :]
    raise AssertionError("the last part matches every name")


def as_other_files(path: Path) -> None:
    """Give a file the permissions that files get here: safetensors writes for its owner alone."""
    probe = path.with_name(f".{path.name}.mode")
    probe.touch()
    path.chmod(probe.stat().st_mode & 0o777)
    probe.unlink()


def stays_float32(name: str, config: SmolVLAConfig) -> bool:
    """Whether a tensor of the model keeps float32 when the others are bfloat16."""
    if name.startswith(_FLOAT32):
        return True
    part, _, rest = name.partition(".layers.")
    if part != "expert" or not rest:
        return False
    layer, _, tensor = rest.partition(".")
    crosses = int(layer) % config.self_attention_every != 0
    return crosses and tensor in ("self_attn.k_proj.weight", "self_attn.v_proj.weight")


def tensor_shapes(shapes: Shapes, config: SmolVLAConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of the model, by its name in the model."""
    text, expert = shapes.text, shapes.expert
    found = dict(_vision(shapes.vision))
    folded = shapes.vision.hidden * shapes.shuffle**2
    found["connector.modality_projection.proj.weight"] = (text.hidden, folded)
    found["text.embed_tokens.weight"] = (shapes.vocabulary, text.hidden)
    found.update(_decoder("text", text, text, every=0))
    found.update(_decoder("expert", expert, text, every=config.self_attention_every))
    width = expert.hidden
    for name, outputs, inputs in (
        ("state_proj", text.hidden, config.max_state_size),
        ("action_in_proj", width, config.max_action_size),
        ("action_out_proj", config.max_action_size, width),
        ("action_time_mlp_in", width, 2 * width),
        ("action_time_mlp_out", width, width),
    ):
        found[f"{name}.weight"], found[f"{name}.bias"] = (outputs, inputs), (outputs,)
    return found


def _vision(shape: VisionShape) -> Named:
    hidden, patch = shape.hidden, shape.patch_size
    yield "vision.embeddings.patch_embedding.weight", (hidden, 3, patch, patch)
    yield "vision.embeddings.patch_embedding.bias", (hidden,)
    yield "vision.embeddings.position_embedding.weight", (shape.patches, hidden)
    for layer in range(shape.layers):
        at = f"vision.encoder.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{at}.self_attn.{name}.weight", (hidden, hidden)
            yield f"{at}.self_attn.{name}.bias", (hidden,)
        for name, outputs, inputs in (("fc1", shape.mlp, hidden), ("fc2", hidden, shape.mlp)):
            yield f"{at}.mlp.{name}.weight", (outputs, inputs)
            yield f"{at}.mlp.{name}.bias", (outputs,)
        for name in ("layer_norm1", "layer_norm2"):
            yield f"{at}.{name}.weight", (hidden,)
            yield f"{at}.{name}.bias", (hidden,)
    yield "vision.post_layernorm.weight", (hidden,)
    yield "vision.post_layernorm.bias", (hidden,)


def _decoder(part: str, shape: TextShape, text: TextShape, *, every: int) -> Named:
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    for layer in range(shape.layers):
        at = f"{part}.layers.{layer}"
        crosses = every > 0 and layer % every != 0
        source = text.kv_heads * text.head_size if crosses else shape.hidden
        yield f"{at}.self_attn.q_proj.weight", (queries, shape.hidden)
        yield f"{at}.self_attn.k_proj.weight", (keys, source)
        yield f"{at}.self_attn.v_proj.weight", (keys, source)
        yield f"{at}.self_attn.o_proj.weight", (shape.hidden, queries)
        yield f"{at}.mlp.gate_proj.weight", (shape.mlp, shape.hidden)
        yield f"{at}.mlp.up_proj.weight", (shape.mlp, shape.hidden)
        yield f"{at}.mlp.down_proj.weight", (shape.hidden, shape.mlp)
        yield f"{at}.input_layernorm.weight", (shape.hidden,)
        yield f"{at}.post_attention_layernorm.weight", (shape.hidden,)
    yield f"{part}.norm.weight", (shape.hidden,)


@dataclass(frozen=True)
class WeightsHeader:
    """What model.safetensors holds, read from its header and found to be complete.

    Attributes:
        path: The file, or the index of several.
        types: ``F32``, ``BF16`` or ``F16`` by name in the file.
        metadata: Texts that its writer left.
        places: The file that holds a tensor, by its name there.
    """

    path: Path
    types: dict[str, str]
    metadata: dict[str, str]
    places: dict[str, Path]

    def read(
        self, names: Iterable[str], framework: str, device: str = "cpu"
    ) -> Iterator[tuple[str, Any]]:
        """Yield tensors with their names in the file.

        Args:
            names: Which, as the file names them.
            framework: ``np`` or ``pt``.
            device: Where torch puts them.
        """
        wanted: dict[Path, list[str]] = {}
        for name in names:
            wanted.setdefault(self.places[name], []).append(name)
        options = {"device": device} if framework == "pt" else {}
        for path, its in wanted.items():
            with safe_open(path, framework=framework, **options) as file:
                for name in its:
                    yield name, file.get_tensor(name)

    @property
    def old_statistics(self) -> list[str]:
        """Names of statistics among the weights."""
        return [name for name in self.types if name.startswith(OLD_STATISTICS)]

    def patch_positions(self, wanted: str | None) -> str:
        """Decide whether the patches of an image keep their own position embeddings.

        transformers 4.57 computes the positions in the type of the weights; in float32 the
        rounding makes every row and column but the first one too small. A model that was trained
        like that needs it at inference too; the weights alone cannot tell.

        Args:
            wanted: `EXACT`, `SHIFTED`, or None to read it off the file.

        Raises:
            PolicyError: The file leaves it open, or contradicts what is wanted.
        """
        declared = self.metadata.get(POSITIONS_KEY)
        if declared is None:
            name = file_name("vision.embeddings.position_embedding.weight")
            declared = EXACT if self.types[name] != "F32" else None
        if wanted is None and declared is None:
            raise PolicyError(
                f"{self.path}: the vision weights are float32, with which LeRobot's patch "
                f"positions are one too small; set patch_positions to {SHIFTED} if LeRobot "
                f"trained it in float32, to {EXACT} if not"
            )
        if wanted is not None and declared is not None and wanted != declared:
            raise PolicyError(
                f"{self.path}: patch_positions: {wanted} contradicts the file, which says "
                f"{declared}; remove the option"
            )
        return wanted or declared or EXACT


def read_header(folder: Path, shapes: Shapes, config: SmolVLAConfig) -> WeightsHeader:
    """Check the weights file of a checkpoint against the model, tensor by tensor.

    Raises:
        PolicyError: The file is absent or damaged, or a tensor is missing, left over, or of
            another shape or type.
    """
    files = weight_files(folder)
    path = files[0] if len(files) == 1 else folder / INDEX
    there: dict[str, tuple[int, ...]] = {}
    types: dict[str, str] = {}
    places: dict[str, Path] = {}
    metadata: dict[str, str] = {}
    for each in files:
        try:
            with safe_open(each, framework="np") as file:
                slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                there |= {name: tuple(part.get_shape()) for name, part in slices.items()}
                types |= {name: str(part.get_dtype()) for name, part in slices.items()}
                metadata |= dict(file.metadata() or {})
        except (SafetensorError, OSError) as error:
            raise PolicyError(f"{each}: is damaged ({error}); copy the checkpoint again") from None
        for name in slices:
            if places.setdefault(name, each) != each:
                raise PolicyError(f"{each}: holds {name}, which {places[name].name} holds too")

    wanted = {file_name(name): shape for name, shape in tensor_shapes(shapes, config).items()}
    missing = [name for name in wanted if name not in there]
    if missing:
        raise PolicyError(f"{path}: lacks {_some(missing)}; give a complete SmolVLA checkpoint")
    left_over = [
        name
        for name in there
        if name not in wanted and name != UNUSED and not name.startswith(OLD_STATISTICS)
    ]
    if left_over:
        raise PolicyError(
            f"{path}: holds {_some(left_over)}, of which this model has no use; the config or "
            "the file belongs to another model"
        )
    for name, shape in wanted.items():
        if there[name] != shape:
            raise PolicyError(
                f"{path}: {name} has shape {there[name]}, the config asks for {shape}; one of "
                "the two belongs to another model"
            )
        if types[name] not in ("F32", "BF16", "F16"):
            raise PolicyError(
                f"{path}: {name} is {types[name]}; only F32, BF16 and F16 are supported"
            )
    return WeightsHeader(path, types, metadata, places)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 1} more tensors" if len(names) > 1 else ""
    return f"{names[0]}{more}"
