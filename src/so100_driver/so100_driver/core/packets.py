# SPDX-License-Identifier: Apache-2.0
"""Packets of Feetech's protocol 0: framing, checksum, the instructions that exist.

    FF FF | id | length | instruction or error | parameters ... | checksum

`length` counts what follows it; the checksum is the inverted low byte of the sum from `id` on. The
driver leaves framing to rustypot; the simulated bus and the tests need the other end of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

HEADER = b"\xff\xff"
# id, length, instruction, checksum
_LEAST = 6
_LONGEST = 255


class Instruction(IntEnum):
    """What a packet asks for."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    RECOVERY = 0x06
    REBOOT = 0x08
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


@dataclass(frozen=True)
class Packet:
    """A packet in either direction.

    Attributes:
        servo_id: 0 to 253; 254 is everyone.
        code: The instruction, or the error byte of an answer.
        parameters: What follows it.
    """

    servo_id: int
    code: int
    parameters: bytes = b""

    def to_bytes(self) -> bytes:
        """Return it as it goes over the wire.

        Raises:
            ValueError: More parameters than a packet can hold.
        """
        length = len(self.parameters) + 2
        if length > _LONGEST:
            raise ValueError(f"{len(self.parameters)} parameters; a packet holds {_LONGEST - 2}")
        body = bytes((self.servo_id, length, self.code)) + self.parameters
        return HEADER + body + bytes((checksum(body),))


def checksum(body: bytes) -> int:
    """Return the checksum of what stands between the header and itself."""
    return ~sum(body) & 0xFF


class Receiver:
    """Finds packets in a stream of bytes that may hold rubbish.

    Bytes that belong to no packet are dropped and counted. The memory is bounded by one packet.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.dropped = 0
        self.corrupt = 0

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that are complete with these bytes."""
        self._buffer += data
        while True:
            start = self._buffer.find(HEADER)
            if start < 0:
                keep = 1 if self._buffer.endswith(b"\xff") else 0
                self._drop(len(self._buffer) - keep)
                return
            self._drop(start)
            # A third FF cannot be an id: the header begins one byte later.
            if len(self._buffer) > 2 and self._buffer[2] == 0xFF:
                self._drop(1)
                continue
            if len(self._buffer) < _LEAST:
                return
            length = self._buffer[3]
            if length < 2:
                self._drop(2)
                continue
            end = 4 + length
            if len(self._buffer) < end:
                return
            body, given = bytes(self._buffer[2 : end - 1]), self._buffer[end - 1]
            if checksum(body) != given:
                self.corrupt += 1
                self._drop(2)
                continue
            del self._buffer[:end]
            yield Packet(body[0], body[2], body[3:])

    def clear(self) -> None:
        """Forget a packet that never became complete, as after a silence on the line."""
        self._drop(len(self._buffer))

    def _drop(self, count: int) -> None:
        if count > 0:
            self.dropped += count
            del self._buffer[:count]
