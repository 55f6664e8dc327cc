# SPDX-License-Identifier: Apache-2.0
"""Control table of the Feetech STS3215, as data.

Source: Feetech's STS3215 memory table, as LeRobot's `motors/feetech/tables.py` has it. Values are
little endian. A signed value is sign and magnitude: its sign is one bit, not two's complement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MODEL_NUMBER = 777
BAUD_RATE = 1_000_000
TICKS_PER_TURN = 4096
RAD_PER_TICK = 2.0 * math.pi / TICKS_PER_TURN
BROADCAST_ID = 0xFE
# One unit of the registers of acceleration, present current, voltage and load.
TICKS_PER_S2_PER_UNIT = 100.0
AMPERE_PER_UNIT = 0.0065
VOLT_PER_UNIT = 0.1
LOAD_PER_UNIT = 0.001


@dataclass(frozen=True)
class Register:
    """One entry of the control table.

    Attributes:
        name: LeRobot's name of it.
        address: Its first byte.
        size: 1 or 2 bytes.
        sign_bit: Which bit is the sign; None where the value is unsigned.
        eeprom: It keeps its value without power, if `Lock` was 0 when it was written.
        read_only: The servo alone writes it.
        default: Value of a new servo.
    """

    name: str
    address: int
    size: int = 1
    sign_bit: int | None = None
    eeprom: bool = False
    read_only: bool = False
    default: int = 0

    @property
    def largest(self) -> int:
        """Return the largest magnitude that fits."""
        if self.sign_bit is not None:
            return (1 << self.sign_bit) - 1
        return (1 << (8 * self.size)) - 1

    def encode(self, value: int) -> bytes:
        """Return the bytes of a value.

        Raises:
            ValueError: The value does not fit.
        """
        lowest = -self.largest if self.sign_bit is not None else 0
        if not (lowest <= value <= self.largest):
            raise ValueError(f"{self.name}: {value} is outside of {lowest} to {self.largest}")
        raw = abs(value)
        if value < 0:
            assert self.sign_bit is not None
            raw |= 1 << self.sign_bit
        return raw.to_bytes(self.size, "little")

    def decode(self, data: bytes) -> int:
        """Return the value of `size` bytes."""
        raw = int.from_bytes(data[: self.size], "little")
        if self.sign_bit is None:
            return raw
        magnitude = raw & ~(1 << self.sign_bit)
        return -magnitude if raw >> self.sign_bit & 1 else magnitude


def _eeprom(
    name: str, address: int, size: int = 1, default: int = 0, sign_bit: int | None = None
) -> Register:
    return Register(name, address, size, sign_bit, eeprom=True, default=default)


def _present(name: str, address: int, size: int = 1, sign_bit: int | None = None) -> Register:
    return Register(name, address, size, sign_bit, read_only=True)


STS3215 = {
    register.name: register
    for register in (
        Register("Firmware_Major_Version", 0, eeprom=True, read_only=True, default=3),
        Register("Firmware_Minor_Version", 1, eeprom=True, read_only=True, default=10),
        Register("Model_Number", 3, 2, eeprom=True, read_only=True, default=MODEL_NUMBER),
        _eeprom("ID", 5, default=1),
        _eeprom("Baud_Rate", 6),
        _eeprom("Return_Delay_Time", 7, default=250),
        _eeprom("Response_Status_Level", 8, default=1),
        _eeprom("Min_Position_Limit", 9, 2),
        _eeprom("Max_Position_Limit", 11, 2, default=4095),
        _eeprom("Max_Temperature_Limit", 13, default=70),
        _eeprom("Max_Voltage_Limit", 14, default=80),
        _eeprom("Min_Voltage_Limit", 15, default=40),
        _eeprom("Max_Torque_Limit", 16, 2, default=1000),
        _eeprom("Phase", 18, default=12),
        _eeprom("Unloading_Condition", 19, default=44),
        _eeprom("LED_Alarm_Condition", 20, default=47),
        _eeprom("P_Coefficient", 21, default=32),
        _eeprom("D_Coefficient", 22, default=32),
        _eeprom("I_Coefficient", 23),
        _eeprom("Minimum_Startup_Force", 24, 2, default=16),
        _eeprom("CW_Dead_Zone", 26, default=1),
        _eeprom("CCW_Dead_Zone", 27, default=1),
        _eeprom("Protection_Current", 28, 2, default=500),
        _eeprom("Angular_Resolution", 30, default=1),
        _eeprom("Homing_Offset", 31, 2, sign_bit=11),
        _eeprom("Operating_Mode", 33),
        _eeprom("Protective_Torque", 34, default=20),
        _eeprom("Protection_Time", 35, default=200),
        _eeprom("Overload_Torque", 36, default=80),
        _eeprom("Velocity_closed_loop_P_proportional_coefficient", 37, default=10),
        _eeprom("Over_Current_Protection_Time", 38, default=200),
        _eeprom("Velocity_closed_loop_I_integral_coefficient", 39, default=10),
        Register("Torque_Enable", 40),
        Register("Acceleration", 41),
        Register("Goal_Position", 42, 2, sign_bit=15),
        Register("Goal_Time", 44, 2),
        Register("Goal_Velocity", 46, 2, sign_bit=15),
        Register("Torque_Limit", 48, 2, default=1000),
        Register("Lock", 55, default=1),
        _present("Present_Position", 56, 2, sign_bit=15),
        _present("Present_Velocity", 58, 2, sign_bit=15),
        _present("Present_Load", 60, 2, sign_bit=10),
        _present("Present_Voltage", 62),
        _present("Present_Temperature", 63),
        _present("Status", 65),
        _present("Moving", 66),
        _present("Present_Current", 69, 2, sign_bit=15),
        Register("Goal_Position_2", 71, 2, read_only=True),
        Register("Maximum_Acceleration", 85, default=254),
    )
}
TABLE_SIZE = 128

# Everything that a control cycle needs stands in one block.
STATE_ADDRESS = STS3215["Present_Position"].address
STATE_SIZE = STS3215["Present_Current"].address + STS3215["Present_Current"].size - STATE_ADDRESS

# What a servo was told and forgets with its power: whether it pushes, how, where to.
DRIVE_ADDRESS = STS3215["Torque_Enable"].address
DRIVE_SIZE = STS3215["Lock"].address + 1 - DRIVE_ADDRESS

# Bits of the error byte in every answer, and of the register `Status`.
ERROR_BITS = {
    0x01: "voltage",
    0x02: "position_sensor",
    0x04: "temperature",
    0x08: "current",
    0x20: "overload",
}


def errors_in(status: int) -> tuple[str, ...]:
    """Return the names of the faults in an error byte, unknown bits as numbers."""
    known = tuple(name for bit, name in ERROR_BITS.items() if status & bit)
    rest = status & ~sum(ERROR_BITS)
    return (*known, f"unknown_bits_{rest:#04x}") if rest else known
