# SPDX-License-Identifier: Apache-2.0
"""One control cycle: read all servos, ask the arm, write what it orders."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .bus import BusError
from .core.arm import Arm
from .core.orders import ArmMode, Orders, Write
from .core.state import DriveSettings, ServoState
from .same_arm import SameArm

# A port that vanished is looked for again after this long, and then less and less often.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
# With torque one servo shows so often what it keeps of its calibration; without, in each cycle.
_LOOK_AGAIN_S = 0.5


class Servos(Protocol):
    """What a cycle needs of a bus; `ServoBus` has it."""

    @property
    def gone(self) -> bool:
        """Whether the port has vanished."""

    def reopen(self) -> None:
        """Open it anew; raise BusError where there is none."""

    def read_states(self, ids: Sequence[int]) -> Mapping[int, ServoState]:
        """Return the states of those that answer."""

    def read(self, servo_id: int, name: str) -> int:
        """Return a register's value; raise BusError."""

    def read_drive(self, servo_id: int) -> DriveSettings:
        """Return what a servo keeps of its orders; raise BusError."""

    def write(self, servo_id: int, name: str, value: int) -> None:
        """Write a register with an answer; raise BusError."""

    def write_goals(self, goals: dict[int, int]) -> None:
        """Send goals without answers; raise BusError."""


@dataclass(frozen=True)
class BusReading:
    """What the servos said in one cycle.

    Attributes:
        positions_rad: By joint, of those that answered.
        velocities_rad_s: The same.
        whole: All joints answered.
    """

    positions_rad: Mapping[str, float]
    velocities_rad_s: Mapping[str, float]
    whole: bool


class ControlLoop:
    """Runs an arm on a bus, one cycle a call. Only one thread may call it.

    Attributes:
        arm: What decides. Others may use it while they hold `lock`.
        lock: Held while the arm is asked, never while the bus is.
    """

    def __init__(
        self, servos: Servos, arm: Arm, kept: Mapping[int, Mapping[str, int]] | None = None
    ) -> None:
        """Prepare the loop.

        Args:
            servos: The bus.
            arm: What decides.
            kept: Of each servo the registers by which it is known, and their values. After a
                port that had vanished, and after a silence, none is believed or told anything
                before it has shown these.
        """
        self._servos, self._same = servos, SameArm(kept or {})
        self.arm = arm
        self.lock = threading.Lock()
        self._ids = [scale.servo_id for scale in arm.scales.values()]
        self._pause_s = _FIRST_PAUSE_S
        self._next_try_s = self._look_again_s = 0.0

    def step(self, now_s: float) -> BusReading:
        """Run one cycle.

        Args:
            now_s: Steady time.
        """
        states, drive = self._read(now_s)
        with self.lock:
            orders = self.arm.cycle(states, drive, now_s)
        failures = self._write(orders)
        if failures:
            with self.lock:
                for write, problem in failures:
                    self.arm.failed(write, problem)
        scales = self.arm.scales
        heard = {name: scale for name, scale in scales.items() if scale.servo_id in states}
        return BusReading(
            {
                name: scale.radians(states[scale.servo_id].position)
                for name, scale in heard.items()
            },
            {name: scale.rad_s(states[scale.servo_id].velocity) for name, scale in heard.items()},
            len(heard) == len(scales),
        )

    def _read(self, now_s: float) -> tuple[Mapping[int, ServoState], Mapping[int, DriveSettings]]:
        if self._servos.gone and not self._opened_anew(now_s):
            return {}, {}
        states = self._known(self._servos.read_states(self._ids), now_s)
        with self.lock:
            checked = self.arm.to_check(states, now_s)
        drive = {}
        for servo_id in checked:
            with contextlib.suppress(BusError):
                drive[servo_id] = self._servos.read_drive(servo_id)
        return states, drive

    def _known(self, states: Mapping[int, ServoState], now_s: float) -> Mapping[int, ServoState]:
        """Return the states of those that are known to be this arm's servos."""
        self._same.hear(self._ids, states, now_s)
        with self.lock:
            suspects, off = self.arm.suspects(), self.arm.mode is ArmMode.OFF
        if suspects or off or now_s >= self._look_again_s:
            self._same.look_again(suspects, states, self._servos.read)
            self._look_again_s = now_s + _LOOK_AGAIN_S
        found = self._same.look(states, self._servos.read, now_s)
        if found is not None:
            with self.lock:
                self.arm.is_another(*found)
        return {number: state for number, state in states.items() if self._same.known(number)}

    def _write(self, orders: Orders) -> list[tuple[Write, str]]:
        failures: list[tuple[Write, str]] = []
        dropped: set[int] = set()
        for write in orders.writes:
            if write.servo_id in dropped:
                continue
            if not self._same.known(write.servo_id):
                dropped.add(write.servo_id)
                failures.append((write, "it is not known to be this arm's"))
                continue
            try:
                self._servos.write(write.servo_id, write.register, write.value)
            except BusError as error:
                dropped.add(write.servo_id)
                failures.append((write, str(error)))
        # A servo that did not take its orders keeps the goal that it has.
        goals = {
            number: goal
            for number, goal in orders.goals.items()
            if number not in dropped and self._same.known(number)
        }
        if goals:
            # Where it fails, their silence in the next cycle says so.
            with contextlib.suppress(BusError):
                self._servos.write_goals(goals)
        return failures

    def _opened_anew(self, now_s: float) -> bool:
        if now_s < self._next_try_s:
            return False
        try:
            self._servos.reopen()
        except BusError:
            self._next_try_s = now_s + self._pause_s
            self._pause_s = min(_LONGEST_PAUSE_S, 2.0 * self._pause_s)
            return False
        self._pause_s, self._next_try_s = _FIRST_PAUSE_S, 0.0
        self._same.doubt()
        return True
