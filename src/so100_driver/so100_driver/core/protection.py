# SPDX-License-Identifier: Apache-2.0
"""An arm that stops pushing: each joint's load, current and temperature over time.

What a joint does that pushes in vain: first it pushes with less (SOFT), then it goes back to where
nothing resists (RETREAT), then it stays there and takes no command (STOP). A gripper that holds
something pushes in vain by design: it pushes with less, and keeps on. A joint that grows hot makes
the arm stop, and at last lower itself, before the servo lets go by its own limit and drops it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from .state import ServoState

_LARGEST_TORQUE = 1000


class Stage(IntEnum):
    """What is done about a joint."""

    NONE = 0
    SOFT = 1
    RETREAT = 2
    STOP = 3
    LOWER = 4


@dataclass(frozen=True)
class ProtectionLimits:
    """When a joint is protected.

    Attributes:
        load: Share of its torque with which a joint pushes hard.
        gripper_load: The same of the gripper.
        current_a: Current that counts as pushing hard.
        still_rad_s: Below this speed it pushes in vain.
        free_rad_s: Above this speed nothing is in its way any more.
        gap_rad: And if its goal is further away than this.
        soft_s: For so long, and it becomes soft.
        retreat_s: For so long, and it goes back.
        soft_torque: Share of its torque that a soft joint has.
        gripper_soft_torque: The same of the gripper.
        retreat_rad: How far it goes back from where it pushed.
        warm_c: From here on it is said; a gripper becomes soft.
        hot_c: From here on the arm stops.
        lower_c: From here on the arm lowers itself.
    """

    load: float = 0.55
    gripper_load: float = 0.22
    current_a: float = 1.7
    still_rad_s: float = 0.06
    free_rad_s: float = 0.3
    gap_rad: float = 0.06
    soft_s: float = 0.3
    retreat_s: float = 0.8
    soft_torque: float = 0.6
    gripper_soft_torque: float = 0.2
    retreat_rad: float = 0.03
    warm_c: float = 55.0
    hot_c: float = 60.0
    lower_c: float = 64.0


@dataclass(frozen=True)
class JointVerdict:
    """What is to be done about a joint, and why.

    Attributes:
        stage: What.
        reason: Why, in words; empty where nothing is.
        push: Direction in which it pushes, on the joint's scale: 1, -1, or 0.
    """

    stage: Stage = Stage.NONE
    reason: str = ""
    push: int = 0


@dataclass
class JointProtection:
    """Watches one joint.

    Attributes:
        limits: When it is protected.
        is_gripper: It may push in vain, softly, for as long as it likes.
    """

    limits: ProtectionLimits
    is_gripper: bool = False
    _pushing_since_s: float | None = field(default=None)
    _soft_since_s: float | None = field(default=None)

    def look(
        self, state: ServoState, gap_rad: float, velocity_rad_s: float, now_s: float
    ) -> JointVerdict:
        """Judge a joint.

        Args:
            state: What its servo says.
            gap_rad: Its goal minus where it is, on the joint's scale.
            velocity_rad_s: On the same scale.
            now_s: Steady time.
        """
        hot = self._heat(state)
        pushing = self._pushes(state, gap_rad, velocity_rad_s, now_s)
        return max(hot, pushing, key=lambda verdict: verdict.stage)

    def forget(self) -> None:
        """Begin anew, as after a person has allowed the arm to go on."""
        self._pushing_since_s = self._soft_since_s = None

    def _heat(self, state: ServoState) -> JointVerdict:
        heat, limits = state.temperature_c, self.limits
        words = f"{heat:.0f} degrees C"
        if not (heat < limits.lower_c):
            return JointVerdict(
                Stage.LOWER, f"{words}: the arm is lowered before the servo lets go"
            )
        if not (heat < limits.hot_c):
            return JointVerdict(Stage.STOP, f"{words}: too hot to go on; lower it and let it cool")
        if not (heat < limits.warm_c) and self.is_gripper:
            return JointVerdict(Stage.SOFT, f"{words}: grips with less")
        return JointVerdict()

    def _pushes(
        self, state: ServoState, gap_rad: float, velocity_rad_s: float, now_s: float
    ) -> JointVerdict:
        limits = self.limits
        # A soft joint has less torque, and so less load, while it pushes as much as it can.
        most = limits.gripper_load if self.is_gripper else limits.load
        if self._soft_since_s is not None:
            soft = limits.gripper_soft_torque if self.is_gripper else limits.soft_torque
            most = min(most, 0.8 * soft)
        hard = abs(state.load) >= most or abs(state.current_a) >= limits.current_a
        still = abs(velocity_rad_s) <= limits.still_rad_s
        if not (hard and still and abs(gap_rad) >= limits.gap_rad):
            self._pushing_since_s = None
            if abs(gap_rad) < limits.gap_rad or abs(velocity_rad_s) > limits.free_rad_s:
                self._soft_since_s = None
            return JointVerdict(
                Stage.SOFT if self._soft_since_s is not None else Stage.NONE,
                "pushes with less until it is where it should be"
                if self._soft_since_s is not None
                else "",
            )
        if self._pushing_since_s is None:
            self._pushing_since_s = now_s
        for_s = now_s - self._pushing_since_s
        push = 1 if gap_rad > 0 else -1
        words = (
            f"pushes in vain for {for_s:.1f} s (load {abs(state.load):.2f}, "
            f"{abs(state.current_a):.1f} A, {abs(gap_rad):.2f} rad from its goal)"
        )
        if for_s >= limits.retreat_s and not self.is_gripper:
            return JointVerdict(Stage.RETREAT, words, push)
        if for_s >= limits.soft_s or self._soft_since_s is not None:
            if self._soft_since_s is None:
                self._soft_since_s = now_s
            return JointVerdict(Stage.SOFT, words, push)
        return JointVerdict()


class ArmProtection:
    """Watches every joint, and says with how much of its torque each may push."""

    def __init__(
        self, joints: Iterable[str], limits: ProtectionLimits, gripper_torque: float
    ) -> None:
        """Begin with every joint well.

        Args:
            joints: Their names.
            limits: When one is protected.
            gripper_torque: Share of its torque that the gripper has while it is well.
        """
        self._limits, self._gripper_torque = limits, gripper_torque
        self._joints = {name: JointProtection(limits, name == "gripper") for name in joints}
        self._verdicts: dict[str, JointVerdict] = {}
        self._shares: dict[str, float] = {}

    def verdict(self, name: str) -> JointVerdict:
        """Return what was last said of a joint."""
        return self._verdicts.get(name, JointVerdict())

    def look(
        self, name: str, state: ServoState, gap_rad: float, velocity_rad_s: float, now_s: float
    ) -> JointVerdict:
        """Judge a joint, as `JointProtection.look` does, and keep the verdict."""
        found = self._joints[name].look(state, gap_rad, velocity_rad_s, now_s)
        self._verdicts[name] = found
        return found

    def at_rest(self, name: str, state: ServoState, now_s: float) -> JointVerdict:
        """Return what would be said of a joint that stood at its goal."""
        return self._joints[name].look(state, 0.0, 0.0, now_s)

    def forget(self, name: str = "") -> None:
        """Begin anew with a joint whose push ended, or with all of them and their verdicts."""
        for joint in [name] if name else self._joints:
            self._joints[joint].forget()
        if not name:
            self._verdicts.clear()

    def whole_torque(self, name: str) -> int:
        """Return the torque limit of a joint that is well, in the register's units."""
        self._shares[name] = self._whole(name)
        return round(self._shares[name] * _LARGEST_TORQUE)

    def lowers(self, name: str) -> bool:
        """Return whether a joint is so hot that the arm lowers itself."""
        return self.verdict(name).stage is Stage.LOWER

    def told(self, name: str) -> float:
        """Return the share of its torque that a joint was last told to have."""
        return self._shares.get(name, self._whole(name))

    def new_torque(self, name: str) -> int | None:
        """Return the torque limit that the verdict asks for; None where the servo has it."""
        share, stage = self._whole(name), self.verdict(name).stage
        if stage >= Stage.SOFT and name == "gripper":
            share = min(share, self._limits.gripper_soft_torque)
        elif stage in (Stage.SOFT, Stage.RETREAT):
            share = min(share, self._limits.soft_torque)
        if self._shares.get(name) == share:
            return None
        self._shares[name] = share
        return round(share * _LARGEST_TORQUE)

    def _whole(self, name: str) -> float:
        return self._gripper_torque if name == "gripper" else 1.0
