# SPDX-License-Identifier: Apache-2.0
"""Count how often a policy brings the named cube into the bin, in scenes that it has not seen."""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import astuple, fields
from pathlib import Path

from vla_training.cli.arguments import (
    INSTALL,
    add_world,
    contract_file,
    robot_file,
    seconds,
    whole,
)

__all__ = ["INSTALL", "add_arguments", "run"]

_SAID = ("plain", "spoken", "unheard", "shuffled", "missing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "checkpoint", type=Path, nargs="?", help="the policy; without one the teacher is tried"
    )
    parser.add_argument(
        "--seeds", type=whole(1, 1_000_000), default=20, metavar="N", help="scenes (%(default)s)"
    )
    parser.add_argument(
        "--first-seed", type=whole(0, 2**31), default=0, metavar="N", help="(%(default)s)"
    )
    parser.add_argument("--colours", nargs="+", default=["red", "green", "blue"], metavar="NAME")
    parser.add_argument(
        "--said", choices=_SAID, default="plain",
        help="the words: of the demonstration, of training, never heard in training, about a cube "
        "by chance, or none (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--limit",
        type=seconds,
        default=20.0,
        metavar="S",
        help="of a trial, simulated (%(default)s)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each trial")
    add_world(parser)


def run(arguments: argparse.Namespace) -> int:
    """Try it."""
    from vla_training.errors import TrainingError, writing
    from vla_training.tabletop import COLOURS
    from vla_training.trials import TaskTrial, report
    from vla_training.workers import Job, try_out

    for colour in arguments.colours:
        if colour not in COLOURS:
            raise TrainingError(
                f"--colours: {colour!r} is unknown; known are {', '.join(COLOURS)}"
            )
    job = Job(
        robot_file=robot_file(arguments),
        contract_file=contract_file(arguments),
        rows=12,
        image_size=(96, 96),
        look_s=0.1,
        student=arguments.checkpoint,
        limit_s=arguments.limit,
    )
    first = arguments.first_seed
    seeds = range(first, first + arguments.seeds)
    trials: list[TaskTrial] = []
    for trial in try_out(job, seeds, arguments.colours, arguments.said, arguments.processes):
        trials.append(trial)
        good = sum(each.success for each in trials)
        if sys.stderr.isatty():
            print(f"\r{good} of {len(trials)}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if arguments.csv is not None:
        with writing(arguments.csv):
            arguments.csv.parent.mkdir(parents=True, exist_ok=True)
            with arguments.csv.open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow([each.name for each in fields(TaskTrial)])
                for trial in sorted(trials, key=lambda each: (each.seed, each.colour)):
                    row = astuple(trial)
                    table.writerow([" ".join(v) if isinstance(v, tuple) else v for v in row])
    print(f"{arguments.checkpoint or 'teacher'}, seeds {seeds[0]} to {seeds[-1]}, "
          f"instructions {arguments.said}")  # fmt: skip
    print(report(trials))
    return 0
