# SPDX-License-Identifier: Apache-2.0
"""Runs of a fuzzer that add up: episodes of a seed, a line a run in a file, the sum on a page."""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.pages import DOCS, fill, machine
from smooth_motion import Limits

MS = 1_000_000
SECOND = 1000 * MS
EPOCH = 1_790_000_000 * SECOND
RATIO = 1.001
DERIVATIVES = ("velocity", "acceleration", "jerk")


@dataclass
class Result:
    """What was done and seen; adds up."""

    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def __iadd__(self, other: Result) -> Result:
        self.counts += other.counts
        for kind, worst in other.worst.items():
            self.worst[kind] = max(self.worst.get(kind, 0.0), worst)
        self.failures += other.failures
        return self

    def judge(self, kind: str, ratios: np.ndarray, where: str = "") -> None:
        """Hold ratios of a limit, (N,) or (N, J), against what is allowed."""
        worst = float(ratios.max(initial=0.0))
        if not (worst <= RATIO):
            at = int(np.argmax(~(ratios <= RATIO))) // max(1, ratios[0].size)
            self.failures.append(f"{kind} is {worst:.6f} of its limit, first in cycle {at}{where}")
        self.worst[kind] = max(self.worst.get(kind, 0.0), worst)


def ratios(
    references: np.ndarray, limits: Limits, period_ns: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the position and its divided differences as shares of their limits.

    Args:
        references: (N, J) positions, rad, a period apart.
        limits: Of the J joints.
        period_ns: Of the controller.
    """
    span = limits.position_upper - limits.position_lower
    centre = (limits.position_upper + limits.position_lower) / 2.0
    yield "position", 2.0 * np.abs(references - centre) / span
    for kind in DERIVATIVES:
        references = np.diff(references, axis=0) / (period_ns * 1e-9)
        yield kind, np.abs(references) / getattr(limits, kind)


class FuzzEpisode(Protocol):
    """One robot, one history: made of a seed and a number."""

    name: str
    result: Result

    def __init__(self, seed: int, number: int) -> None: ...

    def run(self, count: int) -> Result:
        """Do so much of what is counted."""


def attempt(kind: type[FuzzEpisode], seed: int, number: int, count: int) -> Result:
    """Run one episode; every exception is a failure."""
    one = kind(seed, number)
    try:
        # Numbers as large as they get are part of it; what overflows must be refused all the same.
        with np.errstate(all="ignore"):
            result = one.run(count)
    except Exception:
        result = one.result
        result.failures.append(traceback.format_exc())
    result.failures = [
        f"--seed {seed} --episode {number} ({one.name}): {line}" for line in result.failures
    ]
    result.counts["episodes"] = 1
    return result


@dataclass
class FuzzCampaign:
    """What is run, how much of it at a time, and what is told of it.

    Attributes:
        unit: What is counted: the option that says how much, and a column of the file.
        episode: Of these a run is made.
        an_episode: How many units it is.
        a_run: How many units have one seed and one line of the file.
        counts: What else is counted, in the order of the file's columns.
        kinds: Whose largest ratios of the limit are told.
        page: Of the documentation, and its file of runs.
        code: Files of all that is fuzzed, in the order of the hash that is made of them.
    """

    unit: str
    episode: type[FuzzEpisode]
    an_episode: int
    a_run: int
    counts: tuple[str, ...]
    kinds: tuple[str, ...]
    page: str
    code: Iterable[Path]

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of the file of runs."""
        return ("seed", "code", *self.counts, *self.kinds, "failures", "seconds")

    def hash(self) -> str:
        """Return a short hash of all that is fuzzed."""
        text = b"".join(path.read_bytes() for path in self.code)
        return hashlib.sha256(text).hexdigest()[:8]

    def run(self, seed: int, count: int, pool: Executor | None = None) -> Result:
        """Run the episodes of one seed."""
        numbers = range(-(-count // self.an_episode))
        sizes = [min(self.an_episode, count - self.an_episode * n) for n in numbers]
        arguments = ([seed] * len(sizes), numbers, sizes)
        one = partial(attempt, self.episode)
        total = Result()
        results = pool.map(one, *arguments, chunksize=10) if pool else map(one, *arguments)
        for result in results:
            for line in result.failures:
                print(line, flush=True)
            total += result
        return total

    def line(self, seed: int, result: Result, seconds: float) -> list[str]:
        """Return the file's line for one run."""
        return [
            *(str(seed), self.hash()),
            *(str(result.counts[name]) for name in self.counts),
            *(f"{result.worst.get(kind, 0.0):.9f}" for kind in self.kinds),
            *(str(len(result.failures)), f"{seconds:.0f}"),
        ]

    def report(self, runs: list[dict[str, str]]) -> str:
        """Return what all runs together did and saw, in lines."""
        sums = {name: sum(int(run[name]) for run in runs) for name in self.counts}
        lines = [f"{name}: {number}" for name, number in sums.items()]
        for kind in self.kinds:
            lines.append(f"largest {kind} / limit: {max(float(run[kind]) for run in runs):.7f}")
        lines.append(f"failures: {sum(int(run['failures']) for run in runs)}")
        return "\n".join(lines)

    def summary(self, runs: list[dict[str, str]]) -> str:
        """Return the block of the page: the sum, and of which runs of which code."""
        spans: list[list[int]] = []
        for seed in sorted({int(run["seed"]) for run in runs}):
            if spans and spans[-1][1] == seed - 1:
                spans[-1][1] = seed
            else:
                spans.append([seed, seed])
        named = ", ".join(f"{a} to {b}" if b > a else str(a) for a, b in spans)
        present = sum(int(run[self.unit]) for run in runs if run["code"] == self.hash())
        total = sum(int(run[self.unit]) for run in runs)
        hours = sum(float(run["seconds"]) for run in runs) / 3600.0
        failures = sum(int(run["failures"]) for run in runs)
        return (
            f"**{total:,} {self.unit}, {failures} failures**: {len(runs)} runs, seeds {named}, "
            f"{hours:.1f} hours on a shared machine; {machine()}. {present:,} of the {self.unit} "
            "were run with the present code, the others with earlier states of it. Every run is "
            f"in [{self.page}.csv]({self.page}.csv).\n\n```\n{self.report(runs)}\n```"
        )

    def main(self, doc: str) -> int:
        """Do what the command line says; return the exit code."""
        parser = argparse.ArgumentParser(
            description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument(f"--{self.unit}", dest="count", type=int, default=self.a_run)
        parser.add_argument("--seed", type=int, default=0, help="of the first run")
        parser.add_argument("--jobs", type=int, default=1, help="processes")
        parser.add_argument("--episode", type=int, help="run only this one of the first run")
        parser.add_argument("--results", type=Path, help="CSV, one line a run, gone on with")
        parser.add_argument(
            "--write", action="store_true", help="the sum of the file into docs/measurements"
        )
        given = parser.parse_args()
        if given.count < 1 or given.jobs < 1:
            parser.error(f"--{self.unit} and --jobs must be 1 or more")
        if given.write and not given.results:
            parser.error("--write needs --results")
        if given.episode is not None:
            return self._again(given.seed, given.episode)
        runs = read(given.results, self.header) if given.results else []
        known = {int(run["seed"]) for run in runs}
        with ProcessPoolExecutor(given.jobs) if given.jobs > 1 else nullcontext() as pool:
            for number in range(-(-given.count // self.a_run)):
                seed, began = given.seed + number, time.monotonic()
                if seed in known:
                    continue
                count = min(self.a_run, given.count - number * self.a_run)
                result = self.run(seed, count, pool)
                line = self.line(seed, result, time.monotonic() - began)
                runs.append(dict(zip(self.header, line, strict=True)))
                if given.results:
                    append(given.results, self.header, line)
                told = f"seed {seed}: {count} {self.unit}, {runs[-1]['failures']} failures"
                print(f"{told}, {runs[-1]['seconds']} s", file=sys.stderr, flush=True)
        print(self.report(runs))
        if given.write:
            fill(DOCS / f"{self.page}.md", {"run": self.summary(runs)})
        return int(any(int(run["failures"]) for run in runs))

    def _again(self, seed: int, number: int) -> int:
        result = attempt(self.episode, seed, number, self.an_episode)
        print("\n".join(result.failures) or "no failure")
        for name, count in sorted(result.counts.items()):
            print(f"{name}: {count}")
        print(result.worst)
        return int(bool(result.failures))


def read(path: Path, header: tuple[str, ...]) -> list[dict[str, Any]]:
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
