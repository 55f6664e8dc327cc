# SPDX-License-Identifier: Apache-2.0
"""Try cases one after the other in parallel processes, and keep what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import PolicyUnavailableError
from vla_recording.dataset import Codec, DatasetError, picture
from vla_recording.dataset.pictures import VideoWriter
from vla_training.errors import TrainingError
from vla_training.evaluation.ledger import CaseT, Ledger, ResultT
from vla_training.pool import in_parallel

FILMS = "films"


class Place(Protocol):
    """Where cases are tried. One thread owns it.

    Attributes:
        film_hz: Pictures of a film a second.
        film_size: Their width and height, pixels.
    """

    film_hz: int
    film_size: tuple[int, int]

    def run(self, case: Any, film: Callable[[NDArray[np.uint8]], None] | None = None) -> Any:
        """Try a case; `film` is given pictures."""

    def close(self) -> None:
        """Free what it holds."""


def try_all(
    make: Callable[[], Place],
    todo: Sequence[tuple[CaseT, Path | None]],
    results: Ledger[CaseT, ResultT],
    processes: int,
    progress: Callable[[int, int], None],
) -> None:
    """Try cases.

    Args:
        make: Makes a place in the process that tries; it is sent there.
        todo: The cases, each with where its film is kept, or None.
        results: Where they are added.
        processes: Each with a place.
        progress: Called with how many are done, and of how many.

    Raises:
        TrainingError: A place cannot be had, or a result cannot be written.
    """
    if not todo:
        return
    tried = in_parallel(_try, todo, min(processes, len(todo)), make)
    for done, (case, result) in enumerate(tried, 1):
        results.add(case, result)
        progress(done, len(todo))


def films_of(folder: Path) -> dict[str, Path]:
    """Return the films of a run by name."""
    return {path.stem: path for path in sorted((folder / FILMS).glob("*.mp4"))}


def film_path(folder: Path, name: str) -> Path:
    """Return where the film of that name is kept."""
    return folder / FILMS / f"{name}.mp4"


def slowness(slower: float) -> dict[str, float]:
    """Return what the settings of a run say of how slowly chunks are carried out.

    Nothing where it is as they say: results of before this was a setting fit then.
    """
    return {} if slower == 1.0 else {"slower": slower}


def _tried(place: Place, case: Any, film: Path | None) -> Any:
    try:
        return _filmed(place, case, film)
    except PolicyUnavailableError as error:
        raise TrainingError(
            f"the policy does not answer ({error}); the case is not counted. The same command "
            "again goes on"
        ) from None


def _filmed(place: Place, case: Any, film: Path | None) -> Any:
    if film is None:
        return place.run(case)
    width, height = place.film_size
    try:
        video = VideoWriter(film, picture(height, width), place.film_hz, Codec("h264", 28, 50))
    except DatasetError as error:
        raise TrainingError(str(error)) from None
    try:
        result = place.run(case, film=_adder(video))
        video.close()
    except DatasetError as error:
        raise TrainingError(str(error)) from None
    finally:
        video.discard()
    return result


def _adder(video: VideoWriter) -> Callable[[NDArray[np.uint8]], None]:
    def add(pixels: NDArray[np.uint8]) -> None:
        video.add(pixels)

    return add


def _try(place: Place, case: Any, film: Path | None) -> tuple[Any, Any]:
    return case, _tried(place, case, film)
