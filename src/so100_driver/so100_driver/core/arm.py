# SPDX-License-Identifier: Apache-2.0
"""The control loop of one arm: from what the servos said to what they are told.

It reads no clock and talks to no bus: `cycle` takes what was read and the time, and returns what
to write. It never switches torque off but by `torque_off`, which a person asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .commands import Commands
from .description import REST_RAD
from .gate import CommandRefusedError
from .goals import ArmGoals
from .health import HealthLevel, ServoDiagnosis, health_of
from .hearing import SURE, Hearing
from .orders import ArmEvent, ArmLimits, ArmMode, Orders, Write
from .protection import ArmProtection, Stage
from .recovery import Recovery
from .rest import Rest
from .scale import JointScale
from .state import DriveSettings, ServoState

ACCELERATION = 254
# The arm moves.
_MOVING = (ArmMode.FOLLOWING, ArmMode.LOWERING, ArmMode.APPROACHING)


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
        self._rest = Rest(rest_rad, self.scales, self.limits)
        self._commands = Commands(self.scales, self.limits)
        self._hearing = Hearing(self.scales, self.limits.stale_s)
        self._goals = ArmGoals(self.scales, self.limits, self._hearing)
        self._protection = ArmProtection(
            self.scales, self.limits.protection, self.limits.gripper_torque
        )
        self._recovery = {name: Recovery() for name in self.scales}
        self._writes: list[Write] = []
        self._events: list[ArmEvent] = []
        self._checked = 0
        # What was read of these is from before their orders.
        self._ordered: set[str] = set()
        self._cycled_s = 0.0

    # -- what is read ----------------------------------------------------------------------------

    @property
    def measured_rad(self) -> dict[str, float]:
        """Return where each joint was last seen, rad."""
        return self._hearing.measured_rad

    @property
    def refused(self) -> int:
        """Return how many commands were refused."""
        return self._commands.refused

    @property
    def last_refusal(self) -> str:
        """Return why the last one was; empty once one is followed."""
        return self._commands.last_refusal

    def silent(self, now_s: float) -> list[str]:
        """Return the joints that have not answered for too long."""
        return self._hearing.silent(now_s)

    def health(self, now_s: float) -> list[ServoDiagnosis]:
        """Return how each servo is."""
        silent = self.silent(now_s)
        return [
            health_of(
                name,
                scale.servo_id,
                self._hearing.states.get(name),
                self._protection.verdict(name),
                silent=name in silent,
                age_s=self._hearing.age_s(name, now_s),
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
        doubtful += self._goals.unknown
        doubtful = [name for name in doubtful if name in self._hearing.answered]
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
        unsure = self._unsure(self.scales)
        if unsure:
            return unsure
        for name, state in self._hearing.states.items():
            if state.faults:
                return f"{name} reports {', '.join(state.faults)}"
        if self.mode is not ArmMode.OFF:
            for name, recovery in self._recovery.items():
                if recovery.pending:
                    recovery.forget()
                    self._goals.rad[name] = self._hearing.measured(name)
                    self._engage(name)
            return ""
        self._protection.forget()
        for recovery in self._recovery.values():
            recovery.forget()
        self._goals.rad = self.measured_rad
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
        commands = self._commands
        try:
            same = commands.offer(names, positions, now_s)
            if self.mode is ArmMode.APPROACHING and same:
                return ""
            if self.mode is ArmMode.APPROACHING:
                self._stand(ArmMode.WAITING, "the commands moved meanwhile", HealthLevel.WARN)
            if self.mode not in (ArmMode.WAITING, ArmMode.FOLLOWING):
                raise CommandRefusedError(f"the arm {self._state_in_words()}")
            silent = self.silent(now_s)
            if silent:
                raise CommandRefusedError(f"no answer from {', '.join(silent)}")
            waits = self.mode is ArmMode.WAITING
            made_up_for = commands.follow(self.measured_rad, now_s, waits=waits)
        except CommandRefusedError as error:
            return commands.refuse(str(error))
        if waits:
            self._enter(ArmMode.FOLLOWING, "", HealthLevel.OK)
        self._say(HealthLevel.WARN, made_up_for)
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
        states = self._hearing.states
        for name, state in states.items():
            verdict = self._protection.at_rest(name, state, now_s)
            if verdict.stage >= Stage.STOP:
                return f"{name}: {verdict.reason}"
        lost = [name for name, recovery in self._recovery.items() if recovery.pending]
        if lost:
            return f"{', '.join(lost)} has no torque: lower the arm and ask for torque anew"
        faulty = [name for name, state in states.items() if state.faults]
        unsure = self._unsure(faulty)
        if unsure:
            return unsure
        for name in faulty:
            self._goals.nudge(name)
        self._protection.forget()
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

    def approach(self, now_s: float) -> str:
        """Let the arm go slowly to where its controllers stand, and follow them from there.

        Returns:
            Why not, in words; empty where it has begun, or follows them already.
        """
        if self.mode is ArmMode.FOLLOWING or self.mode is ArmMode.APPROACHING:
            return ""
        if self.mode is not ArmMode.WAITING:
            return f"the arm {self._state_in_words()}"
        silent = self.silent(now_s)
        if silent:
            return f"no answer from {', '.join(silent)}"
        problem = self._commands.offered.problem(now_s)
        if not problem:
            self._enter(ArmMode.APPROACHING, "", HealthLevel.OK)
        return problem

    @property
    def lowered(self) -> bool:
        """Return whether the arm lies where it can without torque."""
        return self._rest.lowered(self.measured_rad)

    def torque_off(self, now_s: float) -> str:
        """Switch the torque off. An arm that would drop is let go at the second asking only.

        Returns:
            Why not, in words; empty where it is done with the next orders.
        """
        problem = self._rest.problem(self.measured_rad, now_s)
        if problem:
            return problem
        self._writes += [
            Write(scale.servo_id, "Torque_Enable", 0) for scale in self.scales.values()
        ]
        self._goals.rad = {}
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
        self._hearing.take(states, now_s)
        since_s, self._cycled_s = now_s - self._cycled_s, now_s
        if self.mode is ArmMode.OFF:
            return self._orders()
        self._look_for_silence(now_s)
        self._look_for_restarts(drive, now_s)
        self._look_for_faults()
        self._protect(now_s)
        self._move(now_s, since_s)
        return self._orders()

    def failed(self, write: Write, problem: str) -> None:
        """Be told that a write was not answered."""
        name = self._hearing.joint(write.servo_id) or f"id {write.servo_id}"
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
        return Orders(writes, self._goals.ticks())

    # -- what went wrong -------------------------------------------------------------------------

    def _look_for_silence(self, now_s: float) -> None:
        silent = self.silent(now_s)
        if silent:
            # That is no gap in the commands, which would be caught up.
            self._commands.forget()
        if silent and self.mode in _MOVING:
            # Where the silent ones are is not known, nor which goal reached them last.
            self._stand(
                ArmMode.WAITING,
                f"no answer from {', '.join(silent)}",
                HealthLevel.ERROR,
                but=silent,
            )

    def _look_for_restarts(self, drive: Mapping[int, DriveSettings], now_s: float) -> None:
        for servo_id, settings in drive.items():
            name = self._hearing.joint(servo_id)
            if name is None or name in self._ordered:
                continue
            recovery = self._recovery[name]
            if settings.torque:
                recovery.seen_on(now_s)
                if name in self._goals.unknown and self._hearing.seen_enough(name):
                    self._goals.take_kept(name, settings)
                self._goals.note_how_it_hangs(name)
            elif recovery.seen_off(now_s):
                self._stand(
                    ArmMode.HOLDING,
                    f"{name} lost its torque: its power failed, or another program switched it "
                    "off",
                    HealthLevel.ERROR,
                )
        for name, recovery in self._recovery.items():
            sure = self._hearing.sure(name) and name in self._hearing.answered
            if sure and recovery.due(now_s):
                self._goals.stay(name)
                self._engage(name)

    def _look_for_faults(self) -> None:
        for name in self._hearing.certain_faults():
            if self.mode in (ArmMode.FOLLOWING, ArmMode.WAITING, ArmMode.APPROACHING):
                faults = ", ".join(self._hearing.states[name].faults)
                self._stand(ArmMode.HOLDING, f"{name} reports {faults}", HealthLevel.ERROR)

    def _protect(self, now_s: float) -> None:
        silent = self.silent(now_s)
        for name, state in self._hearing.states.items():
            if name in silent:
                continue
            angle, velocity = self._hearing.measured(name), self._hearing.velocity(name)
            gap = self._goals.rad.get(name, angle) - angle
            before = self._protection.verdict(name)
            verdict = self._protection.look(name, state, gap, velocity, now_s)
            if verdict.stage > before.stage:
                self._say(
                    HealthLevel.WARN if verdict.stage is Stage.SOFT else HealthLevel.ERROR,
                    f"{name}: {verdict.reason}",
                )
            torque = self._protection.new_torque(name)
            if torque is not None:
                self._writes.append(Write(self.scales[name].servo_id, "Torque_Limit", torque))
            if verdict.stage is Stage.RETREAT and self.mode is not ArmMode.HOLDING:
                back = self.limits.protection.retreat_rad
                self._stand(ArmMode.HOLDING, f"{name} {verdict.reason}", HealthLevel.ERROR)
                self._goals.rad[name] = angle - verdict.push * back
                self._protection.forget(name)
            elif verdict.stage is Stage.STOP and self.mode not in (
                ArmMode.HOLDING,
                ArmMode.LOWERING,
            ):
                self._stand(ArmMode.HOLDING, f"{name}: {verdict.reason}", HealthLevel.ERROR)
            elif (
                verdict.stage is Stage.LOWER
                and before.stage is not Stage.LOWER
                and self.mode is not ArmMode.LOWERING
            ):
                self._enter(ArmMode.LOWERING, f"{name}: {verdict.reason}", HealthLevel.ERROR)

    # -- motion ----------------------------------------------------------------------------------

    def _move(self, now_s: float, since_s: float) -> None:
        if self.mode is ArmMode.FOLLOWING:
            self._follow(now_s, since_s)
        elif self.mode is ArmMode.LOWERING:
            if self._goals.slowly_to(self._rest.rad, since_s):
                self._enter(ArmMode.HOLDING, "lowered: torque may be switched off", HealthLevel.OK)
        elif self.mode is ArmMode.APPROACHING:
            offered = self._commands.offered
            if not offered.fresh(now_s):
                self._stand(ArmMode.WAITING, "no command any more", HealthLevel.WARN)
            elif self._goals.slowly_to(offered.rad, since_s):
                self._enter(ArmMode.FOLLOWING, "", HealthLevel.OK)
                self._commands.arrived(now_s)

    def _follow(self, now_s: float, since_s: float) -> None:
        target = self._commands.target_rad
        if target is None or self._commands.overdue(now_s):
            refusal = self._commands.last_refusal
            self._stand(
                ArmMode.WAITING,
                f"no command for {self.limits.command_timeout_s:g} s"
                + (f"; the last was refused: {refusal}" if refusal else ""),
                HealthLevel.WARN,
                gap=True,
            )
        else:
            self._goals.lead(target, since_s)

    def _stand(
        self,
        mode: ArmMode,
        reason: str,
        level: HealthLevel,
        but: Sequence[str] = (),
        *,
        gap: bool = False,
    ) -> None:
        """Hold every joint where it is; one that stands already keeps its goal, lest it creep."""
        if self.mode in _MOVING:
            for name in self._hearing.states:
                if name in but:
                    self._goals.unknown.add(name)
                else:
                    self._goals.stop(name)
        self._enter(mode, reason, level, gap=gap)

    def _enter(self, mode: ArmMode, reason: str, level: HealthLevel, *, gap: bool = False) -> None:
        if mode is self.mode and reason == self.reason:
            return
        if self.mode is ArmMode.HOLDING and mode is ArmMode.HOLDING and self.reason:
            # The first cause is kept; the later ones are said.
            self._say(level, reason)
            return
        self.mode, self.reason = mode, reason
        if mode is not ArmMode.FOLLOWING and not gap:
            self._commands.forget()
        self._say(level, f"the arm {self._state_in_words()}")

    def _state_in_words(self) -> str:
        return f"{self.mode.value}{f' ({self.reason})' if self.reason else ''}"

    def _engage(self, name: str) -> None:
        """Tell a servo its goal, and only then to push."""
        servo_id = self.scales[name].servo_id
        self._ordered.add(name)
        self._goals.unknown.discard(name)
        self._writes += [
            Write(servo_id, "Acceleration", ACCELERATION),
            Write(servo_id, "Torque_Limit", self._protection.whole_torque(name)),
            Write(servo_id, "Goal_Position", self._goals.ticks_of(name)),
            Write(servo_id, "Torque_Enable", 1),
        ]

    def _unsure(self, names: Iterable[str]) -> str:
        unsure = [name for name in names if not self._hearing.sure(name)]
        return (
            f"{', '.join(unsure)} has not answered {SURE} times alike yet; try again"
            if unsure
            else ""
        )

    def _say(self, level: HealthLevel, text: str) -> None:
        if text:
            self._events.append(ArmEvent(level, text))
