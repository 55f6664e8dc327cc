# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the SO-101: forward along its joint frames, inverse in closed form.

The arm turns about a vertical axis (pan), then moves in a vertical plane about three parallel axes
(lift, elbow, wrist flex), and rolls about the last link. So five coordinates of the hand fix the
five joints exactly: where a point of the hand is (bearing, radius, height), how steeply the hand
points (pitch) and how it is rolled. Here they are computed both ways, for many rows at once.

Source of the joint frames: the maker's published description.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Frame of each joint in its parent: x y z in m, then roll pitch yaw in rad. Every axis is z.
JOINT_FRAMES = (
    ((0.0388353, 0.0, 0.0624), (np.pi, 0.0, -np.pi)),
    ((-0.0303992, -0.0182778, -0.0542), (-np.pi / 2, -np.pi / 2, 0.0)),
    ((-0.11257, -0.028, 0.0), (0.0, 0.0, np.pi / 2)),
    ((-0.1349, 0.0052, 0.0), (0.0, 0.0, -np.pi / 2)),
    ((0.0, -0.0611, 0.0181), (np.pi / 2, 0.0486795, np.pi)),
)
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
# gripper_frame_link, the tip, in gripper_link.
TIP_FRAME = ((-0.0079, -0.000218121, -0.0981274), (0.0, np.pi, 0.0))
# Mechanical limits, rad.
LOWER = np.array([-1.91986, -1.74533, -1.69, -1.65806, -2.74385])
UPPER = np.array([1.91986, 1.74533, 1.69, 1.65806, 2.84121])


def rotation(roll: float, pitch: float, yaw: float) -> Array:
    """Return the rotation (3, 3) of fixed-axis angles about x, then y, then z, rad."""
    cr, sr = np.cos(roll), np.sin(roll)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cy, sy = np.cos(yaw), np.sin(yaw)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    about_y = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    about_z = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(about_z @ about_y @ about_x)


def frame_of(xyz: tuple[float, ...], rpy: tuple[float, ...]) -> Array:
    """Return the pose (4, 4), m, of a frame: x y z in m, and roll pitch yaw in rad."""
    pose = np.eye(4)
    pose[:3, :3] = rotation(*rpy)
    pose[:3, 3] = xyz
    return pose


_FRAMES = np.array([frame_of(*frame) for frame in JOINT_FRAMES])
TIP = frame_of(*TIP_FRAME)


def link_poses(joints: ArrayLike) -> Array:
    """Return the poses of the links that the joints move.

    Args:
        joints: (..., 5) rad, in bus order.

    Returns:
        (5, ..., 4, 4) in base_link, m; the last is that of gripper_link.
    """
    angles = np.asarray(joints, dtype=np.float64)
    cos, sin = np.cos(angles), np.sin(angles)
    pose = np.broadcast_to(np.eye(4), (*angles.shape[:-1], 4, 4))
    poses = []
    for index, frame in enumerate(_FRAMES):
        turn = np.zeros((*angles.shape[:-1], 4, 4))
        turn[..., 0, 0] = turn[..., 1, 1] = cos[..., index]
        turn[..., 1, 0] = sin[..., index]
        turn[..., 0, 1] = -sin[..., index]
        turn[..., 2, 2] = turn[..., 3, 3] = 1.0
        pose = pose @ frame @ turn
        poses.append(pose)
    return np.array(poses)


def forward(joints: ArrayLike) -> Array:
    """Return the pose (..., 4, 4), m, of gripper_frame_link for joints (..., 5), rad."""
    return np.asarray(link_poses(joints)[-1] @ TIP)


@dataclass(frozen=True)
class HandKinematics:
    """Both ways between joints and the coordinates of one point of the hand.

    The coordinates, in this order, (..., 5): bearing rad (about the pan axis, from x towards y),
    radius m (from the pan axis), height m (above the base), pitch rad (0: the hand points
    forward; pi/2: down), roll rad (the wrist's joint angle).

    Attributes:
        point: The point in gripper_link, (3,), m.
    """

    point: tuple[float, float, float]

    def coordinates(self, joints: ArrayLike) -> Array:
        """Return the coordinates (..., 5) for joints (..., 5), rad."""
        angles = np.asarray(joints, dtype=np.float64)
        gripper = link_poses(angles)[-1]
        place = gripper[..., :3, :3] @ np.array(self.point) + gripper[..., :3, 3]
        x, y = place[..., 0] - PAN_X, place[..., 1]
        return np.stack(
            [
                np.arctan2(y, x),
                np.hypot(x, y),
                place[..., 2],
                angles[..., 1] + angles[..., 2] + angles[..., 3],
                angles[..., 4],
            ],
            axis=-1,
        )

    @property
    def axis_x(self) -> float:
        """Where the pan axis is, along x of the base, m."""
        return PAN_X

    def joints(
        self, coordinates: ArrayLike, near: ArrayLike | None = None
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return joints for coordinates (..., 5), with the elbow up.

        Where the wrist cannot flex far enough for the pitch, the hand is tilted as little as keeps
        the point in place. Where the point is out of reach, or another joint limit in the way, the
        nearest posture is returned. There is one posture for each place, near whatever.

        Returns:
            Joints (..., 5), rad, within the limits, and whether the point is reached (...).
        """
        del near
        given = np.asarray(coordinates, dtype=np.float64)
        bearing, radius, height, pitch, roll = np.moveaxis(given, -1, 0)
        along, side, up = self._in_wrist(roll)
        # The point lies `side` beside the arm's plane, which passes through the pan axis.
        inside = np.abs(side) < radius
        ratio = np.where(inside, side / np.where(inside, radius, 1.0), 0.0)
        pan = np.arcsin(ratio) - bearing
        forward_x = np.sqrt(np.maximum(radius**2 - side**2, 0.0)) - _LIFT_X
        forward_z = height - _LIFT_Z

        hand_x, hand_z = _turn(along, up, pitch)
        lift, elbow, near = _two_links(
            forward_x - hand_x, forward_z - hand_z, _FOREARM_LENGTH, _FOREARM_ANGLE
        )
        flex = pitch - lift - elbow
        limited = np.clip(flex, LOWER[3] + _MARGIN, UPPER[3] - _MARGIN)
        # With the wrist at its limit the forearm and the hand are one rigid link.
        rigid_x, rigid_z = _turn(along, up, limited)
        rigid_x, rigid_z = rigid_x + _FOREARM[0], rigid_z + _FOREARM[1]
        lift2, elbow2, near2 = _two_links(
            forward_x, forward_z, np.hypot(rigid_x, rigid_z), np.arctan2(-rigid_z, rigid_x)
        )
        bent = flex != limited
        wanted = np.stack(
            [pan, np.where(bent, lift2, lift), np.where(bent, elbow2, elbow), limited, roll],
            axis=-1,
        )
        allowed = np.clip(wanted, LOWER, UPPER)
        reached = inside & np.where(bent, near2, near) & np.all(allowed == wanted, axis=-1)
        return allowed, reached

    def jaw_yaw(self, joints: ArrayLike) -> Array:
        """Return the direction (...), rad about the vertical, along which the jaws open."""
        axis = link_poses(joints)[-1][..., :3, 0]
        return np.asarray(np.arctan2(axis[..., 1], axis[..., 0]))

    def _in_wrist(self, roll: Array) -> tuple[Array, Array, Array]:
        """Return the point from the wrist flex axis at joint angle zero: along, beside, up, m."""
        cos, sin = np.cos(roll), np.sin(roll)
        x, y, z = self.point
        turned = np.stack([cos * x - sin * y, sin * x + cos * y, z + 0.0 * roll], axis=-1)
        place = turned @ _ROLL_FRAME[:3, :3].T + _ROLL_FRAME[:3, 3]
        return place[..., 0] - _WRIST[0], place[..., 1], place[..., 2] - _WRIST[1]


def _turn(x: Array, z: Array, angle: Array) -> tuple[Array, Array]:
    """Turn (x, z) in the arm's plane by an angle that is positive from up to forward."""
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + z * sin, z * cos - x * sin


def _two_links(
    x: Array, z: Array, length: Array | float, angle: Array | float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Solve lift and elbow so that upper arm and a second link end at (x, z) from the lift axis.

    Args:
        x: Forward, m.
        z: Up, m.
        length: Of the second link, m.
        angle: Of the second link at joint angles zero, rad, positive from forward to down.

    Returns:
        Lift and elbow, rad, and whether the triangle closes.
    """
    square = x**2 + z**2
    cosine = (square - _UPPER_LENGTH**2 - length**2) / (2.0 * _UPPER_LENGTH * length)
    bend = np.arccos(np.clip(cosine, -1.0, 1.0))
    direction = np.arctan2(-z, x)
    upper = direction - np.arctan2(length * np.sin(bend), _UPPER_LENGTH + length * np.cos(bend))
    lift = upper - _UPPER_ANGLE
    elbow = bend - (angle - _UPPER_ANGLE)
    return lift, elbow, np.abs(cosine) <= 1.0


# The arm's plane at joint angles zero: x forward from the pan axis, z up.
_ZERO = link_poses(np.zeros(5))
PAN_X = float(_ZERO[0, 0, 3])
_LIFT_X, _LIFT_Z = float(_ZERO[1, 0, 3]) - PAN_X, float(_ZERO[1, 2, 3])
_UPPER = _ZERO[2, [0, 2], 3] - _ZERO[1, [0, 2], 3]
_FOREARM = _ZERO[3, [0, 2], 3] - _ZERO[2, [0, 2], 3]
_WRIST = _ZERO[3, [0, 2], 3]
_ROLL_FRAME = _ZERO[4]
_UPPER_LENGTH, _UPPER_ANGLE = float(np.hypot(*_UPPER)), float(np.arctan2(-_UPPER[1], _UPPER[0]))
_FOREARM_LENGTH = float(np.hypot(*_FOREARM))
_FOREARM_ANGLE = float(np.arctan2(-_FOREARM[1], _FOREARM[0]))
_MARGIN = 0.01  # rad that the wrist keeps from its limits
