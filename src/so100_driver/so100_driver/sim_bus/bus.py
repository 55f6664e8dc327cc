# SPDX-License-Identifier: Apache-2.0
"""The wire with its servos: bytes in, bytes out, and when. Time is an argument."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from so100_driver.core.packets import Instruction, Packet, Receiver
from so100_driver.core.registers import BAUD_RATE, BROADCAST_ID

from .plant import ServoPlant
from .servo import Servo

_BITS_PER_BYTE = 10
_RETURN_DELAY_S_PER_UNIT = 2e-6
_STEP_S = 0.001
# Of adding up steps.
_ROUNDING_S = 1e-9
# After a longer silence the time in between is skipped: nobody looked.
_LONGEST_CATCH_UP_S = 5.0
# More does not fit into an answer.
_LONGEST_READ = 253
SUPPLY_V = 7.4
_SUPPLY_OHM = 0.15


@dataclass
class Faults:
    """What goes wrong, until it is set back.

    Attributes:
        silent: Ids that do not answer.
        lost: Share of answers that never arrive.
        lost_once: Ids whose next answer never arrives.
        corrupted: Share of answers with a byte changed.
        wrong_id: Ids that answer under the id given.
        unplugged: Nothing answers and nothing arrives.
        unpowered: Ids without power, as behind a cable that was pulled out of the chain.
        supply_v: Voltage of the supply.
        frozen: Ids whose answers repeat the first state block that was read.
    """

    silent: set[int] = field(default_factory=set)
    lost: float = 0.0
    lost_once: set[int] = field(default_factory=set)
    corrupted: float = 0.0
    wrong_id: dict[int, int] = field(default_factory=dict)
    unplugged: bool = False
    unpowered: set[int] = field(default_factory=set)
    supply_v: float = SUPPLY_V
    frozen: dict[int, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Bytes that a servo sends.

    Attributes:
        data: What is on the wire.
        due_s: When its last byte has arrived, on the clock of `receive`.
    """

    data: bytes
    due_s: float


class SimulatedBus:
    """Servos on one half-duplex wire.

    Two servos with one id answer at once; then neither answer can be read.

    Attributes:
        alone: The only servo that is connected, and has power, by its place; None: all are.
    """

    def __init__(
        self, servos: Sequence[Servo], plant: ServoPlant, seed: int = 0, now_s: float = 0.0
    ) -> None:
        self.servos = list(servos)
        self.plant = plant
        self.faults = Faults()
        self.alone: int | None = None
        self.receiver = Receiver()
        self._random = random.Random(seed)
        self._now_s = now_s
        self._busy_until_s = now_s
        self.bytes_on_the_wire = 0
        self._look()
        for servo in self.servos:
            servo.restart()

    # -- time ------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Return the time that the servos have reached."""
        return self._now_s

    def advance(self, now_s: float) -> None:
        """Let the servos and what they move reach `now_s`."""
        if now_s - self._now_s > _LONGEST_CATCH_UP_S:
            self._now_s = now_s - _LONGEST_CATCH_UP_S
        while now_s - self._now_s >= _STEP_S - _ROUNDING_S:
            current = sum(servo.current_a for servo in self.servos)
            supply_v = self.faults.supply_v - _SUPPLY_OHM * current
            for index, servo in enumerate(self.servos):
                powered = servo.id_on_the_bus not in self.faults.unpowered
                powered = powered and self.alone in (None, index)
                servo.supply_v = supply_v if powered else 0.0
            torque = np.array([servo.drive(_STEP_S) for servo in self.servos])
            self.plant.step(torque, _STEP_S)
            self._now_s += _STEP_S
            self._look()

    def _look(self) -> None:
        angles, velocities = self.plant.encoder, self.plant.velocity
        for index, servo in enumerate(self.servos):
            servo.sees(float(angles[index]), float(velocities[index]))

    # -- bytes -----------------------------------------------------------------------------------

    def receive(self, data: bytes, now_s: float) -> list[Answer]:
        """Take what the host sent; return what comes back, in order."""
        if self.faults.unplugged:
            return []
        self.advance(now_s)
        self._busy_until_s = max(self._busy_until_s, now_s) + self._wire_s(len(data))
        answers: list[Answer] = []
        for packet in self.receiver.feed(data):
            for answer in self._replies(packet):
                self._busy_until_s += self._wire_s(len(answer))
                damaged = self._damage(answer) if not self._lost_once(answer) else b""
                if damaged:
                    answers.append(Answer(damaged, self._busy_until_s))
        return answers

    def _wire_s(self, count: int) -> float:
        self.bytes_on_the_wire += count
        return count * _BITS_PER_BYTE / BAUD_RATE

    def _lost_once(self, answer: bytes) -> bool:
        lost = answer[2] in self.faults.lost_once
        self.faults.lost_once.discard(answer[2])
        return lost

    def _damage(self, answer: bytes) -> bytes:
        if self._random.random() < self.faults.lost:
            return b""
        if self._random.random() < self.faults.corrupted:
            place = self._random.randrange(len(answer))
            changed = answer[place] ^ (1 << self._random.randrange(8))
            return answer[:place] + bytes((changed,)) + answer[place + 1 :]
        return answer

    def _replies(self, packet: Packet) -> Iterator[bytes]:
        if packet.code == Instruction.SYNC_READ:
            yield from self._sync_read(packet)
        elif packet.code == Instruction.SYNC_WRITE:
            self._sync_write(packet)
        elif packet.servo_id == BROADCAST_ID:
            for servo in [servo for servo in self.servos if not servo.dark]:
                answer = self._execute(servo, packet)
                if packet.code == Instruction.PING and answer is not None:
                    yield from self._spoken({servo.id_on_the_bus: [answer]})
        else:
            addressed = self._with_id(packet.servo_id)
            answers = [self._execute(servo, packet) for servo in addressed]
            spoken = [answer for answer in answers if answer is not None]
            yield from self._spoken({packet.servo_id: spoken})

    def _with_id(self, servo_id: int) -> list[Servo]:
        return [
            servo for servo in self.servos if servo.id_on_the_bus == servo_id and not servo.dark
        ]

    def _spoken(self, answers: dict[int, list[Packet]]) -> Iterator[bytes]:
        """Return answers as they are heard: two at once are garbage."""
        for servo_id, packets in answers.items():
            if servo_id in self.faults.silent or not packets:
                continue
            seen = self.faults.wrong_id.get(servo_id, servo_id)
            lines = [Packet(seen, item.code, item.parameters).to_bytes() for item in packets]
            if len(lines) == 1:
                self._busy_until_s += self._return_delay_s(servo_id)
                yield lines[0]
                continue
            length = max(len(line) for line in lines)
            mixed = bytearray(length)
            for line in lines:
                for place, byte in enumerate(line):
                    mixed[place] |= byte
            # Even equal answers do not start in the same instant.
            mixed[-1] ^= 0x55
            yield bytes(mixed)

    def _return_delay_s(self, servo_id: int) -> float:
        # Nobody, where the write that is answered gave the servo another id.
        units = [servo.get("Return_Delay_Time") for servo in self._with_id(servo_id)]
        return max(units, default=0) * _RETURN_DELAY_S_PER_UNIT

    def _execute(self, servo: Servo, packet: Packet) -> Packet | None:
        """Let one servo carry out an instruction; return its answer."""
        data = packet.parameters
        own_id = servo.id_on_the_bus
        if packet.code == Instruction.PING:
            return Packet(own_id, servo.status)
        if packet.code == Instruction.READ and len(data) == 2 and data[1] <= _LONGEST_READ:
            return Packet(own_id, servo.status, self._read(servo, data[0], data[1]))
        if packet.code == Instruction.WRITE and len(data) >= 2:
            servo.write(data[0], data[1:])
        elif packet.code == Instruction.REG_WRITE and len(data) >= 2:
            servo.defer(packet)
        elif packet.code == Instruction.ACTION:
            servo.act()
        elif packet.code == Instruction.REBOOT:
            servo.restart()
            return None
        else:
            return None
        if packet.servo_id == BROADCAST_ID or not servo.get("Response_Status_Level"):
            return None
        return Packet(own_id, servo.status)

    def _read(self, servo: Servo, address: int, count: int) -> bytes:
        own_id = servo.id_on_the_bus
        data = servo.read(address, count)
        if own_id in self.faults.frozen:
            kept = self.faults.frozen[own_id]
            if kept is None or len(kept) != count:
                self.faults.frozen[own_id] = kept = data
            return kept
        return data

    def _sync_read(self, packet: Packet) -> Iterator[bytes]:
        if len(packet.parameters) < 3:
            return
        address, count, *ids = packet.parameters
        if count > _LONGEST_READ:
            return
        for servo_id in ids:
            answers = [
                Packet(servo_id, servo.status, self._read(servo, address, count))
                for servo in self._with_id(servo_id)
            ]
            yield from self._spoken({servo_id: answers})

    def _sync_write(self, packet: Packet) -> None:
        if len(packet.parameters) < 2:
            return
        address, count = packet.parameters[:2]
        rows = packet.parameters[2:]
        for start in range(0, len(rows) - count, count + 1):
            for servo in self._with_id(rows[start]):
                servo.write(address, rows[start + 1 : start + 1 + count])
