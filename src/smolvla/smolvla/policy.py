# SPDX-License-Identifier: Apache-2.0
"""SmolVLA as a policy: observations in rad and pixels in, chunks of joint targets in rad out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolvla.backend import Array32, Backend
from smolvla.config import ACTION, SmolVLAConfig
from smolvla.flow import integrate, times
from smolvla.images import fit
from smolvla.loading import LoadedModel, load
from smolvla.relative import (
    ActionFrame,
    Stillness,
    check_columns,
    read_frame,
    read_image_size,
    read_stillness,
)
from vla_policies.checkpoint_folder import content_files, content_id
from vla_policies.protocol import (
    STATE,
    Action,
    FeatureKind,
    FeatureSpec,
    Image,
    Observation,
    Options,
    PolicyError,
    PolicySpec,
    check_observation,
)
from vla_policies.rtc import Committed, Guidance, check_committed, make_guidance
from vla_policies.training import check_dataset_names
from vla_policies.units import JointUnits, read_units

NAME = "smolvla"
FRESH, FIXED = "fresh", "fixed"
# Options that leave what is computed as it is, or whose effect the policy's name or files show.
WITHOUT_EFFECT = frozenset(("checkpoint", "statistics", "device", "threads", "dtype"))


@dataclass(frozen=True)
class FlowSampling:
    """How a chunk is drawn.

    Attributes:
        rows: Rows of an action; fewer than the checkpoint's chunk are exact and cost less.
        steps: Flow steps.
        seed: Of the noise.
        noise: `FRESH` for every chunk, or `FIXED`: every chunk begins from the same.
    """

    rows: int
    steps: int
    seed: int
    noise: str


@dataclass(frozen=True, eq=False)
class ModelInput:
    """An observation as the model is shown it.

    Attributes:
        images: (C, 3, S, S) in -1..1, the cameras in the policy's order.
        text: Token ids (L,).
        state: (max_state_size,), normalised and padded with 0.
    """

    images: Array32
    text: NDArray[np.int64]
    state: Array32


@dataclass
class _Seen:
    """What the last observation was and what was computed from it, so as not to do it again."""

    image: dict[str, tuple[Image, Any]]
    task: tuple[str, Any] | None = None
    parts: tuple[Any, ...] = ()
    state: Array32 | None = None
    prefix: Any = None


class SmolVLAPolicy:
    """Runs a SmolVLA checkpoint.

    An unchanged camera image, instruction or state is not computed again; the result is the same.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        dt_s: float,
        action_units: JointUnits,
        state_units: JointUnits,
        sampling: FlowSampling,
        cameras: Sequence[str] | None = None,
        content: str = "",
        frame: ActionFrame | None = None,
        stillness: Stillness | None = None,
        image_size: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """Wire a loaded checkpoint to joints and cameras.

        Args:
            loaded: The checkpoint and its backend, which this policy closes.
            dt_s: Time between two rows of the training data, s. No checkpoint says it.
            action_units: Of the action's columns.
            state_units: Of the state's elements.
            sampling: How a chunk is drawn.
            cameras: Those of the checkpoint's cameras that there are, in its order; None for all.
            content: Which content this is, for records; see `content_id`.
            frame: Which of the action's columns are offsets; None for none.
            stillness: Says when it is done; None where it never says so.
            image_size: Height and width of the images that it is given; None for any.

        Raises:
            PolicyError: The checkpoint has no such camera.
        """
        config = loaded.config
        self._loaded = loaded
        self._config: SmolVLAConfig = config
        self._backend: Backend = loaded.backend
        self._frame = frame or ActionFrame(action_units)
        self._action_units, self._state_units = action_units, state_units
        self._stillness = stillness
        self._sampling = sampling
        known = {new: old for old, new in loaded.processing.rename.items()}
        self._features = {known.get(name, name): name for name in config.cameras}
        if cameras is not None:
            for name in cameras:
                if name not in self._features:
                    raise PolicyError(
                        f"{NAME}: cameras: the checkpoint knows no {name}; it has "
                        f"{', '.join(self._features)}"
                    )
            self._features = {k: v for k, v in self._features.items() if k in cameras}
        self._state_name = known.get(STATE, STATE)
        images = [
            FeatureSpec(name, FeatureKind.IMAGE, (*image_size, 3)) for name in self._features
        ]
        processing = loaded.processing
        self._still = {
            name: units.still(processing.known[name], processing.normalisation[kind])
            for name, kind, units in (
                (STATE, "STATE", state_units), (ACTION, "ACTION", action_units)
            )
        }  # fmt: skip
        state = FeatureSpec(
            self._state_name, FeatureKind.STATE, (config.state_size,), state_units.unit,
            state_units.names,
            state_units.span(processing.known[STATE]),
        )  # fmt: skip
        self._spec = PolicySpec(
            policy_id=" ".join(
                part for part in (NAME, loaded.name, content, f"({loaded.backend.name})") if part
            ),
            observation=(*images, state),
            joint_names=action_units.names,
            units=action_units.unit,
            dt_s=dt_s,
            chunk_size=sampling.rows,
            # What offsets spanned says nothing of where the robot is.
            span=None if self._frame.columns else action_units.span(processing.known[ACTION]),
            notes=state_units.notes(self._state_name, self._still[STATE]),
        )
        self._seen = _Seen({})
        self._random = np.random.default_rng(sampling.seed)
        # How noise becomes a chunk. Reinforcement puts a chain with noise in every step here.
        self.integrator: Callable[..., Array32] = integrate

    @property
    def spec(self) -> PolicySpec:
        """What it needs and returns."""
        return self._spec

    @property
    def noise_shape(self) -> tuple[int, int]:
        """Of what a chunk begins from (chunk_size, max_action_size)."""
        return self._config.chunk_size, self._config.max_action_size

    def reset(self) -> None:
        """Begin the noise anew. What was computed stays: it depends on the observation alone."""
        self._random = np.random.default_rng(self._sampling.seed)
        if self._stillness is not None:
            self._stillness.forget()

    def continue_chunk(self, observation: Observation, committed: Committed) -> Action:
        """Return the next chunk; its first rows are those that are committed.

        Raises:
            PolicyError: The observation or what is committed cannot be used.
        """
        return self.infer(observation, committed)

    def infer(
        self,
        observation: Observation,
        committed: Committed | None = None,
        *,
        noise: Array32 | None = None,
    ) -> Action:
        """Return the next chunk.

        Args:
            observation: What the robot sees; the state in rad.
            committed: What remains of the chunk that the robot carries out; the new one continues
                it. None where nothing runs.
            noise: (chunk_size, max_action_size) to begin from, instead of drawing it.

        Raises:
            PolicyError: The observation or what is committed cannot be used, or the model
                returned a value that is not finite.
        """
        check_observation(observation, self._spec)
        prefix = self._prefix(observation)
        steps = self._sampling.steps
        grid = times(steps)
        start = self._noise(noise)
        state = np.asarray(observation.state[self._state_name], dtype=np.float64)
        guide = None if committed is None else self._guidance(committed, state)
        chunk = self.integrator(
            lambda x, step: self._backend.velocity(prefix, x, float(grid[step])),
            start, steps, guide,
        )  # fmt: skip
        columns = chunk[:, : self._config.action_size]
        native = self._loaded.processing.action.unnormalise(columns)
        positions = self._frame.positions(native.astype(np.float64), state)
        if not np.all(np.isfinite(positions)):
            raise PolicyError(
                f"{NAME}: the model returned values that are not finite; check the checkpoint "
                "and try dtype float32"
            )
        still = self._stillness
        done = still is not None and still.lasts(positions, state, observation.stamp_ns)
        return Action(positions, self._spec.dt_s, self._spec.joint_names, done=done)

    def model_input(self, observation: Observation) -> ModelInput:
        """Return an observation as the model is shown it.

        Raises:
            PolicyError: The observation cannot be used.
        """
        check_observation(observation, self._spec)
        pictures = [
            fit(observation.images[name], self._config.image_size) for name in self._features
        ]
        state = self._state(observation.state[self._state_name])
        return ModelInput(np.stack(pictures), self._loaded.tokens(observation.task), state)

    def close(self) -> None:
        """Free the model."""
        self._backend.close()
        self._seen = _Seen({})

    def _noise(self, given: Array32 | None) -> Array32:
        shape = self.noise_shape
        if given is None:
            # The whole chunk is drawn, so that the number of rows leaves the first ones alone.
            random = self._random
            if self._sampling.noise == FIXED:
                random = np.random.default_rng(self._sampling.seed)
            given = random.standard_normal(shape, dtype=np.float32)
        elif given.shape != shape:
            raise PolicyError(f"{NAME}: noise has shape {given.shape}; it must be {shape}")
        return np.ascontiguousarray(given[: self._sampling.rows], dtype=np.float32)

    def _prefix(self, observation: Observation) -> Any:
        seen = self._seen
        parts = (*(self._image(name, observation.images[name]) for name in self._features),
                 self._text(observation.task))  # fmt: skip
        state = self._state(observation.state[self._state_name])
        same = len(parts) == len(seen.parts) and all(
            new is old for new, old in zip(parts, seen.parts, strict=True)
        )
        if not same:
            seen.prefix = self._backend.prefill(parts, state)
        elif seen.state is None or not np.array_equal(state, seen.state):
            seen.prefix = self._backend.renew(seen.prefix, state)
        seen.parts, seen.state = parts, state
        return seen.prefix

    def _image(self, name: str, image: Image) -> Any:
        last = self._seen.image.get(name)
        if last is None or not np.array_equal(last[0], image):
            tokens = self._backend.encode_image(fit(image, self._config.image_size))
            # A copy, since the caller may write the next image into the same memory.
            last = self._seen.image[name] = (image.copy(), tokens)
        return last[1]

    def _text(self, task: str) -> Any:
        last = self._seen.task
        if last is None or last[0] != task:
            last = self._seen.task = (task, self._backend.embed_text(self._loaded.tokens(task)))
        return last[1]

    def _state(self, rad: np.ndarray[Any, Any]) -> Array32:
        native = self._state_units.from_rad(np.asarray(rad, dtype=np.float64))
        still = self._still[STATE]
        native = native if still is None else still.shown(native)
        state = np.zeros(self._config.max_state_size, np.float32)
        state[: self._config.state_size] = self._loaded.processing.state.normalise(native)
        return state

    def _guidance(self, committed: Committed, state: np.ndarray[Any, Any]) -> Guidance:
        check_committed(committed, len(self._spec.joint_names))
        rows = self._sampling.rows
        if committed.delay >= rows:
            raise PolicyError(
                f"{NAME}: a delay of {committed.delay} rows leaves nothing of a chunk of {rows}; "
                "ask for more rows or answer faster"
            )
        native = self._frame.native(np.asarray(committed.positions, dtype=np.float64), state)
        still = self._still[ACTION]
        native = native if still is None else still.shown(native)
        return make_guidance(
            self._loaded.processing.action.normalise(native), committed.delay, committed.horizon,
            shape=(rows, self._config.max_action_size), steps=self._sampling.steps,
        )  # fmt: skip


def make(options: Mapping[str, Any]) -> SmolVLAPolicy:
    """Make the policy from its options.

    Needed: ``checkpoint`` (a LeRobot checkpoint, or a bundle of ``smolvla convert``), ``dt_s``
    (1 / frames per second of the training data), ``joints`` (the action's columns in order, with
    their units). Optional: ``state_joints`` (as ``joints``, where the state's differ),
    ``cameras``, ``rows``, ``flow_steps``, ``seed``, ``noise``, ``dtype``, ``device``,
    ``threads``, ``statistics``, ``patch_positions``, ``relative``, ``done_when_still``,
    ``image_size``.

    Raises:
        PolicyError: An option is missing, unknown or wrong, or the checkpoint cannot be used.
    """
    given = Options(NAME, options)

    def choice(key: str, default: str | None, *choices: str) -> str | None:
        if key not in given.values:
            return default
        value = given.text(key)
        if choices and value not in choices:
            raise given.error(key, f"is {value!r}; write one of {', '.join(choices)}")
        return value

    def count(key: str, default: int, least: int = 1, most: int | None = None) -> int:
        if key not in given.values:
            return default
        value = given.whole(key)
        if value < least or (most is not None and value > most):
            bounds = f"from {least}" if most is None else f"{least} to {most}"
            raise given.error(key, f"is {value}; write a whole number {bounds}")
        return value

    statistics = choice("statistics", None)
    loaded = load(
        Path(given.text("checkpoint")).expanduser(),
        dtype=choice("dtype", None, "auto", "float32", "bfloat16"),
        device=choice("device", None),
        threads=count("threads", 0),
        statistics=None if statistics is None else Path(statistics).expanduser(),
        patch_positions=choice("patch_positions", None, "exact", "shifted"),
    )
    try:
        config = loaded.config
        actions = read_units(given, "joints", config.action_size)
        if "state_joints" in given.values or config.state_size != config.action_size:
            states = read_units(given, "state_joints", config.state_size)
        else:
            states = actions
        if statistics is not None:
            for key, feature, units in (
                ("joints", ACTION, actions),
                ("state_joints", STATE, states),
            ):
                problem = check_dataset_names(Path(statistics).expanduser(), feature, units.names)
                if problem:
                    raise given.error(key, problem)
        frame = read_frame(given, actions, states)
        check_columns(given, frame, loaded.folder)
        cameras = None
        if "cameras" in given.values:
            cameras = given.take("cameras")
            if not isinstance(cameras, list) or not cameras:
                raise given.error("cameras", f"is {cameras!r}; write a list of image features")
        policy = SmolVLAPolicy(
            loaded,
            dt_s=given.number("dt_s", positive=True),
            action_units=actions,
            state_units=states,
            sampling=FlowSampling(
                rows=count("rows", config.chunk_size, most=config.chunk_size),
                steps=count("flow_steps", config.flow_steps),
                seed=count("seed", 0, least=0),
                noise=choice("noise", FRESH, FRESH, FIXED) or FRESH,
            ),
            cameras=cameras,
            content=_content(loaded.folder, options, statistics),
            frame=frame,
            stillness=read_stillness(given, actions, states),
            image_size=read_image_size(given),
        )
        given.end()
    except PolicyError:
        loaded.backend.close()
        raise
    return policy


def _content(folder: Path, options: Mapping[str, Any], statistics: str | None) -> str:
    """Return which content this is: the checkpoint's, and the options that change an answer."""
    files = list(content_files(folder))
    if statistics is not None:
        files.append(Path(statistics).expanduser())
    named = {key: value for key, value in options.items() if key not in WITHOUT_EFFECT}
    return content_id(files, named)
