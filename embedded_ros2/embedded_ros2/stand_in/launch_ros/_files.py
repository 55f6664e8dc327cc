# SPDX-License-Identifier: Apache-2.0
"""Parameter files made for one launch."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import tempfile
from pathlib import Path

_numbers = itertools.count(1)


@functools.cache
def _folder() -> Path:
    """Return a folder that is removed when the launch ends; until then, nodes may respawn."""
    folder = tempfile.mkdtemp(prefix="launch_params_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def write_temporary(text: str) -> Path:
    """Write a YAML file and return its path."""
    path = _folder() / f"launch_params_{next(_numbers)}.yaml"
    path.write_text(text, encoding="utf-8")
    return path
