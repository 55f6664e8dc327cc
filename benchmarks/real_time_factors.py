# SPDX-License-Identifier: Apache-2.0
"""Run the demonstration at several speeds of simulated time, and through pauses.

    python benchmarks/real_time_factors.py [--factors 0.1 0.5 1 2 0] [--write]

Each run is `demo`, with everything that it launches. In the last one the simulation is paused in
mid-motion, twice for ten seconds. `--write` puts the table into
docs/measurements/simulated_time.md.
The time a run takes is the host's own; whatever else the table holds must not depend on it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rclpy
from pages import DOCS, fill, machine, table
from std_srvs.srv import Empty

DEMO = Path(sys.executable).with_name("demo")
PAUSES, PAUSE_S, BETWEEN_S = 2, 10.0, 3.0
DEADLINE_S = 60.0
HEADER = (
    *("real-time factor", "episodes done", "durations [s]", "peak jerk / limit", "trips"),
    *("plans forwarded", "plans refused", "simulated [s]", "host [s]", "load"),
)


class Pauses:
    """Calls the simulation's pause services from outside, as a person would."""

    def __init__(self) -> None:
        rclpy.init(args=[])
        self.node = rclpy.create_node("pauses")
        self.clients = [
            self.node.create_client(Empty, f"/vla_sim/{name}_physics")
            for name in ("pause", "unpause")
        ]

    def run(self) -> None:
        """Pause in motion, go on, again."""
        for client in self.clients:
            if not client.wait_for_service(DEADLINE_S):
                raise SystemExit("the simulation offers no pause; did the demonstration start?")
        time.sleep(2 * BETWEEN_S)
        for _ in range(PAUSES):
            for client, wait_s in zip(self.clients, (PAUSE_S, BETWEEN_S), strict=True):
                future = client.call_async(Empty.Request())
                rclpy.spin_until_future_complete(self.node, future, timeout_sec=DEADLINE_S)
                if not future.done():
                    raise SystemExit(f"{client.srv_name} did not answer")
                time.sleep(wait_s)

    def close(self) -> None:
        """End the node."""
        self.node.destroy_node()
        rclpy.try_shutdown()


def run(factor: float, paused: bool) -> tuple[bool, list[object]]:
    """Run a demonstration; return whether all went well, and its line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        command = [DEMO, "--real-time-factor", str(factor), "--output", folder]
        with open(os.path.join(folder, "log"), "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            if paused:
                pauses = Pauses()
                pauses.run()
                pauses.close()
            code = process.wait()
        path = Path(folder) / "summary.json"
        if not path.exists():
            raise SystemExit(
                f"no result (exit code {code}):\n{Path(log.name).read_text()[-2000:]}"
            )
        summary = json.loads(path.read_text())
    episodes = summary["episodes"]
    name = f"{factor:g}" + (f", paused {PAUSES} x {PAUSE_S:g} s" if paused else "")
    return code == 0, [
        *(name, f"{sum(each['success'] for each in episodes)} of {len(episodes)}"),
        ", ".join(f"{each['duration_s']:.2f}" for each in episodes),
        *(f"{summary['peak_command_jerk_ratio']:.6f}", ", ".join(summary["trips"]) or "none"),
        *(summary["plans_forwarded"], summary["plans_rejected"]),
        *(f"{summary['ros_s']:.1f}", f"{summary['wall_s']:.1f}", f"{os.getloadavg()[0]:.0f}"),
    ]


def main() -> int:
    """Run them all; return 1 when one did not end well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factors", type=float, nargs="+", default=[0.1, 0.5, 1.0, 2.0, 0.0])
    parser.add_argument("--write", action="store_true", help="into docs/measurements")
    given = parser.parse_args()
    rows, good = [], True
    for factor, paused in [*((factor, False) for factor in given.factors), (1.0, True)]:
        ended, row = run(factor, paused)
        good &= ended
        rows.append(row)
        print(" | ".join(str(cell) for cell in row), flush=True)
    if given.write:
        text = f"{table(HEADER, rows)}\n\n{machine()}."
        fill(DOCS / "simulated_time.md", {"factors": text})
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
