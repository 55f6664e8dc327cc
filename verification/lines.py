# SPDX-License-Identifier: Apache-2.0
"""Lines of Python by package, tests left out: what stayed, went, moved and came since a commit.

    python -m verification.lines [--since c1614ec] [--write]

All of it is git's: `git diff --color-moved` says which lines went or came and which are only
elsewhere now, in blocks of 20 letters and digits or more. `--write` renews the table in
docs/explanation/where_things_live.md.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.pages import fill, table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "where_things_live.md"
BEFORE = "c1614ec"
KINDS = {"oldMoved": "magenta", "newMoved": "blue", "old": "red", "new": "green"}
CODES = {
    "\x1b[35m": "moved away",
    "\x1b[34m": "moved in",
    "\x1b[31m": "deleted",
    "\x1b[32m": "added",
}
COLUMNS = ("before", "deleted", "moved away", "moved in", "added", "now")


def git(*words: str) -> str:
    """Return what git says."""
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True)
    return done.stdout.decode("utf-8", "replace")


def package_of(path: str) -> str:
    """Return the package of a file, empty where it is a test or no Python."""
    parts = path.split("/")
    if not path.endswith(".py") or {"test", "tests"} & set(parts[:-1]):
        return ""
    return parts[1] if parts[0] == "src" else parts[0] if len(parts) > 1 else "top"


def sizes(commit: str) -> Counter[str]:
    """Return how many lines each package has."""
    found: Counter[str] = Counter()
    for line in git("grep", "-c", "", commit, "--", "*.py").splitlines():
        _, path, count = line.rsplit(":", 2)
        found[package_of(path)] += int(count)
    return found


def changes(since: str, until: str) -> dict[str, Counter[str]]:
    """Return what became of the lines, by kind and package."""
    colours = [word for k, c in KINDS.items() for word in ("-c", f"color.diff.{k}={c}")]
    words = ("diff", "--no-renames", "--color=always", "--color-moved=blocks", "--unified=0")
    found: dict[str, Counter[str]] = {kind: Counter() for kind in CODES.values()}
    package = ""
    for line in git(*colours, *words, since, until, "--", "*.py").splitlines():
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if plain.startswith("diff --git "):
            package = package_of(plain.rpartition(" b/")[2])
        elif line[:5] in CODES and not plain.startswith(("--- ", "+++ ")):
            found[CODES[line[:5]]][package] += 1
    return found


def rows(since: str, until: str) -> list[list[object]]:
    """Return a line for each package, the largest first, and their sum."""
    before, now, what = sizes(since), sizes(until), changes(since, until)
    kinds = {"before": before, **what, "now": now}
    packages = sorted(filter(None, {*before, *now}), key=lambda name: -now[name])
    body = [[f"`{name}`", *(kinds[kind][name] for kind in COLUMNS)] for name in packages]
    total = [sum(kinds[kind][name] for name in packages) for kind in COLUMNS]
    return [*body, ["**all**", *total]]


def main() -> int:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--since", default=BEFORE)
    parser.add_argument("--until", default="HEAD")
    parser.add_argument("--write", action="store_true", help="into the page")
    given = parser.parse_args()
    text = table(["package", *COLUMNS], rows(given.since, given.until))
    if given.write:
        fill(PAGE, {"lines": text})
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
