# SPDX-License-Identifier: Apache-2.0
"""Compare two policies on an arm that runs, real or simulated: in pairs, blind, by an operator.

Launch the arm with both policies first: docs/how-to/compare_policies.md. Every trial is written as
it ends; the same command goes on where it was. What follows --ros-args is for ROS.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from vla_training.alone import alone
from vla_training.cli.arguments import INTERRUPTED, seconds, whole
from vla_training.errors import TrainingError
from vla_training.evaluation.live.conduct import Comparison, LiveArm, TrialJudge, compare
from vla_training.evaluation.live.ghost import StartPictures
from vla_training.evaluation.live.keys import single_keys
from vla_training.evaluation.live.order import SIDES, order
from vla_training.evaluation.live.pairs import FEWEST_PAIRS
from vla_training.evaluation.live.person import PersonJudge
from vla_training.evaluation.live.screen import GhostPage
from vla_training.evaluation.live.trials import LiveStore

# Of entry points: what opens an arm. A package that knows ROS has one; this one does not.
GROUP = "vla_eval_live"
LONGEST_S = 3600.0  # of a trial: its motion is kept in memory until it is measured
PERSON, SIMULATION = "person", "simulation"


@dataclass(frozen=True)
class GraphChoice:
    """Which arm, as it stands in the graph.

    Attributes:
        nodes: Names of the policy nodes of A and B; one name twice compares it with itself.
        camera: Topic of the start pictures; empty for none.
        home: Bring the arm home before each trial.
        ros: Arguments for ROS.
    """

    nodes: tuple[str, str]
    camera: str
    home: bool
    ros: Sequence[str]


class OpenedArm(LiveArm, Protocol):
    """An arm with what only the command asks of it."""

    def described(self) -> dict[str, dict[str, str]]:
        """Return what is known of each policy, by its side; the first of it is its name."""

    def stop(self) -> None:
        """Ask the monitor to stop the arm."""

    def judge(self, first_seed: int) -> TrialJudge:
        """Return who lays out scenes and judges in the simulation, from a seed on.

        Raises:
            TrainingError: It is no simulation.
        """


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="vla-eval FOLDER --live", description=__doc__)
    add = made.add_argument
    add("folder", type=Path, help="of the comparison; made where there is none")
    add("--live", action="store_true", help=argparse.SUPPRESS)
    add("--a", default="vla_policy_node", metavar="NODE", help="policy A (%(default)s)")
    add("--b", default="vla_policy_node_b", metavar="NODE",
        help="policy B (%(default)s); the same as --a compares a policy with itself")  # fmt: skip
    add("--instructions", nargs="+", default=[], metavar="TEXT",
        help="for the pairs, in turn")  # fmt: skip
    add("--pairs", type=whole(1, 10_000), default=20, metavar="N",
        help="of trials with the same scene, one for each policy (%(default)s)")  # fmt: skip
    add("--seed", type=whole(0, 2**31 - 1), default=0, metavar="N",
        help="of the order (%(default)s)")  # fmt: skip
    add("--limit", type=seconds, default=45.0, metavar="S", help="of a trial (%(default)s)")
    add("--camera", default="front_camera/image_raw", metavar="TOPIC",
        help="of the start pictures; none: there is no ghost (%(default)s)")  # fmt: skip
    add(
        "--home",
        action="store_true",
        help="bring the arm home before each trial, by the motion planner (motion_planner:=...)",
    )
    add("--judge", choices=(PERSON, SIMULATION), default=PERSON,
        help="simulation: its own truth, in scenes that it lays out (%(default)s)")  # fmt: skip
    add("--first-seed", type=whole(0, 2**31 - 1), default=0, metavar="N",
        help="of the scenes, with --judge simulation (%(default)s)")  # fmt: skip
    add("--port", type=whole(1, 65_535), default=8100, metavar="N",
        help="of the ghost's page, for this computer alone (%(default)s)")  # fmt: skip
    add("--report", action="store_true",
        help="make no more trials: write the report of those that there are")  # fmt: skip
    return made


def run_live(arguments: Sequence[str]) -> int:
    """Run the command; return the exit code.

    Raises:
        TrainingError: Something that its caller can mend.
    """
    words = list(arguments)
    at = words.index("--ros-args") if "--ros-args" in words else len(words)
    given = parser().parse_args(words[:at])
    blank = not all(text.strip() for text in given.instructions)
    if blank or not (given.instructions or given.report):
        raise TrainingError("--instructions: one is empty, or none is given; write what is told")
    if not given.limit <= LONGEST_S:
        raise TrainingError(f"--limit {given.limit:g}: at most {LONGEST_S:g} s")
    if given.report:
        return _report_again(given.folder)
    choice = GraphChoice(
        (given.a, given.b), "" if given.camera == "none" else given.camera, given.home, words[at:]
    )
    with ended_in_order(), alone(given.folder), _opened(choice) as arm:
        return _run(given, arm)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let a terminal that is closed, and `kill`, do as Ctrl-C does: the run is ended first."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {each: signal.getsignal(each) for each in (signal.SIGHUP, signal.SIGTERM)}
    # Only the main thread may; and who ignores them, as nohup does, goes on doing so.
    if threading.current_thread() is not threading.main_thread():
        before = {}
    for each, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _opened(choice: GraphChoice) -> AbstractContextManager[OpenedArm]:
    found = list(entry_points(group=GROUP))
    if not found:
        raise TrainingError(
            "--live needs vla_bringup and ROS 2, or embedded_ros2 in its place, which are not "
            "installed here; run the command from .venv/bin, or where ROS 2 is set up"
        )
    try:
        opens = found[0].load()
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"--live needs {error.name}, which is not here; set up ROS 2 first (. setup.sh)"
        ) from None
    opened: AbstractContextManager[OpenedArm] = opens(choice)
    return opened


def _run(given: argparse.Namespace, arm: OpenedArm) -> int:
    policies = arm.described()
    settings = {
        **{f"policy {side}": policies[side] for side in SIDES},
        "instructions": list(given.instructions),
        "pairs": given.pairs,
        "seed": given.seed,
        "limit_s": given.limit,
        "camera": given.camera,
        "home": given.home,
        "judge": given.judge,
    }
    if given.judge == SIMULATION:
        settings["first_seed"] = given.first_seed
    store = LiveStore(given.folder, settings)
    cases = order(given.pairs, given.seed)
    comparison = Comparison(cases, given.instructions, given.limit)
    pictures = StartPictures(given.folder)
    made = sum(store.settled(case.trial) is not None for case in cases)
    if made:
        print(f"{given.folder}: {made} of {len(cases)} trials were made before", flush=True)
    if given.pairs < FEWEST_PAIRS:
        print(f"fewer than {FEWEST_PAIRS} pairs cannot show a difference, whatever comes of them")
    if given.judge == SIMULATION:
        whole = compare(comparison, store, pictures, arm, arm.judge(given.first_seed))
    else:
        with closing(GhostPage(given.port)) as page, single_keys() as keys:
            judge = PersonJudge(keys, page, arm.picture, arm.stop)
            whole = compare(comparison, store, pictures, arm, judge)
    if whole:
        return _report(given.folder, settings, store)
    made = sum(store.settled(case.trial) is not None for case in cases)
    print(f"{given.folder}: {made} of {len(cases)} trials are made; the same command goes on")
    return INTERRUPTED


def _report(folder: Path, settings: dict[str, Any], store: LiveStore) -> int:
    from vla_training.evaluation.live.report import in_words, write_report

    names = {side: next(iter(settings[f"policy {side}"].values())) for side in SIDES}
    path = write_report(folder, settings, store.lines, names)
    print(in_words(store.lines, names))
    print(f"{path}: written, with {folder / 'results.csv'}", flush=True)
    return 0


def _report_again(folder: Path) -> int:
    """Write the report of what is there, without an arm."""
    import json

    from vla_training.evaluation.ledger import RUN

    try:
        settings = json.loads((folder / RUN).read_text(encoding="utf-8"))
        count = 2 * int(settings["pairs"])
        named = [settings[f"policy {side}"] for side in SIDES]
    except OSError:
        raise TrainingError(f"{folder}: holds no comparison") from None
    except (ValueError, KeyError, TypeError):
        raise TrainingError(f"{folder / RUN}: is damaged, or of no comparison") from None
    if not all(isinstance(each, dict) and each for each in named):
        raise TrainingError(f"{folder / RUN}: is damaged, or of no comparison")
    with alone(folder):
        store = LiveStore(folder, settings)
    if not store.counted:
        raise TrainingError(f"{folder}: no trial counts yet")
    made = len(store.counted)
    if made < count:
        print(
            f"{made} of {count} trials are made: whoever ends when the figures please finds "
            "differences that there are not",
            file=sys.stderr,
        )
    return _report(folder, settings, store)
