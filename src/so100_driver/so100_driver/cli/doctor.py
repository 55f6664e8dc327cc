# SPDX-License-Identifier: Apache-2.0
"""Ask an arm everything that tells whether it can be driven; write nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..bus import BusError, ServoBus
from ..core.calibration import Calibration, CalibrationError
from ..core.checkup import READ, Finding, Grade, judge_calibration, judge_ids, judge_registers
from ..core.proved import load_proof
from ..core.registers import BAUD_RATE

_OTHER_RATES = (500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400)
_SCANNED = range(1, 10)
# A USB adapter at its default latency answers after 16 ms; the rest is for a busy computer.
_PATIENT_S = 0.25
_OTHER_RATE_S = 0.1
_LARGEST_LATENCY_MS = 1


def examine(
    port: str, calibration: Calibration | None = None, file: Path | None = None
) -> Iterator[Finding]:
    """Yield findings as they are made.

    Args:
        port: Path of the serial port.
        calibration: LeRobot's file of this arm, where there is one.
        file: Where it lies; its proof lies beside it.
    """
    try:
        bus = ServoBus(port, timeout_s=_PATIENT_S)
    except BusError as error:
        seen, _, remedy = str(error).removeprefix(f"{port}: ").partition("; ")
        yield Finding(Grade.FAIL, f"port {port}", seen, remedy or "choose another port")
        return
    with bus:
        yield Finding(Grade.OK, f"port {port}", "opens")
        yield from _latency(port)
        found, garbled = bus.scan(_SCANNED, tries=1)
        # Whoever is silent is asked again: an answer can get lost. One that comes late spoils the
        # next one's, and is no second servo.
        again, garbled = bus.scan([each for each in _SCANNED if each not in found], tries=1)
        at_last, garbled = bus.scan(sorted(garbled))
        found = found | again | at_last
        if not found and not garbled:
            yield Finding(
                Grade.NOTE, "servos", f"no answer at {BAUD_RATE}; the other rates take 5 s"
            )
            bus.timeout_s = _OTHER_RATE_S
            bus.reopen()
            yield _at_another_rate(bus)
            return
        yield from judge_ids(found, garbled)
        values: dict[int, dict[str, int]] = {}
        for servo_id in sorted(found):
            try:
                values[servo_id] = {name: bus.read(servo_id, name) for name in READ}
            except BusError as error:
                yield Finding(
                    Grade.FAIL, f"id {servo_id}", str(error), "look at its cable: answers get lost"
                )
        yield from judge_registers(values)
        if calibration is not None:
            yield from judge_calibration(calibration, values)
            if file is not None:
                yield _proof(file, calibration)


def _proof(file: Path, calibration: Calibration) -> Finding:
    try:
        load_proof(file, calibration)
    except CalibrationError as error:
        seen, _, remedy = str(error).removeprefix(f"{file}: ").partition("; ")
        return Finding(Grade.FAIL, "proof", seen, remedy)
    return Finding(Grade.OK, "proof", "the calibration was tried on the arm")


def _latency(port: str) -> Iterator[Finding]:
    name = Path(port).resolve().name
    file = Path("/sys/bus/usb-serial/devices") / name / "latency_timer"
    try:
        latency_ms = int(file.read_text())
    except (OSError, ValueError):
        # Only some USB adapters have one.
        return
    if latency_ms <= _LARGEST_LATENCY_MS:
        yield Finding(Grade.OK, "latency timer", f"{latency_ms} ms")
    else:
        yield Finding(
            Grade.FAIL,
            "latency timer",
            f"{latency_ms} ms: no cycle of 100 Hz is possible",
            f"echo {_LARGEST_LATENCY_MS} | sudo tee {file}",
        )


def _at_another_rate(bus: ServoBus) -> Finding:
    for rate in _OTHER_RATES:
        bus.set_baud_rate(rate)
        found, garbled = bus.scan(range(1, 7), tries=1)
        if found or garbled:
            return Finding(
                Grade.FAIL,
                "baud rate",
                f"servos answer at {rate}, not at {BAUD_RATE}",
                "`so101 setup-motors` sets it",
            )
    return Finding(
        Grade.FAIL,
        "servos",
        "no answer at any baud rate",
        "is the supply on, and the first servo plugged into the adapter? is it the right port?",
    )
