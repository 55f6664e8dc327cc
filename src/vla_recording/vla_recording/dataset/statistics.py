# SPDX-License-Identifier: Apache-2.0
"""Statistics of episodes and of a whole dataset, in LeRobot's form.

A feature has mean, std, min, max, count and five quantiles; a picture's are a number a colour,
in 0 to 1, of shape (3, 1, 1). Source: ``lerobot/datasets/compute_stats.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vla_recording.dataset.features import TEXTUAL, Feature

Array = NDArray[np.float64]
Statistics = dict[str, dict[str, Array]]  # by feature, by name

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)
# A larger picture is looked at in steps, about this many pixels a row or column.
COARSE, LARGE = 150, 300


def of_values(values: NDArray[np.generic]) -> dict[str, Array]:
    """Return the statistics of (T, N) values, over T."""
    numbers = values.astype(np.float64)
    found = {
        "min": numbers.min(axis=0),
        "max": numbers.max(axis=0),
        "mean": numbers.mean(axis=0),
        "std": numbers.std(axis=0),
        "count": np.array([len(numbers)], dtype=np.float64),
    }
    quantiles = np.quantile(numbers, list(QUANTILES.values()), axis=0)
    return {**found, **dict(zip(QUANTILES, quantiles, strict=True))}


class PictureTally:
    """Counts how often each brightness of each colour was seen in the pictures of an episode."""

    def __init__(self) -> None:
        """Begin with no picture."""
        self._counts = np.zeros((3, 256), dtype=np.int64)
        self._pictures = 0

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Count a picture (H, W, 3)."""
        height, width = pixels.shape[:2]
        if max(height, width) >= LARGE:
            step = max(1, (width if width > height else height) // COARSE)
            pixels = pixels[::step, ::step]
        for colour in range(3):
            self._counts[colour] += np.bincount(pixels[..., colour].ravel(), minlength=256)
        self._pictures += 1

    def statistics(self) -> dict[str, Array]:
        """Return the statistics of all pictures, each (3, 1, 1) but for the count."""
        levels = np.arange(256) / 255.0
        total = self._counts.sum(axis=1)
        share = self._counts / total[:, None]
        mean = share @ levels
        std = np.sqrt(np.maximum(share @ levels**2 - mean**2, 0.0))
        seen = self._counts > 0
        found = {
            "min": levels[seen.argmax(axis=1)],
            "max": levels[255 - seen[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": std,
        }
        below = self._counts.cumsum(axis=1)
        for name, quantile in QUANTILES.items():
            found[name] = levels[(below >= quantile * total[:, None]).argmax(axis=1)]
        shaped = {name: values.reshape(3, 1, 1) for name, values in found.items()}
        return {**shaped, "count": np.array([self._pictures], dtype=np.float64)}


def of_episode(
    features: Mapping[str, Feature],
    columns: Mapping[str, NDArray[np.generic]],
    tallies: Mapping[str, PictureTally],
) -> Statistics:
    """Return the statistics of an episode.

    Args:
        features: All of the dataset's.
        columns: (T, N) of every feature with numbers.
        tallies: Of every camera.
    """
    found = {}
    for name, feature in features.items():
        if feature.is_picture:
            found[name] = tallies[name].statistics()
        elif feature.dtype not in TEXTUAL:
            found[name] = of_values(columns[name])
    return found


def together(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several episodes.

    Mean, standard deviation, least, most and count are exact. Quantiles cannot be had from
    quantiles: as LeRobot does, those up to q50 are the least and those above the most of the
    parts', so they are bounds. `with_exact_quantiles` puts true ones in their place.
    """
    found: Statistics = {}
    for name in parts[0]:
        each = [part[name] for part in parts]
        counts = np.array([one["count"][0] for one in each])
        weights = (counts / counts.sum()).reshape((-1,) + (1,) * each[0]["mean"].ndim)
        means = np.stack([one["mean"] for one in each])
        mean = (means * weights).sum(axis=0)
        spread = np.stack([one["std"] for one in each]) ** 2 + (means - mean) ** 2
        found[name] = {
            "min": np.min([one["min"] for one in each], axis=0),
            "max": np.max([one["max"] for one in each], axis=0),
            "mean": mean,
            "std": np.sqrt((spread * weights).sum(axis=0)),
            "count": np.array([counts.sum()]),
        }
        for quantile, share in QUANTILES.items():
            pick = np.min if share <= 0.5 else np.max
            if all(quantile in one for one in each):
                found[name][quantile] = pick([one[quantile] for one in each], axis=0)
    return found


def with_exact_quantiles(
    statistics: Statistics, columns: Iterable[tuple[str, NDArray[np.generic]]]
) -> Statistics:
    """Return statistics whose quantiles of numbers are those of all rows.

    Args:
        statistics: Of the whole dataset.
        columns: A feature's name and its (T, N) values, one after another.
    """
    found = {name: dict(values) for name, values in statistics.items()}
    for name, values in columns:
        numbers = np.quantile(values.astype(np.float64), list(QUANTILES.values()), axis=0)
        found[name].update(zip(QUANTILES, numbers, strict=True))
    return found


def to_json(statistics: Statistics) -> dict[str, dict[str, object]]:
    """Return what ``stats.json`` holds."""
    return {
        feature: {
            name: [int(each) for each in values] if name == "count" else values.tolist()
            for name, values in found.items()
        }
        for feature, found in statistics.items()
    }
