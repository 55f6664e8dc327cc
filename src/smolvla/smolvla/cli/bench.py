# SPDX-License-Identifier: Apache-2.0
"""Time the stages of a SmolVLA checkpoint or bundle on this machine, and recommend settings.

Every combination runs in a process of its own, because these settings are read when it begins.
Stop what else the machine does first: the wall times are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from vla_policies.environment import MALLOC, PASSIVE
from vla_policies.protocol import PolicyError

INSTALL = "./src/smolvla[torch]"
# A setting must gain this much to be recommended, so that noise recommends none.
WORTH = 0.95


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", type=Path, help="a LeRobot checkpoint or a converted bundle")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rows", type=int, nargs="+", default=[50, 16], help="(default: 50 16)")
    parser.add_argument("--repeats", type=int, default=5, help="of each stage (default: 5)")
    parser.add_argument(
        "--threads", type=int, nargs="+",
        help="to compare (default: 1, half the processors, all of them)",
    )  # fmt: skip
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--patch-positions", choices=["exact", "shifted"])


def run(arguments: argparse.Namespace) -> int:
    """Compare settings on one camera, then measure the best on every number of cameras."""
    from smolvla.bundle import is_bundle

    processors = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    threads = arguments.threads or sorted({1, max(1, processors // 2), processors})
    # OpenVINO has threads of its own, which OMP's settings do not reach.
    sets = {"memory": MALLOC}
    if not is_bundle(arguments.folder):
        sets["wait"] = PASSIVE
    every = {key: value for values in sets.values() for key, value in values.items()}
    rows = arguments.rows[-1]

    def total(count: int, environment: dict[str, str]) -> float:
        return _total(_measure(arguments, [1], count, environment), rows)

    print(f"{processors} processors; one camera, {rows} rows, {' and '.join(sets)} set:")
    by_threads = {}
    for count in threads:
        by_threads[count] = total(count, every)
        print(f"  {count:>3} threads {by_threads[count]:8.0f} ms", flush=True)
    best = min(by_threads, key=lambda count: by_threads[count])
    environment: dict[str, str] = {}
    for name, values in sets.items():
        without = total(best, {k: v for k, v in every.items() if k not in values})
        print(f"  {best:>3} threads {without:8.0f} ms without {name}", flush=True)
        if by_threads[best] < WORTH * without:
            environment |= values
    found = _measure(arguments, arguments.cameras, best, environment)
    _print(found, arguments.rows)
    print("Recommended:")
    print(f"  policy option   threads: {best}")
    for key, value in environment.items():
        print(f"  environment     {key}={value}")
    return 0


def _measure(
    arguments: argparse.Namespace, cameras: list[int], threads: int, environment: dict[str, str]
) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "smolvla.measure", str(arguments.folder),
        "--cameras", *map(str, cameras), "--rows", *map(str, arguments.rows),
        "--repeats", str(arguments.repeats), "--threads", str(threads),
    ]  # fmt: skip
    for name in ("dtype", "patch_positions"):
        if getattr(arguments, name):
            command += [f"--{name.replace('_', '-')}", getattr(arguments, name)]
    clean = {key: value for key, value in os.environ.items() if key not in (*PASSIVE, *MALLOC)}
    clean |= {"OMP_NUM_THREADS": str(threads), **environment}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PolicyError(last.removeprefix("vla_policies.protocol.PolicyError: "))
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _total(found: dict[str, Any], rows: int, index: int = 0, *, cached: bool = False) -> float:
    """Return the wall time of an answer, ms."""
    figures = found["figures"][index]
    steps = found["flow_steps"] * figures["steps"][str(rows)]["wall_ms"]
    if cached:
        return float(figures["state"]["wall_ms"] + steps)
    image = figures["fit"]["wall_ms"] + figures["vision"]["wall_ms"]
    return float(figures["cameras"] * image + figures["prefix"]["wall_ms"] + steps)


def _print(found: dict[str, Any], rows: list[int]) -> None:
    print(f"{found['backend']}, {found['resident_mb']:.0f} MB resident, wall ms (CPU ms):")
    heads = ["cameras", "an image", "prefix", "new state"]
    heads += [f"step, {number} rows" for number in rows]
    heads += [f"answer, {number}" for number in rows] + [f"cached, {rows[-1]}"]
    print("  ".join(f"{head:>15}" for head in heads))
    for index, figures in enumerate(found["figures"]):
        stages = [figures["vision"], figures["prefix"], figures["state"]]
        stages += [figures["steps"][str(number)] for number in rows]
        cells = [str(figures["cameras"])]
        cells += [f"{stage['wall_ms']:.1f} ({stage['cpu_ms']:.1f})" for stage in stages]
        cells += [f"{_total(found, number, index):.0f}" for number in rows]
        cells.append(f"{_total(found, rows[-1], index, cached=True):.0f}")
        print("  ".join(f"{cell:>15}" for cell in cells))
