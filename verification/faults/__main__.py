# SPDX-License-Identifier: Apache-2.0
"""Run the campaign: ``python -m verification.faults``.

Every kind of fault happens to a moving arm in simulated time, once a seed; then hours pass in
which nothing is wrong. The exit code is 1 when anything was not as it must be.

The hours consist of half hours, each with a seed of its own. With ``--nominal FILE`` each becomes
a line of that file, and what it holds is not run again: what was interrupted goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from smoothness_monitor.params import ConfigError, MonitorConfig, load_config
from verification.faults import page
from verification.faults.campaign import FaultOutcome, Hours, run_fault, run_nominal
from verification.faults.kinds import KINDS, FaultKind
from vla_contract.robot import Robot, RobotConfigError, load_robot

NOMINAL_S = 1800.0
NOMINAL_SEED = 1000
NAMES = {kind.name: kind for kind in KINDS}


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m verification.faults", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--robot", type=Path, default=Path("config/robots/so101/robot.yaml"))
    parser.add_argument("--monitor", type=Path, default=Path("config/robots/so101/monitor.yaml"))
    parser.add_argument("--kinds", nargs="+", choices=NAMES, default=list(NAMES), metavar="KIND")
    parser.add_argument("--seeds", type=int, default=10, help="runs of each kind (default: 10)")
    parser.add_argument(
        "--hours", type=float, default=0.0, help="simulated hours without a fault (default: 0)"
    )
    parser.add_argument("--nominal", type=Path, help="CSV file of the half hours, gone on with")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--page", type=Path, help="page whose blocks are written anew")
    parser.add_argument("--runs", type=Path, help="CSV file with one line a run")
    parser.add_argument("--list", action="store_true", help="list the kinds and end")
    return parser.parse_args(argv)


def _one(files: tuple[Path, Path], job: tuple[str, int]) -> FaultOutcome:
    robot, config = _load(files)
    name, seed = job
    return run_fault(robot, config, NAMES[name], seed)


def _hours(files: tuple[Path, Path], job: tuple[int, float]) -> Hours:
    robot, config = _load(files)
    seed, seconds = job
    newest = [*run_nominal(robot, config, seed=seed, seconds=seconds)][-1]
    hours = newest.simulated_s / 3600.0
    trips = len(newest.trips)
    print(f"  seed {seed}: {hours:.2f} h, {trips} trips", file=sys.stderr, flush=True)
    return newest


def _nominal(
    files: tuple[Path, Path], hours: float, path: Path | None, pool: ProcessPoolExecutor
) -> list[Hours]:
    """Run the half hours that the file does not hold, and add each to it."""
    left_s = hours * 3600.0
    wanted: list[tuple[int, float]] = []
    while left_s > 1e-6:
        wanted.append((NOMINAL_SEED + len(wanted), min(NOMINAL_S, left_s)))
        left_s -= NOMINAL_S
    known = page.read_nominal(path) if path else {}
    todo = [job for job in wanted if job not in known]
    for job, result in zip(todo, pool.map(partial(_hours, files), todo), strict=True):
        known[job] = result
        if path:
            page.write_nominal(path, known)
    return [known[job] for job in wanted]


def _load(files: tuple[Path, Path]) -> tuple[Robot, MonitorConfig]:
    return load_robot(files[0]), load_config(files[1])


def _finding(kind: FaultKind) -> str:
    if kind.slows:
        return f"must slow down for {kind.slows}"
    return ", ".join(kind.found_by) or "must not trip"


def _line(outcome: FaultOutcome, kind: FaultKind) -> str:
    text = f"{kind.name:32} {outcome.seed:3} {outcome.cause or 'no trip':24}"
    if kind.slows:
        text += f" slowed after {outcome.slowed_ms:5.0f} ms, for {outcome.slow_s:4.1f} s,"
    if not kind.benign:
        text += f" after {outcome.found_ms:5.0f} ms, rest after {outcome.rest_ms:5.0f} ms,"
    text += f" jerk {outcome.jerk_ratio:.4f}"
    return text + (f"  PROBLEM: {'; '.join(outcome.problems)}" if outcome.problems else "")


def main(argv: list[str] | None = None) -> int:
    """Run the campaign.

    Returns:
        0 when all was as it must be, 1 when something was not, 2 after a configuration error.
    """
    arguments = _arguments(argv)
    if arguments.list:
        for kind in KINDS:
            print(f"{kind.name:32} {kind.doc}; {_finding(kind)}")
        return 0
    files = (arguments.robot, arguments.monitor)
    try:
        _load(files)
        if arguments.nominal:
            page.read_nominal(arguments.nominal)
    except (ConfigError, RobotConfigError, ValueError) as error:
        print(f"verification.faults: {error}", file=sys.stderr)
        return 2
    if arguments.jobs < 1 or arguments.seeds < 0 or not 0.0 <= arguments.hours < float("inf"):
        print("verification.faults: --jobs: 1 or more; others: 0 or more", file=sys.stderr)
        return 2
    kinds = [NAMES[name] for name in arguments.kinds]
    jobs = [(kind.name, seed) for kind in kinds for seed in range(arguments.seeds)]
    began_s = time.monotonic()
    outcomes: list[FaultOutcome] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for outcome in pool.map(partial(_one, files), jobs, chunksize=4):
            outcomes.append(outcome)
            print(_line(outcome, NAMES[outcome.kind]), flush=True)
        took_s = time.monotonic() - began_s
        blocks = {"operations": page.operations()}
        if outcomes:
            blocks["campaign"] = page.summary(kinds, outcomes, took_s)
            blocks["stopping"] = page.stopping(kinds, outcomes)
            blocks["slowing"] = page.slowing(kinds, outcomes)
            blocks["bearable"] = page.bearable(kinds, outcomes)
            print(blocks["campaign"])
        hours: list[Hours] = []
        if arguments.hours:
            hours = _nominal(files, arguments.hours, arguments.nominal, pool)
            blocks["nominal"] = page.nominal(hours)
            print(blocks["nominal"])
    if arguments.page:
        page.fill(arguments.page, blocks)
    if arguments.runs:
        page.write_runs(arguments.runs, outcomes)
    wrong = any(outcome.problems for outcome in outcomes)
    return int(wrong or any(item.trips for item in hours))


if __name__ == "__main__":
    sys.exit(main())
