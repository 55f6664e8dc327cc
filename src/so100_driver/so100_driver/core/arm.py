# SPDX-License-Identifier: Apache-2.0
"""The control loop of one arm: from what the servos said to what they are told.

It reads no clock and talks to no bus: `cycle` takes what was read and the time, and returns what
to write. It never switches torque off but by `torque_off`, which a person asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .conduct import Conduct
from .description import REST_RAD
from .gate import CommandRefusedError
from .health import HealthLevel, ServoDiagnosis, health_of
from .hearing import SURE
from .orders import ArmEvent, ArmLimits, ArmMode, Orders, Write
from .protection import Stage
from .rest import Rest
from .scale import JointScale
from .state import DriveSettings, ServoState
from .troubles import Troubles


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
        self._conduct = Conduct(self.scales, self.limits)
        self._troubles = Troubles(self._conduct)
        self._rest = Rest(rest_rad, self.scales, self.limits)
        self._cycled_s = 0.0
        # Of joints with another servo than before, what is said of it.
        self._others: dict[str, str] = {}

    # -- what is read ----------------------------------------------------------------------------

    @property
    def mode(self) -> ArmMode:
        """Return what the arm does."""
        return self._conduct.mode

    @property
    def reason(self) -> str:
        """Return why."""
        return self._conduct.reason

    @property
    def measured_rad(self) -> dict[str, float]:
        """Return where each joint was last seen, rad."""
        return self._conduct.hearing.measured_rad

    @property
    def refused(self) -> int:
        """Return how many commands were refused."""
        return self._conduct.commands.refused

    @property
    def last_refusal(self) -> str:
        """Return why the last one was; empty once one is followed."""
        return self._conduct.commands.last_refusal

    def silent(self, now_s: float) -> list[str]:
        """Return the joints that have not answered for too long."""
        return self._conduct.hearing.silent(now_s)

    def health(self, now_s: float) -> list[ServoDiagnosis]:
        """Return how each servo is."""
        silent = self.silent(now_s)
        return [
            health_of(
                name,
                scale.servo_id,
                self._conduct.hearing.states.get(name),
                self._conduct.protection.verdict(name),
                silent=name in silent,
                age_s=self._conduct.hearing.age_s(name, now_s),
            )
            for name, scale in self.scales.items()
        ]

    def to_check(self, answered: Iterable[int], now_s: float) -> list[int]:
        """Return the servos whose orders are read back now, of those that answered."""
        return self._troubles.to_check(answered, now_s)

    def suspects(self) -> list[int]:
        """Return the servos whose last answer was not believed."""
        return [self.scales[name].servo_id for name in self._conduct.hearing.doubted]

    def take_events(self) -> list[ArmEvent]:
        """Return what happened since the last call."""
        return self._conduct.take_events()

    # -- what is asked for -----------------------------------------------------------------------

    def torque_on(self, now_s: float) -> str:
        """Hold the arm where it is: goals first, then torque.

        Returns:
            Why not, in words; empty where it is done with the next orders.
        """
        silent = self.silent(now_s)
        if silent:
            return self._others.get(silent[0]) or f"no answer from {', '.join(silent)}"
        unsure = self._unsure(self.scales)
        if unsure:
            return unsure
        for name, state in self._conduct.hearing.states.items():
            if state.faults:
                return f"{name} reports {', '.join(state.faults)}"
        if self.mode is not ArmMode.OFF:
            for name, recovery in self._troubles.recovery.items():
                if recovery.pending:
                    recovery.forget()
                    self._conduct.goals.rad[name] = self._conduct.hearing.measured(name)
                    self._conduct.engage(name)
            return ""
        self._conduct.protection.forget()
        self._troubles.may_lower = True
        for recovery in self._troubles.recovery.values():
            recovery.forget()
        self._conduct.goals.rad = self.measured_rad
        for name in self.scales:
            kept = self._conduct.kept.get(name)
            if kept is not None and kept.torque:
                # Another program, or this one before, left it holding: it goes on as it does,
                # and does not sink by what it hangs below its goal.
                self._conduct.goals.take_kept(name, kept)
            self._conduct.engage(name)
        self._conduct.enter(ArmMode.WAITING, "", HealthLevel.OK)
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
        commands = self._conduct.commands
        try:
            same = commands.offer(names, positions, now_s)
            if self.mode is ArmMode.APPROACHING and same:
                return ""
            if self.mode is ArmMode.APPROACHING:
                self._conduct.stand(
                    ArmMode.WAITING, "the commands moved meanwhile", HealthLevel.WARN
                )
            if self.mode not in (ArmMode.WAITING, ArmMode.FOLLOWING):
                raise CommandRefusedError(f"the arm {self._conduct.in_words()}")
            silent = self.silent(now_s)
            if silent:
                raise CommandRefusedError(f"no answer from {', '.join(silent)}")
            waits = self.mode is ArmMode.WAITING
            made_up_for = commands.follow(self.measured_rad, now_s, waits=waits)
        except CommandRefusedError as error:
            return commands.refuse(str(error))
        if waits:
            self._conduct.enter(ArmMode.FOLLOWING, "", HealthLevel.OK)
        self._conduct.say(HealthLevel.WARN, made_up_for)
        return ""

    def hold(self, reason: str = "asked to hold") -> str:
        """Hold the arm where it is, until `clear_faults`.

        Returns:
            Why not, in words; empty where it is done with the next orders.
        """
        if self.mode is ArmMode.OFF:
            return "torque is off: nothing is held"
        warm = [name for name in self.scales if self._conduct.protection.lowers(name)]
        # A lowering that heat began, and that a servo which cooled or fell silent may have ended.
        if (warm and self.mode is not ArmMode.HOLDING) or (
            self.mode is ArmMode.LOWERING and self.reason
        ):
            # Whoever stops a motion has seen something: the last word is a person's.
            reason += (
                f" while it lowered itself; {', '.join(warm) or 'a hot servo'} lets go once it is "
                "too hot: support the arm by hand, or lower it"
            )
            self._troubles.may_lower = False
        self._conduct.stand(ArmMode.HOLDING, reason, HealthLevel.WARN)
        return ""

    def clear_faults(self, now_s: float) -> str:
        """Let commands through again, the first one near the pose; nothing moves by it.

        Where commands go through already, nothing changes: the motion goes on.

        Returns:
            Why not, in words; empty where it is done.
        """
        if self.mode is ArmMode.OFF:
            return "torque is off: ask for it first"
        if self.mode in (ArmMode.FOLLOWING, ArmMode.APPROACHING):
            return ""
        silent = self.silent(now_s)
        if silent:
            return f"no answer from {', '.join(silent)}"
        states = self._conduct.hearing.states
        for name, state in states.items():
            verdict = self._conduct.protection.at_rest(name, state, now_s)
            if verdict.stage >= Stage.STOP:
                return f"{name}: {verdict.reason}"
        lost = [name for name, recovery in self._troubles.recovery.items() if recovery.pending]
        if lost:
            return f"{', '.join(lost)} has no torque: lower the arm and ask for torque anew"
        faulty = [name for name, state in states.items() if state.faults]
        unsure = self._unsure(faulty)
        if unsure:
            return unsure
        for name in faulty:
            self._conduct.goals.nudge(name)
        self._conduct.protection.forget()
        self._troubles.may_lower = True
        self._conduct.stand(ArmMode.WAITING, "", HealthLevel.OK)
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
        self._troubles.may_lower = True
        self._conduct.enter(ArmMode.LOWERING, "", HealthLevel.OK)
        return ""

    def approach(self, now_s: float) -> str:
        """Let the arm go slowly to where its controllers stand, and follow them from there.

        Returns:
            Why not, in words; empty where it has begun, or follows them already.
        """
        if self.mode is ArmMode.FOLLOWING or self.mode is ArmMode.APPROACHING:
            return ""
        if self.mode is not ArmMode.WAITING:
            return f"the arm {self._conduct.in_words()}"
        silent = self.silent(now_s)
        if silent:
            return f"no answer from {', '.join(silent)}"
        problem = self._conduct.commands.offered.problem(now_s)
        if not problem:
            self._conduct.enter(ArmMode.APPROACHING, "", HealthLevel.OK)
        return problem

    @property
    def lowered(self) -> bool:
        """Return whether the arm lies where it can without torque."""
        return self._rest.lowered(self.measured_rad)

    def torque_off(self, now_s: float) -> str:
        """Switch the torque off; at the second asking only, where the arm would drop.

        So too where a servo does not answer, and may go on pushing.

        Returns:
            Why not, in words; empty where it is done with the next orders.
        """
        silent = self.silent(now_s)
        if len(silent) == len(self.scales):
            return "no servo answers, so none is told: switch the supply off"
        problem = self._rest.problem(self.measured_rad, now_s, silent)
        if problem:
            return problem
        self._conduct.writes += [
            Write(scale.servo_id, "Torque_Enable", 0) for scale in self.scales.values()
        ]
        self._conduct.goals.rad = {}
        self._conduct.kept.clear()
        self._conduct.ordered |= self.scales.keys()
        for recovery in self._troubles.recovery.values():
            recovery.forget()
        self._conduct.enter(ArmMode.OFF, "a person switched the torque off", HealthLevel.WARN)
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
        for name, recovery in self._troubles.recovery.items():
            recovery.away |= not (
                self._conduct.hearing.age_s(name, now_s) <= self.limits.restart_s
            )
        self._conduct.hearing.take(states, now_s)
        for name in self._conduct.hearing.answered:
            self._others.pop(name, None)
        since_s, self._cycled_s = now_s - self._cycled_s, now_s
        if self.mode is ArmMode.OFF:
            self._troubles.note(drive)
            return self._conduct.orders()
        self._troubles.look(drive, now_s)
        self._move(now_s, since_s)
        return self._conduct.orders()

    def failed(self, write: Write, problem: str) -> None:
        """Be told that a write was not answered."""
        name = self._conduct.hearing.joint(write.servo_id) or f"id {write.servo_id}"
        self._conduct.say(HealthLevel.ERROR, f"{name}: {write.register} not written: {problem}")
        if self.mode is ArmMode.OFF:
            self._conduct.say(
                HealthLevel.ERROR, f"{name} may still push: switch the supply off to be sure"
            )
        elif name in self._troubles.recovery:
            self._troubles.recovery[name].lost()
            self._conduct.stand(
                ArmMode.HOLDING, f"{name} did not take an order", HealthLevel.ERROR
            )

    def is_another(self, servo_id: int, differs: str) -> None:
        """Be told that another servo answers in the place of one of the arm's."""
        name = self._conduct.hearing.joint(servo_id) or f"id {servo_id}"
        words = (
            f"{name} is another servo than before ({differs}): is this another arm, or did "
            "another program write that? Plug in the right one, or start anew with its calibration"
        )
        self._others[name] = words
        if self.mode is ArmMode.OFF:
            self._conduct.say(HealthLevel.ERROR, words)
        else:
            self._conduct.stand(ArmMode.HOLDING, words, HealthLevel.ERROR)

    # -- motion ----------------------------------------------------------------------------------

    def _move(self, now_s: float, since_s: float) -> None:
        if self.mode is ArmMode.FOLLOWING:
            self._follow(now_s, since_s)
        elif self.mode is ArmMode.LOWERING:
            left = self._conduct.goals.slowly_to(self._rest.rad, since_s)
            limp = self._troubles.given_up()
            if limp.issuperset(left):
                but = f", but for {', '.join(left)}, which has no torque" if left else ""
                self._conduct.enter(
                    ArmMode.HOLDING, f"lowered{but}: torque may be switched off", HealthLevel.OK
                )
        elif self.mode is ArmMode.APPROACHING:
            offered = self._conduct.commands.offered
            if not offered.fresh(now_s):
                self._conduct.stand(ArmMode.WAITING, "no command any more", HealthLevel.WARN)
            elif not self._conduct.goals.slowly_to(offered.rad, since_s):
                self._conduct.enter(ArmMode.FOLLOWING, "", HealthLevel.OK)
                self._conduct.commands.arrived(now_s)

    def _follow(self, now_s: float, since_s: float) -> None:
        target = self._conduct.commands.target_rad
        if target is None or self._conduct.commands.overdue(now_s):
            refusal = self._conduct.commands.last_refusal
            self._conduct.stand(
                ArmMode.WAITING,
                f"no command for {self.limits.command_timeout_s:g} s"
                + (f"; the last was refused: {refusal}" if refusal else ""),
                HealthLevel.WARN,
                gap=True,
            )
        else:
            self._conduct.goals.lead(target, since_s)

    def _unsure(self, names: Iterable[str]) -> str:
        unsure = [name for name in names if not self._conduct.hearing.sure(name)]
        return (
            f"{', '.join(unsure)} has not answered {SURE} times alike yet; try again"
            if unsure
            else ""
        )
