# SPDX-License-Identifier: Apache-2.0
"""Pinhole camera data in the conventions of ROS and OpenCV."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CameraModel:
    """A camera without distortion.

    Attributes:
        width: Image width, px.
        height: Image height, px.
        K: Intrinsic matrix (3, 3), px.
        pose: Optical frame in base_link (4, 4), m: x right, y down, z into the scene.
    """

    width: int
    height: int
    K: Array
    pose: Array

    def project(self, points: Array) -> Array:
        """Project points (N, 3) given in base_link, m, to pixels (N, 2)."""
        rotation, origin = self.pose[:3, :3], self.pose[:3, 3]
        rays = (np.asarray(points, dtype=np.float64) - origin) @ rotation @ self.K.T
        return rays[:, :2] / rays[:, 2:]


def intrinsics(width: int, height: int, fovy_rad: float) -> Array:
    """Return K (3, 3) of square pixels for a vertical field of view in rad."""
    focal = 0.5 * height / math.tan(0.5 * fovy_rad)
    # MuJoCo's optical axis passes between the two middle pixels; pixel centres are at integers.
    return np.array(
        [[focal, 0.0, 0.5 * (width - 1)], [0.0, focal, 0.5 * (height - 1)], [0.0, 0.0, 1.0]]
    )


def look_at(position: Array, target: Array) -> Array:
    """Return the rotation (3, 3) of a MuJoCo camera (looks along -z, y up) at `position`."""
    back = position - target
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right = right / np.linalg.norm(right)
    return np.column_stack([right, np.cross(back, right), back])
