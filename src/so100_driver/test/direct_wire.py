# SPDX-License-Identifier: Apache-2.0
"""The simulated bus without a port: what a driver asks of a bus, at a time that is given.

For tests and measurements that must be the same each time. The frames are the real ones; only the
pseudo-terminal and the host's clock are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from so100_driver.bus import BusError, drive_of, state_of
from so100_driver.core.packets import Instruction, Packet, Receiver
from so100_driver.core.registers import (
    BROADCAST_ID,
    DRIVE_ADDRESS,
    DRIVE_SIZE,
    STATE_ADDRESS,
    STATE_SIZE,
    STS3215,
)
from so100_driver.core.state import DriveSettings, ServoState
from so100_driver.sim_bus.bus import SimulatedBus

_TRIES = 3


class DirectWire:
    """Offers a simulated bus as `ServoBus` offers a port.

    Attributes:
        now_s: The time of everything that is asked.
        gone: The port has vanished.
    """

    def __init__(self, bus: SimulatedBus) -> None:
        self.bus = bus
        self.now_s = 0.0
        self.gone = False
        self.cable_in = True

    def reopen(self) -> None:
        """Find the port again.

        Raises:
            BusError: The cable is out.
        """
        if not self.cable_in:
            raise BusError("there is no such port")
        self.gone = False

    def unplug(self) -> None:
        """Pull the USB cable."""
        self.gone, self.cable_in = True, False

    def read_states(self, ids: Sequence[int]) -> dict[int, ServoState]:
        """Read all, and ask again, one by one, for what is missing."""
        parameters = bytes((STATE_ADDRESS, STATE_SIZE, *ids))
        packets = self._ask(Packet(BROADCAST_ID, Instruction.SYNC_READ, parameters))
        wanted = set(ids)
        found = {
            packet.servo_id: packet
            for packet in packets
            if packet.servo_id in wanted and len(packet.parameters) == STATE_SIZE
        }
        for servo_id in wanted - set(found):
            try:
                found[servo_id] = self._answer(servo_id, STATE_ADDRESS, STATE_SIZE)
            except BusError:
                continue
        return {
            servo_id: state_of(servo_id, packet.parameters, packet.code)
            for servo_id, packet in found.items()
        }

    def read_drive(self, servo_id: int) -> DriveSettings:
        """Read what a servo keeps of its orders.

        Raises:
            BusError: No answer.
        """
        return drive_of(self._answer(servo_id, DRIVE_ADDRESS, DRIVE_SIZE, 1).parameters)

    def read(self, servo_id: int, name: str) -> int:
        """Read a register.

        Raises:
            BusError: No answer.
        """
        register = STS3215[name]
        answer = self._answer(servo_id, register.address, register.size)
        return register.decode(answer.parameters)

    def write(self, servo_id: int, name: str, value: int) -> None:
        """Write a register.

        Raises:
            BusError: No answer.
        """
        register = STS3215[name]
        data = bytes((register.address,)) + register.encode(value)
        for _ in range(_TRIES):
            packets = self._ask(Packet(servo_id, Instruction.WRITE, data))
            if any(packet.servo_id == servo_id for packet in packets):
                return
        raise BusError(f"servo {servo_id}: write of {name}: no answer")

    def write_goals(self, goals: dict[int, int]) -> None:
        """Send goals in one packet.

        Raises:
            BusError: The port is gone.
        """
        if self.gone:
            raise BusError("the port is gone")
        register = STS3215["Goal_Position"]
        rows = b"".join(bytes((number,)) + register.encode(goal) for number, goal in goals.items())
        data = bytes((register.address, register.size)) + rows
        self._ask(Packet(BROADCAST_ID, Instruction.SYNC_WRITE, data))

    def _answer(self, servo_id: int, address: int, count: int, tries: int = _TRIES) -> Packet:
        for _ in range(tries):
            packets = self._ask(Packet(servo_id, Instruction.READ, bytes((address, count))))
            for packet in packets:
                if packet.servo_id == servo_id and len(packet.parameters) == count:
                    return packet
        raise BusError(f"servo {servo_id}: read of {count} bytes at {address}: no answer")

    def _ask(self, packet: Packet) -> list[Packet]:
        if self.gone:
            return []
        receiver = Receiver()
        answers = self.bus.receive(packet.to_bytes(), self.now_s)
        return [found for answer in answers for found in receiver.feed(answer.data)]
