# SPDX-License-Identifier: Apache-2.0
"""The driver's bus and Feetech's SDK, which LeRobot uses, on one simulated bus: the same values?

    pip install --target FOLDER feetech-servo-sdk
    PYTHONPATH=FOLDER python -m verification.so101_sdk --rounds 300 --out docs/measurements

Each round gives every servo another state, which both then read; and each writes what the other
reads back.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import scservo_sdk

from so100_driver.bus import ServoBus
from so100_driver.core.registers import BAUD_RATE, STS3215
from so100_driver.sim_bus.arm import simulated_so101
from so100_driver.sim_bus.port import SimulatedPort
from verification.outcome import tell

READ = (
    "Present_Position",
    "Present_Velocity",
    "Present_Load",
    "Present_Voltage",
    "Present_Temperature",
    "Status",
    "Moving",
    "Present_Current",
)
WRITTEN = ("Goal_Position", "Torque_Limit", "P_Coefficient", "Homing_Offset", "Acceleration")
PATIENT_MS = 2000.0


class PatientPort(scservo_sdk.PortHandler):
    """As LeRobot patches it: the SDK's own time-out is wrong; and longer, for a busy host."""

    def setPacketTimeout(self, packet_length: int) -> None:  # noqa: N802
        """Wait for as long as a busy host may take."""
        self.packet_start_time = self.getCurrentTime()
        self.packet_timeout = PATIENT_MS


def main() -> int:
    """Compare; return 0 where nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    generator = random.Random(3)
    bus = simulated_so101(now_s=time.monotonic())
    port = SimulatedPort(bus)
    handler = PatientPort(str(port.path))
    handler.openPort()
    handler.setBaudRate(BAUD_RATE)
    packets = scservo_sdk.PacketHandler(0)
    compared = 0
    differing: list[tuple[int, int, str]] = []
    # Nothing moves by itself: what is shown is what was put there.
    bus.advance = lambda now_s: None  # type: ignore[method-assign]
    for servo in bus.servos:
        servo._show = lambda: None  # type: ignore[method-assign]
    for number in range(given.rounds):
        with port.bus() as served:
            for servo in served.servos:
                for name in READ:
                    register = STS3215[name]
                    low = -register.largest if register.sign_bit is not None else 0
                    servo.set(name, generator.randint(low, register.largest))
        theirs = _sdk_reads(handler, packets)
        handler.closePort()
        with ServoBus(str(port.path), timeout_s=2.0) as ours:
            own = {servo: {name: ours.read(servo, name) for name in READ} for servo in range(1, 7)}
            states = ours.read_states(range(1, 7), budget_s=60.0)
            name = WRITTEN[number % len(WRITTEN)]
            register = STS3215[name]
            low = -register.largest if register.sign_bit is not None else 0
            value = generator.randint(low, register.largest)
            ours.write(1 + number % 6, name, value)
        handler.openPort()
        handler.setBaudRate(BAUD_RATE)
        read_back = _sdk_read(handler, packets, 1 + number % 6, name)
        for which in range(1, 7):
            block = states[which]
            for name_of in READ:
                compared += 1
                if theirs[which][name_of] != own[which][name_of]:
                    differing.append((number, which, name_of))
            if (block.position, block.velocity) != (
                theirs[which]["Present_Position"],
                theirs[which]["Present_Velocity"],
            ):
                differing.append((number, which, "block"))
        compared += 1
        if read_back != value:
            differing.append((number, 1 + number % 6, f"write of {name}"))
    handler.closePort()
    port.close()
    outcome = {"rounds": given.rounds, "values_compared": compared, "differing": differing}
    return tell("so101_sdk", outcome, given.out)


def _sdk_read(handler: PatientPort, packets: object, servo: int, name: str) -> int:
    register = STS3215[name]
    read = packets.read1ByteTxRx if register.size == 1 else packets.read2ByteTxRx  # type: ignore[attr-defined]
    raw, result, _ = read(handler, servo, register.address)
    assert result == scservo_sdk.COMM_SUCCESS, (servo, name, result)
    return register.decode(int(raw).to_bytes(register.size, "little"))


def _sdk_reads(handler: PatientPort, packets: object) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {servo: {} for servo in range(1, 7)}
    for name in READ:
        register = STS3215[name]
        group = scservo_sdk.GroupSyncRead(handler, packets, register.address, register.size)
        for servo in range(1, 7):
            group.addParam(servo)
        assert group.txRxPacket() == scservo_sdk.COMM_SUCCESS, name
        for servo in range(1, 7):
            raw = group.getData(servo, register.address, register.size)
            found[servo][name] = register.decode(int(raw).to_bytes(register.size, "little"))
    return found


if __name__ == "__main__":
    sys.exit(main())
