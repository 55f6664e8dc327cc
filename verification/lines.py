# SPDX-License-Identifier: Apache-2.0
"""Lines of Python by package, tests left out: what stayed, went, moved and came since a commit.

    python -m verification.lines [--since c1614ec] [--write]

All of it is git's: `git diff --color-moved` says which lines went or came and which are only
elsewhere now, in blocks of 20 letters and digits or more. A second table says what of it is
installed on a robot or its host, and what of that is new: the folders of which at least half of
the lines neither were there before nor moved, and files elsewhere of which nine in ten were not.
`--write` renews both tables in docs/explanation/where_things_live.md.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
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
NOT_INSTALLED = {"verification", "benchmarks", "top"}
# A folder is new from this share of lines on that came with it; smaller ones say little.
NEW_SHARE, NEW_LEAST = 0.5, 300
NEW_FILE_SHARE = 0.9
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


def sizes(commit: str) -> dict[str, int]:
    """Return how many lines each file has that is no test."""
    found: dict[str, int] = {}
    for line in git("grep", "-c", "", commit, "--", "*.py").splitlines():
        _, path, count = line.rsplit(":", 2)
        if package_of(path):
            found[path] = int(count)
    return found


def changes(since: str, until: str) -> dict[str, dict[str, int]]:
    """Return what became of the lines, by kind and file."""
    colours = [word for k, c in KINDS.items() for word in ("-c", f"color.diff.{k}={c}")]
    words = ("diff", "--no-renames", "--color=always", "--color-moved=blocks", "--unified=0")
    found: dict[str, dict[str, int]] = {kind: {} for kind in CODES.values()}
    path = ""
    for line in git(*colours, *words, since, until, "--", "*.py").splitlines():
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if plain.startswith("diff --git "):
            path = plain.rpartition(" b/")[2]
        elif line[:5] in CODES and not plain.startswith(("--- ", "+++ ")) and package_of(path):
            counts = found[CODES[line[:5]]]
            counts[path] = counts.get(path, 0) + 1
    return found


def summed(counts: dict[str, int], name_of: Callable[[str], str]) -> Counter[str]:
    """Return the counts of files by what they belong to."""
    found: Counter[str] = Counter()
    for path, count in counts.items():
        found[name_of(path)] += count
    return found


def rows(kinds: dict[str, dict[str, int]]) -> list[list[object]]:
    """Return a line for each package, the largest first, and their sum."""
    sums = {kind: summed(counts, package_of) for kind, counts in kinds.items()}
    packages = sorted({*sums["before"], *sums["now"]}, key=lambda name: -sums["now"][name])
    body = [[f"`{name}`", *(sums[kind][name] for kind in COLUMNS)] for name in packages]
    total = [sum(sums[kind][name] for name in packages) for kind in COLUMNS]
    return [*body, ["**all**", *total]]


def installed(kinds: dict[str, dict[str, int]]) -> list[list[object]]:
    """Return what is installed, what of it is new, folder by folder, and what existed before."""
    here = {
        kind: {path: n for path, n in counts.items() if package_of(path) not in NOT_INSTALLED}
        for kind, counts in kinds.items()
    }
    folders = {kind: summed(counts, folder_of) for kind, counts in here.items()}
    before, now, added = folders["before"], folders["now"], folders["added"]
    new = [f for f, n in now.most_common() if n >= NEW_LEAST and added[f] >= NEW_SHARE * n]
    files = [
        path
        for path, n in here["now"].items()
        if folder_of(path) not in new and here["added"].get(path, 0) >= NEW_FILE_SHARE * n
    ]
    whole = [before.total(), now.total()]
    parts = [[before[folder], now[folder], added[folder]] for folder in new]
    apart = [sum(here[kind].get(path, 0) for path in files) for kind in ("before", "now", "added")]
    rest = [whole[k] - apart[k] - sum(part[k] for part in parts) for k in range(2)]
    others = [kinds[kind] for kind in ("before", "now")]
    beside = [sum(counts.values()) - whole[k] for k, counts in enumerate(others)]
    return [
        ["installed on a robot or its host: `src`, `embedded_ros2`, `launch`", *whole, ""],
        *([f"new: `{folder}`", *part] for folder, part in zip(new, parts, strict=True)),
        [f"new: {len(files)} files elsewhere", *apart],
        ["**the others: what existed before**", *rest, ""],
        ["not installed: `verification`, `benchmarks`", *beside, ""],
    ]


def folder_of(path: str) -> str:
    """Return the folder of a file."""
    return path.rpartition("/")[0]


def main() -> int:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--since", default=BEFORE)
    parser.add_argument("--until", default="HEAD")
    parser.add_argument("--write", action="store_true", help="into the page")
    given = parser.parse_args()
    since, until = given.since, given.until
    kinds = {"before": sizes(since), **changes(since, until), "now": sizes(until)}
    blocks = {
        "installed": table(["", "before", "now", "of it added"], installed(kinds)),
        "lines": table(["package", *COLUMNS], rows(kinds)),
    }
    if given.write:
        fill(PAGE, blocks)
    print("\n\n".join(blocks.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
