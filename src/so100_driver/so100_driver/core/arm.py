# SPDX-License-Identifier: Apache-2.0
"""The control loop of one arm: from what the servos said to what they are told.

It reads no clock and talks to no bus: `cycle` takes what was read and the time, and returns what
to write. It never switches torque off but by `torque_off`, which a person asks for.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median

from .description import REST_RAD, gravity_nm
from .gate import CommandGate, CommandRefusedError
from .health import HealthLevel, ServoDiagnosis, health_of
from .orders import ArmEvent, ArmLimits, ArmMode, Orders, Write
from .protection import JointProtection, JointVerdict, Stage
from .recovery import Recovery
from .registers import RAD_PER_TICK, STS3215
from .scale import JointScale
from .state import DriveSettings, ServoState

ACCELERATION = 254
# One answer in 256 that is damaged has a checksum that fits. What no servo can have done since its
# last answer is not believed, unless it is said again and again.
_LARGEST_SPEED_RAD_S = 8.0
_SLACK_RAD = 0.1
_SLACK_C = 4.0
_SAID_AGAIN = 5
# Answers are alike that follow each other within this long and this near.
_LATELY_S = 0.3
_ALIKE_RAD = 0.04
# One that cannot be told from a true one is outvoted by so many before it.
_LATEST = 5
# A joint that hangs so near where it hung has not sunk.
_SAME_RAD = 0.01
# A fault counts once it is reported so often in a row.
_CERTAIN = 2
# So many answers of each servo are heard before the first torque.
_SURE = 3
_LARGEST_TORQUE = 1000


class Arm:
    """One arm. Calls must not overlap; times are steady, in s."""

    def __init__(
        self,
        scales: Mapping[str, JointScale],
        limits: ArmLimits | None = None,
        rest_rad: Mapping[str, float] = REST_RAD,
    ) -> None:
        """Begin with the torque as it is; nothing is written before `torque_on`.

        Args:
            scales: Every joint's, in the order of the published states.
            limits: How it behaves.
            rest_rad: Where it can lie without torque.
        """
        self.scales = dict(scales)
        self.limits = limits or ArmLimits()
        self.mode = ArmMode.OFF
        self.reason = ""
        self.refused = 0
        self.last_refusal = ""
        self._rest = {
            name: min(scale.upper_rad, max(scale.lower_rad, rest_rad[name]))
            for name, scale in self.scales.items()
        }
        self._gate = CommandGate(self.scales, self.limits.gate)
        self._states: dict[str, ServoState] = {}
        self._heard_s: dict[str, float] = {}
        self._lately: dict[str, deque[float]] = {name: deque(maxlen=_LATEST) for name in scales}
        self._goal: dict[str, float] = {}
        self._target: dict[str, float] | None = None
        self._commanded_s = 0.0
        self._asked_to_drop_s: float | None = None
        self._protection = {
            name: JointProtection(self.limits.protection, name == "gripper")
            for name in self.scales
        }
        self._verdicts: dict[str, JointVerdict] = {}
        self._torque_share: dict[str, float] = {}
        self._recovery = {name: Recovery() for name in self.scales}
        self._writes: list[Write] = []
        self._events: list[ArmEvent] = []
        self._by_id = {scale.servo_id: name for name, scale in self.scales.items()}
        self._checked = 0
        self._faulty: dict[str, int] = {}
        self._doubts: dict[str, int] = {}
        self._sure: dict[str, int] = {}
        self._answered: set[str] = set()
        # What was read of these is from before their orders.
        self._ordered: set[str] = set()
        # What these keep as their goal is not known: they fell silent while goals changed.
        self._unknown: set[str] = set()
        # How far above where it stood each joint's goal was, when it was last seen to hold.
        self._hung: dict[str, float] = {}
        # By what its goal was moved to have a servo forget its faults.
        self._nudged: dict[str, float] = {}
        self._lowered_s: float | None = None

    # -- what is read ----------------------------------------------------------------------------

    @property
    def measured_rad(self) -> dict[str, float]:
        """Return where each joint was last seen, rad."""
        return {
            name: scale.radians(self._states[name].position)
            for name, scale in self.scales.items()
            if name in self._states
        }

    def silent(self, now_s: float) -> list[str]:
        """Return the joints that have not answered for too long."""
        return [
            name
            for name in self.scales
            if not (now_s - self._heard_s.get(name, -1e9) <= self.limits.stale_s)
        ]

    def health(self, now_s: float) -> list[ServoDiagnosis]:
        """Return how each servo is."""
        silent = self.silent(now_s)
        return [
            health_of(
                name,
                scale.servo_id,
                self._states.get(name),
                self._verdicts.get(name, JointVerdict()),
                silent=name in silent,
                age_s=now_s - self._heard_s[name] if name in self._heard_s else float("inf"),
            )
            for name, scale in self.scales.items()
        ]

    def next_to_check(self) -> int:
        """Return the servo whose orders are read back next: one in doubt, or each in turn."""
        names = list(self.scales)
        self._checked = (self._checked + 1) % len(names)
        doubtful = [
            name
            for name, recovery in self._recovery.items()
            if recovery.pending or recovery.in_doubt
        ]
        doubtful += self._unknown
        doubtful = [name for name in doubtful if name in self._answered]
        return self.scales[(doubtful or [names[self._checked]])[0]].servo_id

    def take_events(self) -> list[ArmEvent]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    # -- what is asked for -----------------------------------------------------------------------

    def torque_on(self, now_s: float) -> str:
        """Hold the arm where it is: goals first, then torque.

        Returns:
            Why not, in words; empty where it is done with the next orders.
        """
        silent = self.silent(now_s)
        if silent:
            return f"no answer from {', '.join(silent)}"
        unsure = [name for name in self.scales if self._sure.get(name, 0) < _SURE]
        if unsure:
            return f"{', '.join(unsure)} has not answered {_SURE} times alike yet; try again"
        faulty = {name: state.faults for name, state in self._states.items() if state.faults}
        if faulty:
            name, faults = next(iter(faulty.items()))
            return f"{name} reports {', '.join(faults)}"
        if self.mode is not ArmMode.OFF:
            for name, recovery in self._recovery.items():
                if recovery.pending:
                    recovery.forget()
                    self._goal[name] = self.measured_rad[name]
                    self._engage(name)
            return ""
        self._forget_protection()
        for recovery in self._recovery.values():
            recovery.forget()
        self._goal = self.measured_rad
        for name in self.scales:
            self._engage(name)
        self._enter(ArmMode.WAITING, "", HealthLevel.OK)
        return ""

    def command(self, names: Sequence[str], positions: Sequence[float], now_s: float) -> str:
        """Take a command.

        Args:
            names: Joints.
            positions: Angles, rad.
            now_s: When it came.

        Returns:
            Why it is refused; empty where the next orders carry it out.
        """
        try:
            if self.mode not in (ArmMode.WAITING, ArmMode.FOLLOWING):
                raise CommandRefusedError(f"the arm {self._state_in_words()}")
            silent = self.silent(now_s)
            if silent:
                raise CommandRefusedError(f"no answer from {', '.join(silent)}")
            target = self._gate.checked(names, positions, self.measured_rad, self._target)
        except CommandRefusedError as error:
            self.refused += 1
            self.last_refusal = str(error)
            return str(error)
        self._target, self._commanded_s, self.last_refusal = target, now_s, ""
        if self.mode is ArmMode.WAITING:
            self._enter(ArmMode.FOLLOWING, "", HealthLevel.OK)
        return ""

    def hold(self, reason: str = "asked to hold") -> str:
        """Hold the arm where it is, until `clear_faults`.

        Returns:
            Why not, in words; empty where it is done with the next orders.
        """
        if self.mode is ArmMode.OFF:
            return "torque is off: nothing is held"
        self._stand(ArmMode.HOLDING, reason, HealthLevel.WARN)
        return ""

    def clear_faults(self, now_s: float) -> str:
        """Let commands through again, the first one near the pose; nothing moves by it.

        Returns:
            Why not, in words; empty where it is done.
        """
        if self.mode is ArmMode.OFF:
            return "torque is off: ask for it first"
        silent = self.silent(now_s)
        if silent:
            return f"no answer from {', '.join(silent)}"
        for name, state in self._states.items():
            verdict = self._protection[name].look(state, 0.0, 0.0, now_s)
            if verdict.stage >= Stage.STOP:
                return f"{name}: {verdict.reason}"
        lost = [name for name, recovery in self._recovery.items() if recovery.pending]
        if lost:
            return f"{', '.join(lost)} has no torque: lower the arm and ask for torque anew"
        unsure = [
            name
            for name, state in self._states.items()
            if state.faults and self._sure.get(name, 0) < _SURE
        ]
        if unsure:
            return f"{', '.join(unsure)} has not answered {_SURE} times alike yet; try again"
        for name, state in self._states.items():
            if state.faults:
                # The servo forgets an overload with a new goal: one tick is new enough.
                self._goal[name] = self._near(name) + self._nudge(name, state)
        self._forget_protection()
        self._stand(ArmMode.WAITING, "", HealthLevel.OK)
        return ""

    def lower(self, now_s: float) -> str:
        """Let the arm go slowly to where it can lie without torque.

        Returns:
            Why not, in words; empty where it has begun.
        """
        if self.mode is ArmMode.OFF:
            return "torque is off"
        silent = self.silent(now_s)
        if silent:
            return f"no answer from {', '.join(silent)}"
        self._enter(ArmMode.LOWERING, "", HealthLevel.OK)
        return ""

    @property
    def lowered(self) -> bool:
        """Return whether the arm lies where it can without torque."""
        measured = self.measured_rad
        return len(measured) == len(self.scales) and all(
            abs(measured[name] - self._rest[name]) <= self.limits.rest_distance_rad
            for name in ("shoulder_lift", "elbow_flex")
        )

    def torque_off(self, now_s: float) -> str:
        """Switch the torque off. An arm that would drop is let go at the second asking only.

        Returns:
            Why not, in words; empty where it is done with the next orders.
        """
        asked_s = self._asked_to_drop_s
        within = self.limits.drop_within_s
        if not self.lowered and not (asked_s is not None and 0.0 <= now_s - asked_s <= within):
            self._asked_to_drop_s = now_s
            return (
                "the arm would drop: lower it first (~/lower), or support it by hand and ask "
                f"again within {within:g} s"
            )
        self._asked_to_drop_s = None
        self._writes += [
            Write(scale.servo_id, "Torque_Enable", 0) for scale in self.scales.values()
        ]
        self._goal, self._target = {}, None
        for recovery in self._recovery.values():
            recovery.forget()
        self._enter(ArmMode.OFF, "a person switched the torque off", HealthLevel.WARN)
        return ""

    # -- the cycle -------------------------------------------------------------------------------

    def cycle(
        self,
        states: Mapping[int, ServoState],
        drive: Mapping[int, DriveSettings],
        now_s: float,
    ) -> Orders:
        """Take what was read, and return what to write.

        Args:
            states: Of the servos that answered in this cycle.
            drive: What some of them keep of their orders.
            now_s: When it was read.
        """
        self._answered = {self._by_id[number] for number in states if number in self._by_id}
        for servo_id, state in states.items():
            name = self._by_id.get(servo_id)
            if name is not None and self._believed(name, state, now_s):
                self._states[name] = state
                if now_s - self._heard_s.get(name, now_s) > _LATELY_S:
                    self._lately[name].clear()
                self._heard_s[name] = now_s
                self._lately[name].append(self.scales[name].radians(state.position))
        if self.mode is ArmMode.OFF:
            return self._orders()
        self._look_for_silence(now_s)
        self._look_for_restarts(drive, now_s)
        self._look_for_faults()
        self._protect(now_s)
        self._move(now_s)
        return self._orders()

    def _believed(self, name: str, state: ServoState, now_s: float) -> bool:
        last = self._states.get(name)
        moved = 0.0
        if last is not None:
            scale = self.scales[name]
            moved = abs(scale.radians(state.position) - scale.radians(last.position))
            within = _LARGEST_SPEED_RAD_S * (now_s - self._heard_s[name]) + _SLACK_RAD
            warmed = abs(state.temperature_c - last.temperature_c)
            if not (moved <= within and warmed <= _SLACK_C):
                self._doubts[name] = self._doubts.get(name, 0) + 1
                self._sure[name] = 0
                if self._doubts[name] < _SAID_AGAIN:
                    return False
        self._doubts[name] = 0
        # After a silence nearly everything is possible, and so nothing is sure.
        alike = now_s - self._heard_s.get(name, -1e9) <= _LATELY_S and moved <= _ALIKE_RAD
        self._sure[name] = self._sure.get(name, 0) + 1 if alike else 0
        return True

    def failed(self, write: Write, problem: str) -> None:
        """Be told that a write was not answered."""
        name = self._by_id.get(write.servo_id, f"id {write.servo_id}")
        self._say(HealthLevel.ERROR, f"{name}: {write.register} not written: {problem}")
        if self.mode is ArmMode.OFF:
            self._say(
                HealthLevel.ERROR, f"{name} may still push: switch the supply off to be sure"
            )
        elif name in self._recovery:
            self._recovery[name].lost()
            self._stand(ArmMode.HOLDING, f"{name} did not take an order", HealthLevel.ERROR)

    def _orders(self) -> Orders:
        writes, self._writes = tuple(self._writes), []
        self._ordered.clear()
        if self.mode is ArmMode.OFF:
            return Orders(writes)
        sag = self._sag()
        return Orders(
            writes,
            {
                self.scales[name].servo_id: self._ticks(name, sag)
                for name in self._goal
                if name not in self._unknown
            },
        )

    def _ticks(self, name: str, sag: Mapping[str, float]) -> int:
        largest = STS3215["Goal_Position"].largest
        goal = self._goal[name] - sag.get(name, 0.0)
        return max(0, min(largest, self.scales[name].ticks(goal)))

    def _sag(self) -> Mapping[str, float]:
        """Return how far its own weight bends each joint where the arm is led, rad."""
        if not self.limits.sag_rad_nm:
            return {}
        torques = gravity_nm({**self.measured_rad, **self._goal})
        return {name: torque * self.limits.sag_rad_nm for name, torque in torques.items()}

    # -- what went wrong -------------------------------------------------------------------------

    def _look_for_silence(self, now_s: float) -> None:
        silent = self.silent(now_s)
        if silent and self.mode in (ArmMode.FOLLOWING, ArmMode.LOWERING):
            # Where the silent ones are is not known, nor which goal reached them last.
            self._stand(
                ArmMode.WAITING,
                f"no answer from {', '.join(silent)}",
                HealthLevel.ERROR,
                but=silent,
            )

    def _look_for_restarts(self, drive: Mapping[int, DriveSettings], now_s: float) -> None:
        for servo_id, settings in drive.items():
            name = self._by_id.get(servo_id)
            if name is None or name in self._ordered:
                continue
            recovery = self._recovery[name]
            if settings.torque:
                recovery.seen_on(now_s)
                if name in self._unknown and len(self._lately[name]) >= _SURE:
                    self._unknown.discard(name)
                    self._goal[name] = self._kept_goal(name, settings)
                self._note_how_it_hangs(name)
            elif recovery.seen_off(now_s):
                self._stand(
                    ArmMode.HOLDING,
                    f"{name} lost its torque: its power failed, or another program switched it "
                    "off",
                    HealthLevel.ERROR,
                )
        for name, recovery in self._recovery.items():
            sure = self._sure.get(name, 0) >= _SURE and name in self._answered
            if sure and recovery.due(now_s):
                self._goal[name] = self._near(name)
                self._engage(name)

    def _note_how_it_hangs(self, name: str) -> None:
        scale, state = self.scales[name], self._states[name]
        hung = self._goal.get(name, math.inf) - median(self._lately[name])
        slow = abs(scale.rad_s(state.velocity)) <= self.limits.protection.still_rad_s
        if slow and abs(hung) <= self.limits.gate.first_distance_rad:
            self._hung[name] = hung

    def _near(self, name: str) -> float:
        """Return the goal with which a joint stays where it is, or the one it has if that is it.

        Taking where it is would let it sink by its sag each time; taking its old goal would have
        it jump back by what it sank without torque.
        """
        goal = median(self._lately[name]) + self._hung.get(name, 0.0)
        return self._goal[name] if abs(goal - self._goal[name]) <= _SAME_RAD else goal

    def _nudge(self, name: str, state: ServoState) -> float:
        """Return by what to move a goal for a servo to forget its faults: a tick, to and fro.

        Always the same way, an arm that is cleared again and again would creep.
        """
        back = self._nudged.pop(name, 0.0)
        if back:
            return -back
        self._nudged[name] = -math.copysign(RAD_PER_TICK, state.load)
        return self._nudged[name]

    def _kept_goal(self, name: str, settings: DriveSettings) -> float:
        """Return the goal that a servo says it keeps, if that is near where it stands."""
        goal = self.scales[name].radians(settings.goal) + self._sag().get(name, 0.0)
        at = median(self._lately[name])
        return goal if abs(goal - at) <= self.limits.gate.first_distance_rad else at

    def _look_for_faults(self) -> None:
        for name, state in self._states.items():
            if name in self._answered:
                self._faulty[name] = self._faulty.get(name, 0) + 1 if state.faults else 0
            certain = self._faulty.get(name, 0) >= _CERTAIN
            if certain and self.mode in (ArmMode.FOLLOWING, ArmMode.WAITING):
                self._stand(
                    ArmMode.HOLDING, f"{name} reports {', '.join(state.faults)}", HealthLevel.ERROR
                )

    def _protect(self, now_s: float) -> None:
        silent = self.silent(now_s)
        for name, state in self._states.items():
            if name in silent:
                continue
            scale = self.scales[name]
            angle = scale.radians(state.position)
            gap = self._goal.get(name, angle) - angle
            verdict = self._protection[name].look(state, gap, scale.rad_s(state.velocity), now_s)
            before = self._verdicts.get(name, JointVerdict())
            self._verdicts[name] = verdict
            if verdict.stage > before.stage:
                self._say(
                    HealthLevel.WARN if verdict.stage is Stage.SOFT else HealthLevel.ERROR,
                    f"{name}: {verdict.reason}",
                )
            self._set_torque(name, verdict.stage)
            if verdict.stage is Stage.RETREAT and self.mode is not ArmMode.HOLDING:
                back = self.limits.protection.retreat_rad
                self._stand(ArmMode.HOLDING, f"{name} {verdict.reason}", HealthLevel.ERROR)
                self._goal[name] = angle - verdict.push * back
                self._protection[name].forget()
            elif verdict.stage is Stage.STOP and self.mode in (ArmMode.FOLLOWING, ArmMode.WAITING):
                self._stand(ArmMode.HOLDING, f"{name}: {verdict.reason}", HealthLevel.ERROR)
            elif (
                verdict.stage is Stage.LOWER
                and before.stage is not Stage.LOWER
                and self.mode is not ArmMode.LOWERING
            ):
                self._enter(ArmMode.LOWERING, f"{name}: {verdict.reason}", HealthLevel.ERROR)

    def _set_torque(self, name: str, stage: Stage) -> None:
        limits = self.limits
        whole = limits.gripper_torque if name == "gripper" else 1.0
        soft = limits.protection
        share = whole
        if stage >= Stage.SOFT and name == "gripper":
            share = min(whole, soft.gripper_soft_torque)
        elif stage in (Stage.SOFT, Stage.RETREAT):
            share = min(whole, soft.soft_torque)
        if self._torque_share.get(name) != share:
            self._torque_share[name] = share
            value = round(share * _LARGEST_TORQUE)
            self._writes.append(Write(self.scales[name].servo_id, "Torque_Limit", value))

    # -- motion ----------------------------------------------------------------------------------

    def _move(self, now_s: float) -> None:
        if self.mode is ArmMode.FOLLOWING:
            if not (now_s - self._commanded_s <= self.limits.command_timeout_s):
                self._stand(
                    ArmMode.WAITING,
                    f"no command for {self.limits.command_timeout_s:g} s"
                    + (
                        f"; the last was refused: {self.last_refusal}" if self.last_refusal else ""
                    ),
                    HealthLevel.WARN,
                )
                return
            assert self._target is not None
            self._goal = dict(self._target)
            self._unknown.clear()
        elif self.mode is ArmMode.LOWERING:
            self._lower_on(now_s)

    def _lower_on(self, now_s: float) -> None:
        """Advance the goals towards the rest; what pushes against something on the way stops."""
        since_s = now_s - self._lowered_s if self._lowered_s is not None else 0.0
        self._lowered_s = now_s
        step = self.limits.lowering_rad_s * min(max(since_s, 0.0), 0.05)
        arrived = True
        for name in self.scales:
            if name == "gripper":
                continue
            left = self._rest[name] - self._goal[name]
            self._goal[name] += max(-step, min(step, left))
            arrived = arrived and abs(left) <= step + 1e-9
        if arrived and since_s > 0.0:
            self._enter(ArmMode.HOLDING, "lowered: torque may be switched off", HealthLevel.OK)

    def _stand(
        self, mode: ArmMode, reason: str, level: HealthLevel, but: Sequence[str] = ()
    ) -> None:
        """Hold every joint where it is; one that stands already keeps its goal, lest it creep."""
        if self.mode in (ArmMode.FOLLOWING, ArmMode.LOWERING):
            for name, angle in self.measured_rad.items():
                if name in but:
                    self._unknown.add(name)
                else:
                    self._goal[name] = self._where_it_stops(name, angle)
        self._enter(mode, reason, level)

    def _where_it_stops(self, name: str, angle: float) -> float:
        """Return the goal that holds a joint: its goal where it has arrived, else where it is."""
        goal = self._goal.get(name, angle)
        scale, state = self.scales[name], self._states[name]
        slow = abs(scale.rad_s(state.velocity)) <= self.limits.protection.still_rad_s
        return goal if slow and abs(goal - angle) <= self.limits.gate.first_distance_rad else angle

    def _enter(self, mode: ArmMode, reason: str, level: HealthLevel) -> None:
        if mode is self.mode and reason == self.reason:
            return
        if self.mode is ArmMode.HOLDING and mode is ArmMode.HOLDING and self.reason:
            # The first cause is kept; the later ones are said.
            self._say(level, reason)
            return
        self.mode, self.reason = mode, reason
        self._lowered_s = None
        if mode is not ArmMode.FOLLOWING:
            self._target = None
        self._say(level, f"the arm {self._state_in_words()}")

    def _state_in_words(self) -> str:
        return f"{self.mode.value}{f' ({self.reason})' if self.reason else ''}"

    def _engage(self, name: str) -> None:
        """Tell a servo its goal, and only then to push."""
        servo_id = self.scales[name].servo_id
        self._ordered.add(name)
        self._unknown.discard(name)
        whole = self.limits.gripper_torque if name == "gripper" else 1.0
        self._torque_share[name] = whole
        self._writes += [
            Write(servo_id, "Acceleration", ACCELERATION),
            Write(servo_id, "Torque_Limit", round(whole * _LARGEST_TORQUE)),
            Write(servo_id, "Goal_Position", self._ticks(name, self._sag())),
            Write(servo_id, "Torque_Enable", 1),
        ]

    def _forget_protection(self) -> None:
        for protection in self._protection.values():
            protection.forget()
        self._verdicts.clear()

    def _say(self, level: HealthLevel, text: str) -> None:
        if text:
            self._events.append(ArmEvent(level, text))
