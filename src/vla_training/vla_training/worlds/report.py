# SPDX-License-Identifier: Apache-2.0
"""Results of trials in a world: their table on disk, counts by task and by group, the report."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_training.evaluation.cells import Cell, said
from vla_training.evaluation.ledger import (
    MEASURES,
    Layout,
    Ledger,
    ResultLine,
    flag,
    latency,
    measured,
    one_line,
    read_measures,
)
from vla_training.evaluation.parts import (
    Figures,
    cell_table,
    film_grid,
    plots,
    settings_table,
    write_report,
)
from vla_training.worlds.interface import BenchmarkTask
from vla_training.worlds.trial import NONE, PERTURBATIONS, WorldCase, WorldResult

_KEY = ("task", "seed", "perturbation", "latency_s")
_RESULT = ("success", "ended", "duration_s", "steps", "chunks", "inference_s")
COLUMNS = (*_KEY, *_RESULT, *MEASURES)
WorldLine = ResultLine[WorldCase, WorldResult]
WorldCell = Cell[WorldLine]

FIGURES: Figures = (
    ("duration", "s", ".2f", lambda line: line.result.duration_s),
    ("hand jerk mean", "m/s^3", ".1f", lambda line: line.result.measures.tip_jerk_mean),
    ("hand jerk rms", "m/s^3", ".1f", lambda line: line.result.measures.tip_jerk_rms),
    ("hand jerk peak", "m/s^3", ".0f", lambda line: line.result.measures.tip_jerk_peak),
    ("LDLJ", "", ".2f", lambda line: line.result.measures.ldlj),
    ("SPARC", "", ".2f", lambda line: line.result.measures.sparc),
    ("hand path", "m", ".2f", lambda line: line.result.measures.tip_path),
    ("inference", "s", ".3f", lambda line: line.result.inference_s),
)


class WorldStore(Ledger[WorldCase, WorldResult]):
    """The results of one run in a world."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the folder of a run, or begin one; see `Ledger`."""
        super().__init__(folder, settings, Layout(COLUMNS, key, _row, _read))


def key(case: WorldCase) -> tuple[str, ...]:
    """Return what tells a case from every other of the same run."""
    return (case.task, str(case.seed), case.perturbation, case.latency)


def film_name(case: WorldCase) -> str:
    """Return the name of a case's film, without its ending."""
    return "_".join((case.task.replace("_", "-"), *key(case)[1:]))


def by_task(lines: Sequence[WorldLine]) -> list[WorldCell]:
    """Return a cell for each task, perturbation and latency, in the order of their coming."""
    several = len({line.case.latency for line in lines}) > 1
    groups: dict[str, list[WorldLine]] = {}
    for line in lines:
        groups.setdefault(_title(line.case.task, line.case, several), []).append(line)
    return [Cell(title, tuple(group)) for title, group in groups.items()]


def by_group(lines: Sequence[WorldLine], tasks: Mapping[str, BenchmarkTask]) -> list[WorldCell]:
    """Return a cell for each group of tasks and one for all of them.

    Args:
        lines: Results.
        tasks: Of the world.
    """
    several = len({line.case.latency for line in lines}) > 1
    names = dict.fromkeys(group for task in tasks.values() for group in task.groups)
    found: dict[str, list[WorldLine]] = {}
    for group in (*names, "all"):
        for line in lines:
            if group == "all" or group in tasks[line.case.task].groups:
                found.setdefault(_title(group, line.case, several), []).append(line)
    return [
        Cell(f"{title} ({len({line.case.task for line in group})} tasks)", tuple(group))
        for title, group in found.items()
    ]


def _title(name: str, case: WorldCase, several: bool) -> str:
    parts = [name]
    parts += [] if case.perturbation == NONE else [case.perturbation]
    parts += [f"{case.latency} s"] if several else []
    return ", ".join(parts)


def in_words(lines: Sequence[WorldLine], tasks: Mapping[str, BenchmarkTask]) -> str:
    """Return a table for a terminal."""
    rows = [f"{'task':38s} success    95 % interval  duration s  hand jerk m/s^3   LDLJ  SPARC"]
    for cell in (*by_task(lines), *by_group(lines, tasks)):
        low, high = cell.interval
        values = {name: cell.mean(value) for name, _, _, value in FIGURES}
        rows.append(
            f"{cell.name:38s} {cell.successes:4d}/{len(cell.lines):<4d} "
            f"{low:6.3f} to {high:.3f} {said(values['duration'], '10.2f'):>11s} "
            f"{said(values['hand jerk mean'], '15.1f'):>16s} "
            f"{said(values['LDLJ'], '.1f'):>6s} {said(values['SPARC'], '.2f'):>6s}"
        )
    return "\n".join(rows)


def write_world_page(
    folder: Path,
    settings: Mapping[str, Any],
    lines: Sequence[WorldLine],
    tasks: Mapping[str, BenchmarkTask],
    films: Mapping[str, Path],
) -> Path:
    """Write the report.

    Args:
        folder: Of the run.
        settings: What all cases share.
        lines: The results.
        tasks: Of the world.
        films: By `film_name`.

    Raises:
        TrainingError: It cannot be written.
    """
    found = by_task(lines)
    parts = [
        settings_table(settings, len(lines)),
        "<h2>By group</h2>",
        cell_table(by_group(lines, tasks), FIGURES, "group"),
        "<h2>By task</h2>",
        cell_table(found, FIGURES, "task"),
        "<p>Success: by the benchmark's own test, before its horizon; its interval is Wilson's, "
        "95 %. Duration: simulated, until then, of those that came so far. The other figures are "
        "means over all episodes; jerk is the third difference of where the simulated hand was, "
        "a step of the world apart. Less jerk in more time is no gain: both stand here.</p>",
        plots(found, "duration, s (tasks that were solved)"),
        "<h2>What was changed</h2>",
        _meanings(lines),
        "<h2>Failures</h2>",
        _failures(lines),
        "<h2>Films</h2>",
        film_grid([(film_name(line.case), line.result) for line in lines], films),
    ]
    return write_report(folder, f"vla-eval: {settings['policy']} in {settings['world']}", parts)


def _meanings(lines: Sequence[WorldLine]) -> str:
    names = dict.fromkeys(line.case.perturbation for line in lines)
    told = "".join(f"<li><b>{name}</b>: {PERTURBATIONS[name]}" for name in names)
    return f"<ul>{told}</ul>"


def _failures(lines: Sequence[WorldLine]) -> str:
    bad = [line for line in lines if not line.result.success]
    if not bad:
        return "<p>None."
    rows = "".join(
        f"<tr><td>{html.escape(', '.join(key(line.case)))}"
        f"<td>{html.escape(line.result.ended[:120])}"
        for line in bad[:200]
    )
    more = f"<p>and {len(bad) - 200} more, in results.csv" if len(bad) > 200 else ""
    return f"<table><tr><th>case<th>ended{rows}</table>{more}"


def _row(case: WorldCase, result: WorldResult) -> Sequence[object]:
    return (
        *key(case), int(result.success), one_line(result.ended), result.duration_s, result.steps,
        result.chunks, result.inference_s, *measured(result.measures),
    )  # fmt: skip


def _read(told: Mapping[str, str]) -> tuple[WorldCase, WorldResult]:
    if told["perturbation"] not in PERTURBATIONS:
        raise ValueError("there is no such perturbation")
    case = WorldCase(
        told["task"], int(told["seed"]), told["perturbation"], latency(told["latency_s"])
    )
    result = WorldResult(
        success=flag(told["success"]),
        ended=told["ended"],
        duration_s=float(told["duration_s"]),
        steps=int(told["steps"]),
        chunks=int(told["chunks"]),
        inference_s=float(told["inference_s"]),
        measures=read_measures(told),
    )
    return case, result
