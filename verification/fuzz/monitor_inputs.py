# SPDX-License-Identifier: Apache-2.0
"""Throw messages that nobody sends at the monitor, for as long as wanted.

    python -m verification.fuzz.monitor_inputs --seconds 3600 [--seed 0]

Runs the episodes of the suite's own test, with other seeds: a moving arm, each input garbled, each
service called, in simulated time. Counts episodes and exceptions; prints the seed of each
failure, with which the test repeats it. Exit code 1 after a failure.
"""

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "src" / "smoothness_monitor" / "test"
EPISODE_S = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (default: 60)")
    parser.add_argument("--seed", type=int, default=100, help="of the first episode")
    given = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    # The folders of tests are no packages: more than one has a conftest.
    bench, garbage = map(importlib.import_module, ("conftest", "test_monitor_garbage"))

    from smoothness_monitor.params import load_config
    from vla_contract.robot import load_robot

    robot = load_robot(bench.CONFIG / "robots" / "so101" / "robot.yaml")
    config = load_config(bench.CONFIG / "robots" / "so101" / "monitor.yaml")
    end_s, seed, failed = time.monotonic() + given.seconds, given.seed, 0
    while time.monotonic() < end_s:
        try:
            garbage.hurt(bench.IdealBench(robot, config, seed=seed), seed, EPISODE_S)
        except Exception:
            failed += 1
            print(f"seed {seed}:")
            traceback.print_exc(limit=-6)
        seed += 1
    print(f"{seed - given.seed} episodes of {EPISODE_S:g} s, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
