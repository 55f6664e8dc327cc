# SPDX-License-Identifier: Apache-2.0
"""Train a SmolVLA on datasets by flow matching; the same command again goes on where it was."""

from __future__ import annotations

import argparse
import math
import resource
import shlex
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vla_training.cli.arguments import INSTALL, INTERRUPTED, seconds, whole

if TYPE_CHECKING:
    from vla_training.compute import Compute
    from vla_training.imitate import Progress
    from vla_training.lessons import Lessons
    from vla_training.settings import ImitationSettings

__all__ = ["INSTALL", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", type=Path, metavar="run", help="folder of the run")
    parser.add_argument("datasets", type=Path, nargs="+", help="folders of vla-train collect")
    parser.add_argument(
        "--settings", type=Path, metavar="FILE",
        help="YAML; src/vla_training/README.md lists the keys",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=whole(0, 2**31), metavar="N", help="in place of the settings' seed"
    )
    parser.add_argument(
        "--start", type=Path, metavar="CHECKPOINT",
        help="a SmolVLA in LeRobot's format to begin from, in place of one from nothing",
    )  # fmt: skip
    parser.add_argument(
        "--interventions", action="store_true",
        help="learn only from the rows in which somebody took over from a policy",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=seconds, metavar="S", help="stop after this time, to go on later"
    )
    parser.add_argument(
        "--until", type=whole(1, 10_000_000), metavar="STEP", help="likewise, at a step"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train."""
    from smolvla.config import read_config
    from vla_policies.checkpoint_folder import find_checkpoint
    from vla_training.alone import alone
    from vla_training.compute import Compute
    from vla_training.imitate import memory_bytes
    from vla_training.lessons import load_lessons
    from vla_training.settings import ImitationSettings, read_settings

    given = arguments.settings
    settings = ImitationSettings() if given is None else read_settings(given)
    if arguments.seed is not None:
        settings = replace(settings, seed=arguments.seed)
    rows = settings.chunk_rows
    if arguments.start is not None:
        rows = read_config(find_checkpoint(arguments.start)).chunk_size
    lessons = load_lessons(arguments.datasets, rows, arguments.interventions)
    compute = Compute(settings.device)
    tell = partial(print, flush=True) if compute.first else _say_nothing
    tell(f"{len(lessons.state)} rows in memory, {memory_bytes(lessons) / 1e9:.2f} GB")
    try:
        with alone(arguments.run_folder) if compute.first else nullcontext():
            return _train(arguments, lessons, settings, compute, tell)
    finally:
        compute.close()


def _train(
    arguments: argparse.Namespace,
    lessons: Lessons,
    settings: ImitationSettings,
    compute: Compute,
    tell: Callable[[str], None],
) -> int:
    from vla_training.card import model_card
    from vla_training.imitate import Imitation, parameter_count

    training = Imitation(arguments.run_folder, lessons, settings, arguments.start, compute)
    if training.step:
        tell(f"{arguments.run_folder}: goes on at step {training.step}")
    each = f", in {compute.count} processes" if compute.count > 1 else ""
    weights = parameter_count(training.model) / 1e6
    tell(f"{weights:.2f} million weights on {compute.device}{each}")
    try:
        finished = training.run(until=arguments.until, seconds=arguments.seconds, watch=_show)
    except KeyboardInterrupt:
        if not compute.first:
            return INTERRUPTED
        print(
            f"\n{arguments.run_folder}: interrupted at step {training.step}; the same command "
            f"goes on from step {training.saved_step}",
            file=sys.stderr,
        )
        return INTERRUPTED
    if not compute.first:
        return 0
    command = shlex.join(["vla-train", "imitate", *_words(arguments)])
    folder = training.write_checkpoint(model_card(training, lessons, command, arguments.datasets))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    state = "finished" if finished else f"stopped at step {training.step} of {settings.steps}"
    print(f"{folder}: written; the run is {state}; at most {peak:.1f} GB of memory")
    return 0


def _say_nothing(_: str) -> None:
    """Of several processes one tells."""


def _show(progress: Progress) -> None:
    left_min = (progress.steps - progress.step) * progress.step_s / 60.0
    what = "learning to refer, then the flow"
    if math.isfinite(progress.flow):
        what = f"flow loss {progress.flow:.4f}"
    line = (
        f"step {progress.step} of {progress.steps}, {what}, "
        f"{progress.step_s:.2f} s each, {left_min:.0f} min left"
    )
    if sys.stderr.isatty():
        print(f"\r{line}   ", end="", file=sys.stderr, flush=True)
    elif progress.step % 200 == 0:
        print(line, flush=True)


def _words(arguments: argparse.Namespace) -> list[str]:
    words = [str(arguments.run_folder), *map(str, arguments.datasets)]
    if arguments.settings is not None:
        words += ["--settings", str(arguments.settings)]
    if arguments.seed is not None:
        words += ["--seed", str(arguments.seed)]
    if arguments.interventions:
        words.append("--interventions")
    if arguments.start is not None:
        words += ["--start", str(arguments.start)]
    return words
