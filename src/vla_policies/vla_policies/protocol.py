# SPDX-License-Identifier: Apache-2.0
"""What a policy is: observations in, chunks of joint targets out, and a spec that says which.

Feature names are LeRobot's: ``observation.images.<camera>``, ``observation.state``, ``task``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

STATE = "observation.state"
IMAGES = "observation.images."
# Units of a benchmark's own state and action, which no arm has: no contract can ask for them.
NATIVE = "native"


class PolicyError(ValueError):
    """A policy cannot be loaded, configured or asked as it was. One line that says what to do."""


class PolicyUnavailableError(PolicyError):
    """A policy cannot answer now, but may later: what carries it is away. Ask again."""


class FeatureKind(str, Enum):
    """What sort of feature it is."""

    IMAGE = "image"
    STATE = "state"


@dataclass(frozen=True)
class TrainingSpan:
    """What the training data of a vector spanned, in the checkpoint's own units.

    A value v is v * factor + zero in the units of the spec that has this span.

    Attributes:
        low: (N,), above which the bulk of the data lies.
        high: (N,), below which it lies.
        least: (N,), the smallest value, or `low` where it is not known.
        most: (N,), the largest value, or `high` where it is not known.
        factor: (N,), as the user declared it.
        zero: (N,), likewise.
        declared_in: Where the user declared it, as a key of the contract.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    least: tuple[float, ...]
    most: tuple[float, ...]
    factor: tuple[float, ...]
    zero: tuple[float, ...]
    declared_in: str


@dataclass(frozen=True)
class FeatureSpec:
    """One feature of an observation.

    Attributes:
        name: e.g. ``observation.images.front``.
        kind: Image or state.
        shape: (H, W, 3) or (N,); None where any size will do.
        units: Of a state's elements, ``rad``, ``deg`` or `NATIVE`; empty for an image.
        names: N joints of a state in the policy's own words; empty where it has none.
        span: What a state spanned in training; None where that is not known.
    """

    name: str
    kind: FeatureKind
    shape: tuple[int | None, ...]
    units: str = ""
    names: tuple[str, ...] = ()
    span: TrainingSpan | None = None


@dataclass(frozen=True)
class PolicySpec:
    """What a policy needs and what it returns.

    Attributes:
        policy_id: Name and version, for records.
        observation: The images and states that it needs. Every observation has a task besides.
        joint_names: J columns of an action, in the policy's own words.
        units: Of the columns, ``rad``, ``deg`` or `NATIVE`.
        dt_s: Time between two rows of an action, s.
        chunk_size: T, the rows of an action.
        span: What the columns spanned in training; None where that is not known.
        notes: What its user should know of it, a line each.
    """

    policy_id: str
    observation: tuple[FeatureSpec, ...]
    joint_names: tuple[str, ...]
    units: str
    dt_s: float
    chunk_size: int
    span: TrainingSpan | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Observation:
    """What the policy sees.

    Attributes:
        stamp_ns: Time of its newest part, ns.
        images: uint8 RGB (H, W, 3) by feature name.
        state: float64 (N,) by feature name, in the units of the spec.
        task: The instruction in words.
    """

    stamp_ns: int
    images: Mapping[str, Image]
    state: Mapping[str, Array]
    task: str


@dataclass(frozen=True, eq=False)
class Action:
    """A chunk of absolute joint targets. Row i is for the observation's stamp + i * dt.

    Nothing is checked on construction: `check_action` judges it.

    Attributes:
        positions: (T, J) float64, in the units of the spec.
        dt_s: Time between rows, s.
        joint_names: J columns.
        phase: What the policy says it is doing; empty when it says nothing.
        done: The policy regards the instruction as carried out.
    """

    positions: Array
    dt_s: float
    joint_names: tuple[str, ...]
    phase: str = ""
    done: bool = False


@runtime_checkable
class Policy(Protocol):
    """What every policy offers. One thread at a time uses it."""

    @property
    def spec(self) -> PolicySpec:
        """What it needs and returns. Constant."""

    def reset(self) -> None:
        """Forget: a new instruction begins."""

    def infer(self, observation: Observation) -> Action:
        """Return the next chunk.

        Raises:
            PolicyError: The observation or its task cannot be used.
        """

    def close(self) -> None:
        """Free what it holds. Nothing is asked of it afterwards."""


def check_observation(observation: Observation, spec: PolicySpec) -> None:
    """Judge an observation against what the policy needs.

    Raises:
        PolicyError: A feature is missing, of the wrong shape or type, or not finite.
    """
    for feature in spec.observation:
        if feature.kind is FeatureKind.IMAGE:
            image = observation.images.get(feature.name)
            if image is None:
                raise PolicyError(_missing(feature.name, observation.images))
            if image.dtype != np.uint8:
                raise PolicyError(f"{feature.name}: is {image.dtype}; give uint8 RGB")
            _check_shape(feature, image.shape)
        else:
            values = observation.state.get(feature.name)
            if values is None:
                raise PolicyError(_missing(feature.name, observation.state))
            _check_shape(feature, values.shape)
            if not np.all(np.isfinite(values)):
                raise PolicyError(f"{feature.name}: has values that are not finite: {values}")


def check_action(action: Action, spec: PolicySpec, *, finite: bool = True) -> None:
    """Judge a chunk against what the policy promises.

    Args:
        action: The chunk.
        spec: Of the policy.
        finite: Every value must be finite. Who follows a part only judges that part instead.

    Raises:
        PolicyError: Columns, shape or row spacing differ from the spec, or a value is not finite.
    """
    if tuple(action.joint_names) != spec.joint_names:
        raise PolicyError(
            f"the action's columns are {', '.join(action.joint_names)}; "
            f"the spec promises {', '.join(spec.joint_names)}"
        )
    positions = np.asarray(action.positions)
    columns = len(spec.joint_names)
    if positions.ndim != 2 or positions.shape[0] < 1 or positions.shape[1] != columns:
        raise PolicyError(f"the action has shape {positions.shape}; it must be (T, {columns})")
    if not (action.dt_s > 0.0 and np.isfinite(action.dt_s)):
        raise PolicyError(f"the action's dt_s is {action.dt_s}; it must be positive and finite")
    if finite and not np.all(np.isfinite(positions)):
        row, column = np.argwhere(~np.isfinite(positions))[0]
        raise PolicyError(
            f"the action's row {row} has {positions[row, column]} for {spec.joint_names[column]}"
        )


def _missing(name: str, given: Mapping[str, Any]) -> str:
    return f"{name}: the policy needs it; the observation has {', '.join(given) or 'none'}"


def _check_shape(feature: FeatureSpec, shape: tuple[int, ...]) -> None:
    fits = len(shape) == len(feature.shape) and all(
        want is None or want == have for want, have in zip(feature.shape, shape, strict=True)
    )
    if not fits:
        raise PolicyError(f"{feature.name}: has shape {shape}; the policy needs {feature.shape}")


@dataclass
class Options:
    """Options of a policy, read strictly: what is not asked for is an error.

    Use: take every key, then call `end`.
    """

    policy: str
    values: Mapping[str, Any]
    path: str = "options"
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping):
            raise PolicyError(f"{self.policy}: {self.path}: is {self.values!r}; write a mapping")

    def error(self, key: str, problem: str) -> PolicyError:
        """Make an error that names the policy and the key."""
        return PolicyError(f"{self.policy}: {self.path}.{key}: {problem}")

    def take(self, key: str) -> Any:
        """Return a value as it is written.

        Raises:
            PolicyError: It is missing.
        """
        self._taken.add(key)
        if key not in self.values:
            raise self.error(key, "is missing; add it")
        return self.values[key]

    def section(self, key: str) -> Options:
        """Return a nested mapping; it needs its own `end`."""
        return Options(self.policy, self.take(key), f"{self.path}.{key}")

    def number(self, key: str, *, positive: bool = False) -> float:
        """Return a finite number.

        Raises:
            PolicyError: It is missing, no finite number or, where asked for, not positive.
        """
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, f"is {value!r}; write a number")
        if not np.isfinite(value) or (positive and not value > 0):
            raise self.error(key, f"is {value!r}; write a {'positive ' if positive else ''}number")
        return float(value)

    def whole(self, key: str) -> int:
        """Return an integer.

        Raises:
            PolicyError: It is missing or no integer.
        """
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, f"is {value!r}; write a whole number")
        return value

    def text(self, key: str) -> str:
        """Return a text that is not empty.

        Raises:
            PolicyError: It is missing, no text, or empty.
        """
        value = self.take(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"is {value!r}; write a text")
        return value

    def vector(self, key: str, size: int) -> Array:
        """Return `size` finite numbers, (size,).

        Raises:
            PolicyError: It is missing or something else.
        """
        value = self.take(key)
        numbers = isinstance(value, (list, tuple, np.ndarray)) and all(
            isinstance(item, (int, float)) and not isinstance(item, bool) for item in value
        )
        if not numbers or len(value) != size or not np.all(np.isfinite(value)):
            raise self.error(key, f"is {value!r}; write {size} finite numbers")
        return np.array(value, dtype=np.float64)

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            PolicyError: There is a key that nobody asked for.
        """
        for key in self.values:
            if key not in self._taken:
                known = ", ".join(sorted(self._taken)) or "none"
                raise self.error(key, f"is not an option; remove it (known: {known})")
