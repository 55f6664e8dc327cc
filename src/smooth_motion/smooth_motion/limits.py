# SPDX-License-Identifier: Apache-2.0
"""Joint limits and joint states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from smooth_motion.errors import MotionError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_FEW = 16


def frozen_array(values: npt.ArrayLike, name: str, shape: tuple[int, ...]) -> FloatArray:
    """Copy `values` to a read-only float64 array of exactly `shape`, every value finite.

    Raises:
        MotionError: The shape differs or a value is not finite; the line names `name`.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise MotionError(f"{name} must be numbers of shape {shape}") from None
    if array.shape != shape:
        raise MotionError(f"{name} must have shape {shape}, but has {array.shape}")
    # This runs at every control cycle, and for a few numbers a sum in Python is a third of the
    # price. It says for certain that all are finite, and not for certain that one is not.
    few = array.ndim == 1 and array.size <= _FEW
    if not (few and isfinite(sum(array.tolist()))) and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise MotionError(f"{name} must be finite, but {name}{list(where)} is {array[where]}")
    array.setflags(write=False)
    return array


def frozen_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return joint names as a tuple.

    Raises:
        MotionError: There is none, one is not a non-empty string, or one occurs twice.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise MotionError("joint_names must be one or more non-empty strings")
    if len(set(names)) != len(names):
        raise MotionError(f"joint_names must be distinct, but are {', '.join(names)}")
    return names


@dataclass(frozen=True, eq=False)
class Limits:
    """What a command may ask of each joint. All arrays are (J,) float64, read-only.

    Attributes:
        joint_names: J distinct names; every array here is in this order.
        position_lower: rad.
        position_upper: rad, above `position_lower`.
        velocity: rad/s, positive, for both directions.
        acceleration: rad/s^2, positive, for both directions.
        jerk: rad/s^3, positive, for both directions.

    Raises:
        MotionError: A shape is wrong, or a bound is not finite, not positive or empty.
    """

    joint_names: tuple[str, ...]
    position_lower: FloatArray
    position_upper: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    jerk: FloatArray

    def __post_init__(self) -> None:
        names = frozen_names(self.joint_names)
        object.__setattr__(self, "joint_names", names)
        for field in ("position_lower", "position_upper", "velocity", "acceleration", "jerk"):
            object.__setattr__(
                self, field, frozen_array(getattr(self, field), field, (len(names),))
            )
        for field in ("velocity", "acceleration", "jerk"):
            for name, value in zip(names, getattr(self, field), strict=True):
                if not (value > 0.0):
                    raise MotionError(f"{field} of {name} must be positive, but is {value}")
        for name, low, high in zip(names, self.position_lower, self.position_upper, strict=True):
            if not (low < high):
                raise MotionError(f"position limits of {name} are empty: [{low}, {high}]")

    def slowed(self, scale: float) -> Limits:
        """Return the limits of a motion whose time is stretched: `scale` times as fast.

        What keeps these keeps the present ones when it is carried out 1 / `scale` times as fast.

        Raises:
            MotionError: The scale is not above 0 and at most 1.
        """
        if not (0.0 < scale <= 1.0):
            raise MotionError(f"scale must be above 0 and at most 1, but is {scale}")
        return Limits(
            self.joint_names,
            self.position_lower,
            self.position_upper,
            self.velocity * scale,
            self.acceleration * scale**2,
            self.jerk * scale**3,
        )

    def widened_to(self, position: FloatArray) -> Limits:
        """Return limits whose position range also holds `position` (J,).

        An arm may wake up a little outside its range, against a mechanical stop. Widening to
        where it is lets it return, and lets it go no further out.
        """
        if ((self.position_lower <= position) & (position <= self.position_upper)).all():
            return self
        return Limits(
            self.joint_names,
            np.minimum(self.position_lower, position),
            np.maximum(self.position_upper, position),
            self.velocity,
            self.acceleration,
            self.jerk,
        )


@dataclass(frozen=True, eq=False)
class State:
    """Commanded state of all joints at one time, each (J,) float64, read-only.

    Attributes:
        position: rad.
        velocity: rad/s.
        acceleration: rad/s^2.

    Raises:
        MotionError: The shapes differ or a value is not finite.
    """

    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray

    def __post_init__(self) -> None:
        shape = (np.size(self.position),)
        for field in ("position", "velocity", "acceleration"):
            object.__setattr__(self, field, frozen_array(getattr(self, field), field, shape))

    @classmethod
    def at_rest(cls, position: npt.ArrayLike) -> State:
        """Return the state that rests at `position` (J,) rad."""
        zero = np.zeros(np.size(position))
        return cls(np.asarray(position, dtype=np.float64), zero, zero)
