# SPDX-License-Identifier: Apache-2.0
"""Frames byte by byte, as Feetech's manual prints them, and through rubbish."""

import random

import pytest

from so100_driver.core.packets import Instruction, Packet, Receiver
from so100_driver.core.registers import STS3215, errors_in

GOLDEN = [
    # Examples of the protocol's manual: ping of 1, read of 2 bytes at 0x38, its answer, a write.
    (Packet(1, Instruction.PING), "ff ff 01 02 01 fb"),
    (Packet(1, Instruction.READ, bytes([0x38, 2])), "ff ff 01 04 02 38 02 be"),
    (Packet(1, 0, bytes([0x18, 0x05])), "ff ff 01 04 00 18 05 dd"),
    (
        Packet(1, Instruction.WRITE, bytes([0x2A, 0x00, 0x08, 0x00, 0x00, 0xE8, 0x03])),
        "ff ff 01 09 03 2a 00 08 00 00 e8 03 d5",
    ),
]


@pytest.mark.parametrize(("packet", "text"), GOLDEN)
def test_a_packet_has_the_bytes_of_the_manual(packet, text):
    line = bytes.fromhex(text)
    assert packet.to_bytes() == line
    assert list(Receiver().feed(line)) == [packet]


def test_packets_are_found_in_rubbish_whatever_the_cuts():
    generator = random.Random(3)
    sent, stream = [], b""
    for _ in range(200):
        # Rubbish without a header, so that no packet of ours is swallowed by a made-up length.
        stream += bytes(generator.randrange(255) for _ in range(generator.randrange(4)))
        packet = Packet(
            generator.randrange(254),
            generator.randrange(4),
            generator.randbytes(generator.randrange(20)),
        )
        sent.append(packet)
        stream += packet.to_bytes()
    receiver, found = Receiver(), []
    while stream:
        cut = generator.randrange(1, 9)
        found += receiver.feed(stream[:cut])
        stream = stream[cut:]
    assert found == sent


def test_a_million_random_bytes_end_nothing_and_keep_no_memory():
    generator, receiver = random.Random(5), Receiver()
    for _ in range(1000):
        noise = bytes(
            generator.choice((0xFF, 0xFF, generator.randrange(256))) for _ in range(1000)
        )
        for packet in receiver.feed(noise):
            assert Receiver().feed(packet.to_bytes())
    assert len(receiver._buffer) < 300


def test_a_changed_byte_is_never_taken_for_the_packet_that_was_sent():
    packet = Packet(3, 0, bytes(range(15)))
    line = packet.to_bytes()
    for place in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            assert packet not in list(Receiver().feed(bytes(changed)))


@pytest.mark.parametrize("name", STS3215)
def test_a_register_returns_what_it_was_given(name):
    register = STS3215[name]
    values = {0, 1, register.largest}
    if register.sign_bit is not None:
        values |= {-1, -register.largest}
    for value in values:
        assert register.decode(register.encode(value)) == value
    with pytest.raises(ValueError, match=name):
        register.encode(register.largest + 1)


def test_signs_are_a_bit_and_not_two_s_complement():
    assert STS3215["Homing_Offset"].encode(-5) == bytes([5, 0x08])
    assert STS3215["Present_Load"].encode(-5) == bytes([5, 0x04])
    assert STS3215["Goal_Position"].encode(-5) == bytes([5, 0x80])


def test_no_two_registers_overlap():
    taken = set()
    for register in STS3215.values():
        place = set(range(register.address, register.address + register.size))
        assert not place & taken, register.name
        taken |= place


def test_fault_bits_have_names_and_unknown_ones_are_shown():
    assert errors_in(0) == ()
    assert errors_in(0x24) == ("temperature", "overload")
    assert errors_in(0x50) == ("unknown_bits_0x50",)
