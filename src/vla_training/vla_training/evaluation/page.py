# SPDX-License-Identifier: Apache-2.0
"""One HTML file with all of a run: tables, plots and films, none of it from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_training.evaluation.parts import (
    cell_table,
    film_grid,
    plots,
    settings_table,
    write_report,
)
from vla_training.evaluation.perturb import MEANINGS
from vla_training.evaluation.results import TrialLine
from vla_training.evaluation.tables import FIGURES, ResultCell, cells
from vla_training.evaluation.trial import TrialCase


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
        settings_table(settings, len(lines)),
        "<h2>What became of it</h2>",
        cell_table(found, FIGURES, "executor, latency, changed"),
        "<p>Success: the named cube rests in the bin, and no other was touched or moved by more "
        "than 4 mm; its interval is Wilson's, 95 %. Duration: until the cube was in the bin to "
        "stay, of those where it is. The other figures are means over all episodes. Jerk is that "
        "of the commands at 100 Hz (third difference); <i>arm</i> is where the simulated joints "
        "really were. Less jerk in more time is no gain: both stand here.</p>",
        plots(found, "duration, s (cubes that were brought)"),
        "<h2>What was changed</h2>",
        _meanings(found),
        "<h2>Failures</h2>",
        _failures(lines),
        "<h2>Films</h2>",
        film_grid([(film_name(line.case), line.result) for line in lines], films),
    ]
    return write_report(folder, f"vla-eval: {settings['policy']}", parts)


def film_name(case: TrialCase) -> str:
    """Return the name of a case's film, without its ending."""
    return f"{case.executor}_{case.latency}_{case.perturbation}_{case.seed}_{case.colour}"


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
