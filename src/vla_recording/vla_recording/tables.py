# SPDX-License-Identifier: Apache-2.0
"""The table of the README, written from the code: ``python -m vla_recording.tables README.md``."""

from __future__ import annotations

import sys
from dataclasses import fields

from node_kit.tables import renew_files, rows
from vla_recording.black_box.params import BlackBoxParams


def black_box() -> str:
    """Return the table of the black box's parameters."""
    body = (
        (
            f"`{item.name}`",
            item.metadata["unit"],
            f"{item.default:g}" if isinstance(item.default, float) else "",
            item.metadata["doc"],
        )
        for item in fields(BlackBoxParams)
    )
    return rows(("parameter", "unit", "default", "meaning"), body)


TABLES = {"black_box": black_box}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
