# SPDX-License-Identifier: Apache-2.0
"""Find a cube of a given colour and size on the table in one picture.

The hue is segmented; the convex hull of the blob is then compared with the outline that a cube of
the known size would have at every yaw. The best overlap gives the yaw and corrects the position,
and says how much of the cube is in sight. Lighting does not enter, only hue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Hue ranges on OpenCV's circle of 180.
HUES: dict[str, tuple[int, int]] = {"red": (171, 9), "green": (45, 85), "blue": (98, 128)}
_SATURATION = 110  # of 255, from which on a pixel has a colour
_VALUE = 35  # of 255, below which hue is noise
_MIN_AREA = 60  # px
_YAW_STEPS = 15
_CORNERS = np.array(
    [[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], dtype=np.float64
)


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera without distortion.

    Attributes:
        width: px.
        height: px.
        matrix: Intrinsics (3, 3), px.
        rotation: Optical frame (x right, y down, z forward) in base_link (3, 3).
        position: The same (3,), m.
    """

    width: int
    height: int
    matrix: Array
    rotation: Array
    position: Array

    def project(self, points: Array) -> Array:
        """Project points (..., 3) in base_link, m, to pixels (..., 2)."""
        rays = (points - self.position) @ self.rotation @ self.matrix.T
        return np.asarray(rays[..., :2] / rays[..., 2:])

    def on_plane(self, pixel: Array, height: float) -> Array:
        """Return the point (3,), m, that a pixel (2,) shows on a horizontal plane."""
        ray = self.rotation @ np.linalg.solve(self.matrix, np.append(pixel, 1.0))
        return np.asarray(self.position + ray * ((height - self.position[2]) / ray[2]))


@dataclass(frozen=True)
class Sighting:
    """A cube in the picture.

    Attributes:
        x: Of its centre in base_link, m.
        y: Likewise.
        yaw: About the vertical, in [-pi/4, pi/4), rad.
        in_sight: Overlap, 0..1, of its blob with a cube's outline there: low when partly hidden.
    """

    x: float
    y: float
    yaw: float
    in_sight: float


def find_cube(
    image: NDArray[np.uint8],
    colour: str,
    camera: Camera,
    side: float,
    height: float | None = None,
) -> Sighting | None:
    """Find the cube of a colour that lies on the table, or with its centre at a known height.

    Args:
        image: RGB (H, W, 3).
        colour: A key of `HUES`.
        camera: The camera that took it.
        side: Length of the cube's edges, m.
        height: Of the cube's centre, m; None for a cube on the table.

    Returns:
        The cube, or None when there is no blob of that colour.
    """
    outline = _largest_outline(_mask(image, HUES[colour]))
    if outline is None:
        return None
    seen = _centroid(outline)
    level = 0.5 * side if height is None else height
    centre = camera.on_plane(seen, level)
    yaws = np.arange(_YAW_STEPS) * (0.5 * np.pi / _YAW_STEPS) - 0.25 * np.pi
    # The outline's centroid is not quite the centre's image: perspective shifts it. Correct once.
    shift = camera.project(centre) - _centroid(_outline(camera, centre, 0.0, side))
    centre = camera.on_plane(seen + shift, level)
    overlaps = np.array([_overlap(outline, _outline(camera, centre, yaw, side)) for yaw in yaws])
    best = int(np.argmax(overlaps))
    yaw = float(yaws[best]) + _peak(overlaps, best) * float(yaws[1] - yaws[0])
    shift = camera.project(centre) - _centroid(_outline(camera, centre, yaw, side))
    centre = camera.on_plane(seen + shift, level)
    yaw = (yaw + 0.25 * np.pi) % (0.5 * np.pi) - 0.25 * np.pi
    return Sighting(float(centre[0]), float(centre[1]), float(yaw), float(overlaps[best]))


def _mask(image: NDArray[np.uint8], hues: tuple[int, int]) -> NDArray[np.uint8]:
    """Return 255 where a pixel has one of the hues, else 0."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    first, last = hues
    if first <= last:
        return _in_range(hsv, first, last)
    return np.asarray(_in_range(hsv, first, 179) | _in_range(hsv, 0, last))


def _in_range(hsv: NDArray[Any], first: int, last: int) -> NDArray[np.uint8]:
    lower, upper = (first, _SATURATION, _VALUE), (last, 255, 255)
    return np.asarray(cv2.inRange(hsv, lower, upper), dtype=np.uint8)


def _largest_outline(mask: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return the convex hull (N, 2), px, of the largest blob, or None."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    if not cv2.contourArea(largest) >= _MIN_AREA:
        return None
    hull = cv2.convexHull(largest)[:, 0, :].astype(np.float32)
    # A contour runs through the outermost pixels' centres; the blob reaches half a pixel further.
    middle = hull.mean(axis=0)
    away = hull - middle
    length = np.linalg.norm(away, axis=1, keepdims=True)
    return np.asarray(middle + away * (1.0 + 0.5 / np.maximum(length, 1.0)), dtype=np.float32)


def _outline(camera: Camera, centre: Array, yaw: float, side: float) -> NDArray[np.float32]:
    """Return the convex outline (N, 2), px, of a cube at `centre` (3,) turned by `yaw`."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    corners = camera.project(centre + side * _CORNERS @ turn.T)
    return np.asarray(cv2.convexHull(corners.astype(np.float32))[:, 0, :], dtype=np.float32)


def _centroid(outline: NDArray[np.float32]) -> Array:
    moments = cv2.moments(outline)
    area = max(moments["m00"], 1e-9)
    return np.array([moments["m10"] / area, moments["m01"] / area])


def _overlap(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return intersection over union of two convex outlines."""
    common, _ = cv2.intersectConvexConvex(first, second)
    union = cv2.contourArea(first) + cv2.contourArea(second) - common
    return float(common / union) if union > 0.0 else 0.0


def _peak(values: Array, best: int) -> float:
    """Return where a parabola through the best of periodic values peaks, steps from it."""
    left, middle, right = values[best - 1], values[best], values[(best + 1) % len(values)]
    curvature = left - 2.0 * middle + right
    if not curvature < 0.0:
        return 0.0
    return float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5))
