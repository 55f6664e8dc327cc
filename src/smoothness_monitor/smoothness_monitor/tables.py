# SPDX-License-Identifier: Apache-2.0
"""The tables of the documents, written from the code.

``python -m smoothness_monitor.tables README.md ../../SAFETY.md`` renews those that a file marks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from smoothness_monitor.black_box.params import BlackBoxParams
from smoothness_monitor.core.detectors import DETECTORS
from smoothness_monitor.core.gate import REACTIONS
from smoothness_monitor.hazards import HAZARDS
from smoothness_monitor.params import MonitorConfig, NodeParams


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("|  |", "| |")


def detectors() -> str:
    """Return the table of detectors."""
    rows = (
        (
            f"`{item.name}`",
            item.watches,
            item.trips_when.replace("|", "\\|"),
            item.unit,
            item.latency,
            item.doc,
        )
        for item in DETECTORS
    )
    return _rows(("name", "watches", "trips when", "unit", "latency", "what it means"), rows)


def refusals() -> str:
    """Return the table of refusals."""
    rows = (
        (f"`{kind.value}`", f"`{reaction.trips}`" if reaction.trips else "no", reaction.why)
        for kind, reaction in REACTIONS.items()
    )
    return _rows(("refused because", "trips", "reason"), rows)


def parameters() -> str:
    """Return the table of the node's parameters."""
    rows = ((f"`{item.name}`", item.metadata["doc"]) for item in fields(NodeParams))
    return _rows(("parameter", "meaning"), rows)


def black_box() -> str:
    """Return the table of the black box's parameters."""
    rows = (
        (
            f"`{item.name}`",
            item.metadata["unit"],
            f"{item.default:g}" if isinstance(item.default, float) else "",
            item.metadata["doc"],
        )
        for item in fields(BlackBoxParams)
    )
    return _rows(("parameter", "unit", "default", "meaning"), rows)


def thresholds() -> str:
    """Return the table of the monitor file's keys."""
    rows = (
        (
            f"`{item.name}`",
            item.metadata["unit"],
            _bounds(item.metadata),
            item.metadata["doc"],
        )
        for item in fields(MonitorConfig)
    )
    return _rows(("key", "unit", "bounds", "meaning"), rows)


def _bounds(metadata: Mapping[str, Any]) -> str:
    if metadata["lower"] is None:
        return ", ".join(f"`{name}`" for name in metadata["choices"]) or "text"
    return f"{metadata['lower']:g} to {metadata['upper']:g}"


def hazards() -> str:
    """Return the table of hazards."""
    rows = (
        (
            item.id,
            item.what,
            item.mitigation,
            " ".join(f"`{name}`" for name in item.tests),
        )
        for item in HAZARDS
    )
    return _rows(("id", "hazard", "what is done", "shown by"), rows)


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table
    for table in (detectors, refusals, parameters, black_box, thresholds, hazards)
}


def renew(text: str) -> str:
    """Return a document with every marked table written anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        before, mark, rest = text.partition(begin)
        _, stop, after = rest.partition(end)
        if mark and stop:
            text = f"{before}{begin}\n{table()}\n{end}{after}"
    return text


def main() -> int:
    """Renew the tables in the documents that the command line names."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
