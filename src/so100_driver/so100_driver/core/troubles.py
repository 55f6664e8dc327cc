# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with an arm that has torque, and what it does then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .conduct import MOVING, Conduct
from .health import HealthLevel
from .orders import ArmMode, Write
from .protection import Stage
from .recovery import Recovery
from .state import DriveSettings

# Of a torque limit, from reading and writing it.
_SAME_SHARE = 0.002


class Troubles:
    """Looks at what the servos said in a cycle.

    Attributes:
        recovery: By joint, what became of torque that was lost.
        may_lower: Heat may have the arm lowered; not after a person stopped that, whatever grows
            hot after, until a person lets it move again.
    """

    def __init__(self, conduct: Conduct) -> None:
        """Begin with nothing wrong."""
        self.recovery = {name: Recovery() for name in conduct.scales}
        self.may_lower = True
        self._conduct = conduct
        self._checked = self._doubted = 0
        self._doubts = False

    def look(self, drive: Mapping[int, DriveSettings], now_s: float) -> None:
        """Stop, soften, retreat, lower or give torque back where it is time to.

        Args:
            drive: What some of the servos keep of their orders.
            now_s: When that was read.
        """
        self._look_for_silence(now_s)
        self._look_for_restarts(drive, now_s)
        self._conduct.goals.withheld = {
            name for name, recovery in self.recovery.items() if not recovery.trusted
        }
        self._look_for_faults()
        self._protect(now_s)

    def given_up(self) -> set[str]:
        """Return the joints without torque whose servos are not told to hold any more."""
        return {name for name, one in self.recovery.items() if one.pending and one.given_up}

    def to_check(self, answered: Iterable[int], now_s: float) -> list[int]:
        """Return the servos whose orders are read back now.

        Args:
            answered: Who answered in this cycle. Of these everyone who was away for so long that
                it can have restarted shows its orders, before it is told anything.
            now_s: Now.
        """
        hearing, there = self._conduct.hearing, set(answered)
        back = [
            scale.servo_id
            for name, scale in self._conduct.scales.items()
            if scale.servo_id in there
            and (
                self.recovery[name].away
                or not (hearing.age_s(name, now_s) <= self._conduct.limits.restart_s)
            )
        ]
        following = self.next_to_check()
        return back if following in back or following not in there else [*back, following]

    def next_to_check(self) -> int:
        """Return the servo whose orders are read back next: one in doubt, and each in turn."""
        names = list(self._conduct.scales)
        doubtful = [
            name
            for name, recovery in self.recovery.items()
            if (recovery.pending and not recovery.given_up) or recovery.in_doubt
        ]
        # In an order that is the same in each process, as that of a set of names is not.
        doubtful += [name for name in names if name in self._conduct.goals.unknown]
        doubtful = [name for name in doubtful if name in self._conduct.hearing.answered]
        # By turns: those that stay in doubt do not hide what happens to the others.
        self._doubts = bool(doubtful) and not self._doubts
        if self._doubts:
            name = doubtful[self._doubted % len(doubtful)]
            self._doubted += 1
            return self._conduct.scales[name].servo_id
        self._checked = (self._checked + 1) % len(names)
        return self._conduct.scales[names[self._checked]].servo_id

    def note(self, drive: Mapping[int, DriveSettings]) -> None:
        """Keep what servos without orders say of those they had."""
        for servo_id, settings in drive.items():
            name = self._conduct.hearing.joint(servo_id)
            if name is not None and name not in self._conduct.ordered:
                self._conduct.kept[name] = settings
                self.recovery[name].away = False

    def _look_for_silence(self, now_s: float) -> None:
        silent = self._conduct.hearing.silent(now_s)
        if silent:
            # That is no gap in the commands, which would be caught up.
            self._conduct.commands.forget()
        if silent and self._conduct.mode in MOVING:
            # Where the silent ones are is not known, nor which goal reached them last.
            self._conduct.stand(
                ArmMode.WAITING,
                f"no answer from {', '.join(silent)}",
                HealthLevel.ERROR,
                but=silent,
            )

    def _look_for_restarts(self, drive: Mapping[int, DriveSettings], now_s: float) -> None:
        for servo_id, settings in drive.items():
            name = self._conduct.hearing.joint(servo_id)
            if name is None or name in self._conduct.ordered:
                continue
            recovery = self.recovery[name]
            recovery.away = False
            lost = self._lost(name, settings)
            if not lost:
                recovery.seen_on(now_s)
                if name in self._conduct.goals.unknown and self._conduct.hearing.seen_enough(name):
                    self._conduct.goals.take_kept(name, settings)
                self._conduct.goals.note_how_it_hangs(name)
            elif recovery.seen_off(now_s):
                self._conduct.stand(
                    ArmMode.HOLDING,
                    f"{name} lost its {lost}: its power failed, or another program changed that",
                    HealthLevel.ERROR,
                )
        for name, recovery in self.recovery.items():
            sure = self._conduct.hearing.sure(name) and name in self._conduct.hearing.answered
            if sure and recovery.due(now_s):
                self._conduct.goals.stay(name)
                self._conduct.engage(name)

    def _lost(self, name: str, settings: DriveSettings) -> str:
        """Say what of its orders a servo has lost; empty where it keeps them.

        A goal gives a servo that restarted its torque back: only its other orders tell then.
        """
        if not settings.torque:
            return "torque"
        before = self._conduct.kept.get(name)
        if before is None:
            self._conduct.kept[name] = settings
            told = self._conduct.protection.told(name)
            if not (abs(settings.torque_limit - told) <= _SAME_SHARE):
                self._conduct.say(
                    HealthLevel.WARN,
                    f"{name} keeps {settings.torque_limit:.0%} as its torque limit, and was told "
                    f"{told:.0%}: is another program at the port?",
                )
            return ""
        if settings.acceleration != before.acceleration:
            return f"acceleration ({settings.acceleration}, was {before.acceleration})"
        if not (abs(settings.torque_limit - before.torque_limit) <= _SAME_SHARE):
            return f"torque limit ({settings.torque_limit:.0%}, was {before.torque_limit:.0%})"
        return ""

    def _look_for_faults(self) -> None:
        for name in self._conduct.hearing.certain_faults():
            if self._conduct.mode in (ArmMode.FOLLOWING, ArmMode.WAITING, ArmMode.APPROACHING):
                faults = ", ".join(self._conduct.hearing.states[name].faults)
                self._conduct.stand(ArmMode.HOLDING, f"{name} reports {faults}", HealthLevel.ERROR)

    def _protect(self, now_s: float) -> None:
        silent = self._conduct.hearing.silent(now_s)
        for name, state in self._conduct.hearing.states.items():
            if name in silent:
                continue
            angle, velocity = (
                self._conduct.hearing.measured(name),
                self._conduct.hearing.velocity(name),
            )
            gap = self._conduct.goals.rad.get(name, angle) - angle
            before = self._conduct.protection.verdict(name)
            verdict = self._conduct.protection.look(name, state, gap, velocity, now_s)
            if verdict.stage > before.stage:
                self._conduct.say(
                    HealthLevel.WARN if verdict.stage is Stage.SOFT else HealthLevel.ERROR,
                    f"{name}: {verdict.reason}",
                )
            torque = self._conduct.protection.new_torque(name)
            if torque is not None:
                self._conduct.kept.pop(name, None)
                self._conduct.writes.append(
                    Write(self._conduct.scales[name].servo_id, "Torque_Limit", torque)
                )
            if verdict.stage is Stage.RETREAT and self._conduct.mode is not ArmMode.HOLDING:
                back = self._conduct.limits.protection.retreat_rad
                self._conduct.stand(ArmMode.HOLDING, f"{name} {verdict.reason}", HealthLevel.ERROR)
                self._conduct.goals.rad[name] = angle - verdict.push * back
                self._conduct.protection.forget(name)
            elif verdict.stage is Stage.STOP and self._conduct.mode not in (
                ArmMode.HOLDING,
                ArmMode.LOWERING,
            ):
                self._conduct.stand(
                    ArmMode.HOLDING, f"{name}: {verdict.reason}", HealthLevel.ERROR
                )
            elif (
                verdict.stage is Stage.LOWER
                and self.may_lower
                # A lowering that a silent servo ended goes on; what a person holds is held.
                and (
                    before.stage is not Stage.LOWER
                    if self._conduct.mode is ArmMode.HOLDING
                    else self._conduct.mode is not ArmMode.LOWERING and not silent
                )
            ):
                self._conduct.enter(
                    ArmMode.LOWERING, f"{name}: {verdict.reason}", HealthLevel.ERROR
                )
