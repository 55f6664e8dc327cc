# SPDX-License-Identifier: Apache-2.0
"""One STS3215: its control table, its position loop, its protections.

The mechanics are someone else's (`plant.py`): a servo takes the shaft's angle and gives a torque.
Figures of the loop: proportional gain 17.8 N m/rad at P = 16, torque up to 2.94 N m, as in the
maker's MuJoCo model. Winding, heat and supply are assumptions of about the right size, named here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from so100_driver.core.packets import Packet
from so100_driver.core.registers import (
    AMPERE_PER_UNIT,
    LOAD_PER_UNIT,
    RAD_PER_TICK,
    STS3215,
    TABLE_SIZE,
    TICKS_PER_S2_PER_UNIT,
    TICKS_PER_TURN,
    VOLT_PER_UNIT,
    Register,
)

STALL_TORQUE_NM = 2.94
GAIN_NM_PER_RAD_PER_P = 17.8 / 16
DAMPING_NM_S_PER_RAD_PER_D = 0.01
TORQUE_NM_PER_A = 1.1
IDLE_CURRENT_A = 0.03
LARGEST_SPEED_RAD_S = 5.5
RESISTANCE_OHM = 2.0
HEAT_CAPACITY_J_PER_K = 25.0
HEAT_LOSS_W_PER_K = 0.09
AMBIENT_C = 25.0
# Below this supply the controller in the servo restarts.
BROWN_OUT_V = 3.5
_PROTECTION_S_PER_UNIT = 0.01
_PHASE_MULTI_TURN = 0x10
_VOLTAGE, _TEMPERATURE, _CURRENT, _OVERLOAD = 0x01, 0x04, 0x08, 0x20


def _raw_size(register: Register) -> slice:
    return slice(register.address, register.address + register.size)


@dataclass
class Servo:
    """A servo on the bus.

    Attributes:
        servo_id: Its id; written into the table.
        angle_offset_ticks: What the encoder shows, before homing, where the joint's angle is 0.
        direction: 1, or -1 where the servo is mounted the other way round.
        torque_by_goal: A goal that is written switches its torque on, as owners report of
            firmware 3.10. The maker's table says nothing of it, and other owners saw servos
            without torque ignore their goals: so a driver has to be right with both.
    """

    servo_id: int
    angle_offset_ticks: int = 2048
    direction: int = 1
    torque_by_goal: bool = True
    temperature_c: float = AMBIENT_C
    supply_v: float = 7.4
    torque_nm: float = 0.0
    _table: bytearray = field(default_factory=lambda: bytearray(TABLE_SIZE))
    _kept: bytearray = field(default_factory=lambda: bytearray(TABLE_SIZE))
    _deferred: tuple[int, bytes] | None = None
    _setpoint_ticks: float = 0.0
    _setpoint_speed: float = 0.0
    _shaft_ticks: float = 0.0
    _speed_ticks: float = 0.0
    _overloaded_s: float = 0.0
    _over_current_s: float = 0.0
    _faults: int = 0
    _unloaded: bool = False
    _dark: bool = False
    # Values of the table that were decoded.
    _known: dict[str, int] = field(default_factory=dict)
    _shown: bool = False

    def __post_init__(self) -> None:
        for register in STS3215.values():
            self._kept[_raw_size(register)] = register.encode(register.default)
        self._kept[STS3215["ID"].address] = self.servo_id
        self.restart()

    # -- registers -------------------------------------------------------------------------------

    def get(self, name: str) -> int:
        """Return a register's value."""
        if not self._shown and STS3215[name].read_only:
            self._show()
        value = self._known.get(name)
        if value is None:
            register = STS3215[name]
            value = register.decode(bytes(self._table[_raw_size(register)]))
            self._known[name] = value
        return value

    def set(self, name: str, value: int) -> None:
        """Give a register a value as the servo itself does: nothing is refused."""
        register = STS3215[name]
        self._table[_raw_size(register)] = register.encode(value)
        self._known[name] = value

    def keep(self, name: str, value: int) -> None:
        """Give a register a value that outlives a restart, as a written EEPROM does."""
        self.set(name, value)
        register = STS3215[name]
        self._kept[_raw_size(register)] = register.encode(value)

    @property
    def id_on_the_bus(self) -> int:
        """Return the id to which it answers now."""
        return self._table[STS3215["ID"].address]

    @property
    def dark(self) -> bool:
        """Return whether it has too little power to answer."""
        return self._dark

    @property
    def status(self) -> int:
        """Return the error byte of its answers."""
        return self._faults

    def read(self, address: int, count: int) -> bytes:
        """Return bytes of the table; beyond its end they are 0."""
        self._show()
        data = bytes(self._table[address : address + count])
        return data + bytes(count - len(data))

    def write(self, address: int, data: bytes) -> None:
        """Carry out a write: read-only registers stay as they are."""
        before = self.get("Goal_Position")
        torque = self.get("Torque_Enable")
        unlocked = self._table[STS3215["Lock"].address] == 0
        for register in STS3215.values():
            place = _raw_size(register)
            if register.read_only or place.start < address or place.stop > address + len(data):
                continue
            value = data[place.start - address : place.stop - address]
            self._table[place] = value
            self._known.pop(register.name, None)
            if register.eeprom and unlocked:
                self._kept[place] = value
        self._follow(before, torque, address, len(data))

    def defer(self, packet: Packet) -> None:
        """Remember a write until ACTION comes."""
        self._deferred = (packet.parameters[0], packet.parameters[1:])

    def act(self) -> None:
        """Carry out the write that was deferred."""
        if self._deferred is not None:
            address, data = self._deferred
            self._deferred = None
            self.write(address, data)

    def restart(self) -> None:
        """Do what a loss of power does: EEPROM stays, torque is off, faults are forgotten."""
        self._table[:] = self._kept
        self._known.clear()
        for register in STS3215.values():
            if not register.eeprom:
                self._table[_raw_size(register)] = register.encode(register.default)
        self.set("Torque_Limit", self.get("Max_Torque_Limit"))
        self._deferred = None
        self._faults = 0
        self._unloaded = False
        self._overloaded_s = self._over_current_s = 0.0
        self.torque_nm = 0.0
        self._shown = False
        self.set("Goal_Position", self.get("Present_Position"))
        self._setpoint_ticks, self._setpoint_speed = self._shaft_ticks, 0.0

    def _follow(self, goal_before: int, torque_before: int, address: int, count: int) -> None:
        """Do what a write brings about."""
        torque = self.get("Torque_Enable")
        if torque == 128:
            # "Calibrate the middle": the present angle becomes 2048.
            offset = round(self._encoder()) - TICKS_PER_TURN // 2
            self.keep("Homing_Offset", max(-2047, min(2047, offset)))
            self.set("Torque_Enable", 0)
        self._shown = False
        written = range(address, address + count)
        goal_written = STS3215["Goal_Position"].address in written
        if goal_written and self.torque_by_goal:
            torque = 1
            self.set("Torque_Enable", 1)
        if torque and not torque_before and not goal_written:
            # Torque without a new goal: the servo drives to the goal that it has.
            self._setpoint_ticks, self._setpoint_speed = self._shaft_ticks, 0.0
        if goal_written and (self.get("Goal_Position") != goal_before or not torque):
            self._overloaded_s = 0.0
            self._faults &= ~_OVERLOAD
        if not torque:
            self._unloaded = False
            self._faults &= ~(_OVERLOAD | _CURRENT)

    # -- physics ---------------------------------------------------------------------------------

    def sees(self, angle_rad: float, velocity_rad_s: float) -> None:
        """Take the joint's angle and velocity, as the encoder has them."""
        self._shaft_ticks = self.direction * angle_rad / RAD_PER_TICK + self.angle_offset_ticks
        self._speed_ticks = self.direction * velocity_rad_s / RAD_PER_TICK
        self._shown = False

    def drive(self, dt_s: float) -> float:
        """Advance the loop and the protections; return the torque on the joint, N m."""
        if self.supply_v < BROWN_OUT_V:
            if not self._dark:
                self.restart()
                self._dark = True
            return 0.0
        self._dark = False
        torque = self._loop(dt_s) if self._pushes else 0.0
        self._protect(torque, dt_s)
        if not self._pushes:
            torque = 0.0
            self._setpoint_ticks, self._setpoint_speed = self._shaft_ticks, 0.0
        self.torque_nm = torque
        current = self._current_a()
        heat = current * current * RESISTANCE_OHM
        loss = HEAT_LOSS_W_PER_K * (self.temperature_c - AMBIENT_C)
        self.temperature_c += (heat - loss) / HEAT_CAPACITY_J_PER_K * dt_s
        return self.direction * torque

    @property
    def current_a(self) -> float:
        """Return what it draws, A."""
        return self._current_a()

    @property
    def _pushes(self) -> bool:
        return bool(self.get("Torque_Enable")) and not self._unloaded

    def _current_a(self) -> float:
        return IDLE_CURRENT_A + abs(self.torque_nm) / TORQUE_NM_PER_A

    def _encoder(self) -> float:
        return math.fmod(
            math.fmod(self._shaft_ticks, TICKS_PER_TURN) + TICKS_PER_TURN, TICKS_PER_TURN
        )

    def _position(self) -> float:
        """Return the position after homing, in ticks, as the table shows it."""
        if self.get("Phase") & _PHASE_MULTI_TURN:
            return self._shaft_ticks - self.get("Homing_Offset")
        shown = self._encoder() - self.get("Homing_Offset")
        return shown % TICKS_PER_TURN

    def _goal_ticks(self) -> float:
        """Return the goal on the shaft's own scale."""
        goal = self.get("Goal_Position")
        low, high = self.get("Min_Position_Limit"), self.get("Max_Position_Limit")
        if low < high:
            goal = max(low, min(high, goal))
        return self._shaft_ticks + (goal - self._position())

    def _loop(self, dt_s: float) -> float:
        """Return the torque on the servo's own shaft, N m."""
        self._advance_setpoint(dt_s)
        error = self._setpoint_ticks - self._shaft_ticks
        dead = self.get("CW_Dead_Zone") if error < 0 else self.get("CCW_Dead_Zone")
        if abs(error) <= dead:
            error = 0.0
        gain = self.get("P_Coefficient") * GAIN_NM_PER_RAD_PER_P
        damping = self.get("D_Coefficient") * DAMPING_NM_S_PER_RAD_PER_D
        torque = gain * error * RAD_PER_TICK - damping * self._speed_ticks * RAD_PER_TICK
        limit = self._torque_limit_nm()
        return max(-limit, min(limit, torque))

    def _torque_limit_nm(self) -> float:
        share = min(self.get("Torque_Limit"), self.get("Max_Torque_Limit")) * LOAD_PER_UNIT
        if self._faults & _OVERLOAD:
            share = min(share, self.get("Protective_Torque") / 100.0)
        return share * STALL_TORQUE_NM * min(1.0, self.supply_v / 7.4)

    def _advance_setpoint(self, dt_s: float) -> None:
        """Move the servo's own profile towards its goal: bounded speed and acceleration."""
        largest = LARGEST_SPEED_RAD_S / RAD_PER_TICK
        asked = abs(self.get("Goal_Velocity"))
        speed = min(float(asked), largest) if asked else largest
        units = self.get("Acceleration")
        distance = self._goal_ticks() - self._setpoint_ticks
        if not units:
            step = max(-speed * dt_s, min(speed * dt_s, distance))
            self._setpoint_ticks += step
            self._setpoint_speed = step / dt_s
            return
        change = units * TICKS_PER_S2_PER_UNIT * dt_s
        # The speed from which the remaining way still suffices to stop.
        reach = math.sqrt(2.0 * units * TICKS_PER_S2_PER_UNIT * abs(distance))
        wanted = math.copysign(min(speed, reach, abs(distance) / dt_s), distance)
        self._setpoint_speed += max(-change, min(change, wanted - self._setpoint_speed))
        self._setpoint_ticks += self._setpoint_speed * dt_s

    def _protect(self, torque: float, dt_s: float) -> None:
        load = abs(torque) / STALL_TORQUE_NM * 100.0
        if self._pushes and load > self.get("Overload_Torque"):
            self._overloaded_s += dt_s
        elif not self._faults & _OVERLOAD:
            self._overloaded_s = 0.0
        unloading = self.get("Unloading_Condition")
        if self._overloaded_s > self.get("Protection_Time") * _PROTECTION_S_PER_UNIT:
            self._faults |= _OVERLOAD & unloading
        limit_a = self.get("Protection_Current") * AMPERE_PER_UNIT
        if limit_a and abs(torque) / TORQUE_NM_PER_A > limit_a:
            self._over_current_s += dt_s
        else:
            self._over_current_s = 0.0
        time_s = self.get("Over_Current_Protection_Time") * _PROTECTION_S_PER_UNIT
        if self._over_current_s > time_s:
            self._fault(_CURRENT, unloading)
        hot = self.temperature_c > self.get("Max_Temperature_Limit")
        self._level(_TEMPERATURE, hot, unloading)
        low = self.get("Min_Voltage_Limit") * VOLT_PER_UNIT
        high = self.get("Max_Voltage_Limit") * VOLT_PER_UNIT
        self._level(_VOLTAGE, not (low <= self.supply_v <= high), unloading)

    def _fault(self, bit: int, unloading: int) -> None:
        self._faults |= bit
        if unloading & bit:
            self._unloaded = True

    def _level(self, bit: int, present: bool, unloading: int) -> None:
        """Set or clear a fault that lasts as long as its cause."""
        if present:
            self._fault(bit, unloading)
        else:
            self._faults &= ~bit

    def _show(self) -> None:
        """Write what is measured into the table, where it is not there yet."""
        if self._shown:
            return
        self._shown = True
        self.set("Present_Position", round(self._position()) % self._shown_turn())
        self.set("Present_Velocity", _clipped("Present_Velocity", self._speed_ticks))
        load = self.torque_nm / STALL_TORQUE_NM / LOAD_PER_UNIT
        self.set("Present_Load", _clipped("Present_Load", load))
        self.set("Present_Voltage", _clipped("Present_Voltage", self.supply_v / VOLT_PER_UNIT))
        temperature = _clipped("Present_Temperature", self.temperature_c)
        self.set("Present_Temperature", temperature)
        self.set("Status", self._faults)
        moving = abs(self._goal_ticks() - self._shaft_ticks) > 4 and abs(self._speed_ticks) > 1
        self.set("Moving", int(moving))
        current = math.copysign(self._current_a(), self.torque_nm) / AMPERE_PER_UNIT
        self.set("Present_Current", _clipped("Present_Current", current))

    def _shown_turn(self) -> int:
        return 1 << 15 if self.get("Phase") & _PHASE_MULTI_TURN else TICKS_PER_TURN


def _clipped(name: str, value: float) -> int:
    register = STS3215[name]
    lowest = -register.largest if register.sign_bit is not None else 0
    return max(lowest, min(register.largest, round(value)))
