# SPDX-License-Identifier: Apache-2.0
"""One HTML file with all of a run: tables, plots and films, none of it from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from vla_training.errors import writing
from vla_training.evaluation.perturb import MEANINGS
from vla_training.evaluation.results import TrialLine
from vla_training.evaluation.tables import FIGURES, ResultCell, cells, said
from vla_training.evaluation.trial import TrialCase

REPORT = "report.html"
# A film is 10 to 60 kB; so many are shown.
MOST_FILMS = 48
_STYLE = """
body {font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem}
table {border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto}
td, th {border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: right}
td:first-child, th:first-child {text-align: left}
.films {display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: .8rem}
figure {margin: 0} figcaption {font-size: 12px} video {width: 100%; background: #eee}
.good {color: #276227} .bad {color: #a03030} img {max-width: 100%}
"""


def write_page(
    folder: Path,
    settings: Mapping[str, Any],
    lines: Sequence[TrialLine],
    films: Mapping[str, Path],
) -> Path:
    """Write the report.

    Args:
        folder: Of the run.
        settings: What all cases share.
        lines: The results.
        films: By `film_name`.

    Raises:
        TrainingError: It cannot be written.
    """
    found = cells(lines)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>vla-eval</title>",
        f"<style>{_STYLE}</style><h1>vla-eval: {html.escape(str(settings['policy']))}</h1>",
        _settings(settings, len(lines)),
        "<h2>What became of it</h2>",
        _table(found),
        "<p>Success: the named cube rests in the bin, and no other was touched or moved by more "
        "than 4 mm; its interval is Wilson's, 95 %. Duration: until the cube was in the bin to "
        "stay, of those where it is. The other figures are means over all episodes. Jerk is that "
        "of the commands at 100 Hz (third difference); <i>arm</i> is where the simulated joints "
        "really were. Less jerk in more time is no gain: both stand here.</p>",
        _plots(found),
        "<h2>What was changed</h2>",
        _meanings(found),
        "<h2>Failures</h2>",
        _failures(lines),
        "<h2>Films</h2>",
        _films(lines, films),
        "</html>",
    ]
    path = folder / REPORT
    part = path.with_suffix(".part")
    with writing(path):
        part.write_text("\n".join(parts), encoding="utf-8")
        part.replace(path)
    return path


def film_name(case: TrialCase) -> str:
    """Return the name of a case's film, without its ending."""
    return f"{case.executor}_{case.latency}_{case.perturbation}_{case.seed}_{case.colour}"


def _settings(settings: Mapping[str, Any], count: int) -> str:
    told = {**settings, "episodes": count}
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td style='text-align:left'>{html.escape(str(value))}"
        for name, value in told.items()
    )
    return f"<table>{rows}</table>"


def _table(found: Sequence[ResultCell]) -> str:
    heads = "".join(f"<th>{name}{f', {unit}' if unit else ''}" for name, unit, _, _ in FIGURES)
    rows = []
    for cell in found:
        low, high = cell.interval
        figures = "".join(f"<td>{said(cell.mean(value), form)}" for _, _, form, value in FIGURES)
        rows.append(
            f"<tr><td>{html.escape(cell.name)}<td>{cell.successes} / {len(cell.lines)}"
            f"<td>{low:.3f} to {high:.3f}{figures}"
        )
    return (
        "<table><tr><th>executor, latency, changed<th>success<th>95 % interval"
        f"{heads}{''.join(rows)}</table>"
    )


def _plots(found: Sequence[ResultCell]) -> str:
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
    jerks = [[line.result.measures.tip_jerk_mean for line in cell.lines] for cell in found]
    kept = [[value for value in values if np.isfinite(value)] or [np.nan] for values in jerks]
    points = [(value, row) for values, row in zip(kept, rows, strict=True) for value in values]
    across, up = zip(*points, strict=True)
    right.scatter(across, up, s=12, alpha=0.5, color="#8fb3d9")
    right.scatter([np.mean(values) for values in kept], rows, marker="|", s=160, color="#333")
    right.set_xlabel("mean jerk of the tip: episodes, and their mean, m/s^3")
    if any(value > 0.0 for values in kept for value in values):
        right.set_xscale("log")
    figure.tight_layout()
    shape = _picture(figure)
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for cell in found:
        points = [
            (line.result.duration_s, line.result.measures.tip_jerk_mean)
            for line in cell.lines
            if np.isfinite(line.result.duration_s)
        ]
        if points:
            across, up = zip(*points, strict=True)
            axes.scatter(across, up, s=14, alpha=0.6, label=cell.name)
    axes.set_xlabel("duration, s (cubes that were brought)")
    axes.set_ylabel("mean jerk of the tip, m/s^3")
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


def _meanings(found: Sequence[ResultCell]) -> str:
    names = dict.fromkeys(cell.perturbation for cell in found)
    return "<ul>" + "".join(f"<li><b>{name}</b>: {MEANINGS[name]}" for name in names) + "</ul>"


def _failures(lines: Sequence[TrialLine]) -> str:
    bad = [line for line in lines if not line.result.success]
    if not bad:
        return "<p>None."
    rows = "".join(
        f"<tr><td>{html.escape(film_name(line.case).replace('_', ', '))}"
        f"<td>{'yes' if line.result.delivered else 'no'}"
        f"<td>{html.escape(', '.join(line.result.disturbed)) or '-'}"
        f"<td>{html.escape(line.result.ended[:120])}"
        for line in bad[:200]
    )
    more = f"<p>and {len(bad) - 200} more, in results.csv" if len(bad) > 200 else ""
    return f"<table><tr><th>case<th>in the bin<th>others disturbed<th>ended{rows}</table>{more}"


def _films(lines: Sequence[TrialLine], films: Mapping[str, Path]) -> str:
    shown: list[str] = []
    # Failures first: they are what one wants to see.
    for line in sorted(lines, key=lambda line: line.result.success):
        path = films.get(film_name(line.case))
        if path is None or len(shown) == MOST_FILMS:
            continue
        data = base64.b64encode(path.read_bytes()).decode()
        result = line.result
        state = "good" if result.success else "bad"
        caption = html.escape(film_name(line.case).replace("_", ", "))
        shown.append(
            f'<figure><video controls muted loop preload="metadata" '
            f'src="data:video/mp4;base64,{data}"></video><figcaption class="{state}">{caption}: '
            f"{'success' if result.success else 'failure'}, "
            f"{said(result.duration_s, '.1f')} s</figcaption></figure>"
        )
    return f'<div class="films">{"".join(shown)}</div>' if shown else "<p>None were kept."
