# SPDX-License-Identifier: Apache-2.0
"""Kinematics of an arm of six joints or more, from its joint frames: no closed form is needed.

Forward it is a product of frames, inverse damped least squares (Wampler 1986), row after row from
where the arm is. What freedom an arm of seven joints has left goes towards a posture of rest, so
that it comes home as it left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_policies.kinematics import frame_of

Array = NDArray[np.float64]

_DAMPING = 0.02
_ROUNDS = 4  # for a row, which is near the one before
_ROUNDS_FROM_AFAR = 150
_STEP = 0.15  # rad, most that one round changes a joint
_TO_REST = 0.05  # share of the way to the posture of rest that a round may take
_REACHED = (0.002, 0.02)  # m and rad off the place


@dataclass(frozen=True, eq=False)
class ChainKinematics:
    """Both ways between joints and the coordinates of one point of the hand.

    The coordinates are those of `kinematics.HandKinematics`, in this order, (..., 5): bearing rad
    (about the vertical axis through the base), radius m (from there), height m, pitch rad (0: the
    hand points outwards; pi/2: down), roll rad (0: the jaws open sideways). The hand points
    neither to the left nor to the right of its bearing.

    Attributes:
        frames: Frame of each joint in the one before, (J, 4, 4), m. Every axis is z.
        point: The point in the last joint's frame, (3,), m.
        forward_axis: Where the hand points, in the same frame, a unit vector (3,).
        jaw_axis: Along which its jaws open, likewise.
        lower: Joint limits (J,), rad.
        upper: Likewise.
        rest: A posture of rest (J,), rad.
    """

    frames: Array
    point: Array
    forward_axis: Array
    jaw_axis: Array
    lower: Array
    upper: Array
    rest: Array
    _hand: Array = field(init=False)

    def __post_init__(self) -> None:
        side = np.cross(self.forward_axis, self.jaw_axis)
        axes = np.column_stack([self.forward_axis, self.jaw_axis, side])
        object.__setattr__(self, "_hand", axes)

    @property
    def axis_x(self) -> float:
        """Where the vertical axis is, along x of the base, m."""
        return float(self.frames[0, 0, 3])

    def coordinates(self, joints: ArrayLike) -> Array:
        """Return the coordinates (..., 5) for joints (..., J), rad."""
        angles = np.asarray(joints, dtype=np.float64)
        rows = [self._coordinates(row) for row in angles.reshape(-1, len(self.frames))]
        return np.array(rows).reshape(*angles.shape[:-1], 5)

    def joints(
        self, coordinates: ArrayLike, near: ArrayLike | None = None
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return joints for coordinates (..., 5), each row near the one before it.

        Args:
            coordinates: In rows that are near each other.
            near: Joints (J,), rad, near which the first row is; without them, that of rest.

        Returns:
            Joints (..., J), rad, within the limits, and whether the point is reached (...).
        """
        given = np.asarray(coordinates, dtype=np.float64)
        rounds = _ROUNDS_FROM_AFAR if near is None else _ROUNDS
        here = np.array(self.rest if near is None else near, dtype=np.float64)
        found, reached = [], []
        for row in given.reshape(-1, 5):
            here, off = self._approach(here, row, rounds)
            rounds = _ROUNDS
            found.append(here)
            reached.append(off[0] < _REACHED[0] and off[1] < _REACHED[1])
        shape = given.shape[:-1]
        return (
            np.array(found).reshape(*shape, len(self.frames)),
            np.array(reached, dtype=np.bool_).reshape(shape),
        )

    def jaw_yaw(self, joints: ArrayLike) -> Array:
        """Return the direction, rad about the vertical, along which the jaws open; joints (J,)."""
        axis = self.link_poses(np.asarray(joints, dtype=np.float64))[-1][:3, :3] @ self.jaw_axis
        return np.asarray(np.arctan2(axis[1], axis[0]))

    def link_poses(self, joints: Array) -> Array:
        """Return the poses (J, 4, 4), m, of the links that joints (J,), rad, move."""
        poses, pose = [], np.eye(4)
        for frame, cos, sin in zip(self.frames, np.cos(joints), np.sin(joints), strict=True):
            pose = pose @ frame
            turned = pose.copy()
            turned[:, 0] = cos * pose[:, 0] + sin * pose[:, 1]
            turned[:, 1] = cos * pose[:, 1] - sin * pose[:, 0]
            pose = turned
            poses.append(pose)
        return np.array(poses)

    def _coordinates(self, joints: Array) -> Array:
        pose = self.link_poses(joints)[-1]
        x, y, height = pose[:3, :3] @ self.point + pose[:3, 3]
        x -= self.axis_x
        bearing = np.arctan2(y, x)
        outwards = np.array([np.cos(bearing), np.sin(bearing), 0.0])
        sideways = np.array([-np.sin(bearing), np.cos(bearing), 0.0])
        forward, jaw = (pose[:3, :3] @ self._hand[:, :2]).T
        pitch = np.arctan2(-forward[2], forward @ outwards)
        roll = np.arctan2(jaw @ np.cross(sideways, forward), jaw @ sideways)
        return np.array([bearing, np.hypot(x, y), height, pitch, roll])

    def _approach(
        self, joints: Array, place: Array, rounds: int
    ) -> tuple[Array, tuple[float, float]]:
        """Return joints (J,) nearer to a place (5,), and how far off it they are, m and rad."""
        position, hand = self._pose(place)
        for _ in range(rounds):
            error, jacobian = self._error(joints, position, hand)
            square = jacobian @ jacobian.T + _DAMPING**2 * np.eye(6)
            towards = jacobian.T @ np.linalg.solve(square, error)
            to_rest = _TO_REST * (self.rest - joints)
            # Only what does not move the hand.
            to_rest -= jacobian.T @ np.linalg.solve(square, jacobian @ to_rest)
            step = towards + to_rest
            step *= min(1.0, _STEP / max(float(np.max(np.abs(step))), 1e-9))
            joints = np.clip(joints + step, self.lower, self.upper)
        error, _ = self._error(joints, position, hand)
        return joints, (float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:])))

    def _pose(self, place: Array) -> tuple[Array, Array]:
        """Return the point's position (3,) and the hand's axes (3, 3): forward, jaws, side."""
        bearing, radius, height, pitch, roll = place
        outwards = np.array([np.cos(bearing), np.sin(bearing), 0.0])
        sideways = np.array([-np.sin(bearing), np.cos(bearing), 0.0])
        forward = np.cos(pitch) * outwards - np.array([0.0, 0.0, np.sin(pitch)])
        jaw = np.cos(roll) * sideways + np.sin(roll) * np.cross(sideways, forward)
        position = radius * outwards + [self.axis_x, 0.0, height]
        return position, np.column_stack([forward, jaw, np.cross(forward, jaw)])

    def _error(self, joints: Array, position: Array, hand: Array) -> tuple[Array, Array]:
        """Return what is missing (6,), m and rad, and the Jacobian (6, J) of the hand."""
        poses = self.link_poses(joints)
        turn = poses[-1, :3, :3]
        there = turn @ self.point + poses[-1, :3, 3]
        now = turn @ self._hand
        # Half the sum of the cross products: the rotation vector, for small angles.
        missing = 0.5 * np.sum(np.cross(now.T, hand.T), axis=0)
        axes = poses[:, :3, 2]
        jacobian = np.vstack([np.cross(axes, there - poses[:, :3, 3]).T, axes.T])
        return np.concatenate([position - there, missing]), jacobian


def chain_frames(frames: Array) -> Array:
    """Return poses (J, 4, 4) for rows (J, 6): x y z in m, then roll pitch yaw in rad."""
    return np.array([frame_of(tuple(row[:3]), tuple(row[3:])) for row in frames])
