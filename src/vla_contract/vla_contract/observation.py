# SPDX-License-Identifier: Apache-2.0
"""Latest-value buffers of the contract's features, and the observation made of them.

A feature that is missing, stale, frozen, not finite or stamped impossibly yields a `Problem`, and
one problem is enough for no observation. Nothing is filled in.

An observation is of one moment: a picture is older on arrival than a joint state, and the arm has
moved on meanwhile. The states that are taken are those of the newest picture's time, so that an
arm whose host is slow sees what an arm whose host is fast sees, a little later.

Two clocks are used. Stamps and `now_ns` are ROS time; `steady_ns` is monotonic and tells how long
ago a message arrived, so that neither a stuck publisher nor a clock that jumps looks fresh.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vla_contract.contract import Contract, ImageSource, StateSource
from vla_contract.images import resized
from vla_policies import Observation

# Clocks of two machines under NTP or PTP differ by less than this.
FUTURE_TOLERANCE_NS = 50_000_000

# A message that arrived no longer ago is fresh, whatever its stamp.
FRESH_S = 0.05

# Every 16th pixel is compared first: with a live camera's noise, that shows the difference.
COARSE = (slice(None, None, 16), slice(None, None, 16))

# So many states are remembered at most: 2 s at 1 kHz.
REMEMBERED = 2000

ValueT = TypeVar("ValueT", NDArray[np.uint8], NDArray[np.float64])


@dataclass(frozen=True)
class Problem:
    """Why a feature cannot be used.

    Attributes:
        feature: Name of the feature.
        topic: Topic that feeds it.
        detail: What is wrong, with the figures.
    """

    feature: str
    topic: str
    detail: str

    def __str__(self) -> str:
        return f"{self.feature} ({self.topic}): {self.detail}"


@dataclass(frozen=True)
class Assembled:
    """An observation and how far apart in time its parts are.

    Attributes:
        observation: What the policy sees. Its stamp is the newest one among its parts.
        skew_ns: Newest stamp minus oldest.
        stamps_ns: Of each part, by feature.
    """

    observation: Observation
    skew_ns: int
    stamps_ns: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Slot(Generic[ValueT]):
    """The newest message of one feature."""

    value: ValueT | None = None
    stamp_ns: int = 0
    arrival_ns: int = 0
    fault: str = "no message yet"

    def accept(self, value: ValueT, stamp_ns: int, steady_ns: int) -> None:
        """Keep a value unless its stamp runs backwards."""
        previous = self.stamp_ns
        self.stamp_ns, self.arrival_ns = stamp_ns, steady_ns
        if stamp_ns < previous:
            self.value = None
            self.fault = f"its stamp went back by {(previous - stamp_ns) / 1e9:.3f} s"
            return
        self.value, self.fault = value, ""

    def refuse(self, fault: str, stamp_ns: int, steady_ns: int) -> None:
        """Forget the value: the newest message is one that cannot be used."""
        self.value, self.fault = None, fault
        self.stamp_ns, self.arrival_ns = stamp_ns, steady_ns

    def forget(self, why: str) -> None:
        """Drop the value; any stamp may follow."""
        self.value, self.fault, self.stamp_ns = None, why, 0

    def problem(self, now_ns: int, steady_ns: int, max_age_s: float) -> str:
        """Say whether the value is missing, too old or from the future, empty when it is not."""
        if self.fault:
            return self.fault
        ahead_ns = self.stamp_ns - now_ns
        if ahead_ns > FUTURE_TOLERANCE_NS:
            return f"stamped {ahead_ns / 1e9:.3f} s in the future; synchronise the clocks"
        since_s = (steady_ns - self.arrival_ns) / 1e9
        age_s = max(-ahead_ns / 1e9, since_s)
        if not age_s <= max_age_s:
            text = f"stale: {age_s:.3f} s old, at most {max_age_s:g} s is allowed"
            if since_s <= FRESH_S:
                text += "; but it has just arrived: synchronise the clocks, or check use_sim_time"
            return text
        return ""


class _ImageSlot(_Slot[NDArray[np.uint8]]):
    def __init__(self, source: ImageSource, shape: tuple[int | None, ...]) -> None:
        super().__init__()
        self.source = source
        self.shape = shape
        self.unchanged_since_ns = 0

    def frozen(self) -> str:
        still_s = (self.stamp_ns - self.unchanged_since_ns) / 1e9
        if still_s <= self.source.frozen_after_s:
            return ""
        return (
            f"frozen: bit-identical for {still_s:.2f} s while its stamps advance, at most "
            f"{self.source.frozen_after_s:g} s is allowed"
        )


class _StateSlot(_Slot[NDArray[np.float64]]):
    def __init__(self, source: StateSource) -> None:
        super().__init__()
        self.source = source
        self.names: tuple[str, ...] = ()
        # Places in the feature of the message's joints, and where they stand in the message.
        self.places: list[int] = []
        self.columns: list[int] = []
        size = len(source.joints)
        # One message may have the arm's joints and another the gripper's.
        self.values = np.full(size, np.nan)
        self.stamps_ns = np.zeros(size, dtype=np.int64)
        self.arrivals_ns = np.zeros(size, dtype=np.int64)
        # What could be used, with its stamp, in order of stamps.
        self.past: deque[tuple[int, NDArray[np.float64]]] = deque(maxlen=REMEMBERED)
        self.known = np.zeros(size, dtype=bool)

    def accept(self, value: NDArray[np.float64], stamp_ns: int, steady_ns: int) -> None:
        """Keep a value, and remember it if it is one."""
        super().accept(value, stamp_ns, steady_ns)
        if self.fault:
            self.past.clear()
        elif np.isfinite(value).all():
            if self.past and self.past[-1][0] == stamp_ns:
                self.past.pop()
            self.past.append((stamp_ns, value))

    def refuse(self, fault: str, stamp_ns: int, steady_ns: int) -> None:
        """Forget the values."""
        super().refuse(fault, stamp_ns, steady_ns)
        self.past.clear()

    def forget(self, why: str) -> None:
        """Drop the values; any stamp may follow."""
        super().forget(why)
        self.past.clear()

    def at(self, moment_ns: int) -> tuple[int, NDArray[np.float64]]:
        """Return the value of a moment and its stamp; where none is of then, the one nearest."""
        place = bisect_right(self.past, moment_ns, key=_stamp)
        if place == len(self.past) or place == 0:
            return self.past[min(place, len(self.past) - 1)]
        (before_ns, before), (after_ns, after) = self.past[place - 1], self.past[place]
        share = (moment_ns - before_ns) / (after_ns - before_ns)
        return moment_ns, before + share * (after - before)

    def oldest(self) -> str:
        """Name the joints whose values are older than those of others, empty where none are."""
        if not self.known.all() or self.stamps_ns.min() == self.stamps_ns.max():
            return ""
        old = np.flatnonzero(self.stamps_ns == self.stamps_ns.min())
        return f" ({', '.join(self.source.joints[index] for index in old)})"


class ObservationBuffer:
    """Holds the newest message of every feature of a contract."""

    def __init__(
        self, contract: Contract, image_shapes: Mapping[str, tuple[int | None, ...]]
    ) -> None:
        """Make an empty buffer.

        Args:
            contract: Which features there are and what they need.
            image_shapes: (H, W, 3) of every image feature; None where any size will do.
        """
        self._images = {
            source.feature: _ImageSlot(source, image_shapes[source.feature])
            for source in contract.images
        }
        self._states = {source.feature: _StateSlot(source) for source in contract.states}

    def forget(self, why: str) -> None:
        """Drop every value: what they are stamped with means nothing any more."""
        for image in self._images.values():
            image.forget(why)
        for state in self._states.values():
            state.forget(why)

    def image(
        self, feature: str, pixels: NDArray[np.uint8], stamp_ns: int, steady_ns: int
    ) -> None:
        """Take in an image.

        Args:
            feature: Name of the feature.
            pixels: (H, W, 3) uint8, RGB.
            stamp_ns: Capture time, ROS time.
            steady_ns: Arrival time, steady clock.
        """
        slot = self._images[feature]
        height, width = slot.shape[:2]
        if not _fits(pixels.shape, slot.shape) and slot.source.resize and height and width:
            pixels = resized(pixels, height, width, slot.source.resize)
        if not _fits(pixels.shape, slot.shape):
            detail = (
                f"is {_size(pixels.shape)}, the policy needs {_size(slot.shape)}; set the camera "
                "to that, or write resize: stretch or crop in the contract"
            )
            slot.refuse(detail, stamp_ns, steady_ns)
            return
        if slot.value is None or not _identical(slot.value, pixels):
            slot.unchanged_since_ns = stamp_ns
        slot.accept(pixels, stamp_ns, steady_ns)

    def unchanged_since_ns(self, feature: str) -> int:
        """Return the stamp of the first of the pictures in a row that are the newest one."""
        return self._images[feature].unchanged_since_ns

    def refuse(self, feature: str, reason: str, stamp_ns: int, steady_ns: int) -> None:
        """Take note of an image that could not be decoded."""
        self._images[feature].refuse(reason, stamp_ns, steady_ns)

    def state(
        self,
        feature: str,
        joints: Sequence[str],
        values: NDArray[np.float64],
        stamp_ns: int,
        steady_ns: int,
    ) -> None:
        """Take in a joint state.

        Args:
            feature: Name of the feature.
            joints: Joint names of the message, N of them, in any order.
            values: (N,) rad or rad/s; empty when the message lacks the field.
            stamp_ns: Time of the measurement, ROS time.
            steady_ns: Arrival time, steady clock.
        """
        slot = self._states[feature]
        source = slot.source
        names = tuple(joints)
        if names != slot.names:
            slot.names = names
            slot.places = [i for i, joint in enumerate(source.joints) if joint in names]
            slot.columns = [names.index(source.joints[index]) for index in slot.places]
        if not slot.places and slot.known.any():
            # Of other joints, such as wheels, on the same topic.
            return
        if len(values) != len(names):
            detail = f"has {len(names)} joints but {len(values)} values of {source.field}"
            slot.refuse(detail, stamp_ns, steady_ns)
            return
        slot.values[slot.places] = values[slot.columns]
        slot.stamps_ns[slot.places] = stamp_ns
        slot.arrivals_ns[slot.places] = steady_ns
        slot.known[slot.places] = True
        if not slot.known.all():
            missing = [source.joints[index] for index in np.flatnonzero(~slot.known)]
            slot.refuse(f"lacks {', '.join(missing)}", stamp_ns, steady_ns)
            return
        slot.accept(
            source.unit.from_si(slot.values.copy()),
            int(slot.stamps_ns.min()),
            int(slot.arrivals_ns.min()),
        )

    def assemble(self, now_ns: int, steady_ns: int, task: str) -> Assembled | tuple[Problem, ...]:
        """Make an observation of the newest pictures, or say everything that prevents it.

        Args:
            now_ns: ROS time.
            steady_ns: Steady clock.
            task: The instruction.
        """
        problems = self.problems(now_ns, steady_ns)
        if problems:
            return problems
        stamps_ns = {name: slot.stamp_ns for name, slot in self._images.items()}
        moment_ns = max(stamps_ns.values(), default=now_ns)
        state = {}
        for name, slot in self._states.items():
            stamps_ns[name], state[name] = slot.at(moment_ns)
        # A policy that needs no input is asked about the present.
        stamps = list(stamps_ns.values()) or [now_ns]
        # Without a problem every value is there; the condition is for the type checker.
        images = {k: s.value for k, s in self._images.items() if s.value is not None}
        observation = Observation(max(stamps), images, state, task)
        return Assembled(observation, max(stamps) - min(stamps), stamps_ns)

    def problems(self, now_ns: int, steady_ns: int) -> tuple[Problem, ...]:
        """List what prevents an observation, empty when nothing does."""
        found = []
        for image in self._images.values():
            detail = image.problem(now_ns, steady_ns, image.source.max_age_s) or image.frozen()
            if detail:
                found.append(Problem(image.source.feature, image.source.topic, detail))
        for state in self._states.values():
            detail = state.problem(now_ns, steady_ns, state.source.max_age_s)
            if detail.startswith("stale"):
                detail += state.oldest()
            if not detail and state.value is not None and not np.isfinite(state.value).all():
                detail = "is not finite"
            if detail:
                found.append(Problem(state.source.feature, state.source.topic, detail))
        return tuple(found)


def _stamp(remembered: tuple[int, NDArray[np.float64]]) -> int:
    return remembered[0]


def _identical(old: NDArray[np.uint8], new: NDArray[np.uint8]) -> bool:
    if old.shape != new.shape:
        return False
    return bool(np.array_equal(old[COARSE], new[COARSE]) and np.array_equal(old, new))


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want is None or want == have for want, have in zip(wanted, shape, strict=True)
    )


def _size(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if length is None else str(length) for length in shape)
