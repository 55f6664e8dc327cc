# SPDX-License-Identifier: Apache-2.0
"""`so101 doctor PORT` and `so101 simulate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..core.calibration import CalibrationError, load
from ..core.checkup import Grade


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 where something is wrong with the arm, 2 where the call is."""
    parser = argparse.ArgumentParser(prog="so101", description="Look at an SO-100 or SO-101 arm.")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor", help="what is wrong, and what to do; switches nothing on and writes nothing"
    )
    doctor.add_argument("port", help="serial port, such as /dev/ttyACM0")
    doctor.add_argument("--calibration", type=Path, help="LeRobot's calibration file of this arm")
    simulate = commands.add_parser("simulate", help="an arm on a pseudo-terminal, until Ctrl-C")
    simulate.add_argument(
        "--link", type=Path, help="name for the port, such as /tmp/so101_follower"
    )
    given = parser.parse_args(arguments)
    if given.command == "simulate":
        return _simulate(given.link)
    return _doctor(given.port, given.calibration)


def _doctor(port: str, calibration_file: Path | None) -> int:
    from .doctor import examine

    try:
        calibration = load(calibration_file) if calibration_file else None
    except CalibrationError as error:
        print(error, file=sys.stderr)
        return 2
    worst = Grade.OK
    for finding in examine(port, calibration):
        print(finding, flush=True)
        if finding.grade is Grade.FAIL:
            worst = Grade.FAIL
    return int(worst is Grade.FAIL)


def _simulate(link: Path | None) -> int:
    import signal
    import time

    import numpy as np

    from ..sim_bus.arm import REST_RAD, so101_servos
    from ..sim_bus.bus import SimulatedBus
    from ..sim_bus.plant import FreeShafts
    from ..sim_bus.port import SimulatedPort

    if link is not None and link.exists() and not link.is_symlink():
        print(f"{link}: is there already and is no link; choose another name", file=sys.stderr)
        return 2
    bus = SimulatedBus(so101_servos(), FreeShafts(np.array(REST_RAD)), now_s=time.monotonic())
    port = SimulatedPort(bus, link)
    print(f"a simulated SO-101 answers at {port.path}; Ctrl-C ends it", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        return 0
    finally:
        port.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
