# SPDX-License-Identifier: Apache-2.0
"""What the monitor knows of its inputs: order, freshness, standstill."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from smooth_motion import kernels
from smoothness_monitor.core.types import FloatArray

# A message of more joints is no message of a robot, and is not looked at any further.
MAX_JOINTS = 1024
# Times on the wire have 32 bits for the seconds, those that go out likewise.
END_NS = 2**31 * 1_000_000_000
# After a stall the inputs get this long at most to be caught up with.
LONGEST_CATCH_UP_NS = 500_000_000
# A window of measurements never holds more, whatever their stamps say.
MAX_SAMPLES = 8192


def stamp_problem(stamp_ns: int, since_start_ns: int = 0) -> str:
    """Return what is wrong with a stamp, empty when nothing is.

    Args:
        stamp_ns: Of a message.
        since_start_ns: Its reference's time from the start of the trajectory.
    """
    if not (0 <= stamp_ns < END_NS):
        return f"its stamp is {stamp_ns / 1e9:.9g} s, which is no time"
    # A controller adds up its periods, so that the start of one of time 0 may be before it.
    if not (-1_000_000_000 <= stamp_ns - since_start_ns < END_NS):
        return f"its time_from_start is {since_start_ns / 1e9:.9g} s, which is before all time"
    return ""


def plausible(values: Sequence[float]) -> bool:
    """Return whether all values are numbers that a joint can have."""
    return all(abs(value) <= kernels.LARGEST for value in values)


def shown(names: Sequence[str], most: int = 8) -> str:
    """Return names as a person reads them, however many and however long they are."""
    listed = ", ".join(ascii(name)[1:-1][:40] for name in names[:most])
    more = len(names) - most
    return f"{listed} and {more} more" if more > 0 else listed or "no joint"


def compared_names(names: Sequence[str], wanted: Sequence[str]) -> str:
    """Say in what the names of a message differ from those that are wanted.

    Args:
        names: Of the message.
        wanted: The robot's.
    """
    text = f"names {shown(names)}, not {shown(wanted)}"
    first = wanted[0]
    for name in names[:MAX_JOINTS]:
        for how, rest in (
            ("the prefix", name.removesuffix(first)),
            ("the suffix", name.removeprefix(first)),
        ):
            before, after = (rest, "") if how == "the prefix" else ("", rest)
            if rest != name and rest and all(before + want + after in names for want in wanted):
                return f"{text}: every joint has {how} {rest[:40]!a}; write it in the robot file"
    return f"{text}; the robot file must name them alike"


class OwnClock:
    """A clock that stands still while the monitor does.

    After a stall of this process its inputs wait in their queues; they are not old, it has not
    looked. So a tick adds no more than a credit to the ages, however long ago the last one was.
    The clock goes on standing until the inputs have been caught up with, for as long as the stall
    at most: what they tell until then is of the time before.
    """

    def __init__(self, credit_s: float) -> None:
        """Begin at 0.

        Args:
            credit_s: Most that one tick adds, s.
        """
        self._credit_ns = round(credit_s * 1e9)
        self._tick_ns: int | None = None
        self._behind_ns = 0
        self.now_ns = 0

    def tick(self, elapsed_ns: int) -> None:
        """Move on to a tick, by the clock that durations are measured with."""
        gap_ns = 0 if self._tick_ns is None else max(elapsed_ns - self._tick_ns, 0)
        self._tick_ns = elapsed_ns
        if self._behind_ns > 0:
            self._behind_ns -= gap_ns
        lost_ns = gap_ns - self._credit_ns
        if lost_ns > 0:
            self._behind_ns = min(max(self._behind_ns, lost_ns), LONGEST_CATCH_UP_NS)
            self.now_ns += self._credit_ns
        elif self._behind_ns <= 0:
            self.now_ns += gap_ns

    def since_tick_s(self, elapsed_ns: int) -> float:
        """Return the time since the last tick, s."""
        return 0.0 if self._tick_ns is None else (elapsed_ns - self._tick_ns) * 1e-9

    @property
    def catching_up(self) -> bool:
        """Whether the inputs may still be those of a stall."""
        return self._behind_ns > 0

    def caught_up(self) -> None:
        """Note that the inputs are of now again."""
        self._behind_ns = 0


class InputStream:
    """Arrival and order of one input."""

    def __init__(self) -> None:
        self._stamp_ns: int | None = None
        self._arrived_ns: int | None = None

    def backwards_s(self, stamp_ns: int) -> float:
        """Return by how much a stamp lies before the last one, s, and count from it on."""
        step = 0 if self._stamp_ns is None else stamp_ns - self._stamp_ns
        if step < 0:
            self._stamp_ns = stamp_ns
        return max(0.0, -step * 1e-9)

    def is_new(self, stamp_ns: int) -> bool:
        """Return whether a stamp differs from the last one."""
        return stamp_ns != self._stamp_ns

    def follows(self, stamp_ns: int) -> bool:
        """Return whether a stamp is later than the last one."""
        return self._stamp_ns is None or stamp_ns > self._stamp_ns

    def arrived(self, stamp_ns: int, now_ns: int) -> None:
        """Note a message that can be used; `now_ns` is of `OwnClock`."""
        self._stamp_ns, self._arrived_ns = stamp_ns, now_ns

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the newest message that could be used, None before the first."""
        return self._stamp_ns

    def renew(self, now_ns: int) -> None:
        """Count the age from now, as after its source was started anew."""
        self._arrived_ns = now_ns

    def expected_stamp_ns(self, now_ns: int) -> int | None:
        """Return the stamp that a message of this very moment would have, None before the first.

        It is the clock of whoever stamps them, as seen from here: the newest stamp and the time
        since it arrived.
        """
        if self._stamp_ns is None or self._arrived_ns is None:
            return None
        return self._stamp_ns + now_ns - self._arrived_ns

    def age_s(self, now_ns: int) -> float:
        """Return the time since the last message that could be used, s."""
        return math.inf if self._arrived_ns is None else (now_ns - self._arrived_ns) * 1e-9


class Standstill:
    """Whether the measured joints stand: how far they got over a window."""

    def __init__(self, velocity: float, window_s: float) -> None:
        self._velocity = velocity
        self._window_ns = round(window_s * 1e9)
        self._samples: deque[tuple[int, FloatArray]] = deque(maxlen=MAX_SAMPLES)

    def update(self, stamp_ns: int, position: FloatArray) -> None:
        """Take in a measurement."""
        if self._samples and stamp_ns <= self._samples[-1][0]:
            self._samples.clear()
        self._samples.append((stamp_ns, position))
        while len(self._samples) > 2 and stamp_ns - self._samples[1][0] >= self._window_ns:
            self._samples.popleft()

    @property
    def stands(self) -> bool:
        """Whether every joint was slower than the threshold; unknown counts as no."""
        if not self._samples:
            return False
        since, now = self._samples[0][0], self._samples[-1][0]
        if now - since < self._window_ns:
            return False
        # All of the window, not its ends alone: a joint that shakes does not stand.
        travel = np.ptp([position for _, position in self._samples], axis=0)
        return bool((travel <= self._velocity * (now - since) * 1e-9).all())


class Order:
    """Brings the columns of messages into the robot's joint order."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        """Begin with nothing known.

        Args:
            wanted: The robot's joints.
        """
        self._wanted = wanted
        # A publisher names the same joints each time.
        self._names: tuple[str, ...] | None = None
        self._index = np.zeros(0, np.int64)
        self._problem = ""

    def concerns(self, names: tuple[str, ...]) -> bool:
        """Return whether any of the robot's joints is among these, or there are too many."""
        self._look_up(names)
        return self._index.size > 0 or len(names) > MAX_JOINTS

    def __call__(
        self, names: tuple[str, ...], fields: tuple[str, ...], columns: Sequence[Sequence[float]]
    ) -> tuple[FloatArray, str]:
        """Order the columns of a message.

        Args:
            names: Joints of the message.
            fields: F names of its columns, for words.
            columns: F columns, each with one value for each of `names`.

        Returns:
            The columns (F, J), and what is wrong with the message, empty when nothing is.
        """
        self._look_up(names)
        ordered = np.empty((len(fields), self._index.size))
        if self._problem:
            return ordered, self._problem
        joints = len(names)
        for values in columns:
            if len(values) != joints:
                field = fields[next(i for i, each in enumerate(columns) if each is values)]
                return ordered, f"has {len(values)} {field} for {joints} joints"
        bad = kernels.gather(np.array(columns, np.float64), self._index, ordered)
        if bad >= 0:
            row, joint = divmod(bad, self._index.size)
            value = ordered[row, joint]
            much = ", more than any joint has" if math.isfinite(value) else ""
            return ordered, f"{fields[row]} of {self._wanted[joint]} is {value:g}{much}"
        return ordered, ""

    def _look_up(self, names: tuple[str, ...]) -> None:
        if len(names) > MAX_JOINTS:
            # Not looked at and not kept: to compare the next message with it takes time too.
            self._names, self._index = None, np.zeros(0, np.int64)
            self._problem = f"has {len(names)} joints; {MAX_JOINTS} at most are read"
            return
        if names == self._names:
            return
        self._names, self._problem = names, ""
        places = {name: index for index, name in reversed(list(enumerate(names)))}
        found = [name for name in self._wanted if name in places]
        self._index = np.array([places[name] for name in found], np.int64)
        twice = [name for name in found if names.count(name) > 1]
        if len(found) < len(self._wanted):
            self._problem = f"lacks {shown([w for w in self._wanted if w not in places])}"
            if not found:
                self._problem = compared_names(names, self._wanted)
        elif twice:
            self._problem = f"names {shown(twice)} more than once"
