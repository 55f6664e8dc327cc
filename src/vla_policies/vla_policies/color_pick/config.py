# SPDX-License-Identifier: Apache-2.0
"""What the policy must be told: the camera, the bin, the cubes, home and, if need be, the arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_policies.color_pick.arm import MOST_JOINTS, SMALL_ARM, PickArm, read_arm
from vla_policies.color_pick.vision import Camera
from vla_policies.protocol import Options

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Config:
    """Options of the policy.

    Attributes:
        image: Name of the image feature.
        camera: The camera that takes it.
        bin_centre: (2,) in base_link, m.
        bin_side: Its inner side, m; the sides are along x and y of base_link.
        cube_side: m.
        home: Where the arm and the gripper wait (J + 1,), rad.
        arm: What moves.
    """

    image: str
    camera: Camera
    bin_centre: Array
    bin_side: float
    cube_side: float
    home: Array
    arm: PickArm


def read(values: Mapping[str, Any]) -> Config:
    """Read the options.

    Raises:
        PolicyError: One is missing, unknown or wrong.
    """
    options = Options("color_pick", values)
    camera = options.section("camera")
    image = camera.text("feature")
    focal = camera.vector("focal_px", 2)
    centre = camera.vector("centre_px", 2)
    quaternion = camera.vector("orientation_xyzw", 4)
    norm = float(np.linalg.norm(quaternion))
    if not abs(norm - 1.0) < 1e-3:
        raise camera.error("orientation_xyzw", f"has length {norm:.4f}; write a unit quaternion")
    model = Camera(
        width=camera.whole("width"),
        height=camera.whole("height"),
        matrix=np.array([[focal[0], 0.0, centre[0]], [0.0, focal[1], centre[1]], [0.0, 0.0, 1.0]]),
        rotation=_rotation(quaternion / norm),
        position=camera.vector("position", 3),
    )
    camera.end()
    bin_ = options.section("bin")
    bin_centre, bin_side = bin_.vector("centre", 2), bin_.number("side", positive=True)
    bin_.end()
    cube_side = options.number("cube_side", positive=True)
    arm = SMALL_ARM
    if "arm" not in options.values:
        home = options.vector("home", len(arm.joints))
    else:
        section = options.section("arm")
        names = section.take("joints")
        count = min(len(names), MOST_JOINTS) if isinstance(names, list) else 0
        home = options.vector("home", count + 1)
        arm = read_arm(section, home)
    options.end()
    return Config(image, model, bin_centre, bin_side, cube_side, home, arm)


def _rotation(quaternion: Array) -> Array:
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
