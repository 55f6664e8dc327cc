# SPDX-License-Identifier: Apache-2.0
"""The arm that the policy moves: a small one of five joints, or that of the options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vla_policies.chain import ChainKinematics, chain_frames
from vla_policies.kinematics import JOINTS, HandKinematics
from vla_policies.protocol import Options

Array = NDArray[np.float64]

FEWEST_JOINTS, MOST_JOINTS = 6, 16  # of an arm of the options


class PickHand(Protocol):
    """Both ways between joints (J,), rad, and coordinates (5,) of a point of the hand.

    The coordinates: bearing rad, radius m, height m, pitch rad (pi/2: the hand points down), roll
    rad.
    """

    @property
    def axis_x(self) -> float:
        """Where the vertical axis of bearing and radius is, along x of the base, m."""

    def coordinates(self, joints: ArrayLike) -> Array:
        """Return the coordinates (..., 5) for joints (..., J), rad."""

    def joints(
        self, coordinates: ArrayLike, near: ArrayLike | None = None
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return joints (..., J), rad, near `near` (J,), and whether the point is reached."""

    def jaw_yaw(self, joints: ArrayLike) -> Array:
        """Return the direction, rad about the vertical, along which the jaws open."""


@dataclass(frozen=True)
class Jaws:
    """Positions of the gripper's joint, rad, or m where it slides.

    Attributes:
        open: Wide enough for a cube.
        closed: Less than a cube allows: it is squeezed.
        rate: 1/s of the same.
        open_enough: To come down around a cube, and to have let one go.
        empty: With a cube between them, closed jaws stay wider open.
        still: A change between two looks that is none.
        astray: How far from its command a gripper that follows may be.
    """

    open: float
    closed: float
    rate: float
    open_enough: float
    empty: float
    still: float
    astray: float


@dataclass(frozen=True, eq=False)
class PickArm:
    """What is particular to an arm.

    Attributes:
        joints: Names of its joints, and of the gripper's last, J + 1 of them.
        hand: Its kinematics, of the point that is brought to a cube's centre.
        jaws: Its gripper.
        reach: Distance from its vertical axis at which a hand that points down comes to the
            table, m.
    """

    joints: tuple[str, ...]
    hand: PickHand
    jaws: Jaws
    reach: tuple[float, float]


# The point between the jaws that is brought to a cube's centre, in gripper_link, m: half a cube
# and some clearance from the fixed jaw's pad, against which the moving jaw pushes the cube.
GRASP_POINT = (0.0096, 0.0, -0.0920)
SMALL_ARM = PickArm(
    joints=(*JOINTS, "gripper"),
    hand=HandKinematics(GRASP_POINT),
    jaws=Jaws(0.55, -0.10, 2.0, 0.45, 0.04, 0.02, 0.5),
    reach=(0.12, 0.27),
)


def read_arm(options: Options, home: Array) -> PickArm:
    """Read the section `arm`, which describes an arm of six joints or more.

    Args:
        options: That section.
        home: Where arm and gripper wait (J + 1,), rad: the posture of rest.

    Raises:
        PolicyError: Something is missing, unknown or wrong.
    """
    names = options.take("joints")
    listed = isinstance(names, list) and all(isinstance(each, str) and each for each in names)
    if not listed or not FEWEST_JOINTS <= len(names) <= MOST_JOINTS:
        raise options.error(
            "joints",
            f"is {names!r}; write {FEWEST_JOINTS} to {MOST_JOINTS} names, without the gripper's",
        )
    count = len(names)
    rows = options.take("frames")
    if not isinstance(rows, list) or len(rows) != count:
        raise options.error("frames", f"must have a row for each of the {count} joints")
    numbered = {str(row): values for row, values in enumerate(rows)}
    frames = Options(options.policy, numbered, f"{options.path}.frames")
    lower, upper = options.vector("lower", count), options.vector("upper", count)
    if not np.all(lower < upper):
        raise options.error("lower", "must be below upper, joint by joint")
    hand = ChainKinematics(
        frames=chain_frames(np.array([frames.vector(row, 6) for row in numbered])),
        point=options.vector("point", 3),
        forward_axis=_unit(options, "forward_axis"),
        jaw_axis=_unit(options, "jaw_axis"),
        lower=lower,
        upper=upper,
        rest=home[:-1],
    )
    if not abs(float(hand.forward_axis @ hand.jaw_axis)) < 1e-3:
        raise options.error("jaw_axis", "must be perpendicular to forward_axis")
    gripper = options.text("gripper")
    section = options.section("jaws")
    jaws = Jaws(
        open=section.number("open"),
        closed=section.number("closed"),
        rate=section.number("rate", positive=True),
        open_enough=section.number("open_enough"),
        empty=section.number("empty"),
        still=section.number("still", positive=True),
        astray=section.number("astray", positive=True),
    )
    if not jaws.closed < jaws.empty < jaws.open_enough <= jaws.open:
        raise section.error("closed", "must be below empty, that below open_enough, then open")
    section.end()
    nearest, farthest = options.vector("reach", 2)
    options.end()
    return PickArm((*names, gripper), hand, jaws, (float(nearest), float(farthest)))


def _unit(options: Options, key: str) -> Array:
    vector = options.vector(key, 3)
    length = float(np.linalg.norm(vector))
    if not abs(length - 1.0) < 1e-3:
        raise options.error(key, f"has length {length:.4f}; write a unit vector")
    return vector / length
