# SPDX-License-Identifier: Apache-2.0
"""Parts of a report: tables, plots and films as HTML, none of it from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from vla_training.errors import writing
from vla_training.evaluation.cells import Cell, said

REPORT = "report.html"
# A film is 10 to 60 kB; so many are shown.
MOST_FILMS = 48
# Heading, unit, format, value of a line.
Figure = tuple[str, str, str, Callable[[Any], float]]
Figures = Sequence[Figure]
_STYLE = """
body {font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem}
table {border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto}
td, th {border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: right}
td:first-child, th:first-child {text-align: left}
.films {display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: .8rem}
figure {margin: 0} figcaption {font-size: 12px} video {width: 100%; background: #eee}
.good {color: #276227} .bad {color: #a03030} img {max-width: 100%}
"""


def write_report(folder: Path, title: str, parts: Sequence[str]) -> Path:
    """Write a page of parts.

    Raises:
        TrainingError: It cannot be written.
    """
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
    )
    path = folder / REPORT
    part = path.with_suffix(".part")
    with writing(path):
        part.write_text("\n".join([head, *parts, "</html>"]), encoding="utf-8")
        part.replace(path)
    return path


def settings_table(settings: Mapping[str, Any], count: int) -> str:
    """Return what all cases share, and how many there are."""
    told = {**settings, "episodes": count}
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td style='text-align:left'>{html.escape(str(value))}"
        for name, value in told.items()
    )
    return f"<table>{rows}</table>"


def cell_table(found: Sequence[Cell[Any]], figures: Figures, first: str) -> str:
    """Return a table with a row for each cell; `first` heads their names."""
    heads = "".join(f"<th>{name}{f', {unit}' if unit else ''}" for name, unit, _, _ in figures)
    rows = []
    for cell in found:
        low, high = cell.interval
        told = "".join(f"<td>{said(cell.mean(value), form)}" for _, _, form, value in figures)
        rows.append(
            f"<tr><td>{html.escape(cell.name)}<td>{cell.successes} / {len(cell.lines)}"
            f"<td>{low:.3f} to {high:.3f}{told}"
        )
    return f"<table><tr><th>{first}<th>success<th>95 % interval{heads}{''.join(rows)}</table>"


TIP_JERK: Figure = (
    "mean jerk of the tip", "m/s^3", ".2f", lambda line: line.result.measures.tip_jerk_mean
)  # fmt: skip


def plots(found: Sequence[Cell[Any]], duration: str, jerk: Figure = TIP_JERK) -> str:
    """Return plots of success, jerk and duration; `duration` labels the last."""
    if not found:
        return ""
    names = [cell.name for cell in found]
    height = 1.2 + 0.32 * len(found)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, height), sharey=True)
    rows = np.arange(len(found))[::-1]
    rates = np.array([cell.rate for cell in found])
    bounds = np.array([cell.interval for cell in found])
    left.barh(rows, rates, color="#8fb3d9", height=0.6)
    errors = np.clip([rates - bounds[:, 0], bounds[:, 1] - rates], 0.0, 1.0)
    left.errorbar(rates, rows, xerr=errors, fmt="none", ecolor="#333", capsize=3)
    left.set_yticks(rows, names)
    left.set_xlim(0, 1.02)
    left.set_xlabel("success, with its 95 % interval")
    what, unit, _, jerk_of = jerk
    jerks = [[jerk_of(line) for line in cell.lines] for cell in found]
    kept = [[value for value in values if np.isfinite(value)] or [np.nan] for values in jerks]
    points = [(value, row) for values, row in zip(kept, rows, strict=True) for value in values]
    across, up = zip(*points, strict=True)
    right.scatter(across, up, s=12, alpha=0.5, color="#8fb3d9")
    right.scatter([np.mean(values) for values in kept], rows, marker="|", s=160, color="#333")
    right.set_xlabel(f"{what}: episodes, and their mean, {unit}")
    if any(value > 0.0 for values in kept for value in values):
        right.set_xscale("log")
    figure.tight_layout()
    shape = _picture(figure)
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for cell in found:
        points = [
            (line.result.duration_s, jerk_of(line))
            for line in cell.lines
            if np.isfinite(line.result.duration_s)
        ]
        if points:
            across, up = zip(*points, strict=True)
            axes.scatter(across, up, s=14, alpha=0.6, label=cell.name)
    axes.set_xlabel(duration)
    axes.set_ylabel(f"{what}, {unit}")
    if axes.has_data():
        axes.set_yscale("log")
        if len(found) <= 12:
            axes.legend(fontsize=7)
    figure.tight_layout()
    return shape + _picture(figure)


def _picture(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<p><img alt="plot" src="data:image/png;base64,{data}">'


def film_grid(told: Sequence[tuple[str, Any]], films: Mapping[str, Path]) -> str:
    """Return films, failures first: they are what one wants to see.

    Args:
        told: Name of a film, and the result of its case.
        films: Files by name.
    """
    shown: list[str] = []
    for name, result in sorted(told, key=lambda each: each[1].success):
        path = films.get(name)
        if path is None or len(shown) == MOST_FILMS:
            continue
        data = base64.b64encode(path.read_bytes()).decode()
        state = "good" if result.success else "bad"
        caption = html.escape(name.replace("_", ", "))
        shown.append(
            f'<figure><video controls muted loop preload="metadata" '
            f'src="data:video/mp4;base64,{data}"></video><figcaption class="{state}">{caption}: '
            f"{'success' if result.success else 'failure'}, "
            f"{said(result.duration_s, '.1f')} s</figcaption></figure>"
        )
    return f'<div class="films">{"".join(shown)}</div>' if shown else "<p>None were kept."
