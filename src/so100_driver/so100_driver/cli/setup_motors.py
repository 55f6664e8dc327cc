# SPDX-License-Identifier: Apache-2.0
"""Give new servos their ids, one at a time, as LeRobot does."""

from __future__ import annotations

import contextlib

from ..bus import BusError, ServoBus
from ..core.calibration import JOINTS
from ..core.registers import BAUD_RATE, MODEL_NUMBER
from .guide import Guide

_RATES = (BAUD_RATE, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400)
# A new servo has the id 1, one of an arm 1 to 6.
_SCANNED = range(1, 10)


def set_up_motors(bus: ServoBus, guide: Guide, dry_run: bool = False) -> None:
    """Lead a person from the gripper's servo to the base's, and write each one's id and rate.

    Args:
        bus: A bus with one servo at a time.
        guide: Leads the person.
        dry_run: Say what would be written, and write nothing.

    Raises:
        BusError: Not exactly one servo answers, or it is of another model.
        StoppedByPersonError: The person ended it.
    """
    for name in reversed(JOINTS):
        wanted = JOINTS.index(name) + 1
        guide.wait(f"Connect the servo of {name} ALONE to the adapter, and its supply.")
        rate, found = _the_only_one(bus)
        model = bus.read(found, "Model_Number")
        if model != MODEL_NUMBER:
            raise BusError(f"id {found}: model number {model}; an STS3215 has {MODEL_NUMBER}")
        if (found, rate) == (wanted, BAUD_RATE):
            guide.say(f"ok    {name}: has the id {wanted} already")
        elif dry_run:
            guide.say(f"dry run: {name}: id {found} at {rate} would become {wanted}")
        else:
            _give(bus, found, wanted, rate)
            guide.say(f"ok    {name}: id {found} is {wanted} now")
        bus.set_baud_rate(BAUD_RATE)
    guide.say("Connect all servos in a chain again, and run `so101 doctor`.")


def _the_only_one(bus: ServoBus) -> tuple[int, int]:
    for rate in _RATES:
        bus.set_baud_rate(rate)
        found, garbled = bus.scan(_SCANNED, tries=1)
        if garbled or len(found) > 1:
            seen = sorted(found | garbled)
            raise BusError(f"more than one servo answers (ids {seen}); connect one alone")
        if found:
            return rate, found.pop()
    raise BusError("no servo answers at any rate: look at its cable and its supply")


def _give(bus: ServoBus, found: int, wanted: int, rate: int) -> None:
    bus.write(found, "Torque_Enable", 0)
    bus.write(found, "Lock", 0)
    if rate != BAUD_RATE:
        # Whether it answers at the old rate or the new one is not the same for all firmware.
        with contextlib.suppress(BusError):
            bus.write(found, "Baud_Rate", 0)
        bus.set_baud_rate(BAUD_RATE)
    # Nor whether with the old id or the new one.
    with contextlib.suppress(BusError):
        bus.write(found, "ID", wanted)
    if bus.read(wanted, "ID") != wanted:
        raise BusError(f"id {wanted}: was not taken; try again")
    bus.write(wanted, "Lock", 1)
