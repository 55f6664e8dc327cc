# SPDX-License-Identifier: Apache-2.0
"""All rows of some datasets in memory, and what a model is to learn from each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolvla.config import ACTION as ACTION_FEATURE
from smolvla.processing import Statistics
from vla_policies.protocol import STATE
from vla_recording.dataset.rows import INTERVENTION
from vla_training.errors import TrainingError
from vla_training.store import (
    ACTION,
    ASKED,
    AWAY,
    AWAY_SIZE,
    CHUNK,
    EXPERT_CHUNK,
    PHASE,
    PIXELS,
    THING_AWAY,
    THING_PIXELS,
    Info,
    read_episodes,
    read_info,
)

Array32 = NDArray[np.float32]

LEAST_STD_RAD = 0.02  # a joint that hardly moves is not blown up to unit size
AWAY_SCALE = np.array([0.5, 0.05, 0.05], np.float32)  # rad, m, m
THING_SCALE_M = 0.1  # of the way to a benchmark's things
AWAY_PARTS = len(AWAY_SCALE) + 2
HAND_CAMERA = "wrist"  # end of its feature's name: it turns with the hand
_TURN_SEEN_M = 0.10  # of the hand from a thing, along the table: beyond, it is too small to tell
_REACH_M = 0.2  # of a hand, roughly: m along the table for a radian of bearing


@dataclass(frozen=True, eq=False)
class Lessons:
    """N rows, and for each of K things what to do when it is asked for.

    Attributes:
        info: Of the first dataset; those of the others fit.
        images: (N, H, W, 3) uint8 by feature.
        state: (N, S), rad, or in a benchmark's own units.
        asked: (N,), the thing that was asked for, 0 to K - 1.
        chunks: (N, K or 1, T, J), rad, absolute; of a benchmark in its own units, one for all K.
        valid: (N, T), rows before the episode's end.
        away: (N, K or 1, D), or nan: bearing, radius and height from the hand, scaled, then cosine
            and sine of four times the roll that is missing, where the hand's camera shows it. A
            cube looks the same after a quarter turn, and so do they.
        phase: (N, K or 1), or -1.
        pixels: (N, K or 1, C, 2), or nan.
        bounds: (D + 1,), where the rows of each dataset begin.
        fingerprint: Of the data.
    """

    info: Info
    images: dict[str, NDArray[np.uint8]]
    state: Array32
    asked: NDArray[np.int64]
    chunks: Array32
    valid: NDArray[np.bool_]
    away: Array32
    phase: NDArray[np.int64]
    pixels: Array32
    bounds: NDArray[np.int64]
    fingerprint: str

    def targets(self, relative: Sequence[int]) -> Array32:
        """Return chunks (N, K, T, J) with the columns `relative` as offsets from the state."""
        columns = list(relative)
        found = self.chunks.copy()
        found[..., columns] -= self.state[:, None, None, self.info.elements(columns)]
        return found

    @property
    def labelled(self) -> bool:
        """Whether any row says where a thing is, which way it is or what is to be done."""
        known = (np.isfinite(self.pixels), np.isfinite(self.away), self.phase >= 0)
        return any(bool(each.any()) for each in known)

    def statistics(self, relative: Sequence[int]) -> Statistics:
        """Return LeRobot's statistics of state and action, as the model is to see them."""
        targets = self.targets(relative)
        usable = np.broadcast_to(self.valid[:, None], targets.shape[:3])
        rows = targets[usable]
        found: Statistics = {}
        for feature, values in ((STATE, self.state), (ACTION_FEATURE, rows)):
            wide = values.astype(np.float64)
            found[feature] = {
                "mean": wide.mean(0).astype(np.float32),
                "std": np.maximum(wide.std(0), LEAST_STD_RAD).astype(np.float32),
                "min": wide.min(0).astype(np.float32),
                "max": wide.max(0).astype(np.float32),
                "q01": np.quantile(wide, 0.01, axis=0).astype(np.float32),
                "q99": np.quantile(wide, 0.99, axis=0).astype(np.float32),
            }
        return found


def load_lessons(folders: Sequence[Path], chunk_rows: int, interventions: bool = False) -> Lessons:
    """Read datasets into memory.

    Args:
        folders: Of the datasets.
        chunk_rows: T, where the data has no chunks of its own: then a chunk is what was done in
            the rows that follow.
        interventions: Only rows in which somebody took over from a policy, and of what was done
            next only what he did.

    Raises:
        TrainingError: An episode is damaged, a dataset does not fit the first, or nobody took
            over.
    """
    if not folders:
        raise TrainingError("there is no dataset; name one or more folders")
    infos = [read_info(folder) for folder in folders]
    if not infos[0].chunk_rows or infos[0].things:
        infos = _with_all_instructions(infos)
    first = infos[0]
    rows = first.chunk_rows or chunk_rows
    for folder, info in zip(folders, infos, strict=True):
        _check_fits(folder, info, first)
    parts: dict[str, list[NDArray[Any]]] = {}
    bounds, mark = [0], hashlib.sha256()
    for folder, info in zip(folders, infos, strict=True):
        # Which rows are of one dataset, and what their columns are, decides what is drawn too.
        mark.update(repr((bounds[-1], replace(info, source=""))).encode())
        for episode in read_episodes(folder, info):
            if interventions and INTERVENTION not in episode:
                raise TrainingError(
                    f"{folder}: does not say who led the arm, so there are no interventions; "
                    "episodes of the recorder do"
                )
            for name, values in _lessons(episode, info, rows, interventions).items():
                parts.setdefault(name, []).append(values)
                mark.update(f"{name} {values.dtype} {values.shape}".encode())
                mark.update(np.ascontiguousarray(values).data)
        bounds.append(sum(len(each) for each in parts["state"]))
        if bounds[-1] == bounds[-2]:
            raise TrainingError(f"{folder}: nobody took over from a policy; leave the dataset out")
    whole = {}
    for name in list(parts):  # one after the other, so that not all is there twice
        whole[name] = np.concatenate(parts.pop(name))
    images = {name: whole.pop(name) for name in first.cameras}
    return Lessons(
        info=first, images=images, bounds=np.array(bounds), fingerprint=mark.hexdigest(), **whole
    )


def _with_all_instructions(infos: Sequence[Info]) -> list[Info]:
    """Return them with the instructions of all: recordings may each be of another task."""
    texts = dict.fromkeys(each for info in infos for each in info.instructions)
    return [
        replace(info, instructions=(*texts,)) if info.things or not info.chunk_rows else info
        for info in infos
    ]


def _check_fits(folder: Path, info: Info, first: Info) -> None:
    for what in (
        "fps", "joints", "states", "units", "cameras", "chunk_rows", "instructions", "things"
    ):  # fmt: skip
        ours, theirs = getattr(info, what), getattr(first, what)
        if ours != theirs:
            raise TrainingError(
                f"{folder}: {what} differ from those of the first dataset ({_brief(ours)} "
                f"against {_brief(theirs)}); train with datasets of one kind"
            )


def _brief(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (tuple, dict)) else str(value)
    return text if len(text) < 80 else text[:77] + "..."


def _lessons(
    episode: dict[str, NDArray[Any]], info: Info, rows: int, interventions: bool = False
) -> dict[str, NDArray[Any]]:
    """Return an episode as lessons of N rows."""
    found = _of_rows(episode, info, rows)
    if not interventions:
        return found
    led = episode[INTERVENTION]
    if not (info.chunk_rows or info.things):
        ahead = np.minimum(np.arange(len(led))[:, None] + np.arange(rows), len(led) - 1)
        # Up to where the arm was given back, and no row beyond.
        found["valid"] &= np.logical_and.accumulate(led[ahead], axis=1)
    return {name: values[led] for name, values in found.items()}


def _of_rows(episode: dict[str, NDArray[Any]], info: Info, rows: int) -> dict[str, NDArray[Any]]:
    count = len(episode[STATE])
    found: dict[str, NDArray[Any]] = {name: episode[name] for name in info.cameras}
    found["state"] = episode[STATE].astype(np.float32)
    found["asked"] = episode[ASKED].astype(np.int64)
    if info.things:
        found |= _world_lessons(episode)
    if EXPERT_CHUNK in episode or CHUNK in episode:
        own = episode[EXPERT_CHUNK][:, None] if EXPERT_CHUNK in episode else episode[CHUNK]
        found["chunks"] = own.astype(np.float32)
        found["valid"] = np.ones((count, rows), dtype=bool)
    else:
        ahead = np.arange(count)[:, None] + np.arange(rows)
        found["chunks"] = episode[ACTION].astype(np.float32)[np.minimum(ahead, count - 1)][:, None]
        found["valid"] = ahead < count
    if info.things:
        return found
    things = found["chunks"].shape[1]
    found["phase"] = episode.get(PHASE, np.full((count, things), -1)).astype(np.int64)
    blind = np.full((count, things, len(info.cameras), 2), np.nan)
    found["pixels"] = episode.get(PIXELS, blind).astype(np.float32)
    nothing = np.full((count, things, AWAY_SIZE), np.nan)
    found["away"] = _away(episode.get(AWAY, nothing), found["pixels"], hand_camera(info))
    return found


def _world_lessons(episode: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return where K things are in a benchmark's episode."""
    pixels = episode[THING_PIXELS].astype(np.float32)
    ways = np.full((*pixels.shape[:2], AWAY_PARTS), np.nan, np.float32)
    away = episode[THING_AWAY]
    # A thing that a task has not got stands there as nothing at all.
    there = (away != 0.0).any(-1)
    ways[there, :3] = np.clip(away[there] / THING_SCALE_M, -3.0, 3.0)
    return {
        "phase": np.full(pixels.shape[:2], -1, np.int64),
        "pixels": pixels,
        "away": ways,
    }


def hand_camera(info: Info) -> int | None:
    """Return which of the cameras turns with the hand; None for none."""
    names = [name.rsplit(".", 1)[-1] for name in info.cameras]
    return names.index(HAND_CAMERA) if HAND_CAMERA in names else None


def _away(away: NDArray[Any], pixels: Array32, camera: int | None) -> Array32:
    """Return the way (N, K, 4) from the hand as it is taught (N, K, `AWAY_PARTS`)."""
    place = np.clip(away[..., :3] / AWAY_SCALE, -3.0, 3.0)
    turn = np.stack([np.cos(4.0 * away[..., 3]), np.sin(4.0 * away[..., 3])], axis=-1)
    along = np.hypot(away[..., 0] * _REACH_M, away[..., 1])
    seen = np.zeros(along.shape, dtype=bool)
    if camera is not None:
        at = pixels[:, :, camera]
        seen = (along < _TURN_SEEN_M) & ((at >= 0.0) & (at < 1.0)).all(-1)
    turn[~seen] = np.nan
    return np.asarray(np.concatenate([place, turn], axis=-1), np.float32)
