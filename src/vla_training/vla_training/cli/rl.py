# SPDX-License-Identifier: Apache-2.0
"""Reinforce a SmolVLA in the simulated world by GRPO; the same command again goes on."""

from __future__ import annotations

import argparse
import resource
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vla_training.cli.arguments import (
    INSTALL,
    INTERRUPTED,
    TABLETOP,
    add_tasks,
    add_world,
    contract_file,
    robot_file,
    seconds,
    whole,
)
from vla_training.errors import TrainingError

if TYPE_CHECKING:
    from vla_training.rl.run import UpdateDone
    from vla_training.rl.scenes import TabletopScenes, WorldScenes
    from vla_training.rl.settings import ReinforcementSettings

__all__ = ["INSTALL", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", type=Path, metavar="run", help="folder of the run")
    parser.add_argument("start", type=Path, metavar="checkpoint", help="a SmolVLA to begin from")
    parser.add_argument(
        "--settings", type=Path, metavar="FILE",
        help="YAML; src/vla_training/README.md lists the keys",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=seconds, metavar="S", help="begin no update after this time"
    )
    parser.add_argument(
        "--until", type=whole(1, 1_000_000), metavar="UPDATE", help="stop after an update"
    )
    add_tasks(parser, "that is reinforced")
    add_world(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reinforce."""
    if arguments.world != TABLETOP and not all(map(find_spec, ("torch", "smolvla"))):
        raise TrainingError(
            f"--world: the model runs where {arguments.world} is installed, and there is no torch "
            "here; for metaworld: make .venv-metaworld/.training, and run the command from "
            ".venv-metaworld/bin"
        )
    from vla_training.alone import alone
    from vla_training.rl.settings import ReinforcementSettings, read_reinforcement

    given = arguments.settings
    settings = ReinforcementSettings() if given is None else read_reinforcement(given)
    with alone(arguments.run_folder):
        return _train(arguments, settings)


def _train(arguments: argparse.Namespace, settings: ReinforcementSettings) -> int:
    from vla_training.rl.card import model_card
    from vla_training.rl.run import Reinforcement

    training = Reinforcement(
        arguments.run_folder, arguments.start, settings, _scenes(arguments, settings),
        arguments.processes,
    )  # fmt: skip
    if training.update:
        print(f"{arguments.run_folder}: goes on after update {training.update}", flush=True)
    try:
        finished = training.run(until=arguments.until, seconds=arguments.seconds, watch=_show)
    except KeyboardInterrupt:
        print(
            f"\n{arguments.run_folder}: interrupted; the same command goes on after update "
            f"{training.update}",
            file=sys.stderr,
        )
        return INTERRUPTED
    finally:
        training.close()
    words = [arguments.run_folder, arguments.start]
    words += [] if arguments.settings is None else ["--settings", arguments.settings]
    if arguments.world != TABLETOP:
        words += ["--world", arguments.world, "--tasks", *arguments.tasks]
        words += ["--policy", arguments.policy]
    else:
        words += ["--robot", arguments.robot, "--contract", arguments.contract]
    words += ["--config", arguments.config]
    command = shlex.join(["vla-train", "rl", *map(str, words)])
    folder = training.write_checkpoint(model_card(training, arguments.start, command))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    state = "finished" if finished else f"stopped after {training.update} of {settings.updates}"
    print(f"{folder}: written; the run is {state}; at most {peak:.1f} GB of memory")
    return 0


def _scenes(
    arguments: argparse.Namespace, settings: ReinforcementSettings
) -> TabletopScenes | WorldScenes:
    from vla_training.rl.scenes import TabletopScenes, WorldScenes

    if arguments.world == TABLETOP:
        from vla_training.evaluation.trial import TrialSetup

        setup = TrialSetup(
            robot_file(arguments), contract_file(arguments), limit_s=settings.limit_s
        )
        return TabletopScenes(setup, settings.executor)
    from vla_training.worlds.command import policy_file
    from vla_training.worlds.interface import chosen, open_world
    from vla_training.worlds.trial import WorldBench

    world = open_world(arguments.world)
    try:
        tasks = tuple(task.name for task in chosen(world, arguments.tasks))
    finally:
        world.close()
    if 0 < settings.scenes < len(tasks):
        raise TrainingError(
            f"scenes: is {settings.scenes}, and there are {len(tasks)} --tasks, of which the last "
            "would never be seen; write as many at least, or 0"
        )
    path = policy_file(arguments.config, arguments.world, arguments.policy)
    if path is None:
        raise TrainingError("--policy: the expert learns nothing; name a policy")
    return WorldScenes(WorldBench(arguments.world, {}, path), tasks)


def _show(done: UpdateDone) -> None:
    told = done.figures
    print(
        f"update {done.update} of {done.updates}: success {told['success']:.2f}, reward "
        f"{told['reward']:.3f}, {told['duration_s']:.1f} s, "
        f"twist jerk {told['twist_jerk_mean']:.1f}, LDLJ {told['ldlj']:.2f}; "
        f"{told['rollouts_s'] + told['learning_s']:.0f} s",
        flush=True,
    )
