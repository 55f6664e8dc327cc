# SPDX-License-Identifier: Apache-2.0
"""Figures of a training run: a CSV file, TensorBoard's event files, a picture of the curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vla_training.errors import TrainingError, writing

CSV_FILE = "metrics.csv"
CURVES_FILE = "curves.png"


class Metrics:
    """Appends figures to a run's files, and takes up where a run was interrupted."""

    def __init__(self, folder: Path, names: Sequence[str], step: int) -> None:
        """Open the files.

        Args:
            folder: Of the run.
            names: Of the figures.
            step: Where the run goes on; later lines of an interrupted run are dropped.

        Raises:
            TrainingError: A file is of another run, or cannot be written.
        """
        self._path = folder / CSV_FILE
        header = ["step", *names]
        kept: list[list[str]] = []
        if self._path.exists():
            with (
                writing(self._path),
                self._path.open(newline="", encoding="utf-8", errors="replace") as file,
            ):
                lines = list(csv.reader(file))
            if lines and lines[0] != header:
                raise TrainingError(
                    f"{self._path}: has other columns than this run; name a new folder"
                )
            # The last line of a run that was ended while it wrote may be cut short.
            whole = [line for line in lines[1:] if len(line) == len(header)]
            if any(map(_is_damaged, whole)):
                raise TrainingError(f"{self._path}: is damaged; move it away to go on without it")
            kept = [line for line in whole if int(line[0]) <= step]
        with writing(self._path):
            spare = self._path.with_suffix(".part")
            with spare.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *kept])
            spare.replace(self._path)
        self._events = _event_writer(folder, step)

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Append the figures of a step; NaN for what it has not."""
        with writing(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([step, *(f"{value:.6g}" for value in figures.values())])
        if self._events is not None:
            with writing(self._path.parent):
                for name, value in figures.items():
                    self._events.add_scalar(name, value, step)
                self._events.flush()

    def close(self) -> None:
        """Close the files."""
        if self._events is not None:
            self._events.close()


def _is_damaged(line: Sequence[str]) -> bool:
    try:
        [float(value) for value in line[1:]]
    except ValueError:
        return True
    return not (line[0].isascii() and line[0].isdecimal())


def _event_writer(folder: Path, step: int):  # type: ignore[no-untyped-def]
    """Return TensorBoard's writer, None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def draw_curves(folder: Path) -> Path | None:
    """Draw the figures of a run; None where matplotlib is not installed.

    Raises:
        TrainingError: The picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    with (folder / CSV_FILE).open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file))
    if not lines:
        return None
    columns = list(zip(*[[float(value) for value in line] for line in lines], strict=True))
    figure = Figure(figsize=(10, 2.4 * ((len(header) + 1) // 3)), layout="constrained")
    for index, name in enumerate(header[1:], start=1):
        axes = figure.add_subplot((len(header) + 1) // 3, 3, index)
        axes.plot(columns[0], columns[index], linewidth=1.0)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        known = [value for value in columns[index] if not math.isnan(value)]
        if known and min(known) > 0.0:
            axes.set_yscale("log")
    path = folder / CURVES_FILE
    with writing(path):
        figure.savefig(path, dpi=100)
    return path
