# SPDX-License-Identifier: Apache-2.0
"""The bus as the driver uses it: rustypot for the packets, and what it leaves to its user.

What rustypot lacks, and is here: after an error it reads on in the middle of what is still coming
in, so that one lost answer spoils the next reads (tried: the same parsing error for ever); one
lost answer loses those of all servos, so the read of all servos at once is this module's own;
error bytes are returned and not judged; nothing is counted.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import rustypot

from .core.packets import Instruction, Packet, Receiver
from .core.registers import (
    BAUD_RATE,
    BROADCAST_ID,
    DRIVE_ADDRESS,
    DRIVE_SIZE,
    STATE_ADDRESS,
    STATE_SIZE,
    STS3215,
    errors_in,
)
from .core.state import DriveSettings, ServoState

_BITS_PER_BYTE = 10
# Header, id, length, error, checksum.
_FRAME_BYTES = 6
_TRIES = 3
_LARGEST_WAIT_S = 0.02
# Sizes of answers that nothing else asks for, each another one than the last.
_ASIDE_SIZES = tuple(size for size in range(3, STATE_SIZE) if size not in (4, DRIVE_SIZE))
_LONGEST_ABSENCE = 32


_T = TypeVar("_T")


class BusError(Exception):
    """The bus did not do what it was asked; one line says what and why."""


@dataclass
class BusStatistics:
    """What became of the transactions with one servo."""

    answers: int = 0
    retries: int = 0
    failures: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    last_error: str = ""


class Absence:
    """How many reads a silent servo sits out."""

    def __init__(self) -> None:
        self._length = 0
        self._left = 0

    def over(self) -> bool:
        """Count one read; return whether the servo takes part in it."""
        if self._left:
            self._left -= 1
            return False
        return True

    def begins(self) -> None:
        """Leave the servo out, for twice as long as the last time."""
        self._length = min(_LONGEST_ABSENCE, max(1, 2 * self._length))
        self._left = self._length

    def ends(self) -> None:
        """Count a servo as present again."""
        self._length = self._left = 0


def state_of(servo_id: int, block: bytes, error: int) -> ServoState:
    """Read the block from `Present_Position` to `Present_Current`."""

    def value(name: str) -> int:
        register = STS3215[name]
        start = register.address - STATE_ADDRESS
        return register.decode(block[start : start + register.size])

    return ServoState(
        servo_id=servo_id,
        position=value("Present_Position"),
        velocity=value("Present_Velocity"),
        load=value("Present_Load") * 0.001,
        voltage_v=value("Present_Voltage") * 0.1,
        temperature_c=float(value("Present_Temperature")),
        current_a=value("Present_Current") * 0.0065,
        moving=bool(value("Moving")),
        faults=errors_in(error | value("Status")),
    )


def drive_of(block: bytes) -> DriveSettings:
    """Read the block from `Torque_Enable` to `Lock`."""

    def value(name: str) -> int:
        register = STS3215[name]
        start = register.address - DRIVE_ADDRESS
        return register.decode(block[start : start + register.size])

    return DriveSettings(
        torque=value("Torque_Enable") == 1,
        acceleration=value("Acceleration"),
        goal=value("Goal_Position"),
        torque_limit=value("Torque_Limit") * 0.001,
    )


class ServoBus:
    """Six servos on a serial port.

    Every call is bounded in time: three tries with growing pauses, each ending by the time-out.
    """

    def __init__(
        self,
        port: str,
        timeout_s: float = 0.004,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the port.

        Args:
            port: Path of a serial port, such as `/dev/so101_follower`.
            timeout_s: How long an answer may take.
            sleep: For pauses between tries.
            clock: Steady time, s.

        Raises:
            BusError: The port cannot be opened; the line says what to do.
        """
        self.port = port
        self.statistics: dict[int, BusStatistics] = {}
        self._absences: dict[int, Absence] = {}
        self._sleep = sleep
        self._clock = clock
        self.timeout_s = timeout_s
        # Whether answers may still be under way to questions that were given up.
        self._behind = False
        self._asides = itertools.cycle(_ASIDE_SIZES)
        self._terminal = -1
        self._open()

    def _open(self) -> None:
        # Opened first: rustypot asks for the port alone.
        self._terminal = _open_terminal(self.port)
        try:
            self._servos = rustypot.Sts3215PyController(self.port, BAUD_RATE, self.timeout_s)
        except Exception as error:
            os.close(self._terminal)
            self._terminal = -1
            raise BusError(f"{self.port}: {error}; is another program using it?") from error
        self._listening = select.poll()
        self._listening.register(self._terminal, select.POLLIN)

    @property
    def gone(self) -> bool:
        """Return whether the port itself has vanished, as with a USB cable that was pulled out."""
        if self._terminal < 0:
            return True
        return any(
            event & (select.POLLHUP | select.POLLERR) for _, event in self._listening.poll(0)
        )

    def reopen(self) -> None:
        """Open the port anew, where there is one again. What was counted stays.

        Raises:
            BusError: There is none yet.
        """
        self.close()
        self._open()
        self._absences.clear()

    def close(self) -> None:
        """Release the port. The servos keep what they do."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1
            self._servos.close()

    def __enter__(self) -> ServoBus:
        """Return the bus, which is open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the port."""
        self.close()

    # -- reading ---------------------------------------------------------------------------------

    def read_states(self, ids: Sequence[int], budget_s: float = 0.008) -> dict[int, ServoState]:
        """Read all servos at once; those that do not answer are asked again, one by one.

        A servo that stays silent is left out of the next reads, one at first, then more and more
        up to `_LONGEST_ABSENCE`, so that one dead servo does not cost the others their rate.

        Args:
            ids: Whom to read.
            budget_s: After this long no servo is asked again. One answer may still be waited for.

        Returns:
            The servos that answered. The others are counted in `statistics`.
        """
        asked = [
            servo_id for servo_id in ids if self._absences.setdefault(servo_id, Absence()).over()
        ]
        if not asked or self.gone:
            return {}
        began_s = self._clock()
        found = self._read_at_once(asked)
        missing = [servo_id for servo_id in asked if servo_id not in found]
        if self.gone:
            return found
        if missing:
            self._resynchronise(1)
        for servo_id in missing:
            if self._clock() - began_s > budget_s:
                break
            try:
                block, error = self._read(servo_id, STATE_ADDRESS, STATE_SIZE)
            except BusError:
                self._absences[servo_id].begins()
            else:
                found[servo_id] = self._heard(servo_id, block, error)
        return found

    def _read_at_once(self, ids: Sequence[int]) -> dict[int, ServoState]:
        """Ask all servos in one packet; return those whose answers came whole."""
        parameters = bytes((STATE_ADDRESS, STATE_SIZE, *ids))
        request = Packet(BROADCAST_ID, Instruction.SYNC_READ, parameters).to_bytes()
        answers: dict[int, Packet] = {}
        twice: set[int] = set()
        receiver = Receiver()
        bits = len(ids) * (_FRAME_BYTES + STATE_SIZE) * _BITS_PER_BYTE
        try:
            termios.tcflush(self._terminal, termios.TCIFLUSH)
            os.write(self._terminal, request)
            deadline_s = self._clock() + bits / BAUD_RATE + self.timeout_s
            while len(answers) < len(ids):
                left_s = deadline_s - self._clock()
                if left_s <= 0 or not self._listening.poll(left_s * 1e3):
                    break
                for packet in receiver.feed(os.read(self._terminal, 4096)):
                    if packet.servo_id in answers:
                        twice.add(packet.servo_id)
                    elif packet.servo_id in ids and len(packet.parameters) == STATE_SIZE:
                        answers[packet.servo_id] = packet
        except (termios.error, OSError):
            # The port is gone, which `gone` tells.
            return {}
        # Of two answers with one id, one is another servo's: neither is believed.
        return {
            servo_id: self._heard(servo_id, packet.parameters, packet.code)
            for servo_id, packet in answers.items()
            if servo_id not in twice
        }

    def read_drive(self, servo_id: int) -> DriveSettings:
        """Read what a servo keeps of its orders; it is asked once.

        Raises:
            BusError: No valid answer.
        """
        block, error = self._read(servo_id, DRIVE_ADDRESS, DRIVE_SIZE, tries=1)
        self._count_faults(servo_id, error)
        return drive_of(block)

    def read(self, servo_id: int, name: str, tries: int = _TRIES) -> int:
        """Read one register.

        Raises:
            BusError: No valid answer.
        """
        register = STS3215[name]
        data, error = self._read(servo_id, register.address, register.size, tries)
        self._count_faults(servo_id, error)
        return register.decode(data)

    def scan(self, ids: Iterable[int], tries: int = _TRIES) -> tuple[set[int], set[int]]:
        """Return which ids answer, and to which something answers that cannot be read."""
        found, garbled = set(), set()
        for servo_id in ids:
            try:
                self.read(servo_id, "ID", tries)
            except BusError as error:
                if "timed out" not in str(error):
                    garbled.add(servo_id)
            else:
                found.add(servo_id)
        return found, garbled

    def set_baud_rate(self, baud_rate: int) -> None:
        """Talk at another rate than `BAUD_RATE`."""
        self._servos.set_baudrate(baud_rate)

    # -- writing ---------------------------------------------------------------------------------

    def write(self, servo_id: int, name: str, value: int) -> None:
        """Write one register and wait for the answer.

        Raises:
            BusError: No valid answer: the servo may or may not have done it.
            ValueError: The value does not fit or the register is read-only.
        """
        register = STS3215[name]
        if register.read_only:
            raise ValueError(f"{name} is read-only")
        data = list(register.encode(value))

        def attempt() -> int:
            return int(self._servos.write_raw_data_with_error(servo_id, register.address, data))

        self._count_faults(servo_id, self._try(servo_id, f"write of {name}", attempt))

    def write_goals(self, goals: dict[int, int]) -> None:
        """Send every servo its goal position, in ticks, in one packet without answers.

        Raises:
            BusError: The port is gone.
            ValueError: A goal does not fit its register.
        """
        register = STS3215["Goal_Position"]
        rows = [list(register.encode(goal)) for goal in goals.values()]
        if self._terminal < 0:
            raise BusError(f"{self.port}: goals not sent: the port is closed")
        try:
            self._servos.sync_write_raw_data(list(goals), register.address, rows)
        except Exception as error:
            raise BusError(f"{self.port}: goals not sent: {error}") from error

    # -- in detail -------------------------------------------------------------------------------

    def _read(
        self, servo_id: int, address: int, count: int, tries: int = _TRIES
    ) -> tuple[bytes, int]:
        def attempt() -> tuple[bytes, int]:
            data, error = self._servos.read_raw_data_with_error(servo_id, address, count)
            if len(data) != count:
                raise ValueError(f"{len(data)} bytes for {count}")
            return bytes(data), int(error)

        return self._try(servo_id, f"read of {count} bytes at {address}", attempt, tries)

    def _try(self, servo_id: int, what: str, attempt: Callable[[], _T], tries: int = _TRIES) -> _T:
        counts = self.statistics.setdefault(servo_id, BusStatistics())
        problem = "the port is closed"
        for tried in self._tries(tries if self._terminal >= 0 else 0):
            try:
                if self._behind:
                    self._catch_up(servo_id)
                result = attempt()
            except Exception as error:
                problem = str(error) or type(error).__name__
                self._behind = True
                self._resynchronise(1)
                continue
            counts.answers += 1
            counts.retries += tried
            return result
        counts.failures += 1
        counts.last_error = problem
        raise BusError(f"{self.port}: servo {servo_id}: {what}: {problem} ({tries} tries)")

    def _tries(self, count: int) -> Iterator[int]:
        for number in range(count):
            if number:
                self._sleep(min(0.0005 * 2**number, _LARGEST_WAIT_S))
            yield number

    def _catch_up(self, servo_id: int) -> None:
        """Wait for the answer to a question of now: those of before have come by then.

        An answer does not say what it answers. One that came after its time-out would be taken for
        that of the next question, of the next register; so one is asked for by its size. The
        protocol keeps the order.
        """
        for _ in _ASIDE_SIZES:
            size = next(self._asides)
            data, _ = self._servos.read_raw_data_with_error(servo_id, STATE_ADDRESS, size)
            if len(data) == size:
                self._behind = False
                return
        raise ValueError("its answers come too late")

    def _resynchronise(self, servos: int) -> None:
        """Let what is still coming in arrive, and forget it."""
        frame = _FRAME_BYTES + STATE_SIZE
        self._sleep(servos * frame * _BITS_PER_BYTE / BAUD_RATE)
        with contextlib.suppress(termios.error, OSError):
            termios.tcflush(self._terminal, termios.TCIFLUSH)

    def _heard(self, servo_id: int, block: bytes, error: int) -> ServoState:
        self.statistics.setdefault(servo_id, BusStatistics()).answers += 1
        self._absences.setdefault(servo_id, Absence()).ends()
        state = state_of(servo_id, block, error)
        self._count_faults(servo_id, error)
        return state

    def _count_faults(self, servo_id: int, error: int) -> None:
        counts = self.statistics.setdefault(servo_id, BusStatistics())
        for name in errors_in(error):
            counts.faults[name] = counts.faults.get(name, 0) + 1


def _open_terminal(port: str) -> int:
    try:
        terminal = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise BusError(f"{port}: there is no such port; is the cable plugged in?") from error
    except PermissionError as error:
        raise BusError(
            f"{port}: no permission; `sudo usermod -aG dialout $USER`, then log in again"
        ) from error
    except OSError as error:
        raise BusError(f"{port}: {error.strerror}") from error
    if not os.isatty(terminal):
        os.close(terminal)
        raise BusError(f"{port}: not a serial port")
    return terminal
