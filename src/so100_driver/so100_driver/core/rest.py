# SPDX-License-Identifier: Apache-2.0
"""Where an arm can lie without torque, and who may drop it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .orders import ArmLimits
from .scale import JointScale


class Rest:
    """Says whether the torque may go. Times are steady, in s.

    Attributes:
        rad: Where each joint lies; the gripper's does not matter, and is not in it.
    """

    def __init__(
        self, rest_rad: Mapping[str, float], scales: Mapping[str, JointScale], limits: ArmLimits
    ) -> None:
        """Begin without anybody's consent."""
        self.rad = {
            name: min(scale.upper_rad, max(scale.lower_rad, rest_rad[name]))
            for name, scale in scales.items()
            if name != "gripper"
        }
        self._limits = limits
        self._asked_s: float | None = None

    def lowered(self, measured_rad: Mapping[str, float]) -> bool:
        """Return whether the arm lies there; not where a joint was never seen."""
        return all(name in measured_rad for name in self.rad) and all(
            abs(measured_rad[name] - self.rad[name]) <= self._limits.rest_distance_rad
            for name in ("shoulder_lift", "elbow_flex")
        )

    def problem(
        self, measured_rad: Mapping[str, float], now_s: float, silent: Sequence[str] = ()
    ) -> str:
        """Be asked to let go; say why not, or nothing where it lies or was asked twice."""
        asked_s, within = self._asked_s, self._limits.drop_within_s
        consented = asked_s is not None and 0.0 <= now_s - asked_s <= within
        if consented or (self.lowered(measured_rad) and not silent):
            self._asked_s = None
            return ""
        self._asked_s = now_s
        if silent:
            return (
                f"no answer from {', '.join(silent)}, which may go on pushing: switch the supply "
                f"off, or support the arm by hand and ask again within {within:g} s to let go of "
                "the others"
            )
        return (
            "the arm would drop: lower it first (~/lower), or support it by hand and ask "
            f"again within {within:g} s"
        )
