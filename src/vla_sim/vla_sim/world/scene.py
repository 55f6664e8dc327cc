# SPDX-License-Identifier: Apache-2.0
"""Where the cubes lie and how the scene looks: a function of the seed."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CAMERAS = ("front", "wrist")
CUBES = ("red_cube", "green_cube", "blue_cube")
CUBE_SIDE = 0.025  # m
# Of a small arm's table. The model of a larger one says otherwise, in numerics of these names.
PAN_AXIS = (0.0388353, 0.0)  # m, shoulder_pan in base_link
BIN_CENTRE = (0.16, -0.20)  # m
BIN_INNER = 0.100  # m, side
BIN_WALL_TOP = 0.040  # m

RADIUS = (0.150, 0.245)  # m from the pan axis: where a gripper that points down reaches the table
BEARING = (math.radians(-35.0), math.radians(70.0))  # of a cube seen from the pan axis
YAW = (math.radians(-45.0), math.radians(45.0))
CLEARANCE = 0.062  # m between cube centres, so that an open gripper fits between
BIN_CLEARANCE = 0.050  # m from a cube's centre to the outside of the bin


@dataclass(frozen=True)
class TableTop:
    """Where a robot's things lie on its table, and from where the front camera looks at them.

    Attributes:
        axis: Vertical axis that the arm turns about, (x, y) in the base frame, m.
        radius: Least and largest distance of a cube from it, m.
        bearing: Least and largest direction of a cube seen from it, rad.
        bin_centre: (x, y), m.
        camera_position: Of the front camera, (x, y, z), m.
        camera_target: What it is turned to, (x, y, z), m.
        camera_fovy: Its vertical field of view, rad.
    """

    axis: tuple[float, float] = PAN_AXIS
    radius: tuple[float, float] = RADIUS
    bearing: tuple[float, float] = BEARING
    bin_centre: tuple[float, float] = BIN_CENTRE
    camera_position: tuple[float, float, float] = (0.60, 0.16, 0.46)
    camera_target: tuple[float, float, float] = (0.14, -0.03, 0.05)
    camera_fovy: float = math.radians(42.0)


SMALL_ARM = TableTop()


@dataclass(frozen=True)
class Look:
    """How a scene looks. Differences are relative to the model file.

    Attributes:
        colours: rgb (M, 3), 0..1, of the materials named in `MATERIALS`.
        key_direction: Direction of the key light (3,).
        key_diffuse: Diffuse rgb (3,) of the key light.
        ambient: Ambient rgb (3,) of the head light.
        camera_shift: Displacement (2, 3) of the front and the wrist camera, m.
        camera_turn: Small rotation vector (2, 3) of the same, rad.
    """

    colours: Array
    key_direction: Array
    key_diffuse: Array
    ambient: Array
    camera_shift: Array
    camera_turn: Array


@dataclass(frozen=True)
class Scene:
    """A layout of the cubes and a look.

    Attributes:
        positions: Cube centres (3, 3), m, rows in the order of `CUBES`.
        yaws: Their rotation about the vertical (3,), rad.
        look: The appearance.
    """

    positions: Array
    yaws: Array
    look: Look


# Nominal hue (turns), saturation, value of each material, and by how much each may differ.
MATERIALS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "red": ((0.0, 0.88, 0.85), (0.012, 0.08, 0.12)),
    "green": ((0.365, 0.84, 0.62), (0.025, 0.08, 0.12)),
    "blue": ((0.627, 0.88, 0.85), (0.02, 0.08, 0.12)),
    "printed": ((0.112, 0.88, 0.98), (0.008, 0.08, 0.06)),
    "table": ((0.095, 0.13, 0.70), (0.025, 0.06, 0.08)),
    "bin": ((0.61, 0.17, 0.36), (0.10, 0.06, 0.08)),
}
_KEY_DIRECTION = np.array([-0.18, 0.42, -1.0])
_KEY_DIFFUSE = np.array([0.62, 0.60, 0.57])
_AMBIENT = np.array([0.34, 0.34, 0.36])


def sample_scene(seed: int, *, randomise: bool, table: TableTop = SMALL_ARM) -> Scene:
    """Lay out a scene. The layout depends on the seed alone, the look also on `randomise`."""
    seed %= 1 << 64  # a message's seed may be negative
    positions, yaws = _layout(np.random.default_rng([seed, 0]), table)
    look = _look(np.random.default_rng([seed, 1]), 1.0 if randomise else 0.0)
    return Scene(positions=positions, yaws=yaws, look=look)


def _layout(rng: np.random.Generator, table: TableTop) -> tuple[Array, Array]:
    """Draw cube centres (3, 3) and yaws (3,), by rejection: a few draws are enough."""
    placed: list[Array] = []
    reach = 0.5 * BIN_INNER + BIN_CLEARANCE
    while len(placed) < len(CUBES):
        radius, bearing = rng.uniform(*table.radius), rng.uniform(*table.bearing)
        spot = np.array(
            [
                table.axis[0] + radius * math.cos(bearing),
                table.axis[1] + radius * math.sin(bearing),
                0.5 * CUBE_SIDE,
            ]
        )
        near_bin = float(np.max(np.abs(spot[:2] - table.bin_centre))) < reach
        if not near_bin and all(np.linalg.norm(spot - other) >= CLEARANCE for other in placed):
            placed.append(spot)
    return np.array(placed), rng.uniform(*YAW, size=len(CUBES))


def _look(rng: np.random.Generator, amount: float) -> Look:
    """Draw an appearance; `amount` 0 gives the nominal one."""

    def spread(size: int | tuple[int, ...], half_width: float) -> Array:
        return amount * rng.uniform(-half_width, half_width, size=size)

    colours = []
    for centre, widths in MATERIALS.values():
        hue, saturation, value = np.array(centre) + spread(3, 1.0) * np.array(widths)
        colours.append(
            colorsys.hsv_to_rgb(
                float(hue) % 1.0, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0, 1))
            )
        )
    return Look(
        colours=np.array(colours),
        key_direction=_KEY_DIRECTION + np.append(spread(2, 0.25), 0.0),
        key_diffuse=_KEY_DIFFUSE * (1.0 + spread(1, 0.20)) * (1.0 + spread(3, 0.05)),
        ambient=_AMBIENT * (1.0 + spread(1, 0.20)),
        camera_shift=spread((2, 3), 0.0015),
        camera_turn=spread((2, 3), math.radians(0.12)),
    )
