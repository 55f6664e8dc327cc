# SPDX-License-Identifier: Apache-2.0
"""Tables of a document, written from the code: the two cannot disagree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


def rows(head: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("|  |", "| |")


def renew(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return a document with every table that it marks written anew.

    Args:
        text: Where a table stands between ``<!-- table: NAME -->`` and ``<!-- end: NAME -->``.
        tables: What writes each of them, by name.
    """
    for name, table in tables.items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        before, mark, rest = text.partition(begin)
        _, stop, after = rest.partition(end)
        if mark and stop:
            text = f"{before}{begin}\n{table()}\n{end}{after}"
    return text


def renew_files(tables: Mapping[str, Callable[[], str]]) -> int:
    """Renew the tables in the documents that the command line names."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(renew(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
    return 0
