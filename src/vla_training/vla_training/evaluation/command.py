# SPDX-License-Identifier: Apache-2.0
"""Try a policy in scenes that it has not seen, changed in kinds; count, measure, report.

What was tried before is kept: the same command again goes on, and a larger one adds to it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vla_training.cli.arguments import TABLETOP, seconds, whole

if TYPE_CHECKING:
    from vla_training.evaluation.trial import TrialSetup


OF_THE_TABLETOP, OF_A_WORLD = ("executors", "colours", "limit", "robot"), ("tasks", "rows")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vla-eval", description=__doc__)
    add = parser.add_argument
    add("folder", type=Path, help="of the results; made where there is none")
    add("--policy", metavar="NAME",
        help="of <robot>_<name>.yaml in config/policies, or teacher (color_pick); in a world, of "
             "<world>_<name>.yaml in config/worlds, or a path, or expert (expert)")  # fmt: skip
    add("--checkpoint", type=Path, metavar="FOLDER", help="in place of the contract's")
    add("--robot", default="so101", metavar="NAME", help="its folder (%(default)s)")
    add("--config", type=Path, default=Path("config"), metavar="FOLDER", help="(%(default)s)")
    add(
        "--live",
        action="store_true",
        help="compare two policies on an arm that runs instead; FOLDER --live --help says how",
    )
    add("--world", default=TABLETOP, metavar="NAME",
        help="tabletop, metaworld, libero, or module:factory (%(default)s)")  # fmt: skip
    add("--tasks", nargs="+", default=["all"], metavar="NAME",
        help="of a world, or groups of them (all)")  # fmt: skip
    add("--rows", type=whole(1, 1000), default=0, metavar="N",
        help="of a chunk that are carried out until the next look, in a world")  # fmt: skip
    add("--executors", nargs="+", default=["smooth"], metavar="NAME",
        help="of smooth, linear, hold; on the tabletop (smooth)")  # fmt: skip
    add("--latencies", nargs="+", type=_latency, metavar="S",
        help="from a picture to its chunk's arrival: 0.2, or 0.05-0.1 (0.05-0.1; in a world "
             "0)")  # fmt: skip
    add("--perturbations", nargs="+", default=["none"], metavar="NAME",
        help="docs/reference/evaluation.md lists them (none)")  # fmt: skip
    add("--seeds", type=whole(1, 1_000_000), default=20, metavar="N", help="scenes (%(default)s)")
    add("--first-seed", type=whole(0, 2**31), default=0, metavar="N", help="(%(default)s)")
    add("--colours", nargs="+", metavar="NAME", help="of cubes, on the tabletop (all)")
    add("--films", type=whole(0, 1000), default=1, metavar="N",
        help="of so many scenes of each combination a film is kept (%(default)s)")  # fmt: skip
    add("--limit", type=seconds, default=40.0, metavar="S",
        help="of an episode, simulated; a world has its own (%(default)s)")  # fmt: skip
    add("--slower", type=_slower, default=1.0, metavar="K",
        help="each chunk is carried out so many times as slowly: what less jerk costs in time "
             "without any learning (%(default)s)")  # fmt: skip
    add("--processes", type=whole(1, 256), default=2, metavar="N",
        help="each with a world and a policy (%(default)s)")  # fmt: skip
    return parser


def _latency(text: str) -> tuple[float, float]:
    from vla_training.evaluation.ledger import latency

    try:
        return latency(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no latency; write seconds, as 0.2 or 0.05-0.1, at most 10"
        ) from None


def _slower(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 1.0 <= value <= 10.0:
        raise argparse.ArgumentTypeError(f"{text} is not within 1 to 10")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 2 for what the caller can mend, with one line."""
    from vla_training.errors import TrainingError

    words = sys.argv[1:] if arguments is None else arguments
    try:
        if "--live" in words:
            from vla_training.evaluation.live.command import run_live

            return run_live(words)
        parser = _parser()
        given = parser.parse_args(words)
        in_world = given.world != TABLETOP
        for name in OF_THE_TABLETOP if in_world else OF_A_WORLD:
            if getattr(given, name) != parser.get_default(name):
                raise TrainingError(
                    f"--{name}: {'a world' if in_world else 'the tabletop'} has none; leave it out"
                )
        if in_world:
            from vla_training.worlds.command import evaluate_in_world

            given.policy = given.policy or "expert"
            given.latencies = given.latencies or [(0.0, 0.0)]
            return evaluate_in_world(given, _progress)
        given.policy = given.policy or "color_pick"
        given.latencies = given.latencies or [(0.05, 0.10)]
        return _run(given)
    except TrainingError as error:
        print(f"vla-eval: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("vla_sim"):
            raise
        print("vla-eval: the tabletop needs vla_sim, which is not installed here; run the command "
              "from .venv-policy/bin, or name a --world", file=sys.stderr)  # fmt: skip
        return 2
    except KeyboardInterrupt:
        print("vla-eval: stopped; the same command goes on", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    from vla_sim.executors import EXECUTORS
    from vla_training.alone import alone
    from vla_training.errors import TrainingError
    from vla_training.evaluation.perturb import PERTURBATIONS
    from vla_training.evaluation.run import settings_of
    from vla_training.evaluation.trial import COLOURS, TEACHER, TrialSetup

    given.colours = given.colours or list(COLOURS)
    for key, known in (
        ("executors", tuple(EXECUTORS)), ("perturbations", PERTURBATIONS), ("colours", COLOURS),
    ):  # fmt: skip
        for name in getattr(given, key):
            if name not in known:
                raise TrainingError(f"--{key}: {name!r} is unknown; choose of {', '.join(known)}")
    contract = None
    if given.policy == TEACHER and given.checkpoint is not None:
        raise TrainingError("--checkpoint: the teacher has none; name a --policy")
    if given.policy != TEACHER:
        contract = Path(given.config, "policies", f"{given.robot}_{given.policy}.yaml")
    bench = TrialSetup(
        Path(given.config, "robots", given.robot, "robot.yaml"),
        contract,
        given.checkpoint,
        given.limit,
        given.slower,
    )
    settings = settings_of(given.policy, bench)
    with alone(given.folder):
        return _try_all(given, bench, settings)


def _try_all(given: argparse.Namespace, bench: TrialSetup, settings: dict[str, Any]) -> int:
    from vla_training.evaluation.page import write_page
    from vla_training.evaluation.results import ResultStore
    from vla_training.evaluation.run import TrialGrid, evaluate, films_of
    from vla_training.evaluation.tables import in_words

    results = ResultStore(given.folder, settings)
    grid = TrialGrid(
        executors=given.executors,
        latencies_s=given.latencies,
        perturbations=given.perturbations,
        seeds=range(given.first_seed, given.first_seed + given.seeds),
        colours=given.colours,
        films=given.films,
    )
    cases = grid.cases()
    kept = sum(map(results.has, cases))
    if kept:
        print(f"{given.folder}: {kept} of {len(cases)} were tried before", flush=True)
    try:
        evaluate(bench, grid, results, given.folder, given.processes, _progress())
    finally:
        if results.lines:
            path = write_page(given.folder, settings, results.lines, films_of(given.folder))
            print(in_words(results.lines))
            print(f"{path}: written, with {given.folder / 'results.csv'}")
    return 0


def _progress() -> Callable[[int, int], None]:
    began = time.monotonic()

    def show(done: int, count: int) -> None:
        each_s = (time.monotonic() - began) / done
        left_min = (count - done) * each_s / 60.0
        line = f"{done} of {count}, {each_s:.1f} s each, {left_min:.0f} min left"
        if sys.stderr.isatty():
            print(f"\r{line}   ", end="\n" if done == count else "", file=sys.stderr, flush=True)
        elif done % 20 == 0 or done == count:
            print(line, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
