# SPDX-License-Identifier: Apache-2.0
"""Settings of imitation, read strictly: every key is known, typed and bounded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from strict_yaml import StrictYamlError, read_yaml
from vla_training.errors import TrainingError
from vla_training.start import Size

ALL, EXPERT = "all", "expert"
ADAMW, MUON = "adamw", "muon"
AUTO, CPU, CUDA = "auto", "cpu", "cuda"
FLOAT32, BFLOAT16 = "float32", "bfloat16"
CHECKPOINT_SCALE, DATA_SCALE = "checkpoint", "data"


@dataclass(frozen=True)
class Bounds:
    """What a number may be."""

    least: float
    most: float


def between(default: Any, least: float, most: float) -> Any:
    """Return a field of settings with its default and bounds."""
    return field(default=default, metadata={"bounds": Bounds(least, most)})


@dataclass(frozen=True)
class ImitationSettings:
    """How to imitate.

    Attributes:
        seed: Of the weights and of everything that is drawn.
        steps: Updates in all.
        refer_steps: Of these, the first ones, which only teach the vision-language model to find
            what is named, before there is an action expert to disturb it.
        batch: Observations an update.
        instructions: Things of each observation that are asked for, where the teacher has shown
            more than one: the one that was carried out, and others by chance.
        draws: Of noise and time for each of these.
        learning_rate: Highest.
        warmup_steps: In which it rises to that.
        final_rate: Share of it that is left at the end, along half a cosine.
        optimiser: `ADAMW`, or `MUON`: for matrices inside the layers Muon, for the rest AdamW.
        precision: Of the products of matrices: `FLOAT32` or `BFLOAT16`; weights stay float32.
        compile: Compile the computation of the losses (a minute; needs a C++ compiler). It may
            change the last bits, and be changed when a run goes on.
        stored: How the checkpoint holds weights: `FLOAT32`, or `BFLOAT16` for half the size.
        weight_decay: The optimiser's.
        clip_norm: Of the gradient.
        ema: Decay of the averaged weights, which are what is saved.
        refer_weight: Of the referring losses beside the flow's.
        near_weight: How much more a chunk counts that hardly moves the arm, as one near a grasp:
            the flow's loss is divided by 1 + near_weight x size, where the size of a chunk is its
            root mean square in units of the standard deviation. 0: all count alike.
        augmentation: 0: pictures as they are; 1: other colours, light, shadows, noise.
        state_noise_rad: Standard deviation of what is added to the measured joints, rad.
        train: `ALL` weights, or the `EXPERT` alone with the vision-language model frozen.
        relative: Joints whose columns of the action are offsets from where the joint is.
        scale: Mean and deviation by which a model that goes on sees state and action:
            `CHECKPOINT_SCALE`, those that its weights have learnt with, or `DATA_SCALE`, of these
            rows, as LeRobot has it: for another robot or other units.
        chunk_rows: T, of an action, where the data has no chunks of its own.
        flow_steps: From noise to action, where a model begins from nothing.
        save_s: Between two saved states, s.
        smoothness: Weight of a penalty on the third difference of the arm's rows in what the flow
            says is the action, beside the flow's loss. 0: none.
        device: Where the model computes: `CPU`, `CUDA`, or `AUTO`, a GPU where there is one.
            Another device varies pictures otherwise, and changes the last bits.
        threads: Of the computation. Another number may change the last bits.
        size: Of a model that begins from nothing.
    """

    seed: int = between(0, 0, 2**31)
    steps: int = between(6000, 1, 10_000_000)
    refer_steps: int = between(600, 0, 10_000_000)
    batch: int = between(32, 1, 4096)
    instructions: int = between(2, 1, 64)
    draws: int = between(2, 1, 64)
    learning_rate: float = between(1e-3, 1e-9, 1.0)
    warmup_steps: int = between(100, 0, 1_000_000)
    final_rate: float = between(0.02, 0.0, 1.0)
    optimiser: str = field(default=ADAMW, metadata={"choices": (ADAMW, MUON)})
    precision: str = field(default=FLOAT32, metadata={"choices": (FLOAT32, BFLOAT16)})
    compile: bool = False
    stored: str = field(default=FLOAT32, metadata={"choices": (FLOAT32, BFLOAT16)})
    weight_decay: float = between(1e-3, 0.0, 1.0)
    clip_norm: float = between(1.0, 1e-6, 1e6)
    ema: float = between(0.999, 0.0, 0.999999)
    refer_weight: float = between(1.0, 0.0, 1e3)
    near_weight: float = between(0.0, 0.0, 100.0)
    smoothness: float = between(0.0, 0.0, 1e3)
    augmentation: float = between(1.0, 0.0, 2.0)
    state_noise_rad: float = between(0.003, 0.0, 0.5)
    train: str = field(default=ALL, metadata={"choices": (ALL, EXPERT)})
    relative: tuple[str, ...] = ()
    scale: str = field(
        default=CHECKPOINT_SCALE, metadata={"choices": (CHECKPOINT_SCALE, DATA_SCALE)}
    )
    chunk_rows: int = between(12, 1, 1000)
    flow_steps: int = between(10, 1, 1000)
    save_s: float = between(180.0, 1.0, 86400.0)
    device: str = field(default=AUTO, metadata={"choices": (AUTO, CPU, CUDA)})
    threads: int = between(2, 1, 1024)
    size: Size = field(default_factory=Size)

    def document(self) -> dict[str, Any]:
        """Return it as it would be written."""
        return {**asdict(self), "relative": list(self.relative)}


def read_settings(path: Path) -> ImitationSettings:
    """Read settings from a YAML file.

    Raises:
        TrainingError: A key is unknown, of another type or out of its bounds.
    """
    return parse_settings(read_document(path), str(path))


def read_document(path: Path) -> Any:
    """Read a YAML file.

    Raises:
        TrainingError: It cannot be read.
    """
    try:
        return read_yaml(path)
    except StrictYamlError as error:
        raise TrainingError(str(error)) from None


def parse_settings(document: Any, source: str) -> ImitationSettings:
    """Check settings.

    Args:
        document: What was read.
        source: Of it, for messages.

    Raises:
        TrainingError: A key is unknown, of another type or out of its bounds.
    """
    settings = ImitationSettings(**checked_values(ImitationSettings, document, source))
    if settings.refer_steps > settings.steps:
        raise TrainingError(
            f"{source}: refer_steps: is {settings.refer_steps}, more than the {settings.steps} "
            "steps in all"
        )
    return settings


def checked_values(kind: type, document: Any, source: str) -> dict[str, Any]:
    """Return the values of a document by the fields of a dataclass of settings.

    Raises:
        TrainingError: A key is unknown, of another type or out of its bounds.
    """
    if not isinstance(document, dict):
        raise TrainingError(f"{source}: is no mapping of settings; write key: value lines")
    known = {each.name: each for each in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key not in known:
            raise TrainingError(f"{source}: {key}: is unknown; known are {', '.join(known)}")
        where = f"{source}: {key}"
        if key == "size":
            values[key] = _size(value, where)
        elif key == "relative":
            good = isinstance(value, list) and all(isinstance(name, str) for name in value)
            if not good or len(set(value)) != len(value):
                raise TrainingError(f"{where}: is {value!r}; write a list of joints, each once")
            values[key] = tuple(value)
        elif "choices" in known[key].metadata:
            choices = known[key].metadata["choices"]
            if value not in choices:
                raise TrainingError(f"{where}: is {value!r}; write {' or '.join(choices)}")
            values[key] = value
        elif isinstance(known[key].default, bool):
            if not isinstance(value, bool):
                raise TrainingError(f"{where}: is {value!r}; write true or false")
            values[key] = value
        else:
            whole = isinstance(known[key].default, int)
            values[key] = number(value, known[key].metadata["bounds"], where, whole=whole)
    return values


def number(value: Any, bounds: Bounds, where: str, *, whole: bool) -> Any:
    """Return a number that is within its bounds.

    Raises:
        TrainingError: It is not, or is no number.
    """
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TrainingError(f"{where}: is {value!r}; write a {'whole ' if whole else ''}number")
    if not bounds.least <= value <= bounds.most:
        raise TrainingError(f"{where}: is {value}; write {bounds.least:g} to {bounds.most:g}")
    return value if whole else float(value)


_SIZES = {
    "image": Bounds(8, 1024), "patch": Bounds(1, 256), "shuffle": Bounds(1, 16),
    "vision_hidden": Bounds(32, 4096), "vision_layers": Bounds(1, 64),
    "text_hidden": Bounds(32, 4096), "text_layers": Bounds(2, 64),
    "vocabulary": Bounds(270, 1_000_000), "text_length": Bounds(4, 512),
}  # fmt: skip


def _size(value: Any, where: str) -> Size:
    if not isinstance(value, dict):
        raise TrainingError(f"{where}: is no mapping; write key: value lines")
    for key in value:
        if key not in _SIZES:
            raise TrainingError(f"{where}.{key}: is unknown; known are {', '.join(_SIZES)}")
    size = Size(
        **{key: number(n, _SIZES[key], f"{where}.{key}", whole=True) for key, n in value.items()}
    )
    if size.image % (size.patch * size.shuffle):
        raise TrainingError(
            f"{where}: image {size.image} is no multiple of patch x shuffle, "
            f"{size.patch * size.shuffle}; change one of them"
        )
    for key in ("vision_hidden", "text_hidden"):
        if getattr(size, key) % 64:
            raise TrainingError(f"{where}.{key}: is {getattr(size, key)}; write a multiple of 64")
    return size
