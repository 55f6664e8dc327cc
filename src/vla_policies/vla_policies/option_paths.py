# SPDX-License-Identifier: Apache-2.0
"""Paths in the options of a policy, as a contract writes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def beside(file: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in which a text that begins with a dot is a path from a file's folder.

    Args:
        file: The contract that they stand in.
        options: As they stand there.
    """
    place = file.absolute().parent
    return {
        key: os.path.normpath(place / value)
        if isinstance(value, str) and value.startswith(("./", "../"))
        else value
        for key, value in options.items()
    }
