# SPDX-License-Identifier: Apache-2.0
"""From the joints of a leader arm, which a person moves, to chunks for the follower.

A chunk tells what comes, and of a hand nobody knows that. So the follower is as far behind as a
plan takes to be made and delivered: up to then its chunks repeat what the leader did, and agree
with one another; what lies beyond is rest, until the next chunk.

When the leader takes the arm over, both are somewhere else. The difference is added to what the
leader says, and fades at a bounded speed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LeaderSettings:
    """How a follower follows.

    Attributes:
        delay_s: How far it is behind.
        lead_s: From sending a chunk to where its plan takes over, in all but the rarest cases.
        catch_up_rad_s: How fast the difference at a take-over fades.
        row_s: Time between two rows of a chunk.
        length_s: Of a chunk.
        gap_s: After so long without a reading the leader is silent.
    """

    delay_s: float = 0.35
    lead_s: float = 0.25
    catch_up_rad_s: float = 0.5
    row_s: float = 0.02
    length_s: float = 1.0
    gap_s: float = 0.1


def as_far_open(
    angle_rad: float, leader_rad: tuple[float, float], follower_rad: tuple[float, float]
) -> float:
    """Return the angle at which the follower's gripper is open by the same share of its range.

    A leader's gripper is a handle, whose range is another than that of a pair of jaws. LeRobot
    does the same.

    Args:
        angle_rad: The leader's gripper.
        leader_rad: Its least and largest angle.
        follower_rad: The follower's.
    """
    low, high = leader_rad
    share = min(1.0, max(0.0, (angle_rad - low) / (high - low)))
    return follower_rad[0] + share * (follower_rad[1] - follower_rad[0])


class LeaderArm:
    """What a leader's joints did lately. Times are ROS time of their readings, s."""

    def __init__(self, lower: FloatArray, upper: FloatArray, settings: LeaderSettings) -> None:
        """Begin without a reading.

        Args:
            lower: Where the follower's joints may be sent, least, (J,), rad.
            upper: And most.
            settings: How it is followed.
        """
        self._lower, self._upper, self._settings = lower, upper, settings
        self._offset, self._offset_s = np.zeros(len(lower)), 0.0
        self._times_s: deque[float] = deque()
        self._positions: deque[FloatArray] = deque()

    def hear(self, positions: FloatArray, now_s: float) -> None:
        """Take in a reading, (J,), rad. After a clock that was set back all begins anew."""
        if self._times_s and now_s <= self._times_s[-1]:
            self._times_s.clear()
            self._positions.clear()
        self._times_s.append(now_s)
        self._positions.append(np.array(positions))
        oldest_s = now_s - self._settings.delay_s - self._settings.gap_s
        while len(self._times_s) > 2 and self._times_s[1] < oldest_s:
            self._times_s.popleft()
            self._positions.popleft()

    def silent(self, now_s: float) -> bool:
        """Return whether there is no reading that is new enough."""
        return not (self._times_s and 0.0 <= now_s - self._times_s[-1] <= self._settings.gap_s)

    def take_over(self, led: FloatArray, now_s: float) -> None:
        """Begin where the follower is.

        Args:
            led: Where it will be led `lead_s` from now, (J,), rad.
            now_s: Now. There has been a reading.
        """
        self._offset_s = now_s + self._settings.lead_s
        self._offset = led - self._did(np.array([self._offset_s]))[0]

    def rows(self, now_s: float) -> FloatArray:
        """Return the chunk of now, (T, J), rad: its row i is for `now_s + i * row_s`."""
        settings = self._settings
        count = round(settings.length_s / settings.row_s)
        times_s = now_s + settings.row_s * np.arange(count, dtype=np.float64)
        left = np.abs(self._offset) - settings.catch_up_rad_s * np.maximum(
            times_s - self._offset_s, 0.0
        ).reshape(-1, 1)
        offset = np.sign(self._offset) * np.maximum(left, 0.0)
        return np.asarray(np.clip(self._did(times_s) + offset, self._lower, self._upper))

    def _did(self, times_s: FloatArray) -> FloatArray:
        """Return where the leader was `delay_s` before these times; where it is, for later."""
        table = np.array(self._positions)
        asked = times_s - self._settings.delay_s
        return np.array([np.interp(asked, self._times_s, column) for column in table.T]).T
