# SPDX-License-Identifier: Apache-2.0
"""Write a benchmark's result into its page of the documentation.

A page is written by hand, but for blocks between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

DOCS = Path(__file__).resolve().parents[1] / "docs" / "measurements"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def fill(page: Path, blocks: dict[str, str]) -> None:
    """Replace blocks of a page.

    Raises:
        SystemExit: The page lacks a block.
    """
    text = page.read_text(encoding="utf-8")
    for name, content in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"{page}: needs the lines {begin} and {end}, once each")
        block = f"{begin}\n{content.strip()}\n{end}"
        text = pattern.sub(block.replace("\\", r"\\"), text)
    page.write_text(text, encoding="utf-8")


def machine() -> str:
    """Return in one line what a benchmark ran on."""
    return (
        f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, "
        f"{os.cpu_count()} cores"
    )
