# SPDX-License-Identifier: Apache-2.0
"""`vla-eval --live` in the simulation: two policies that differ, and a policy against itself.

    python -m verification.compare_live [--pairs 20] [--work out/compare_live]

Launches the simulated SO-101 with color_pick, and with color_pick whose camera is said to stand
20 mm beside where it is. Both are compared, then the second one with itself; the simulation is the
judge. What is there already in the working folder is kept. Then the comparisons are repeated on
pairs drawn from those that were tried. Writes docs/measurements/compare_policies.md and the trials
beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import yaml

from node_kit.tables import renew, rows
from verification.hands import launched
from vla_training.evaluation.cells import said, wilson
from vla_training.evaluation.live.pairs import count_pairs, whole_pairs
from vla_training.evaluation.live.report import FIGURES, live_cells
from vla_training.evaluation.live.trials import LiveStore

TOP = Path(__file__).resolve().parents[1]
CONTRACT = TOP / "config" / "policies" / "so101_color_pick.yaml"
WORKSPACE = TOP / "config" / "robots" / "so101" / "workspace_tabletop.yaml"
PAGE = "compare_policies.md"
BESIDE_M = 0.02
TASKS = [f"put the {colour} cube in the bin" for colour in ("red", "green", "blue")]
REPEATS, MANY = 20, 10_000
# Name of a comparison, its nodes, and what is expected.
COMPARISONS = {
    "differ": ("vla_policy_node", "vla_policy_node_b"),
    "same": ("vla_policy_node_b", "vla_policy_node_b"),
}
NAMES = {"differ": "good (A), weak (B)", "same": "weak (A), weak (B)"}
Pair = tuple[bool, bool]


def weak_contract(folder: Path) -> Path:
    """Write color_pick's contract with a camera that is not where it says."""
    contract = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    contract["policy"]["options"]["camera"]["position"][0] += BESIDE_M
    path = folder / "camera_beside.yaml"
    path.write_text(yaml.safe_dump(contract, sort_keys=False), encoding="utf-8")
    return path


def both_policies(folder: Path) -> list[str]:
    """Return the command that launches the arm with both policies."""
    return [
        *(sys.executable, "-m", "embedded_ros2.cli", "launch"),
        str(TOP / "launch" / "so101_sim.launch.py"),
        "real_time_factor:=0",
        f"second_contract_file:={weak_contract(folder)}",
        "motion_planner:=straight",
        f"workspace_file:={WORKSPACE}",
        f"black_box:={folder / 'bags'}",
    ]


def compared(folder: Path, nodes: tuple[str, str], pairs: int, limit_s: float) -> None:
    """Make the trials of a comparison, those that are not there yet."""
    subprocess.run(
        [
            *(sys.executable, "-m", "vla_training.evaluation.command", str(folder), "--live"),
            *("--judge", "simulation", "--home", "--pairs", str(pairs), "--limit", str(limit_s)),
            *("--a", nodes[0], "--b", nodes[1], "--instructions", *TASKS),
        ],
        check=True,
    )


def read(folder: Path) -> LiveStore:
    """Return the trials of a comparison."""
    return LiveStore(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))


def share_found(pairs: list[Pair], count: int, alike: bool, seed: int) -> tuple[int, int]:
    """Repeat a comparison on pairs drawn with replacement from those that were tried.

    Args:
        pairs: Whether A and B succeeded.
        count: Of repeats, each with as many pairs as there are.
        alike: Both were one policy: which of a pair's trials is called A is drawn anew.
        seed: Of what is drawn.

    Returns:
        In how many a difference was found, and in how many of these in favour of A.
    """
    rng = np.random.default_rng(seed)
    table = np.array(pairs)
    found = for_a = 0
    for _ in range(count):
        drawn = table[rng.integers(len(table), size=len(table))]
        if alike:
            swapped = rng.integers(2, size=len(drawn)).astype(bool)
            drawn[swapped] = drawn[swapped, ::-1]
        counts = count_pairs([(bool(a), bool(b)) for a, b in drawn])
        found += counts.differ
        for_a += counts.differ and counts.only_a > counts.only_b
    return found, for_a


def trials(stores: dict[str, LiveStore]) -> str:
    """Return the table of trials."""
    body = []
    for name, store in stores.items():
        for cell in live_cells(store.lines, {"A": "", "B": ""}):
            side, (low, high) = cell.title[0], cell.interval
            left = [
                line
                for line in store.lines
                if line.case.side == side and not line.result.outcome.counts
            ]
            body.append(
                [
                    *(NAMES[name], side, f"{cell.successes} of {len(cell.lines)}"),
                    f"{low:.3f} to {high:.3f}",
                    *(said(cell.mean(value), form) for _, _, form, value in FIGURES[:2]),
                    str(len(left)),
                ]
            )
    head = ["compared", "policy", "success", "95 % interval"]
    head += [f"{what}, {unit}" for what, unit, _, _ in FIGURES[:2]]
    return rows([*head, "made again"], body)


def tests(stores: dict[str, LiveStore]) -> str:
    """Return the table of what the pairs say."""
    body = []
    for name, store in stores.items():
        counts = count_pairs(whole_pairs(store.lines))
        numbers = (counts.pairs, counts.both, counts.only_a, counts.only_b, counts.neither)
        found = "a difference" if counts.differ else "none found"
        body.append([NAMES[name], *map(str, numbers), f"{counts.p:.3g}", found])
    head = ["compared", "pairs", "both", "only A", "only B", "none", "sign test, p", "said"]
    return rows(head, body)


def repeats(stores: dict[str, LiveStore]) -> str:
    """Return the table of the comparisons that were made again of the same trials."""
    body = []
    for name, store in stores.items():
        pairs = whole_pairs(store.lines)
        few, few_a = share_found(pairs, REPEATS, name == "same", seed=1)
        many, _ = share_found(pairs, MANY, name == "same", seed=2)
        low, high = wilson(few, REPEATS)
        told = [f"{few} of {REPEATS}, {few_a} in favour of A", f"{low:.3f} to {high:.3f}"]
        body.append([NAMES[name], *told, f"{100.0 * many / MANY:.1f} %"])
    return rows(["compared", "a difference was found in", "95 % interval", f"of {MANY}"], body)


def made(stores: dict[str, LiveStore], limit_s: float) -> str:
    """Return when and where it was measured."""
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    return (
        f"Measured on {day}, {os.cpu_count()} processor cores; {sum(map(count, stores.values()))} "
        f"trials of at most {limit_s:g} s."
    )


def count(store: LiveStore) -> int:
    """Return how many trials count."""
    return len(store.counted)


def main() -> int:
    """Run both comparisons and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--limit", type=float, default=30.0, help="of a trial, s")
    parser.add_argument("--work", type=Path, default=TOP / "out" / "compare_live")
    parser.add_argument("--folder", type=Path, default=TOP / "docs" / "measurements")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    log = given.work / "launch.log"
    process = launched(both_policies(given.work), log)
    try:
        for name, nodes in COMPARISONS.items():
            compared(given.work / name, nodes, given.pairs, given.limit)
    except subprocess.CalledProcessError:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        return 1
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
    stores = {name: read(given.work / name) for name in COMPARISONS}
    for name in COMPARISONS:
        results = given.folder / f"compare_policies_{name}.csv"
        shutil.copyfile(given.work / name / "results.csv", results)
    page = given.folder / PAGE
    tables = {
        "made": lambda: made(stores, given.limit),
        "trials": lambda: trials(stores),
        "tests": lambda: tests(stores),
        "repeats": lambda: repeats(stores),
    }
    page.write_text(renew(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
