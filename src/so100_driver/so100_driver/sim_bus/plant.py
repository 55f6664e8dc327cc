# SPDX-License-Identifier: Apache-2.0
"""What the servos move: six shafts with inertia, friction, weight, and play behind the encoder."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class ServoPlant(Protocol):
    """An arm that takes torques.

    Arrays are `(J,)`, in the order of the servos' ids.
    """

    @property
    def encoder(self) -> FloatArray:
        """Angles at the encoders, rad."""

    @property
    def velocity(self) -> FloatArray:
        """Velocities at the encoders, rad/s."""

    def step(self, torque_nm: FloatArray, dt_s: float) -> None:
        """Advance by `dt_s` under these torques."""


class FreeShafts:
    """Six joints without coupling, with the weight of the SO-101's links on three of them.

    Damping 0.60 N m s/rad, dry friction 0.052 N m and reflected inertia 0.028 kg m^2 are those of
    the maker's MuJoCo model; the weights come from the masses and centres in its description.

    Attributes:
        play_rad: Free play between an encoder and its link, +-rad.
        stuck: Joints that do not move, whatever pushes.
        external_nm: Torque from outside on each joint, `(J,)`, N m.
        way_rad: Joints in a person's hand, each with the angles that it takes it to; it holds it
            at the last one. A hand is stronger than any servo, and no stop gives way to it.
    """

    inertia_kg_m2 = 0.028
    damping_nm_s = 0.60
    friction_nm = 0.052
    hand_rad_s = 1.5
    # Weight times lever of what hangs on shoulder_lift, elbow_flex and wrist_flex, N m.
    _UPPER_NM = 9.81 * 0.103 * 0.090
    _UPPER_TIP_NM = 9.81 * (0.104 + 0.079 + 0.087 + 0.012) * 0.116
    _LOWER_NM = 9.81 * 0.104 * 0.098
    _LOWER_TIP_NM = 9.81 * (0.079 + 0.087 + 0.012) * 0.135
    _HAND_NM = 9.81 * (0.079 + 0.087 + 0.012) * 0.06

    def __init__(self, start_rad: FloatArray, play_rad: float = math.radians(0.5)) -> None:
        """Begin at rest.

        Args:
            start_rad: Angles at the encoders, `(J,)`, rad.
            play_rad: Free play behind an encoder, +-rad.
        """
        self._angle = np.array(start_rad, dtype=np.float64)
        self._velocity = np.zeros_like(self._angle)
        self.play_rad = play_rad
        self.stuck: set[int] = set()
        self.way_rad: dict[int, list[float]] = {}
        self.external_nm = np.zeros_like(self._angle)
        self.low_rad = np.full_like(self._angle, -math.inf)
        self.high_rad = np.full_like(self._angle, math.inf)

    @property
    def encoder(self) -> FloatArray:
        """Angles at the encoders, `(J,)`, rad."""
        return self._angle

    @property
    def velocity(self) -> FloatArray:
        """Velocities, `(J,)`, rad/s."""
        return self._velocity

    @property
    def link(self) -> FloatArray:
        """Angles of the links, `(J,)`, rad: each hangs at one side of its play."""
        weight = self.gravity_nm() + self.external_nm
        return self._angle + self.play_rad * np.clip(weight / 0.02, -1.0, 1.0)

    def gravity_nm(self) -> FloatArray:
        """Return the torque of the weight on each joint, `(J,)`, N m."""
        torque = np.zeros_like(self._angle)
        if len(self._angle) < 4:
            return torque
        # Angles above the horizontal, with lift 0 = upper arm upright and elbow 0 = a right angle.
        upper = math.pi / 2 - self._angle[1]
        lower = upper - math.pi / 2 - self._angle[2]
        hand = lower - self._angle[3]
        at_wrist = self._HAND_NM * math.cos(hand)
        at_elbow = (self._LOWER_NM + self._LOWER_TIP_NM) * math.cos(lower) + at_wrist
        at_lift = (self._UPPER_NM + self._UPPER_TIP_NM) * math.cos(upper) + at_elbow
        torque[1:4] = at_lift, at_elbow, at_wrist
        return torque

    def step(self, torque_nm: FloatArray, dt_s: float) -> None:
        """Advance by `dt_s` under these torques, `(J,)`, N m."""
        push = torque_nm + self.gravity_nm() + self.external_nm
        # Damping implicitly, so that a light joint stays stable; dry friction takes what it can.
        free = self._velocity + push / self.inertia_kg_m2 * dt_s
        friction = self.friction_nm / self.inertia_kg_m2 * dt_s
        free = np.sign(free) * np.maximum(np.abs(free) - friction, 0.0)
        velocity = free / (1.0 + self.damping_nm_s / self.inertia_kg_m2 * dt_s)
        for joint in self.stuck:
            velocity[joint] = 0.0
        for joint, way in self.way_rad.items():
            velocity[joint] = self._by_hand(joint, way, dt_s)
        angle = self._angle + velocity * dt_s
        stopped = (angle < self.low_rad) | (angle > self.high_rad)
        self._angle = np.clip(angle, self.low_rad, self.high_rad)
        self._velocity = np.where(stopped, 0.0, velocity)

    def _by_hand(self, joint: int, way: list[float], dt_s: float) -> float:
        """Return the velocity at which a hand takes a joint along its way, rad/s."""
        goal = min(max(way[0], self.low_rad[joint]), self.high_rad[joint])
        distance = float(goal - self._angle[joint])
        if abs(distance) <= self.hand_rad_s * dt_s:
            if len(way) > 1:
                way.pop(0)
            return distance / dt_s
        return math.copysign(self.hand_rad_s, distance)
