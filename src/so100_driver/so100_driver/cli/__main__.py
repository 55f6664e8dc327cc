# SPDX-License-Identifier: Apache-2.0
"""`so101`: from an arm in its box to one that can be driven, and an arm that is simulated."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from ..bus import BusError, ServoBus
from ..core.calibration import Calibration, CalibrationError, load
from ..core.checkup import Grade
from .guide import Guide, StoppedByPersonError, TerminalGuide

# A guided command is in no hurry: adapters with their latency at its default answer after 16 ms.
# A person waits; a busy computer is no silent servo.
_PATIENT_S = 0.5
_SCANNING_S = 0.25


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="so101", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor", help="what is wrong, and what to do; switches nothing on and writes nothing"
    )
    doctor.add_argument("port", help="serial port, such as /dev/ttyACM0")
    doctor.add_argument("--calibration", type=Path, help="LeRobot's calibration file of this arm")
    motors = commands.add_parser("setup-motors", help="give new servos their ids, one at a time")
    motors.add_argument("port", help="serial port")
    motors.add_argument("--dry-run", action="store_true", help="write nothing into any servo")
    calibrate = commands.add_parser(
        "calibrate", help="calibrate an arm as LeRobot does, then prove it"
    )
    calibrate.add_argument("port", help="serial port")
    calibrate.add_argument("file", type=Path, help="LeRobot's calibration file, to be written")
    calibrate.add_argument("--dry-run", action="store_true", help="write nothing at all")
    prove = commands.add_parser(
        "prove",
        help="find out whether a calibration is this arm's; needed once before it is driven",
    )
    prove.add_argument("port", help="serial port")
    prove.add_argument("file", type=Path, help="LeRobot's calibration file of this arm")
    prove.add_argument("--dry-run", action="store_true", help="no torque, and keep no proof")
    simulate = commands.add_parser("simulate", help="an arm on a pseudo-terminal, until Ctrl-C")
    simulate.add_argument(
        "--link", type=Path, help="name for the port, such as /tmp/so101_follower"
    )
    simulate.add_argument(
        "--calibration", type=Path, help="write its calibration and the proof of it here"
    )
    commands.add_parser("udev", help="print the rule that gives the port its name")
    return parser


def main(arguments: Sequence[str] | None = None, guide: Guide | None = None) -> int:
    """Run a command.

    Returns:
        0; 1 where something is wrong with the arm or a person ended it; 2 where the call is.
    """
    given = _parser().parse_args(arguments)
    guide = guide or TerminalGuide()
    try:
        if given.command == "udev":
            print(files("so100_driver").joinpath("udev/99-so101.rules").read_text(), end="")
            return 0
        if given.command == "simulate":
            return _simulate(given.link, given.calibration)
        if given.command == "doctor":
            return _doctor(given.port, given.calibration)
        if given.command == "setup-motors":
            return _set_up_motors(given.port, given.dry_run, guide)
        if given.command == "calibrate":
            return _calibrate(given.port, given.file, given.dry_run, guide)
        return _prove(given.port, given.file, given.dry_run, guide)
    except CalibrationError as error:
        print(error, file=sys.stderr)
        return 2
    except StoppedByPersonError as error:
        print(f"{error}: nothing more is done", file=sys.stderr)
        return 1
    except BusError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended by Ctrl-C: nothing more is done", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or given.command}: {error.strerror or error}", file=sys.stderr)
        return 2


def _doctor(port: str, calibration_file: Path | None) -> int:
    from .doctor import examine

    calibration = load(calibration_file) if calibration_file else None
    worst = Grade.OK
    for finding in examine(port, calibration, calibration_file):
        print(finding, flush=True)
        if finding.grade is Grade.FAIL:
            worst = Grade.FAIL
    return int(worst is Grade.FAIL)


def _set_up_motors(port: str, dry_run: bool, guide: Guide) -> int:
    from .setup_motors import set_up_motors

    with ServoBus(port, timeout_s=_SCANNING_S) as bus:
        set_up_motors(bus, guide, dry_run)
    return 0


def _calibrate(port: str, file: Path, dry_run: bool, guide: Guide) -> int:
    from .calibrate import calibrate
    from .prove import NotProvedError

    before = _free(file)
    if file.exists() and not dry_run:
        guide.wait(f"{file} is there already: it is kept as {before.name}, and replaced.")
    if not dry_run:
        file.parent.mkdir(parents=True, exist_ok=True)
    with ServoBus(port, timeout_s=_PATIENT_S) as bus:
        try:
            calibration = calibrate(bus, guide, dry_run)
        except NotProvedError as error:
            print(f"refused, and nothing written:\n{error}", file=sys.stderr)
            return 1
        if dry_run:
            print(calibration.to_text())
            return 0
        try:
            if file.exists():
                file.replace(before)
            file.write_text(calibration.to_text(), encoding="utf-8")
        except OSError:
            # The servos keep it already.
            print(f"{calibration.to_text()}\nthe above belongs into {file}:", file=sys.stderr)
            raise
        guide.say(f"written: {file}")
        return _proved(bus, calibration, file, dry_run, guide)


def _free(file: Path) -> Path:
    """Return a name for what a file held before, under which nothing is kept yet."""
    name, number = file.with_name(f"{file.name}.before"), 1
    while name.exists():
        number += 1
        name = file.with_name(f"{file.name}.before{number}")
    return name


def _prove(port: str, file: Path, dry_run: bool, guide: Guide) -> int:
    calibration = load(file)
    with ServoBus(port, timeout_s=_PATIENT_S) as bus:
        return _proved(bus, calibration, file, dry_run, guide)


def _proved(
    bus: ServoBus, calibration: Calibration, file: Path, dry_run: bool, guide: Guide
) -> int:
    from .prove import NotProvedError, keep, prove_at_rest, prove_gripper

    try:
        zeros = prove_at_rest(bus, calibration, guide)
        if dry_run:
            guide.say("dry run: the gripper was not closed, and no proof is kept")
            return 0
        prove_gripper(bus, calibration, guide)
    except NotProvedError as error:
        print(f"refused before any motion:\n{error}", file=sys.stderr)
        return 1
    guide.say(f"proved: {keep(file, calibration, zeros)}")
    return 0


def _simulate(link: Path | None, calibration_file: Path | None) -> int:
    import signal
    import time

    from ..core.description import RANGES_RAD
    from ..core.scale import zero_of
    from ..sim_bus.arm import simulated_so101, so101_calibration
    from ..sim_bus.hand import HELP, ArmHand
    from ..sim_bus.port import SimulatedPort
    from .prove import keep

    if link is not None and link.exists() and not link.is_symlink():
        print(f"{link}: is there already and is no link; choose another name", file=sys.stderr)
        return 2
    if calibration_file is not None:
        calibration = so101_calibration()
        text = calibration.to_text()
        if calibration_file.exists() and calibration_file.read_bytes() != text.encode():
            print(
                f"{calibration_file}: is there already, and is not the simulated arm's; choose "
                "another name",
                file=sys.stderr,
            )
            return 2
        calibration_file.write_text(calibration.to_text(), encoding="utf-8")
        zeros = {
            name: zero_of((joint.range_min, joint.range_max), RANGES_RAD[name])
            for name, joint in calibration.joints.items()
        }
        keep(calibration_file, calibration, zeros)
    bus = simulated_so101(now_s=time.monotonic())
    hand = ArmHand(bus)
    port = SimulatedPort(bus, link)
    print(f"a simulated SO-101 answers at {port.path}; Ctrl-C ends it", flush=True)
    if sys.stdin.isatty():
        print(HELP, flush=True)
    # A shell that starts it in the background has it ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # Nor does it stop there for want of a terminal to read from: nobody is its hands then.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):
            for line in sys.stdin:
                with port.bus():
                    done = hand.do(line)
                print(done, flush=True)
        signal.pause()
    except KeyboardInterrupt:
        return 0
    finally:
        port.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
