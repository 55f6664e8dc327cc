# SPDX-License-Identifier: Apache-2.0
"""Clocks, and what happens when simulated time jumps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntEnum

from rclpy.clock_type import ClockType
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.exceptions import NotInitializedException
from rclpy.time import Time
from rclpy.utilities import get_default_context

__all__ = [
    "Clock",
    "ClockChange",
    "ClockType",
    "JumpHandle",
    "JumpThreshold",
    "ROSClock",
    "TimeJump",
]


class ClockChange(IntEnum):
    """What a time jump did to the clock's source."""

    ROS_TIME_NO_CHANGE = 1
    ROS_TIME_ACTIVATED = 2
    ROS_TIME_DEACTIVATED = 3
    SYSTEM_TIME_NO_CHANGE = 4


class JumpThreshold:
    """How far time must jump for a callback to be called."""

    def __init__(
        self,
        *,
        min_forward: Duration | None,
        min_backward: Duration | None,
        on_clock_change: bool = True,
    ) -> None:
        if min_forward is not None and min_forward.nanoseconds <= 0:
            raise ValueError("min_forward must be a positive non-zero duration")
        if min_backward is not None and min_backward.nanoseconds >= 0:
            raise ValueError("min_backward must be a negative non-zero duration")
        if min_forward is None and min_backward is None and not on_clock_change:
            raise ValueError("At least one jump threshold must be enabled")
        self.min_forward = min_forward
        self.min_backward = min_backward
        self.on_clock_change = on_clock_change

    def _exceeded_by(self, change: ClockChange, delta_ns: int) -> bool:
        if change in (ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED):
            return self.on_clock_change
        if self.min_forward is not None and delta_ns >= self.min_forward.nanoseconds:
            return True
        return self.min_backward is not None and delta_ns <= self.min_backward.nanoseconds


class TimeJump:
    """A jump of time.

    Attributes:
        clock_change: What happened to the clock's source.
        delta: How far time jumped.
    """

    def __init__(self, clock_change: ClockChange, delta: Duration) -> None:
        if not isinstance(clock_change, ClockChange):
            raise TypeError("clock_change must be an instance of rclpy.clock.ClockChange")
        self.clock_change = clock_change
        self.delta = delta


class JumpHandle:
    """A registered jump callback, until `unregister`."""

    def __init__(
        self,
        *,
        clock: Clock,
        threshold: JumpThreshold,
        pre_callback: Callable[[], None] | None,
        post_callback: Callable[[TimeJump], None] | None,
    ) -> None:
        if pre_callback is None and post_callback is None:
            raise ValueError("One of pre_callback or post_callback must be callable")
        if pre_callback is not None and not callable(pre_callback):
            raise ValueError("pre_callback must be callable if given")
        if post_callback is not None and not callable(post_callback):
            raise ValueError("post_callback must be callable if given")
        self._clock: Clock | None = clock
        self._threshold = threshold
        self._pre_callback = pre_callback
        self._post_callback = post_callback
        clock._jump_handles.append(self)

    def unregister(self) -> None:
        """Stop calling the callbacks."""
        if self._clock is not None:
            self._clock._jump_handles.remove(self)
            self._clock = None

    def __enter__(self) -> JumpHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()


class Clock:
    """A clock; one of ROS time is a `ROSClock`."""

    _clock_type: ClockType

    def __new__(cls, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> Clock:
        """Make a clock of the class that goes with its kind."""
        if not isinstance(clock_type, ClockType):
            raise TypeError("Clock type must be a ClockType enum")
        self = super().__new__(ROSClock if clock_type is ClockType.ROS_TIME else cls)
        self._clock_type = clock_type
        self._jump_handles: list[JumpHandle] = []
        return self

    @property
    def clock_type(self) -> ClockType:
        """The kind of this clock."""
        return self._clock_type

    def __repr__(self) -> str:
        return f"Clock(clock_type={self._clock_type.name})"

    def _now_ns(self) -> int:
        if self._clock_type is ClockType.STEADY_TIME:
            return time.monotonic_ns()
        return time.time_ns()

    def now(self) -> Time:
        """Return the current time."""
        # Not by `Time`'s constructor: what a clock shows need not be checked.
        now = Time.__new__(Time)
        now._nanoseconds, now._clock_type = self._now_ns(), self._clock_type
        return now

    def create_jump_callback(
        self,
        threshold: JumpThreshold,
        *,
        pre_callback: Callable[[], None] | None = None,
        post_callback: Callable[[TimeJump], None] | None = None,
    ) -> JumpHandle:
        """Call the callbacks before and after time jumps by more than a threshold."""
        return JumpHandle(
            clock=self,
            threshold=threshold,
            pre_callback=pre_callback,
            post_callback=post_callback,
        )

    def sleep_until(self, until: Time, context: Context | None = None) -> bool:
        """Sleep until this clock shows a time.

        Returns:
            Whether that time was reached; False if the context was shut down or simulated time
            was switched on or off meanwhile.
        """
        context = get_default_context() if context is None else context
        if not context.ok():
            raise NotInitializedException()
        if until.clock_type != self._clock_type:
            raise ValueError("until's clock type does not match this clock's type")
        event = threading.Event()
        source_changed = False

        def on_jump(jump: TimeJump) -> None:
            nonlocal source_changed
            if jump.clock_change in (
                ClockChange.ROS_TIME_ACTIVATED,
                ClockChange.ROS_TIME_DEACTIVATED,
            ):
                source_changed = True
            event.set()

        context.on_shutdown(event.set)
        threshold = JumpThreshold(min_forward=Duration(nanoseconds=1), min_backward=None)
        with self.create_jump_callback(threshold, post_callback=on_jump):
            while context.ok() and not source_changed:
                left_ns = until.nanoseconds - self._now_ns()
                if left_ns <= 0:
                    return True
                # Simulated time moves only when /clock says so, which sets the event.
                event.wait(None if self._is_simulated() else left_ns * 1e-9)
                event.clear()
        return False

    def sleep_for(self, rel_time: Duration, context: Context | None = None) -> bool:
        """Sleep for a duration; see `sleep_until`."""
        return self.sleep_until(self.now() + rel_time, context)

    def _is_simulated(self) -> bool:
        return False


class ROSClock(Clock):
    """A clock that shows simulated time while there is one, the system's otherwise."""

    _override_ns = 0
    _active = False

    def __new__(cls) -> ROSClock:
        """Make a clock of ROS time."""
        self = super().__new__(Clock, clock_type=ClockType.ROS_TIME)
        assert isinstance(self, ROSClock)
        return self

    @property
    def ros_time_is_active(self) -> bool:
        """Whether the clock shows simulated time."""
        return self._active

    def _is_simulated(self) -> bool:
        return self._active

    def _now_ns(self) -> int:
        return self._override_ns if self._active else time.time_ns()

    def _jump(self, change: ClockChange, apply: Callable[[], None], delta_ns: int) -> None:
        concerned = [
            handle
            for handle in list(self._jump_handles)
            if handle._threshold._exceeded_by(change, delta_ns)
        ]
        for handle in concerned:
            if handle._pre_callback is not None:
                handle._pre_callback()
        apply()
        jump = TimeJump(change, Duration(nanoseconds=delta_ns))
        for handle in concerned:
            if handle._post_callback is not None:
                handle._post_callback(jump)

    def _set_ros_time_is_active(self, enabled: bool) -> None:
        if enabled == self._active:
            return

        def apply() -> None:
            self._active = enabled

        delta_ns = self._override_ns - time.time_ns()
        if enabled:
            self._jump(ClockChange.ROS_TIME_ACTIVATED, apply, delta_ns)
        else:
            self._jump(ClockChange.ROS_TIME_DEACTIVATED, apply, -delta_ns)

    def set_ros_time_override(self, time: Time) -> None:
        """Set the time that the clock shows while simulated time is active."""
        if not isinstance(time, Time):
            raise TypeError(
                f"Time must be specified as rclpy.time.Time. Received type: {type(time)}"
            )
        target_ns = time.nanoseconds

        def apply() -> None:
            self._override_ns = target_ns

        if self._active:
            self._jump(ClockChange.ROS_TIME_NO_CHANGE, apply, target_ns - self._override_ns)
        else:
            apply()
