# SPDX-License-Identifier: Apache-2.0
"""What a policy's process gains from its environment: threads that sleep, memory that is kept.

    python benchmarks/policy_environment.py CHECKPOINT --busy 2

One answer (new image of one camera, 16 rows) of a process that was started plainly, and of one
with each of the settings of `vla_policies.environment`, by turns: every round runs all of them,
each in a process of its own, in the opposite order every other time. Beside them run as many
processes that only use the processor, as a robot's other programs do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from vla_policies.environment import ENVIRONMENT, MALLOC, PASSIVE

BUSY = "while True: sum(range(100000))"
SETTINGS = {
    "plain": {},
    "threads sleep": PASSIVE,
    "memory is kept": MALLOC,
    "both": ENVIRONMENT,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a checkpoint or a converted bundle")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2], help="processes beside it")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--dtype", default="bfloat16", help="of a checkpoint")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    arguments = parser.parse_args()
    rows = []
    for busy in arguments.busy:
        with ExitStack() as stack:
            for _ in range(busy):
                loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
                stack.callback(loop.kill)
            for threads in arguments.threads:
                found: dict[str, list[tuple[float, float]]] = {name: [] for name in arguments.only}
                for turn in range(arguments.rounds):
                    for name in arguments.only[:: -1 if turn % 2 else 1]:
                        found[name].append(answer(arguments, threads, SETTINGS[name]))
                plain = np.array(found[arguments.only[0]])
                for name, times in found.items():
                    wall, cpu = np.median(times, axis=0)
                    gain = np.median(plain[:, 0] / np.array(times)[:, 0])
                    rows.append([busy, threads, name, f"{wall:.0f}", f"{cpu:.0f}", f"{gain:.2f}"])
                    print("  ".join(f"{cell:>26}" for cell in rows[-1]), flush=True)
    if arguments.write:
        write(rows, arguments)
    return 0


def answer(arguments: argparse.Namespace, threads: int, environment: dict) -> tuple[float, float]:
    """Return wall and CPU time of an answer, ms."""
    command = [
        sys.executable, "-m", "smolvla.measure", str(arguments.folder),
        "--cameras", "1", "--rows", "16", "--repeats", "3", "--threads", str(threads),
    ]  # fmt: skip
    if not (arguments.folder / "bundle.json").is_file():
        command += ["--dtype", arguments.dtype]
    clean = {k: v for k, v in os.environ.items() if k not in ENVIRONMENT}
    done = subprocess.run(
        command, env=clean | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    stages = found["figures"][0]
    steps = stages["steps"]["16"]
    times = [
        stages["fit"][kind] + stages["vision"][kind] + stages["prefix"][kind]
        + found["flow_steps"] * steps[kind]
        for kind in ("wall_ms", "cpu_ms")
    ]  # fmt: skip
    return times[0], times[1]


def write(rows: list[list], arguments: argparse.Namespace) -> None:
    import pages

    header = ["busy processes", "threads", "", "wall, ms", "CPU, ms", "× (wall, paired)"]
    run = (
        f"`python benchmarks/policy_environment.py {arguments.folder.name}`, "
        f"{arguments.rounds} rounds; {os.cpu_count()} processors."
    )
    blocks = {"environment run": run, "environment": pages.table(header, rows)}
    pages.fill(pages.DOCS / "smolvla.md", blocks)


if __name__ == "__main__":
    sys.exit(main())
