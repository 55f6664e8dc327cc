# SPDX-License-Identifier: Apache-2.0
"""What `vla-train collect --world` does."""

from __future__ import annotations

import argparse
import sys

from vla_policies.protocol import STATE
from vla_training.cli.arguments import INTERRUPTED
from vla_training.cli.collect import Progress
from vla_training.errors import TrainingError
from vla_training.worlds.collect import WorldJob, collect_in_world
from vla_training.worlds.command import check_expert, policy_file
from vla_training.worlds.interface import chosen, open_world
from vla_training.worlds.policies import EXPERT

EPISODES, ROWS = 50, 16


def run_in_world(given: argparse.Namespace) -> int:
    """Collect demonstrations of a world's expert, or corrections of a student.

    Raises:
        TrainingError: The world or the student cannot be had, or an episode cannot be written.
    """
    if given.situations is not None:
        raise TrainingError("--situations: only the tabletop has them; leave it out")
    world = open_world(given.world)
    try:
        picked = chosen(world, given.tasks)
        check_expert(world, picked, EXPERT)
        spec = world.spec
    finally:
        world.close()
    student = None
    if given.student is not None:
        student = policy_file(given.config, given.world, given.policy)
        if student is None:
            raise TrainingError("--policy: the expert is no student; name the student's policy")
    size = (given.image_size, given.image_size)
    job = WorldJob(given.world, size, given.rows or ROWS, student, given.student)
    tasks = [task.name for task in picked]
    count = len(tasks) * (given.episodes or EPISODES)
    progress = Progress()
    done = rows = tries = solved = 0
    try:
        for episode in collect_in_world(
            given.dataset, job, spec, tasks, given.episodes or EPISODES, given.seed,
            given.processes,
        ):  # fmt: skip
            done, rows = done + 1, rows + len(episode.rows[STATE])
            tries, solved = tries + episode.tries, solved + episode.success
            progress.show(done, count, rows)
    except KeyboardInterrupt:
        print(
            f"\n{given.dataset}: interrupted; {done} were added, and the same command goes on",
            file=sys.stderr,
        )
        return INTERRUPTED
    progress.end()
    kept = f", of which {count - done} were there already" if done < count else ""
    print(f"{given.dataset}: {count} episodes of {len(tasks)} tasks{kept}")
    print(f"{solved} of the {done} collected now were solved, with {tries} seeds")
    return 0
