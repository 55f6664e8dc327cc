# SPDX-License-Identifier: Apache-2.0
"""Chunks that no sound policy sends, through libfranka to a simulated arm that aborts: how often?

    make fci                     # environment, and everything below
    .venv-fci/bin/python -m verification.fci --minutes 2 --seeds 5 --jobs 2 --write

Each case is a line of docs/measurements/fci.jsonl; `--write` makes the tables of fci.md of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np

from verification.fci import chunks
from verification.fci.loop import Configured, FciOutcome, naive, ours
from vla_policies.adversary import Victim
from vla_sim.fci.bridge import FciBridge
from vla_sim.fci.reflexes import JOINTS, published

TOP = Path(__file__).resolve().parents[2]
ROBOTS = TOP / "config" / "robots"
PAGE = TOP / "docs" / "measurements" / "fci.md"
RESULTS = PAGE.with_suffix(".jsonl")
BEGIN, END = "<!-- begin: {} -->", "<!-- end: {} -->"
WAYS = {"naive": naive, "this suite": ours}
CENTRE = np.array([0.0, -0.785, 0.0, -2.0, 0.0, 1.6, 0.785])  # rad, in the air
TURNING = np.array([True, False, False, False, False, False, True])
NAMES = {"panda": "Panda (FER)", "fr3": "FR3"}


@dataclass(frozen=True)
class FciCase:
    """What is run.

    Attributes:
        robot: `panda` or `fr3`: robot folder and published limits.
        stream: Of chunks.
        way: How they are executed.
        loss: Share of the commands that the network loses.
        minutes: Of simulated time.
        seed: Of the chunks.
    """

    robot: str
    stream: str
    way: str
    loss: float
    minutes: float
    seed: int = 0


def on_one_processor(free: Queue[int]) -> None:
    """Keep this process, and the arm that it starts, on the next free processor.

    The two take turns. On two processors each turn waits for other programs, where there are any.
    """
    os.sched_setaffinity(0, {free.get()})


def run(case: FciCase, host: str) -> tuple[FciCase, FciOutcome, float]:
    """Run a case; return it, what came of it and how long that took, s."""
    began = time.monotonic()
    folder = ROBOTS / case.robot
    given, limits = Configured.read(folder), published(folder / "robot.yaml")
    names = given.robot.limits.joint_names
    victim = Victim(names, CENTRE, given.robot.limits.position_upper, TURNING)
    stream = chunks.STREAMS[case.stream](victim, case.minutes * 60.0, case.seed)
    home = given.robot.home_position[:JOINTS]
    with FciBridge(folder / "robot.yaml", home, host=host, loss=case.loss) as bridge:
        outcome = WAYS[case.way](given, limits, bridge, stream, case.minutes * 60.0)
    return case, outcome, time.monotonic() - began


def known(results: Path) -> dict[FciCase, FciOutcome]:
    """Read what was run already."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    return {FciCase(**line["case"]): FciOutcome(**line["outcome"]) for line in lines}


def tables(found: dict[FciCase, FciOutcome]) -> str:
    """Return the table of the page."""
    head = (
        "robot",
        "chunks",
        "commands lost",
        "executed by",
        "minutes",
        "chunks arrived",
        "plans sent",
        "**aborts**",
        "the first, s after the first observation",
        "largest share of the limit of velocity, acceleration, jerk",
    )
    rows = [list(head), ["---"] * len(head)]
    for case, outcome in together(found):
        by_error = ", ".join(
            f"{count} {name.removeprefix('joint_motion_generator_')}"
            for name, count in sorted(outcome.aborts.items(), key=lambda item: -item[1])
        )
        total = sum(outcome.aborts.values())
        shares = ", ".join(f"{share:.5f}" for share in outcome.shares)
        first = outcome.first_abort_s
        rows.append(
            [
                NAMES[case.robot],
                case.stream,
                f"{case.loss:.0%}",
                f"**{case.way}**" if case.way != "naive" else case.way,
                f"{case.minutes:g}",
                str(outcome.chunks),
                str(outcome.plans),
                f"**{total}**" + (f" ({by_error})" if total else ""),
                "-" if first is None else f"{first:.2f}",
                shares if case.way != "naive" else "-",
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def together(found: dict[FciCase, FciOutcome]) -> Iterable[tuple[FciCase, FciOutcome]]:
    """Yield each case with what came of all its seeds."""
    ordered = sorted(found, key=_order)
    for _, group in itertools.groupby(ordered, key=lambda case: _order(case)[:-1]):
        cases = list(group)
        came = [found[case] for case in cases]
        aborts: Counter[str] = sum((Counter(each.aborts) for each in came), Counter())
        first = [each.first_abort_s for each in came if each.first_abort_s is not None]
        counts = {
            name: sum(getattr(each, name) for each in came)
            for name in ("seconds", "chunks", "refused", "plans", "gate_refused", "stops")
        }
        yield (
            replace(cases[0], minutes=sum(case.minutes for case in cases)),
            FciOutcome(
                **counts,
                aborts=dict(aborts),
                first_abort_s=min(first, default=None),
                travel_rad=sum(each.travel_rad for each in came),
                shares=tuple(np.max([each.shares for each in came], axis=0).tolist()),
            ),
        )


def _order(case: FciCase) -> tuple[object, ...]:
    return (case.robot != "panda", case.loss, case.stream, case.way, case.seed)


def write(found: dict[FciCase, FciOutcome], page: Path) -> None:
    """Write the table between its marks."""
    begin, end = BEGIN.format("fci"), END.format("fci")
    before, _, rest = page.read_text("utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{tables(found)}\n{end}{after}", encoding="utf-8")


def chosen(given: argparse.Namespace) -> Iterable[FciCase]:
    """Yield what the command line asks for, a bit of everything first."""
    for seed, robot, loss, stream, way in itertools.product(
        range(given.first_seed, given.first_seed + given.seeds),
        given.robots,
        given.loss,
        given.streams,
        given.ways,
    ):
        yield FciCase(robot, stream, way, loss, given.minutes, seed)


def main() -> int:
    """Run what is not known; return 1 where this suite's commands ended a motion."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="of simulated time, a seed")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--robots", nargs="+", choices=list(NAMES), default=list(NAMES))
    streams, ways = list(chunks.STREAMS), list(WAYS)
    parser.add_argument("--streams", nargs="+", choices=streams, default=streams)
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways)
    parser.add_argument("--loss", nargs="+", type=float, default=[0.0], help="share of commands")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--anew", action="store_true", help="run what is known too")
    parser.add_argument("--write", action="store_true", help="the page")
    given = parser.parse_args()
    found = known(given.results)
    cases = [case for case in chosen(given) if given.anew or case not in found]
    hosts = [f"127.0.{1 + number // 250}.{1 + number % 250}" for number in range(len(cases))]
    failed = 0
    processors: Queue[int] = multiprocessing.Queue()
    for _, processor in zip(range(given.jobs), itertools.cycle(sorted(os.sched_getaffinity(0)))):
        processors.put(processor)
    with ProcessPoolExecutor(
        given.jobs, initializer=on_one_processor, initargs=(processors,)
    ) as pool:
        running = [pool.submit(run, case, host) for case, host in zip(cases, hosts, strict=True)]
        for future in as_completed(running):
            # One that fails takes nothing away from what the others found.
            if future.exception() is not None:
                print(f"failed: {future.exception()}", file=sys.stderr, flush=True)
                failed += 1
                continue
            case, outcome, took_s = future.result()
            print(f"{case}\n  {outcome}\n  {took_s:.0f} s", flush=True)
            found[case] = outcome
            lines = (
                json.dumps({"case": asdict(each), "outcome": asdict(came)})
                for each, came in sorted(found.items(), key=lambda item: _order(item[0]))
            )
            given.results.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if given.write:
        write(found, PAGE)
    return int(
        failed > 0 or any(sum(o.aborts.values()) for c, o in found.items() if c.way != "naive")
    )


if __name__ == "__main__":
    sys.exit(main())
