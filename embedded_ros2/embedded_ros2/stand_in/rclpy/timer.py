# SPDX-License-Identifier: Apache-2.0
"""Timers and rates."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy._entity import Entity, Work
from rclpy._rclpy_pybind11 import TimerCancelledError
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockChange, JumpThreshold, ROSClock, TimeJump
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle, ROSInterruptException


class TimerInfo:
    """When a timer's call was due and when it came, in nanoseconds of its clock."""

    def __init__(self, *, expected_call_time: int, actual_call_time: int, clock_type: Any) -> None:
        from rclpy.time import Time

        self.expected_call_time = Time(nanoseconds=expected_call_time, clock_type=clock_type)
        self.actual_call_time = Time(nanoseconds=actual_call_time, clock_type=clock_type)


class Timer(Entity):
    """Calls back every period.

    Unless simulated time is active, the period is measured by the steady clock, so that setting
    the system's clock does not disturb it.
    """

    def __init__(
        self,
        callback: Callable[..., Any] | None,
        callback_group: CallbackGroup,
        timer_period_ns: int,
        clock: Clock,
        *,
        context: Context | None = None,
        autostart: bool = True,
    ) -> None:
        super().__init__(callback_group)
        if timer_period_ns < 0:
            raise ValueError("timer period must not be negative")
        self._clock = clock
        self._period_ns = int(timer_period_ns)
        self._canceled = not autostart
        self.callback = callback
        now_ns = self._now_ns()
        self._last_call_ns = now_ns
        self._next_call_ns = now_ns + self._period_ns
        self._jump_handle = None
        if isinstance(clock, ROSClock):
            threshold = JumpThreshold(
                min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)
            )
            self._jump_handle = clock.create_jump_callback(
                threshold, pre_callback=self._before_jump, post_callback=self._after_jump
            )

    @property
    def callback(self) -> Callable[..., Any] | None:
        """The function that is called; it may take a `TimerInfo`."""
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any] | None) -> None:
        self._callback = value
        self._takes_info = False
        if value is not None:
            try:
                inspect.signature(value).bind()
            except TypeError:
                self._takes_info = True
            except ValueError:
                pass  # a builtin without a signature takes nothing

    @property
    def clock(self) -> Clock:
        """The clock that measures the period."""
        return self._clock

    @property
    def timer_period_ns(self) -> int:
        """The period in nanoseconds; setting it takes effect after the next call."""
        return self._period_ns

    @timer_period_ns.setter
    def timer_period_ns(self, value: int) -> None:
        self._period_ns = int(value)

    def _now_ns(self) -> int:
        if self._clock._is_simulated():
            return self._clock._now_ns()
        return time.monotonic_ns()

    def _before_jump(self) -> None:
        self._left_ns = self._next_call_ns - self._now_ns()

    def _after_jump(self, jump: TimeJump) -> None:
        now_ns = self._now_ns()
        if jump.clock_change != ClockChange.ROS_TIME_NO_CHANGE:
            # Another epoch: what was left of the period stays left.
            self._next_call_ns = now_ns + self._left_ns
            self._last_call_ns = self._next_call_ns - self._period_ns
        elif now_ns < self._last_call_ns:
            self._last_call_ns = now_ns
            self._next_call_ns = now_ns + self._period_ns
        if self.is_ready():
            self._notify()

    def is_ready(self) -> bool:
        """Return whether the call is due."""
        return not self._canceled and self._now_ns() >= self._next_call_ns

    def is_canceled(self) -> bool:
        """Return whether the timer is cancelled."""
        return self._canceled

    def cancel(self) -> None:
        """Stop calling until `reset`."""
        self._canceled = True

    def reset(self) -> None:
        """Start a new period now."""
        self._canceled = False
        self._next_call_ns = self._now_ns() + self._period_ns
        node = self._node_reference()
        executor = None if node is None else node._get_executor()
        if executor is not None:
            executor.wake()

    def time_since_last_call(self) -> int:
        """Return nanoseconds since the last call, or since the start if there was none."""
        return self._now_ns() - self._last_call_ns

    def time_until_next_call(self) -> int | None:
        """Return nanoseconds until the next call; negative if it is overdue.

        Raises:
            TimerCancelledError: If the timer is cancelled.
        """
        if self._canceled:
            raise TimerCancelledError("the timer is canceled")
        return self._next_call_ns - self._now_ns()

    def _due_in_ns(self) -> int | None:
        """Return when the executor must look again; None if only an event can make it due."""
        if self._canceled or self._destroyed or self._clock._is_simulated():
            return None
        return self._next_call_ns - time.monotonic_ns()

    def _has_work(self) -> bool:
        return not self._destroyed and self.is_ready()

    def _take(self) -> Work | None:
        if not self._has_work():
            return None
        now_ns, expected_ns = self._now_ns(), self._next_call_ns
        self._last_call_ns = now_ns
        self._next_call_ns += self._period_ns
        if self._next_call_ns < now_ns:
            # Calls that were missed are skipped; the phase stays.
            if self._period_ns == 0:
                self._next_call_ns = now_ns
            else:
                behind_ns = now_ns - self._next_call_ns
                self._next_call_ns += (behind_ns // self._period_ns + 1) * self._period_ns
        callback = self._callback
        if callback is None:
            return None
        if self._takes_info:
            info = TimerInfo(
                expected_call_time=expected_ns,
                actual_call_time=now_ns,
                clock_type=self._clock.clock_type,
            )
            return lambda: callback(info)
        return callback

    def destroy(self) -> None:
        """Stop for good."""
        super().destroy()
        if self._jump_handle is not None:
            self._jump_handle.unregister()
            self._jump_handle = None


class Rate:
    """Sleeps until a timer's next call; the executor must spin on another thread."""

    def __init__(self, timer: Timer, *, context: Context) -> None:
        self._timer = timer
        self._context = context
        self._destroyed = False
        self._calls = 0
        self._condition = threading.Condition()
        timer.callback = self._on_timer
        context.on_shutdown(self._on_shutdown)
        context._wakers.add(self)

    def _on_timer(self) -> None:
        with self._condition:
            self._calls += 1
            self._condition.notify_all()

    def wake(self) -> None:
        """Let sleepers look whether the context is still valid."""
        with self._condition:
            self._condition.notify_all()

    def _on_shutdown(self) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Wake all sleepers for good."""
        self._destroyed = True
        self.wake()

    def sleep(self) -> None:
        """Block until the timer's next call.

        Raises:
            ROSInterruptException: If the context is shut down.
            RuntimeError: If the rate was destroyed before.
        """
        if not self._context.ok():
            raise ROSInterruptException()
        if self._destroyed:
            raise RuntimeError("Rate cannot sleep because it has been destroyed")
        if self._timer._destroyed:
            raise InvalidHandle("Rate cannot sleep because the timer has been destroyed")
        with self._condition:
            seen = self._calls
            while self._calls == seen and not self._destroyed and self._context.ok():
                self._condition.wait()
        if not self._context.ok():
            raise ROSInterruptException()
