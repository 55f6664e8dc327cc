# SPDX-License-Identifier: Apache-2.0
"""What the maker's description says of the SO-101: ends of its joints, poses, weight.

Source: the SO-101's published URDF. The robot file has the same ends; a test holds the two
together. All angles are the description's: rad, zero with the upper arm upright, the forearm level
and pointing forward, and the hand in line with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .calibration import JOINTS

# Ends of each joint, rad.
RANGES_RAD: Mapping[str, tuple[float, float]] = {
    "shoulder_pan": (-1.91986, 1.91986),
    "shoulder_lift": (-1.74533, 1.74533),
    "elbow_flex": (-1.69, 1.69),
    "wrist_flex": (-1.65806, 1.65806),
    "wrist_roll": (-2.74385, 2.84121),
    "gripper": (-0.174533, 1.74533),
}
# Folded on itself, where it stays without torque.
REST_RAD: Mapping[str, float] = {
    "shoulder_pan": 0.0,
    "shoulder_lift": -1.7,
    "elbow_flex": 1.6,
    "wrist_flex": 0.75,
    "wrist_roll": 0.0,
    "gripper": 0.0,
}


@dataclass(frozen=True)
class Turn:
    """A movement by hand that tells a joint and its direction.

    Attributes:
        words: What the person is asked to do.
        sign: 1 where the joint's angle grows by it, else -1.
    """

    words: str
    sign: int


# The axis of shoulder_pan points down: to the arm's left, its angle falls.
TURNS: Mapping[str, Turn] = {
    "shoulder_pan": Turn("turn the whole arm to ITS LEFT, by about 45 degrees", -1),
    "shoulder_lift": Turn("tip the upper arm FORWARD, by about 45 degrees", 1),
    "elbow_flex": Turn("unfold the forearm: lift its far end UP, by about 45 degrees", -1),
    "wrist_flex": Turn("bend the hand DOWN, by about 45 degrees", 1),
    "wrist_roll": Turn(
        "roll the hand CLOCKWISE, looked at from behind along the forearm, by about 45 degrees", -1
    ),
    "gripper": Turn("open the gripper half way", 1),
}

# Masses times levers of what hangs behind each joint, N m.
_G = 9.81
_UPPER_NM = _G * (0.103 * 0.090 + (0.104 + 0.079 + 0.087 + 0.012) * 0.116)
_LOWER_NM = _G * (0.104 * 0.098 + (0.079 + 0.087 + 0.012) * 0.135)
_HAND_NM = _G * (0.079 + 0.087 + 0.012) * 0.06


def gravity_nm(angles_rad: Mapping[str, float]) -> dict[str, float]:
    """Return the torque of the arm's own weight on each joint, N m, roughly."""
    # Angles above the level.
    upper = math.pi / 2 - angles_rad["shoulder_lift"]
    lower = upper - math.pi / 2 - angles_rad["elbow_flex"]
    hand = lower - angles_rad["wrist_flex"]
    wrist = _HAND_NM * math.cos(hand)
    elbow = _LOWER_NM * math.cos(lower) + wrist
    lift = _UPPER_NM * math.cos(upper) + elbow
    found = dict.fromkeys(JOINTS, 0.0)
    found.update(shoulder_lift=lift, elbow_flex=elbow, wrist_flex=wrist)
    return found
