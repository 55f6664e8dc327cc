# SPDX-License-Identifier: Apache-2.0
"""The bus as the driver uses it: rustypot for the packets, and what it leaves to its user.

What rustypot lacks, and is here: after an error it reads on in the middle of what is still coming
in, so that one lost answer spoils the next reads (tried: the same parsing error for ever); one
lost answer loses those of all servos; error bytes are returned and not judged; nothing is counted.
"""

from __future__ import annotations

import contextlib
import os
import termios
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import rustypot

from .core.registers import (
    BAUD_RATE,
    STATE_ADDRESS,
    STATE_SIZE,
    STS3215,
    errors_in,
)

_BITS_PER_BYTE = 10
# Header, id, length, error, checksum.
_FRAME_BYTES = 6
_TRIES = 3
_LARGEST_WAIT_S = 0.02
_LONGEST_ABSENCE = 32


_T = TypeVar("_T")


class BusError(Exception):
    """The bus did not do what it was asked; one line says what and why."""


@dataclass
class Statistics:
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


@dataclass(frozen=True)
class ServoState:
    """What one servo says of itself.

    Attributes:
        servo_id: Which one.
        position: Shown position, ticks.
        velocity: ticks/s.
        load: Share of its torque, -1 to 1.
        voltage_v: Supply at the servo.
        temperature_c: Inside it.
        current_a: Magnitude follows the load's sign.
        moving: It says that it moves.
        faults: Names of the faults that it reports.
    """

    servo_id: int
    position: int
    velocity: int
    load: float
    voltage_v: float
    temperature_c: float
    current_a: float
    moving: bool
    faults: tuple[str, ...]


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
        self.statistics: dict[int, Statistics] = {}
        self._absences: dict[int, Absence] = {}
        self._sleep = sleep
        self._clock = clock
        # Opened first: rustypot asks for the port alone.
        self._terminal = _open_terminal(port)
        try:
            self._servos = rustypot.Sts3215PyController(port, BAUD_RATE, timeout_s)
        except Exception as error:
            os.close(self._terminal)
            raise BusError(f"{port}: {error}; is another program using it?") from error
        self.timeout_s = timeout_s

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
        if not asked:
            return {}
        began_s = self._clock()
        try:
            rows = self._servos.sync_read_raw_data_with_error(asked, STATE_ADDRESS, STATE_SIZE)
        except Exception:
            self._resynchronise(len(asked))
        else:
            return {
                servo_id: self._heard(servo_id, bytes(block), error)
                for servo_id, (block, error) in zip(asked, rows, strict=True)
            }
        found = {}
        for servo_id in asked:
            if self._clock() - began_s > budget_s:
                break
            try:
                block, error = self._read(servo_id, STATE_ADDRESS, STATE_SIZE)
            except BusError:
                self._absences[servo_id].begins()
            else:
                found[servo_id] = self._heard(servo_id, block, error)
        return found

    def read(self, servo_id: int, name: str) -> int:
        """Read one register.

        Raises:
            BusError: No valid answer.
        """
        register = STS3215[name]
        data, error = self._read(servo_id, register.address, register.size)
        self._count_faults(servo_id, error)
        return register.decode(data)

    def scan(self, ids: Iterable[int]) -> tuple[set[int], set[int]]:
        """Return which ids answer, and to which something answers that cannot be read."""
        found, garbled = set(), set()
        for servo_id in ids:
            try:
                self.read(servo_id, "ID")
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
        try:
            self._servos.sync_write_raw_data(list(goals), register.address, rows)
        except Exception as error:
            raise BusError(f"{self.port}: goals not sent: {error}") from error

    # -- in detail -------------------------------------------------------------------------------

    def _read(self, servo_id: int, address: int, count: int) -> tuple[bytes, int]:
        def attempt() -> tuple[bytes, int]:
            data, error = self._servos.read_raw_data_with_error(servo_id, address, count)
            if len(data) != count:
                raise ValueError(f"{len(data)} bytes for {count}")
            return bytes(data), int(error)

        return self._try(servo_id, f"read of {count} bytes at {address}", attempt)

    def _try(self, servo_id: int, what: str, attempt: Callable[[], _T]) -> _T:
        counts = self.statistics.setdefault(servo_id, Statistics())
        problem = ""
        for tried in self._tries():
            try:
                result = attempt()
            except Exception as error:
                problem = str(error) or type(error).__name__
                self._resynchronise(1)
                continue
            counts.answers += 1
            counts.retries += tried
            return result
        counts.failures += 1
        counts.last_error = problem
        raise BusError(f"{self.port}: servo {servo_id}: {what}: {problem} ({_TRIES} tries)")

    def _tries(self) -> Iterator[int]:
        for number in range(_TRIES):
            if number:
                self._sleep(min(0.0005 * 2**number, _LARGEST_WAIT_S))
            yield number

    def _resynchronise(self, servos: int) -> None:
        """Let what is still coming in arrive, and forget it."""
        frame = _FRAME_BYTES + STATE_SIZE
        self._sleep(servos * frame * _BITS_PER_BYTE / BAUD_RATE)
        with contextlib.suppress(termios.error, OSError):
            termios.tcflush(self._terminal, termios.TCIFLUSH)

    def _heard(self, servo_id: int, block: bytes, error: int) -> ServoState:
        self.statistics.setdefault(servo_id, Statistics()).answers += 1
        self._absences.setdefault(servo_id, Absence()).ends()
        state = state_of(servo_id, block, error)
        self._count_faults(servo_id, error)
        return state

    def _count_faults(self, servo_id: int, error: int) -> None:
        counts = self.statistics.setdefault(servo_id, Statistics())
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
