# SPDX-License-Identifier: Apache-2.0
"""The results of a campaign, for people: a table a kind, a line a run, and the page's blocks."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from smoothness_monitor.core.types import Rung
from verification.faults.campaign import FaultOutcome, Hours
from verification.faults.kinds import FaultKind
from vla_sim.faults.operations import OPERATIONS, parameters

COLUMNS = (
    "fault",
    "seed",
    "detected by",
    "after ms",
    "rest after ms",
    "brake's end after ms",
    "peak jerk ratio",
    "rung",
    "state",
    "moved 2 s later, rad",
    "slowed after ms",
    "slow for s",
    "path deviation, rad",
    "problems",
)


def write_runs(path: Path, outcomes: Iterable[FaultOutcome]) -> None:
    """Write one line a run, as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for o in outcomes:
            writer.writerow(
                (
                    o.kind,
                    o.seed,
                    o.cause,
                    _number(o.found_ms, 0),
                    _number(o.rest_ms, 0),
                    _number(o.planned_ms, 0),
                    _number(o.jerk_ratio, 4),
                    o.rung.value,
                    o.state.name,
                    _number(o.moved_rad, 6),
                    _number(o.slowed_ms, 0),
                    _number(o.slow_s, 2),
                    _number(o.deviation_rad, 6),
                    "; ".join(o.problems),
                )
            )


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


NOMINAL_COLUMNS = ("seed", "s", "simulated s", "plans", "trips", "peak jerk ratio")


def write_nominal(path: Path, runs: Mapping[tuple[int, float], Hours]) -> None:
    """Write one line a run without a fault, by seed and length, as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(NOMINAL_COLUMNS)
        for (seed, seconds), hours in sorted(runs.items()):
            ratio, trips = f"{hours.jerk_ratio:.9f}", "; ".join(hours.trips)
            length = (f"{seconds:.9g}", f"{hours.simulated_s:.9g}")
            writer.writerow((seed, *length, hours.plans, trips, ratio))


def read_nominal(path: Path) -> dict[tuple[int, float], Hours]:
    """Read what `write_nominal` wrote; nothing when there is no such file.

    Raises:
        ValueError: It is another file.
    """
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != NOMINAL_COLUMNS:
            raise ValueError(f"{path}: not a file of hours without a fault; name another one")
        return {
            (int(seed), float(seconds)): Hours(
                float(simulated), int(plans), tuple(filter(None, trips.split("; "))), float(ratio)
            )
            for seed, seconds, simulated, plans, trips, ratio in reader
        }


def stopping(kinds: Sequence[FaultKind], outcomes: Sequence[FaultOutcome]) -> str:
    """Return the table of the faults that must stop the arm."""
    head = (
        "fault",
        "what goes wrong",
        "detected by (runs)",
        "after, ms: median, max (budget)",
        "rest later than the brake's end, ms: max",
        "peak jerk ratio",
        "rung",
    )
    rows = []
    for kind in kinds:
        of = [o for o in outcomes if o.kind == kind.name]
        if kind.benign or not of:
            continue
        causes = Counter(o.cause or "nothing" for o in of).most_common()
        found = sorted(o.found_ms for o in of)
        late = max(o.rest_ms - o.planned_ms for o in of)
        ratio = f"{max(o.jerk_ratio for o in of):.4f}"
        rows.append(
            (
                f"`{kind.name}`",
                kind.doc,
                ", ".join(f"`{name}` ({count})" for name, count in causes),
                f"{found[len(found) // 2]:.0f}, {found[-1]:.0f} ({kind.within_s * 1e3:.0f})",
                f"{late:.0f}",
                f"not bounded: {kind.unbounded}" if kind.unbounded else ratio,
                str(max(o.rung for o in of).value),
            )
        )
    return _table(head, rows)


def bearable(kinds: Sequence[FaultKind], outcomes: Sequence[FaultOutcome]) -> str:
    """Return the table of the faults that must not stop the arm."""
    rows = []
    for kind in kinds:
        of = [o for o in outcomes if o.kind == kind.name]
        if not kind.benign or kind.slows or not of:
            continue
        trips = sum(bool(o.cause) for o in of)
        ratio = max(o.jerk_ratio for o in of)
        rows.append((f"`{kind.name}`", kind.doc, str(trips), f"{ratio:.4f}"))
    return _table(("fault", "what goes wrong", "trips", "peak jerk ratio"), rows)


def slowing(kinds: Sequence[FaultKind], outcomes: Sequence[FaultOutcome]) -> str:
    """Return the table of the faults for which the arm must become slower and not stop."""
    rows = []
    for kind in kinds:
        of = [o for o in outcomes if o.kind == kind.name]
        if not kind.slows or not of:
            continue
        slowed = sorted(o.slowed_ms for o in of)
        rows.append(
            (
                f"`{kind.name}`",
                kind.doc,
                f"`{kind.slows}`",
                f"{slowed[len(slowed) // 2]:.0f}, {slowed[-1]:.0f} ({kind.within_s * 1e3:.0f})",
                f"{max(o.slow_s for o in of):.1f}",
                str(sum(bool(o.cause) for o in of)),
                f"{max(o.jerk_ratio for o in of):.4f}",
                f"{max(o.deviation_rad for o in of) * 1e3:.2f}",
            )
        )
    head = (
        "fault",
        "what goes wrong",
        "slowed down for",
        "after, ms: median, max (budget)",
        "slow for, s: max",
        "trips",
        "peak jerk ratio",
        "off the path, mrad: max",
    )
    return _table(head, rows)


def summary(kinds: Sequence[FaultKind], outcomes: Sequence[FaultOutcome], seconds: float) -> str:
    """Return the result in a few lines."""
    names = {kind.name: kind for kind in kinds}
    must = [o for o in outcomes if not names[o.kind].benign]
    may_not = [o for o in outcomes if names[o.kind].benign]
    bounded = [o.jerk_ratio for o in must if not names[o.kind].unbounded]
    smooth = [o for o in must if o.rung <= Rung.BRAKE_AS_GOAL]
    seeds = len({o.seed for o in outcomes})
    wrong = [o for o in outcomes if o.problems]
    lines = [
        f"- {len(names)} kinds of fault x {seeds} seeds = {len(outcomes)} runs, in "
        f"{seconds / 60.0:.0f} min; {len(wrong)} with a problem.",
        f"- {sum(bool(o.cause) for o in must)} of {len(must)} faults that must stop the arm were "
        f"detected, {sum(_in_budget(o, names) for o in must)} within their budget.",
        f"- Rest: at most {max((o.rest_ms - o.planned_ms for o in smooth), default=0.0):.0f} ms "
        "after the end of the brake, where the brake worked.",
        f"- Peak jerk of the command during a stop: {max(bounded, default=0.0):.6f} of the limit.",
        f"- Motion within 2 s after the stop, while the policy went on publishing: "
        f"{max((o.moved_rad for o in must), default=0.0):g} rad.",
        f"- {sum(bool(o.cause) for o in may_not)} trips in {len(may_not)} runs with faults that "
        "must not stop the arm.",
    ]
    return "\n".join(lines)


def _in_budget(outcome: FaultOutcome, kinds: Mapping[str, FaultKind]) -> bool:
    return outcome.found_ms <= kinds[outcome.kind].within_s * 1e3


def nominal(hours: Sequence[Hours]) -> str:
    """Return what came of the hours in which nothing was wrong."""
    total_s = sum(item.simulated_s for item in hours)
    trips = [line for item in hours for line in item.trips]
    text = (
        f"{total_s / 3600.0:.2f} simulated hours, {sum(item.plans for item in hours)} plans "
        f"forwarded, **{len(trips)} trips**, peak jerk of the command "
        f"{max(item.jerk_ratio for item in hours):.6f} of the limit. Seeds: {len(hours)}."
    )
    return "\n".join([text, *(f"- {line}" for line in trips)])


def operations() -> str:
    """Return the table of what a fault file can do to a stream."""
    rows = (
        (
            f"`{name}`",
            operation.doc,
            "; ".join(
                f"`{item.name}`: {item.metadata['doc'].rstrip('.')}"
                + (f", {item.metadata['unit']}" if item.metadata["unit"] else "")
                for item in parameters(operation)
            ),
        )
        for name, operation in OPERATIONS.items()
    )
    return _table(("do", "what it does", "parameters"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fill(path: Path, blocks: Mapping[str, str]) -> None:
    """Replace the blocks of a page: `<!-- begin NAME -->` to `<!-- end NAME -->`.

    Raises:
        ValueError: The page lacks a block.
    """
    text = path.read_text(encoding="utf-8")
    for name, content in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"{path}: needs the lines {begin} and {end}, once each")
        block = f"{begin}\n{content.strip()}\n{end}"
        text = pattern.sub(lambda _, block=block: block, text)  # type: ignore[misc]
    path.write_text(text, encoding="utf-8")
