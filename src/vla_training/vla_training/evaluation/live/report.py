# SPDX-License-Identifier: Apache-2.0
"""The outcome of a comparison: in words, and as vla-eval's page."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vla_training.evaluation.cells import Cell, said
from vla_training.evaluation.live.order import SIDES
from vla_training.evaluation.live.pairs import LEVEL, PairCounts, count_pairs, whole_pairs
from vla_training.evaluation.live.trials import LiveLine
from vla_training.evaluation.parts import Figure, Figures, cell_table, plots, settings_table
from vla_training.evaluation.parts import write_report as write_parts

LiveCell = Cell[LiveLine]
_JERK: Figure = (
    "mean joint jerk", "rad/s^3", ".1f", lambda line: line.result.measures.joint_jerk_mean
)  # fmt: skip
FIGURES: Figures = (
    ("duration", "s", ".1f", lambda line: line.result.duration_s),
    _JERK,
    ("joint jerk rms", "rad/s^3", ".1f", lambda line: line.result.measures.joint_jerk_rms),
    ("joint jerk peak", "rad/s^3", ".0f", lambda line: line.result.measures.joint_jerk_peak),
    ("LDLJ", "", ".2f", lambda line: line.result.measures.ldlj),
    ("SPARC", "", ".2f", lambda line: line.result.measures.sparc),
    ("joint path", "rad", ".2f", lambda line: line.result.measures.joint_path),
)


def live_cells(lines: Sequence[LiveLine], names: Mapping[str, str]) -> list[LiveCell]:
    """Return a cell for each policy that has trials which count.

    Args:
        lines: Of the comparison.
        names: What a policy is called, by its side.
    """
    counted = [line for line in lines if line.result.outcome.counts]
    cells = [
        Cell(f"{side}: {names[side]}", tuple(each for each in counted if each.case.side == side))
        for side in SIDES
    ]
    return [cell for cell in cells if cell.lines]


def verdict(pairs: PairCounts) -> str:
    """Return what the pairs say, in a sentence or two."""
    told = (
        f"Of {pairs.pairs} pairs both succeeded in {pairs.both}, only A in {pairs.only_a}, only B "
        f"in {pairs.only_b}, none in {pairs.neither}. Sign test: p = {pairs.p:.3g}; "
    )
    if pairs.differ:
        better = "A" if pairs.only_a > pairs.only_b else "B"
        return told + f"below {LEVEL:g}: a difference, in favour of {better}."
    return (
        told + f"not below {LEVEL:g}: no difference was found, which does not say there is none."
    )


def in_words(lines: Sequence[LiveLine], names: Mapping[str, str]) -> str:
    """Return the outcome for a terminal."""
    rows = []
    for cell in live_cells(lines, names):
        low, high = cell.interval
        figures = ", ".join(
            f"{name} {said(cell.mean(value), form)}{f' {unit}' if unit else ''}"
            for name, unit, form, value in FIGURES[:2]
        )
        rows.append(
            f"{cell.name}: {cell.successes} of {len(cell.lines)} succeeded ({low:.3f} to "
            f"{high:.3f}), {figures}"
        )
    return "\n".join([*rows, verdict(count_pairs(whole_pairs(lines)))])


def write_report(
    folder: Path, settings: Mapping[str, Any], lines: Sequence[LiveLine], names: Mapping[str, str]
) -> Path:
    """Write the page.

    Args:
        folder: Of the comparison.
        settings: What all trials share.
        lines: The trials.
        names: What a policy is called, by its side.

    Raises:
        TrainingError: It cannot be written.
    """
    found = live_cells(lines, names)
    parts = [
        settings_table(settings, sum(line.result.outcome.counts for line in lines)),
        "<h2>What became of it</h2>",
        cell_table(found, FIGURES, "policy"),
        f"<p><b>{html.escape(verdict(count_pairs(whole_pairs(lines))))}</b>",
        "<p>Success is what the operator said, who was not told which policy acted; its interval "
        "is Wilson's, 95 %. The sign test is exact and two-sided, over the pairs in which one "
        "policy alone succeeded. Duration: from the instruction to the end, of all trials that "
        "count, failures too. Jerk is the third difference of the controller's reference. Less "
        "jerk in more time is no gain: both stand here.</p>",
        plots(found, "duration, s", _JERK),
        "<h2>Pairs</h2>",
        _pairs(lines),
        "<h2>What did not count</h2>",
        _not_counted(lines),
    ]
    return write_parts(folder, "vla-eval --live: " + " or ".join(names.values()), parts)


def _pairs(lines: Sequence[LiveLine]) -> str:
    rows = []
    for pair in sorted({line.case.pair for line in lines}):
        of = {
            line.case.side: line
            for line in lines
            if line.case.pair == pair and line.result.outcome.counts
        }
        told = "".join(_trial(of.get(side)) for side in SIDES)
        apart = [line.result.scene_difference for line in of.values() if not line.case.opens]
        instruction = next(line for line in lines if line.case.pair == pair).result.instruction
        difference = said(apart[0], ".3f") if apart else "-"
        rows.append(f"<tr><td>{pair}: {html.escape(instruction)}{told}<td>{difference}")
    head = "<tr><th>pair<th>A<th>s<th>B<th>s<th>start pictures apart"
    return f"<table>{head}{''.join(rows)}</table>"


def _trial(line: LiveLine | None) -> str:
    if line is None:
        return "<td>-<td>-"
    kind = "good" if line.result.success else "bad"
    told = f"{line.result.outcome.value}, {line.result.ended}"
    return f"<td class={kind}>{html.escape(told)}<td>{said(line.result.duration_s, '.1f')}"


def _not_counted(lines: Sequence[LiveLine]) -> str:
    left = [line for line in lines if not line.result.outcome.counts]
    if not left:
        return "<p>Every trial counted."
    counts = Counter((line.case.side, line.result.outcome.value) for line in left)
    summary = ", ".join(f"{side} {kind}: {n}" for (side, kind), n in sorted(counts.items()))
    rows = "".join(
        f"<tr><td>trial {line.case.trial}, attempt {line.case.attempt}<td>{line.case.side}"
        f"<td>{line.result.outcome.value}<td>{html.escape(line.result.ended)}"
        f"<td style='text-align:left'>{html.escape(line.result.cause[:200])}"
        for line in left
    )
    head = "<tr><th>which<th>policy<th>what<th>ended<th>why"
    return (
        f"<p>{html.escape(summary)}. They were made again. Where one policy has many more of "
        f"them than the other, its successes are of those trials that it got through.</p>"
        f"<table>{head}{rows}</table>"
    )
