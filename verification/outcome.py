# SPDX-License-Identifier: Apache-2.0
"""How a comparison with another's code ends: printed, kept, and told by the exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def tell(name: str, outcome: Mapping[str, object], folder: Path | None) -> int:
    """Print what came of a comparison, and write it where a folder is given.

    Args:
        name: Of the file.
        outcome: With `differing`: whatever was not alike.
        folder: For the file; None for no file.

    Returns:
        1 where something was not alike, else 0.
    """
    print(json.dumps(outcome))
    if folder:
        text = json.dumps(outcome, indent=1)
        (folder / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return int(bool(outcome["differing"]))
