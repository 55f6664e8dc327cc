# SPDX-License-Identifier: Apache-2.0
"""The control loop of an SO-101 in real time, on a pseudo-terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from so100_driver.bus import ServoBus
from so100_driver.control_loop import ControlLoop
from so100_driver.core.arm import Arm
from so100_driver.core.calibration import JOINTS
from so100_driver.core.description import RANGES_RAD
from so100_driver.core.scale import scales_of
from so100_driver.sim_bus.arm import so101_calibration

PERIOD_S = 0.01


def rate(folder: Path, seconds: float) -> None:
    """Run the loop at 100 Hz on a pseudo-terminal, with and without lost answers."""
    outcome = []
    for lost in (0.0, 0.05):
        code = (
            "import sys, time\n"
            "from so100_driver.sim_bus.arm import simulated_so101\n"
            "from so100_driver.sim_bus.port import SimulatedPort\n"
            "bus = simulated_so101((0, -0.4, 0.4, 0.3, 0, 0.5), now_s=time.monotonic())\n"
            f"bus.faults.lost = {lost}\n"
            "port = SimulatedPort(bus)\n"
            "print(port.path, flush=True)\n"
            "sys.stdin.readline()\n"
            "with port.bus() as b: print(b.bytes_on_the_wire, flush=True)\n"
            "sys.stdin.readline()\n"
            "with port.bus() as b: print(b.bytes_on_the_wire, flush=True)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as simulator:
            assert simulator.stdin is not None
            assert simulator.stdout is not None
            outcome.append(_rate(simulator, lost, seconds))
            simulator.stdin.close()
    path = folder / "so101_rate.json"
    path.write_text(json.dumps(outcome, indent=1) + "\n")
    print(json.dumps(outcome, indent=1))


def _rate(simulator: subprocess.Popen[str], lost: float, seconds: float) -> dict[str, object]:
    assert simulator.stdin is not None
    assert simulator.stdout is not None

    def on_the_wire() -> int:
        assert simulator.stdin is not None
        assert simulator.stdout is not None
        simulator.stdin.write("\n")
        simulator.stdin.flush()
        return int(simulator.stdout.readline())

    port = simulator.stdout.readline().strip()
    arm = Arm(scales_of(so101_calibration(), RANGES_RAD, dict.fromkeys(JOINTS, 2048.0)))
    with ServoBus(port) as bus:
        loop = ControlLoop(bus, arm)
        for _ in range(20):
            loop.step(time.monotonic())
            time.sleep(0.01)
        arm.torque_on(time.monotonic())
        before = on_the_wire()
        began_s, cpu_s = time.monotonic(), time.process_time()
        next_s, ends, durations, whole = began_s, [], [], 0
        while time.monotonic() - began_s < seconds:
            now_s = time.monotonic()
            whole += loop.step(now_s).whole
            ends.append(now_s)
            durations.append(time.monotonic() - now_s)
            next_s = max(next_s + PERIOD_S, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))
        elapsed_s = time.monotonic() - began_s
        cpu = (time.process_time() - cpu_s) / elapsed_s
        wire = (on_the_wire() - before) * 10 / 1e6 / elapsed_s
    periods = np.diff(ends) * 1e3
    return {
        "answers_lost": lost,
        "seconds": elapsed_s,
        "cycles": len(ends),
        "cycles_whole": whole,
        "period_ms": {f"p{p}": float(np.percentile(periods, p)) for p in (50, 95, 99, 99.9)},
        "cycle_takes_ms": {f"p{p}": float(np.percentile(durations, p) * 1e3) for p in (50, 99)},
        "cpu_share_of_a_core": cpu,
        "bus_share": wire,
        "load_average": os.getloadavg()[0],
    }
