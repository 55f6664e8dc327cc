# SPDX-License-Identifier: Apache-2.0
"""What LeRobot's processors do around the model, read from their JSON files, and done in numpy.

Before the model: rename, add a newline to the task, make tokens of it, normalise the state. After:
unnormalise the action. A step that is not known is an error, because it changes the numbers.

Source: LeRobot 0.4.4 to 0.6 for the files; before 0.4 the statistics sat among the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from smolvla.config import ACTION, SmolVLAConfig
from smolvla.files import JsonObject, read_json
from smolvla.weights import WeightsHeader
from vla_policies.protocol import STATE, PolicyError

Array32 = NDArray[np.float32]
Statistics = dict[str, dict[str, Array32]]

PREPROCESSOR_FILE = "policy_preprocessor.json"
POSTPROCESSOR_FILE = "policy_postprocessor.json"
EPSILON = 1e-8

# A step is named by the registry or, where it is in none, by its class.
_STEPS = {
    "RenameObservationsProcessorStep": "rename_observations_processor",
    "AddBatchDimensionProcessorStep": "to_batch_processor",
    "SmolVLANewLineProcessor": "smolvla_new_line_processor",
    "TokenizerProcessorStep": "tokenizer_processor",
    "DeviceProcessorStep": "device_processor",
    "NormalizerProcessorStep": "normalizer_processor",
    "UnnormalizerProcessorStep": "unnormalizer_processor",
}
_BEFORE = frozenset(_STEPS.values()) - {"unnormalizer_processor"}
_AFTER = frozenset({"unnormalizer_processor", "device_processor"})
_NEEDED = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
    "IDENTITY": (),
}


@dataclass(frozen=True, eq=False)
class Normaliser:
    """To and from the numbers that the model works with.

    Attributes:
        offset: (N,), in the checkpoint's units.
        scale: (N,) by which values are divided.
        span: (N,) by which they are multiplied on the way back; differs from `scale` by the
            epsilon that keeps the division finite.
    """

    offset: Array32
    scale: Array32
    span: Array32

    def normalise(self, values: NDArray[Any]) -> Array32:
        """Return values (..., N) as the model sees them."""
        return np.asarray((values.astype(np.float32) - self.offset) / self.scale)

    def unnormalise(self, values: NDArray[Any]) -> Array32:
        """Return what the model says (..., N) in the checkpoint's units."""
        return np.asarray(values.astype(np.float32) * self.span + self.offset)


@dataclass(frozen=True)
class Processing:
    """What happens around the model.

    Attributes:
        rename: The checkpoint's feature names by those that an observation has.
        newline: A task ends with a newline.
        text_length: Tokens at most.
        tokenizer: Name or folder of the tokenizer.
        state: Normaliser of the state.
        action: Normaliser of the action.
        normalisation: Of ``STATE`` and ``ACTION``, as the processors say.
        statistics: Of which the normalisers were made.
        known: All statistics of ``STATE`` and ``ACTION`` that there are.
    """

    rename: dict[str, str]
    newline: bool
    text_length: int
    tokenizer: str
    state: Normaliser
    action: Normaliser
    normalisation: dict[str, str]
    statistics: Statistics
    known: Statistics


def read_processing(
    folder: Path, config: SmolVLAConfig, header: WeightsHeader | None, statistics: Path | None
) -> Processing:
    """Read the processors of a checkpoint, with the statistics wherever they are.

    Args:
        folder: The checkpoint.
        config: Its config.
        header: Of its weights, where older checkpoints keep the statistics; None for no weights.
        statistics: A file that replaces those of the checkpoint: a LeRobot dataset's
            ``meta/stats.json``, or a normaliser's safetensors file.

    Raises:
        PolicyError: A step is unknown, or statistics are missing or unusable.
    """
    source = folder / PREPROCESSOR_FILE
    rename: dict[str, str] = {}
    newline, text_length, tokenizer = True, config.text_length, config.vlm
    # The state's are those of the step before the model, the action's those of the step after.
    state_mode, action_mode = config.normalisation["STATE"], config.normalisation["ACTION"]
    state: Statistics = {}
    action: Statistics = {}
    if source.is_file():
        before = _steps(source, _BEFORE)
        after = _steps(folder / POSTPROCESSOR_FILE, _AFTER)
        newline = "smolvla_new_line_processor" in before
        if "rename_observations_processor" in before:
            rename = _rename(before["rename_observations_processor"])
        if "tokenizer_processor" not in before:
            raise PolicyError(f"{source}: steps: lack tokenizer_processor; add it")
        text_length, tokenizer = _tokenizer(before["tokenizer_processor"], config)
        state_mode, state = _normaliser(
            source, before, "normalizer_processor", "STATE", state_mode
        )
        action_mode, action = _normaliser(
            folder / POSTPROCESSOR_FILE, after, "unnormalizer_processor", "ACTION", action_mode
        )
    elif header is not None and header.old_statistics:
        state, source = _old_statistics(header), header.path
        action = state
    if statistics is not None:
        state, source = read_statistics(statistics), statistics
        action = state
    used = {
        feature: {name: found[feature][name] for name in _NEEDED[mode] if name in found[feature]}
        for feature, found, mode in ((STATE, state, state_mode), (ACTION, action, action_mode))
        if feature in found
    }
    return Processing(
        rename, newline, text_length, tokenizer,
        state=_make(STATE, config.state_size, state_mode, state, source),
        action=_make(ACTION, config.action_size, action_mode, action, source),
        normalisation={"STATE": state_mode, "ACTION": action_mode},
        statistics=used,
        known={STATE: state.get(STATE, {}), ACTION: action.get(ACTION, {})},
    )  # fmt: skip


def read_statistics(path: Path) -> Statistics:
    """Read statistics from a LeRobot dataset's stats.json or a normaliser's safetensors.

    Raises:
        PolicyError: The file cannot be read or holds something else.
    """
    if path.suffix == ".safetensors":
        return _by_feature(_tensors(path))
    found: Statistics = {}
    for feature, values in read_json(path).values.items():
        if feature in (STATE, ACTION) and isinstance(values, dict):
            try:
                found[feature] = {k: np.asarray(v, dtype=np.float32) for k, v in values.items()}
            except (TypeError, ValueError):
                raise PolicyError(f"{path}: {feature}: is not lists of numbers") from None
    return found


def _steps(path: Path, known: frozenset[str]) -> dict[str, JsonObject]:
    document = read_json(path)
    listed = document.take("steps")
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        raise document.error("steps", "must be a list of objects")
    found: dict[str, JsonObject] = {}
    for index, values in enumerate(listed):
        step = JsonObject(path, f"steps[{index}]", values)
        name = values.get("registry_name")
        if name is None:
            class_name = step.text("class").rpartition(".")[2]
            name = _STEPS.get(class_name, class_name)
        if name not in known:
            raise step.error("", f"{name} is not supported here (known: {_listed(known)})")
        if name in found:
            raise step.error("", f"{name} stands twice; keep one")
        found[name] = step
    order = [name for name in found if name.startswith(("rename_", "normalizer_"))]
    if order == ["normalizer_processor", "rename_observations_processor"]:
        raise document.error("steps", "rename after they normalise; only before is supported")
    return found


def _rename(step: JsonObject) -> dict[str, str]:
    mapping = step.table("config").table("rename_map")
    return {name: mapping.text(name) for name in mapping.values}


def _tokenizer(step: JsonObject, config: SmolVLAConfig) -> tuple[int, str]:
    settings = step.table("config")
    settings.fixed("task_key", "task", otherwise="only task is supported")
    settings.fixed("truncation", True, otherwise="only true is supported")
    name = settings.text("tokenizer_name") if "tokenizer_name" in settings.values else config.vlm
    return settings.whole("max_length"), name


def _normaliser(
    path: Path, steps: dict[str, JsonObject], name: str, kind: str, configured: str
) -> tuple[str, Statistics]:
    """Return how a step normalises a kind of feature, and its statistics."""
    if name not in steps:
        if configured == "IDENTITY":
            return configured, {}
        raise PolicyError(f"{path}: steps: lack {name}, though the config says {configured}")
    step = steps[name]
    settings = step.table("config")
    settings.fixed("eps", EPSILON, otherwise=f"only {EPSILON} is supported")
    settings.fixed("normalize_observation_keys", None, otherwise="only null is supported")
    norm_map = settings.table("norm_map")
    norm_map.fixed("VISUAL", "IDENTITY", otherwise="only IDENTITY is supported for images")
    mode = norm_map.text(kind)
    if mode not in _NEEDED:
        raise norm_map.error(kind, f"is {mode}; supported are {', '.join(_NEEDED)}")
    if "state_file" not in step.values:
        return mode, {}
    file = step.text("state_file")
    if Path(file).name != file:
        raise step.error("state_file", f"is {file!r}; it must be a file of the checkpoint folder")
    return mode, _by_feature(_tensors(path.parent / file))


def _tensors(path: Path) -> dict[str, Array32]:
    try:
        with safe_open(path, framework="np") as file:
            return {name: np.asarray(file.get_tensor(name), np.float32) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise PolicyError(f"{path}: there is no such file; copy the checkpoint again") from None
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise PolicyError(f"{path}: is damaged ({error}); copy the checkpoint again") from None


def flat(statistics: Statistics) -> dict[str, Array32]:
    """Return statistics as the tensors of a normaliser's file."""
    return {
        f"{feature}.{name}": np.ascontiguousarray(values, dtype=np.float32)
        for feature, entry in statistics.items()
        for name, values in entry.items()
    }


def _by_feature(tensors: dict[str, Array32]) -> Statistics:
    found: Statistics = {}
    for name, values in tensors.items():
        feature, _, statistic = name.rpartition(".")
        found.setdefault(feature, {})[statistic] = values
    return found


def _old_statistics(header: WeightsHeader) -> Statistics:
    """Read statistics such as ``normalize_inputs.buffer_observation_state.mean``."""
    tensors = dict(header.read(header.old_statistics, "np"))
    flat = {}
    for name, values in tensors.items():
        buffer, _, statistic = name.partition(".")[2].rpartition(".")
        feature = buffer.removeprefix("buffer_").replace("_", ".")
        flat[f"{feature}.{statistic}"] = np.asarray(values, np.float32)
    return _by_feature(flat)


def _make(feature: str, size: int, mode: str, found: Statistics, source: Path) -> Normaliser:
    """Make a normaliser, or refuse: a policy without statistics moves the arm by z-scores."""
    if mode == "IDENTITY":
        zero, one = np.zeros(size, np.float32), np.ones(size, np.float32)
        return Normaliser(zero, one, one)
    first, second = _NEEDED[mode]
    statistics = found.get(feature, {})
    if first not in statistics or second not in statistics:
        have = f"it has those of {_listed(found)}" if found else "it has none"
        raise PolicyError(
            f"{source}: lacks the statistics {feature}.{first} and .{second}, without which the "
            f"action is not in the robot's units ({have}); fine-tune it on your robot's data, or "
            "set statistics to the meta/stats.json of the dataset that your robot's joints match"
        )
    low, high = statistics[first], statistics[second]
    for name, values in ((first, low), (second, high)):
        if values.shape != (size,):
            raise PolicyError(
                f"{source}: {feature}.{name} has shape {values.shape}; it must be ({size},)"
            )
        if not np.all(np.isfinite(values)):
            raise PolicyError(f"{source}: {feature}.{name} is not finite: {values}")
    if mode == "MEAN_STD":
        if np.any(high < 0):
            raise PolicyError(f"{source}: {feature}.std is negative: {high}")
        return Normaliser(low, high + np.float32(EPSILON), high)
    width = high - low
    half = np.asarray(np.where(width == 0, EPSILON, width) / 2, dtype=np.float32)
    return Normaliser(low + half, half, half)


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
