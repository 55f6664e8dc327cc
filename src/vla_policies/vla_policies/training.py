# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint's statistics say of its training data: what it spanned, and what stood still.

The names of statistics are LeRobot's: ``mean``, ``std``, ``min``, ``max``, ``q01``, ``q99``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vla_policies.protocol import Array, PolicyError, TrainingSpan

# A joint whose standard deviation was smaller stood still: a servo of 12 bits sees 1.5 mrad, and a
# pose that is taken again differs by more than this.
STILL_RAD = 0.005
# How far from its mean such a joint is shown, in standard deviations.
REACH = 3.0
# Half a range that is hardly ever left, in standard deviations.
HALF_RANGE = 2.0
_CENTRED = {
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}


def training_span(
    statistics: Mapping[str, Any], factor: Array, zero: Array, declared_in: str
) -> TrainingSpan | None:
    """Return what the training data spanned, None where the statistics do not say it.

    The bulk of the data is between the 1st and 99th percentile or, without these, within one
    standard deviation of the mean: a single bad sample moves neither.

    Args:
        statistics: Of a vector of N elements, in the checkpoint's units.
        factor: (N,), units of the policy's spec in one of the checkpoint's.
        zero: (N,), units of the spec at the checkpoint's zero.
        declared_in: Where the user declares these units, for messages.
    """
    size = len(factor)
    found = {}
    for name in ("mean", "std", "min", "max", "q01", "q99"):
        values = np.asarray(statistics.get(name, ()), dtype=np.float64)
        if values.shape == (size,) and np.all(np.isfinite(values)):
            found[name] = values
    least, most = found.get("min"), found.get("max")
    if "q01" in found and "q99" in found:
        low, high = found["q01"], found["q99"]
    elif "mean" in found and "std" in found:
        low, high = found["mean"] - found["std"], found["mean"] + found["std"]
        if least is not None and most is not None:
            low, high = np.maximum(low, least), np.minimum(high, most)
    elif least is not None and most is not None:
        quarter = (most - least) / 4.0
        low, high = least + quarter, most - quarter
    else:
        return None
    if not np.all(low <= high):
        return None
    return TrainingSpan(
        low=_numbers(low),
        high=_numbers(high),
        least=_numbers(low if least is None else least),
        most=_numbers(high if most is None else most),
        factor=_numbers(factor),
        zero=_numbers(zero),
        declared_in=declared_in,
    )


@dataclass(frozen=True, eq=False)
class StillJoints:
    """Shows joints that stood still in training to a model as they were in training.

    A model divides by the standard deviation. That of a joint that stood still is next to nothing,
    so a deviation of a milliradian becomes a number that drowns all other joints. Its deviation
    is therefore scaled down as if its standard deviation had been `STILL_RAD`, and bounded.

    Attributes:
        centre: (N,) in the checkpoint's units.
        spread: (N,) standard deviation, likewise.
        share: (N,) of a deviation that is shown; 1 for a joint that moved.
    """

    centre: Array
    spread: Array
    share: Array

    @classmethod
    def of(cls, statistics: Mapping[str, Any], mode: str, factor: Array) -> StillJoints | None:
        """Return what stood still, None where the model does not normalise by statistics.

        Args:
            statistics: Of a vector of N elements, in the checkpoint's units.
            mode: LeRobot's normalisation mode.
            factor: (N,), rad in one of the checkpoint's units.
        """
        if mode == "MEAN_STD":
            names = ("mean", "std")
        elif mode in _CENTRED:
            names = _CENTRED[mode]
        else:
            return None
        first, second = (np.asarray(statistics.get(name, ()), dtype=np.float64) for name in names)
        if first.shape != (len(factor),) or second.shape != (len(factor),):
            return None
        if mode == "MEAN_STD":
            centre, spread = first, second
        else:
            centre, spread = (first + second) / 2.0, (second - first) / 2.0 / HALF_RANGE
        share = np.minimum(1.0, spread * np.abs(factor) / STILL_RAD)
        return cls(centre, spread, share)

    def shown(self, native: Array) -> Array:
        """Return values (..., N) in the checkpoint's units as the model is to see them."""
        bounded = np.clip((native - self.centre) * self.share, -REACH * self.spread,
                          REACH * self.spread)  # fmt: skip
        return np.asarray(np.where(self.share < 1.0, self.centre + bounded, native))

    def notes(self, feature: str, names: Sequence[str], factor: Array) -> tuple[str, ...]:
        """Say which joints stood still, one line or none.

        Args:
            feature: Of which they are elements.
            names: N joints.
            factor: (N,), rad in one of the checkpoint's units.
        """
        spread = self.spread * np.abs(factor)
        still = [
            f"{name} ({value:.2g} rad)"
            for name, value, share in zip(names, spread, self.share, strict=True)
            if share < 1.0
        ]
        if not still:
            return ()
        return (
            f"{feature}: {', '.join(still)} hardly moved in training (standard deviation); the "
            f"model is shown deviations as if it had been {STILL_RAD:g} rad, or they would drown "
            "all other joints",
        )


def check_dataset_names(statistics: Path, feature: str, declared: Sequence[str]) -> str:
    """Say where the order of joints differs from the names in a dataset, empty where it does not.

    Args:
        statistics: A LeRobot dataset's ``meta/stats.json``, beside which ``info.json`` has names.
        feature: Whose.
        declared: Joints, in the order that the user declares.

    Raises:
        PolicyError: ``info.json`` cannot be read.
    """
    path = statistics.with_name("info.json")
    if statistics.name != "stats.json" or not path.is_file():
        return ""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["features"][feature]["names"]
    except (OSError, ValueError):
        raise PolicyError(f"{path}: is no JSON; copy the dataset's meta folder again") from None
    except (KeyError, TypeError):
        return ""
    # Some datasets have the list under a key, or in a list of lists.
    if isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    if isinstance(names, list) and len(names) == 1 and isinstance(names[0], list):
        names = names[0]
    if not isinstance(names, list) or len(names) != len(declared):
        return ""
    theirs = [plain_name(str(name)) for name in names]
    for ours, name in zip(declared, theirs, strict=True):
        if name in declared and name != ours:
            return f"{ours} stands where the dataset has {name}; list {', '.join(theirs)}"
    return ""


def plain_name(name: str) -> str:
    """Return a joint's name without what LeRobot adds: ``.pos``, and once ``main_``."""
    return name.removesuffix(".pos").removeprefix("main_")


def _numbers(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
