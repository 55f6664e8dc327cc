# SPDX-License-Identifier: Apache-2.0
"""The tables of the documents, written from the code.

``python -m smoothness_monitor.tables README.md ../../SAFETY.md`` renews those that a file marks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from node_kit.parameters import table
from node_kit.tables import renew_files, rows
from smoothness_monitor.core.detectors import DETECTORS
from smoothness_monitor.core.gate import REACTIONS
from smoothness_monitor.hazards import HAZARDS
from smoothness_monitor.params import MonitorConfig, NodeParams


def detectors() -> str:
    """Return the table of detectors."""
    body = (
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
    return rows(("name", "watches", "trips when", "unit", "latency", "what it means"), body)


def refusals() -> str:
    """Return the table of refusals."""
    body = (
        (f"`{kind.value}`", f"`{reaction.trips}`" if reaction.trips else "no", reaction.why)
        for kind, reaction in REACTIONS.items()
    )
    return rows(("refused because", "trips", "reason"), body)


def parameters() -> str:
    """Return the table of the node's parameters."""
    return table(NodeParams)


def thresholds() -> str:
    """Return the table of the monitor file's keys."""
    body = (
        (
            f"`{item.name}`",
            item.metadata["unit"],
            _bounds(item.metadata),
            item.metadata["doc"],
        )
        for item in fields(MonitorConfig)
    )
    return rows(("key", "unit", "bounds", "meaning"), body)


def _bounds(metadata: Mapping[str, Any]) -> str:
    if metadata["lower"] is None:
        return ", ".join(f"`{name}`" for name in metadata["choices"]) or "text"
    return f"{metadata['lower']:g} to {metadata['upper']:g}"


def hazards() -> str:
    """Return the table of hazards."""
    body = (
        (
            item.id,
            item.what,
            item.mitigation,
            " ".join(f"`{name}`" for name in item.tests),
        )
        for item in HAZARDS
    )
    return rows(("id", "hazard", "what is done", "shown by"), body)


TABLES: dict[str, Callable[[], str]] = {
    each.__name__: each for each in (detectors, refusals, parameters, thresholds, hazards)
}


if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
