# SPDX-License-Identifier: Apache-2.0
"""Any policy of an installed LeRobot, with LeRobot's own loading, processors and inference.

LeRobot brings hundreds of packages in versions of its own: run it in an environment of its own,
by ``process: own`` and ``python`` in the contract or by `vla-policy serve`. Which versions have
been tried is in docs/measurements/lerobot.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vla_policies.checkpoint_folder import (
    INDEX,
    WEIGHTS,
    checkpoint_name,
    content_files,
    content_id,
    find_checkpoint,
)
from vla_policies.protocol import (
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    Options,
    PolicyError,
    PolicySpec,
    TrainingSpan,
    check_observation,
)
from vla_policies.units import JointUnits, read_units

NAME = "lerobot"
ACTION = "action"
JOIN = (
    'join the shards: python3 -c "import glob, sys; from safetensors.torch import load_file, '
    "save_file; d = sys.argv[1]; save_file({k: v for f in glob.glob(d + '/model-*.safetensors') "
    "for k, v in load_file(f).items()}, d + '/model.safetensors', {'format': 'pt'})\""
)
PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
# Settings of policies that bring any image to their own size.
RESIZING = ("resize_imgs_with_padding", "image_resolution", "resize_shape", "image_size")


@dataclass(frozen=True)
class Model:
    """What LeRobot loads.

    Attributes:
        config: Of the checkpoint.
        policy: The network.
        before: Makes its input of an observation.
        after: Makes joint targets of its output.
    """

    config: Any
    policy: Any
    before: Any
    after: Any


class LeRobotPolicy:
    """Runs a policy of LeRobot."""

    def __init__(
        self,
        model: Model,
        *,
        name: str,
        dt_s: float,
        action_units: JointUnits,
        state_units: Mapping[str, JointUnits],
        seed: int,
    ) -> None:
        """Wire a loaded policy to joints.

        Args:
            model: What LeRobot has loaded.
            name: Of the checkpoint.
            dt_s: Time between two rows of the training data, s.
            action_units: Of the action's columns.
            state_units: Of the elements of each state.
            seed: Of what the policy draws.
        """
        self._model, self._seed = model, seed
        self._action_units, self._state_units = action_units, state_units
        found = {**_statistics(model.before), ACTION: _statistics(model.after).get(ACTION)}
        self._still = {}
        notes: tuple[str, ...] = ()
        for feature, units in state_units.items():
            mode, statistics = found.get(feature) or ("IDENTITY", {})
            self._still[feature] = still = units.still(statistics, mode)
            notes += units.notes(feature, still)
        spans = {
            feature: units.span((found.get(feature) or ("", {}))[1])
            for feature, units in (*state_units.items(), (ACTION, action_units))
        }
        self._spec = PolicySpec(
            policy_id=f"{NAME} {model.config.type} {name}",
            observation=tuple(
                _declared(each, state_units.get(each.name), spans.get(each.name))
                for each in _features(model.config)
            ),
            joint_names=action_units.names,
            units=action_units.unit,
            dt_s=dt_s,
            chunk_size=_rows(model.config),
            span=spans[ACTION],
            notes=notes,
        )

    @property
    def spec(self) -> PolicySpec:
        """What it needs and returns."""
        return self._spec

    def reset(self) -> None:
        """Forget the observations seen, and begin what is drawn anew."""
        import torch

        torch.manual_seed(self._seed)
        self._model.policy.reset()

    def infer(self, observation: Observation) -> Action:
        """Return the next chunk.

        Raises:
            PolicyError: The observation cannot be used.
        """
        import torch

        check_observation(observation, self._spec)
        batch: dict[str, Any] = {"task": observation.task}
        for name, image in observation.images.items():
            # A copy, because torch takes none that cannot be written to.
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
            batch[name] = pixels.to(torch.float32) / 255.0
        for name, units in self._state_units.items():
            native = units.from_rad(np.asarray(observation.state[name], dtype=np.float64))
            still = self._still[name]
            native = native if still is None else still.shown(native)
            batch[name] = torch.from_numpy(native.astype(np.float32))
        with torch.inference_mode():
            chunk = self._chunk(self._model.before(batch))
            rows = self._model.after(chunk.reshape(-1, chunk.shape[-1]))
        native = rows.to(torch.float64).cpu().numpy()
        positions = self._action_units.to_rad(native)
        return Action(positions, self._spec.dt_s, self._spec.joint_names)

    def close(self) -> None:
        """Free the model."""
        self._model = Model(self._model.config, None, None, None)

    def _chunk(self, batch: dict[str, Any]) -> Any:
        policy = self._model.policy
        # The processor adds an empty one, of which a policy that looks back makes a history.
        batch.pop(ACTION, None)
        queues = getattr(policy, "_queues", None)
        if queues is None or self._model.config.n_obs_steps == 1:
            return policy.predict_action_chunk(batch)
        # A policy that looks back: at the observations that it was asked about.
        import torch
        from lerobot.policies.utils import populate_queues

        images = list(self._model.config.image_features)
        if images:
            batch = {**batch, "observation.images": torch.stack([batch[i] for i in images], -4)}
        policy._queues = populate_queues(queues, batch, exclude_keys=[ACTION])
        return policy.predict_action_chunk(batch)


def make(options: Mapping[str, Any]) -> LeRobotPolicy:
    """Make the policy from its options.

    Needed: ``checkpoint`` (a folder), ``dt_s`` (1 / frames per second of the training data),
    ``joints`` (the action's columns in order, with their units; see `vla_policies.units`).
    Optional: ``state_joints`` (where the state's differ), ``device`` (``cpu``), ``seed`` (0).

    Raises:
        PolicyError: An option or the checkpoint cannot be used, or LeRobot is not installed.
    """
    given = Options(NAME, {"device": "cpu", "seed": 0, **options})
    folder = find_checkpoint(given.text("checkpoint"))
    model = load(folder, given.text("device"))
    sizes = {
        name: feature.shape[0]
        for name, feature in model.config.input_features.items()
        if feature.type.value != "VISUAL"
    }
    actions = read_units(given, "joints", model.config.output_features[ACTION].shape[0])
    states = {}
    for name, size in sizes.items():
        same = "state_joints" not in given.values and size == len(actions.names)
        states[name] = actions if same else read_units(given, "state_joints", size)
    seed = given.whole("seed")
    if seed < 0:
        raise given.error("seed", f"is {seed}; write a whole number from 0 on")
    policy = LeRobotPolicy(
        model,
        name=f"{checkpoint_name(folder)} {_content(folder, options)}",
        dt_s=given.number("dt_s", positive=True),
        action_units=actions,
        state_units=states,
        seed=seed,
    )
    given.end()
    policy.reset()
    return policy


def load(folder: Path, device: str) -> Model:
    """Load a checkpoint of LeRobot's, safetensors only, from the folder alone.

    Raises:
        PolicyError: It cannot be used, or LeRobot is not installed.
    """
    if not (folder / WEIGHTS).is_file() and (folder / INDEX).is_file():
        raise PolicyError(f"{folder}: {INDEX}: LeRobot reads one file of weights; {JOIN} {folder}")
    for name in ("config.json", WEIGHTS, *PROCESSORS):
        if not (folder / name).is_file():
            raise PolicyError(
                f"{folder}: lacks {name}; give a folder that LeRobot 0.4 or newer has written "
                "(older ones: lerobot's migrate_policy_normalization)"
            )
    for name in PROCESSORS:
        _check_steps(folder / name)
    try:
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
    except (ImportError, RuntimeError) as error:
        raise PolicyError(
            f"{NAME}: LeRobot cannot be imported ({error}); see docs/measurements/lerobot.md"
        ) from None
    try:
        config = PreTrainedConfig.from_pretrained(folder, local_files_only=True)
        config.device = device
        policy = get_policy_class(config.type).from_pretrained(
            folder, config=config, local_files_only=True, strict=True
        )
        before, after = make_pre_post_processors(
            config, str(folder), preprocessor_overrides={"device_processor": {"device": device}}
        )
    # LeRobot raises whatever its libraries raise.
    except Exception as error:
        reason = " ".join(str(error).split())[:400]
        raise PolicyError(f"{folder}: {type(error).__name__}: {reason}") from error
    for processor in (before, after):
        _check_statistics(folder, processor)
    refuse_long_texts(before)
    return Model(config, policy, before, after)


class _WholeText:
    """A tokenizer that refuses what it would cut."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: str | list[str], **options: Any) -> Any:
        most = options.get("max_length")
        for each in [text] if isinstance(text, str) else text:
            count = len(self._tokenizer(each)["input_ids"])
            if most is not None and count > most:
                raise PolicyError(
                    f"the instruction has {count} tokens, with what the policy adds to it, and "
                    f"the policy reads {most}; shorten it"
                )
        return self._tokenizer(text, **options)


def refuse_long_texts(processor: Any) -> None:
    """Have a processor refuse an instruction of which it would silently cut the end."""
    for step in processor.steps:
        if getattr(step, "input_tokenizer", None) is not None:
            step.input_tokenizer = _WholeText(step.input_tokenizer)


def _content(folder: Path, options: Mapping[str, Any]) -> str:
    named = {key: value for key, value in options.items() if key not in ("checkpoint", "device")}
    return content_id(content_files(folder), named)


def _check_steps(path: Path) -> None:
    """Refuse processors of foreign code: LeRobot imports and calls whatever class they name.

    Raises:
        PolicyError: The file cannot be read, or a step is none of LeRobot's.
    """
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        named = [step.get("class") for step in steps if "registry_name" not in step]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise PolicyError(f"{path}: is no processor of LeRobot's: it lacks steps") from None
    for name in named:
        if not isinstance(name, str) or not name.startswith("lerobot."):
            raise PolicyError(
                f"{path}: names {name!r:.80}, which is not LeRobot's own code; do not run it"
            )


def _check_statistics(folder: Path, processor: Any) -> None:
    """Refuse a checkpoint whose numbers LeRobot would silently pass on as they are.

    Raises:
        PolicyError: The statistics of a feature that is normalised are missing.
    """
    for step in processor.steps:
        modes, features = getattr(step, "norm_map", None), getattr(step, "features", None)
        if not modes or not features:
            continue
        for name, feature in features.items():
            mode = modes.get(feature.type)
            if mode is None or mode.value == "IDENTITY" or (step.stats or {}).get(name):
                continue
            raise PolicyError(
                f"{folder}: is to normalise {name} by {mode.value} and has no statistics of it "
                f"(it has {', '.join(step.stats or {}) or 'none'}); train it on your data, or put "
                "your dataset's statistics into the checkpoint"
            )


def _statistics(processor: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return how each feature is normalised and by which statistics, from LeRobot's steps."""
    found = {}
    for step in getattr(processor, "steps", ()):
        modes, features = getattr(step, "norm_map", None), getattr(step, "features", None)
        if not modes or not features:
            continue
        for name, feature in features.items():
            mode, statistics = modes.get(feature.type), (step.stats or {}).get(name)
            if mode is not None and statistics:
                # Tensors may lie on a GPU, of which numpy knows nothing.
                arrays = {
                    key: np.asarray(value.cpu() if hasattr(value, "cpu") else value)
                    for key, value in statistics.items()
                }
                found[name] = (str(mode.value), arrays)
    return found


def _features(config: Any) -> Iterator[FeatureSpec]:
    any_size = any(getattr(config, key, None) is not None for key in RESIZING)
    for name, feature in config.input_features.items():
        if feature.type.value == "VISUAL":
            channels, height, width = feature.shape
            if channels != 3:
                raise PolicyError(f"{NAME}: {name} has {channels} channels; only RGB is supported")
            shape = (None, None, 3) if any_size else (height, width, 3)
            yield FeatureSpec(name, FeatureKind.IMAGE, shape)
        else:
            yield FeatureSpec(name, FeatureKind.STATE, (feature.shape[0],), "rad")


def _declared(
    feature: FeatureSpec, units: JointUnits | None, span: TrainingSpan | None
) -> FeatureSpec:
    """Return a feature with what was declared of it; an image has nothing declared."""
    if units is None:
        return feature
    return replace(feature, units=units.unit, names=units.names, span=span)


def _rows(config: Any) -> int:
    """Return the rows of a chunk, whatever a policy's config calls them."""
    for key in ("chunk_size", "n_action_steps", "horizon"):
        value = getattr(config, key, None)
        if isinstance(value, int) and value > 0:
            return value
    raise PolicyError(f"{NAME}: {json.dumps(config.type)} returns no chunks; it cannot be run")
