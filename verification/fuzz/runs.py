# SPDX-License-Identifier: Apache-2.0
"""A file of runs that add up: one line a run, with the seed first."""

import csv
from pathlib import Path


def read(path: Path, header: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the runs in a file, none when there is no file.

    Raises:
        SystemExit: It is another file.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != header:
            raise SystemExit(f"{path}: not a file of this fuzzer; name another one")
        return list(reader)


def append(path: Path, header: tuple[str, ...], line: list[str]) -> None:
    """Add a run to the file."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if new:
            writer.writerow(header)
        writer.writerow(line)
