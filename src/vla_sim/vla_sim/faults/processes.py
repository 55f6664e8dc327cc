# SPDX-License-Identifier: Apache-2.0
"""Find the process of a node that the same launch has started."""

from __future__ import annotations

import os
from pathlib import Path


def siblings(node: str) -> list[int]:
    """Return the processes of a node that have the same parent as this one.

    A launch names each of its nodes on the command line, as `__node:=NAME`. Processes of other
    launches, and of anybody else, are not touched.

    Args:
        node: The node's name, without a namespace.
    """
    parent, own = os.getppid(), os.getpid()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == own:
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            # The name of the program may hold spaces and brackets, so count from its end.
            state = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended just now
        if int(state.rpartition(")")[2].split()[1]) != parent:
            continue
        if f"__node:={node}".encode() in words:
            found.append(int(folder.name))
    return found
