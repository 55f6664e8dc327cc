# SPDX-License-Identifier: Apache-2.0
"""Collect demonstrations of a teacher in simulated scenes, or of a student whom it corrects."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from vla_training.cli.arguments import (
    INSTALL,
    INTERRUPTED,
    TABLETOP,
    add_tasks,
    add_world,
    contract_file,
    robot_file,
    whole,
)

__all__ = ["INSTALL", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", type=Path, help="its folder; what is there already is kept")
    parser.add_argument(
        "--episodes", type=whole(1, 1_000_000), metavar="N", help="(300; in a world 50 a task)"
    )
    add_tasks(parser, "of a student")
    parser.add_argument(
        "--image-size", type=whole(16, 1024), default=128, metavar="N",
        help="side of a world's pictures, pixels (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--situations", type=whole(250, 10_000_000), metavar="N",
        help="in place of episodes: rows that do not follow one another, the hand anywhere",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=whole(0, 2**31), default=100_000, metavar="N",
        help="of the first scene; the others follow it (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--student", type=Path, metavar="CHECKPOINT",
        help="the policy that acts while the teacher says what would be right (DAgger)",
    )  # fmt: skip
    parser.add_argument(
        "--rows", type=whole(2, 200), metavar="N", help="of a chunk (12; in a world 16)"
    )
    add_world(parser)


class Progress:
    """Shows how far it is: in one line of a terminal, else now and then."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def show(self, done: int, count: int, rows: int, told: str = "") -> None:
        """Show how many of how many episodes there are, with how many rows."""
        each_s = (time.monotonic() - self._began) / done
        left_min = (count - done) * each_s / 60.0
        line = (
            f"{done} of {count}, {rows} rows, {each_s:.1f} s each, {left_min:.0f} min left{told}"
        )
        if sys.stderr.isatty():
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        elif done % 20 == 0:
            print(line, flush=True)

    def end(self) -> None:
        """End the line."""
        if sys.stderr.isatty():
            print(file=sys.stderr)


def run(arguments: argparse.Namespace) -> int:
    """Collect."""
    if arguments.world != TABLETOP:
        from vla_training.cli.collect_in_world import run_in_world

        return run_in_world(arguments)
    from vla_training.errors import TrainingError
    from vla_training.situations import BLOCK
    from vla_training.workers import Job, collect

    job = Job(
        robot_file=robot_file(arguments),
        contract_file=contract_file(arguments),
        rows=arguments.rows or 12,
        image_size=(96, 96),
        look_s=0.1,
        student=arguments.student,
        limit_s=20.0,
        related=arguments.situations is None,
    )
    if arguments.situations is not None and arguments.student is not None:
        raise TrainingError("--situations: nobody acts in them; leave out --student")
    count, step = arguments.episodes or 300, 1
    if arguments.situations is not None:
        count, step = -(-arguments.situations // BLOCK), BLOCK
    seeds = range(arguments.seed, arguments.seed + count * step, step)
    progress = Progress()
    done = rows = good = 0
    try:
        for report in collect(arguments.dataset, job, seeds, arguments.processes):
            done, rows, good = done + 1, rows + report.rows, good + report.success
            told = f"; {good} brought the cube into the bin" if job.related else ""
            progress.show(done, count, rows, told)
    except KeyboardInterrupt:
        print(
            f"\n{arguments.dataset}: interrupted; {done} were added, and the same command goes on",
            file=sys.stderr,
        )
        return INTERRUPTED
    progress.end()
    kept = f", of which {len(seeds) - done} were there already" if done < len(seeds) else ""
    what = "episodes" if job.related else f"blocks of {BLOCK} situations"
    print(f"{arguments.dataset}: {len(seeds)} {what}{kept}")
    if job.related:
        print(f"{good} of the {done} collected now brought the cube into the bin")
    return 0
