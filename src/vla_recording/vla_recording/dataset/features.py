# SPDX-License-Identifier: Apache-2.0
"""The columns of a dataset: their types, shapes and names, as ``meta/info.json`` says them.

The format is LeRobot's v3.0: ``lerobot/datasets/feature_utils.py`` in huggingface/lerobot.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_recording.dataset.errors import DatasetError

IMAGE, VIDEO, STRING = "image", "video", "string"
NUMERIC = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")
TEXTUAL = (STRING, "language")
PICTURE_NAMES = ("height", "width", "channels")
# Every dataset has these, and its writer fills them in.
COUNTED = ("timestamp", "frame_index", "episode_index", "index", "task_index")
# When a row was really taken, s from the episode's first one: its own time is its place / fps.
TIME = "timing.time_s"
# Of one value, and of a picture: a size in a file is judged before it is allocated.
MAX_ELEMENTS = 1 << 20
MAX_PIXELS = 1 << 24
MOST_FLOAT = float(np.finfo(np.float32).max)
MAX_FEATURES = 256
# LeRobot makes columns and folders of them.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


@dataclass(frozen=True)
class Feature:
    """One column.

    Attributes:
        dtype: One of `NUMERIC`, ``string``, ``image`` (PNG, without loss) or ``video``.
        shape: Of one value; (H, W, 3) of a picture.
        names: As in the file: what the elements are, or None.
        info: What else the file says of it, such as the codec.
    """

    dtype: str
    shape: tuple[int, ...]
    names: Any = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_picture(self) -> bool:
        """Whether its values are pictures."""
        return self.dtype in (IMAGE, VIDEO)

    @property
    def size(self) -> int:
        """Elements of one value."""
        return math.prod(self.shape)

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width, pixels. A file may say a picture's shape channels first."""
        channels_first = self.shape[0] == 3 and self.shape[2] != 3
        return (self.shape[1], self.shape[2]) if channels_first else (self.shape[0], self.shape[1])

    def to_json(self) -> dict[str, Any]:
        """Return what ``info.json`` has of it."""
        names = list(self.names) if isinstance(self.names, tuple) else self.names
        found: dict[str, Any] = {"dtype": self.dtype, "shape": list(self.shape), "names": names}
        if self.info:
            found["info"] = dict(self.info)
        return found

    def same_values(self, other: Feature) -> bool:
        """Say whether values of the one are values of the other: all but how it is encoded."""
        return (
            self.dtype == other.dtype
            and self.shape == other.shape
            and _listed(self.names) == _listed(other.names)
        )

    def checked(self, name: str, value: object) -> Any:
        """Return a value as it is stored.

        Returns:
            A picture (H, W, 3) uint8, an array of `shape`, or a text.

        Raises:
            DatasetError: It is of another type or shape, or not finite.
        """
        if self.dtype in TEXTUAL:
            if not isinstance(value, str):
                raise DatasetError(f"{name}: is a {type(value).__name__}; give a text")
            return value
        if self.is_picture:
            return self._picture(name, value)
        array = np.asarray(value)
        if array.shape == () and self.shape == (1,):
            array = array.reshape(1)
        if array.shape != self.shape:
            raise DatasetError(f"{name}: is of shape {array.shape}; give {self.shape}")
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise DatasetError(f"{name}: is {array.dtype}; give {self.dtype}")
        with np.errstate(over="ignore"):
            array = array.astype(self.dtype)
        if self.dtype.startswith("float"):
            good = np.abs(array) <= MOST_FLOAT
            if not good.all():
                where = np.argwhere(~good)[0]
                raise DatasetError(
                    f"{name}: element {', '.join(map(str, where))} is not finite, or larger than "
                    "a float32 holds, which it becomes where it is read; leave the row out"
                )
        return array

    def _picture(self, name: str, value: object) -> NDArray[np.uint8]:
        if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
            raise DatasetError(f"{name}: is no picture; give uint8, RGB, of shape {self.shape}")
        if value.shape != self.shape:
            raise DatasetError(f"{name}: is of shape {value.shape}; give {self.shape}")
        return value


def vector(names: Sequence[str], dtype: str = "float32", units: str = "") -> Feature:
    """Return the feature of a vector, an element a name.

    Args:
        names: Of its N elements.
        dtype: One of `NUMERIC`.
        units: Of its elements; kept beside it.
    """
    return Feature(dtype, (len(names),), tuple(names), {"units": units} if units else {})


def picture(height: int, width: int, stored: str = VIDEO) -> Feature:
    """Return the feature of a camera, stored as ``video`` or as ``image`` (PNG)."""
    return Feature(stored, (height, width, 3), PICTURE_NAMES)


def counted_features() -> dict[str, Feature]:
    """Return the features that every dataset has."""
    types = ("float32", "int64", "int64", "int64", "int64")
    return {name: Feature(kind, (1,)) for name, kind in zip(COUNTED, types, strict=True)}


def checked_features(features: Mapping[str, Feature], where: str) -> dict[str, Feature]:
    """Return the features of a new dataset, with those that its writer fills in.

    Raises:
        DatasetError: A name or feature cannot be stored. `where` begins the message.
    """
    if not 0 < len(features) <= MAX_FEATURES:
        raise DatasetError(f"{where}: features: are {len(features)}; give 1 to {MAX_FEATURES}")
    for name, feature in features.items():
        problem = ""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problem = "is no name; use letters, digits, '.', '_' and '-'"
        elif name in COUNTED or name == "task":
            problem = "is filled in by the writer; leave it out"
        elif feature.dtype not in (*NUMERIC, STRING, IMAGE, VIDEO):
            problem = f"dtype {feature.dtype!r} is unknown; write one of {', '.join(NUMERIC)}, "
            problem += f"{STRING}, {IMAGE}, {VIDEO}"
        else:
            problem = _shape_problem(feature)
        if problem:
            raise DatasetError(f"{where}: features.{name}: {problem}")
    return {**features, **counted_features()}


def _shape_problem(feature: Feature) -> str:
    shape = feature.shape
    if not shape or not all(type(length) is int and length > 0 for length in shape):
        return f"shape {shape} is none; write whole numbers above 0"
    if feature.is_picture:
        if len(shape) != 3 or shape[2] != 3 or shape[0] * shape[1] > MAX_PIXELS:
            return f"shape {shape} is no picture's; write (height, width, 3)"
        if feature.dtype == VIDEO and (shape[0] % 2 or shape[1] % 2):
            return f"{shape[0]} x {shape[1]} has no video of half the colours; use {IMAGE}"
        return ""
    if feature.dtype == STRING and shape != (1,):
        return f"shape {shape} is no text's; write (1,)"
    if len(shape) != 1:
        return f"shape {shape} has {len(shape)} dimensions; write one"
    if feature.size > MAX_ELEMENTS:
        return f"has {feature.size} elements; at most {MAX_ELEMENTS} are stored"
    if feature.names is not None and len(_listed(feature.names)) != feature.size:
        return f"has {len(_listed(feature.names))} names for {feature.size} elements"
    return ""


def read_features(value: object, where: str) -> dict[str, Feature]:
    """Return the features that a file declares.

    Raises:
        DatasetError: They are not declared as LeRobot does.
    """
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_FEATURES:
        raise DatasetError(f"{where}: features: are no table of 1 to {MAX_FEATURES} features")
    found = {}
    for name, told in value.items():
        key = f"{where}: features.{name}"
        if not isinstance(told, dict) or "/" in name:
            raise DatasetError(f"{key}: is no feature")
        dtype, shape = told.get("dtype"), told.get("shape")
        if dtype not in (*NUMERIC, *TEXTUAL, IMAGE, VIDEO):
            raise DatasetError(f"{key}: dtype {dtype!s:.40} cannot be read here")
        if (
            not isinstance(shape, list)
            or not shape
            or not all(type(length) is int and length > 0 for length in shape)
        ):
            raise DatasetError(f"{key}: shape {shape!s:.40} is none")
        info = told.get("info") or told.get("video_info") or {}
        if not isinstance(info, dict):
            raise DatasetError(f"{key}: info is no table")
        feature = Feature(dtype, tuple(shape), told.get("names"), info)
        if feature.is_picture:
            if len(shape) != 3 or 3 not in (shape[0], shape[2]):
                raise DatasetError(f"{key}: shape {shape} is no colour picture's")
            height, width = feature.picture_size
            if height * width > MAX_PIXELS:
                raise DatasetError(f"{key}: has {height * width} pixels, at most {MAX_PIXELS}")
        elif feature.size > MAX_ELEMENTS:
            raise DatasetError(f"{key}: has {feature.size} elements, at most {MAX_ELEMENTS}")
        found[name] = feature
    missing = [name for name in COUNTED if name not in found]
    if missing:
        raise DatasetError(f"{where}: features: lacks {', '.join(missing)}")
    return found


def difference(have: Mapping[str, Feature], want: Mapping[str, Feature]) -> str:
    """Say in what the features of a dataset differ from those wanted, empty where they do not."""
    parts = []
    lacks = [name for name in want if name not in have]
    extra = [name for name in have if name not in want]
    if lacks:
        parts.append(f"lacks {', '.join(lacks)}")
    if extra:
        parts.append(f"has {', '.join(extra)} besides")
    for name in want:
        if name in have and not have[name].same_values(want[name]):
            parts.append(f"{name} is {_told(have[name])}, not {_told(want[name])}")
    return "; ".join(parts)


def _told(feature: Feature) -> str:
    names = _listed(feature.names)
    named = f" ({', '.join(names)})" if names and not feature.is_picture else ""
    return f"{feature.dtype} {list(feature.shape)}{named}"


def _listed(names: Any) -> tuple[str, ...]:
    if isinstance(names, dict):  # as LeRobot's older datasets have it: {"motors": [...]}
        return tuple(str(each) for value in names.values() for each in _listed(value))
    return tuple(map(str, names)) if isinstance(names, (list, tuple)) else ()
