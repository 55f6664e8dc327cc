# SPDX-License-Identifier: Apache-2.0
"""For the launch files: a folder for what they write, removed when the launch ends."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path


@functools.cache
def _folder() -> Path:
    """Return the folder of this process; until it ends, nodes may start again and read there."""
    folder = tempfile.mkdtemp(prefix="vla_launch_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def launch_folder(kind: str) -> Path:
    """Return a new, empty folder of a kind, such as `world`, in that of this launch."""
    return Path(tempfile.mkdtemp(prefix=f"{kind}_", dir=_folder()))
