# SPDX-License-Identifier: Apache-2.0
"""Filters for messages: caches, and synchronizers by time stamp."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import ROSClock
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

__all__ = [
    "ApproximateTimeSynchronizer",
    "Cache",
    "SimpleFilter",
    "Subscriber",
    "TimeSynchronizer",
]


class SimpleFilter:
    """Base of filters: passes messages on to callbacks."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._numbers = itertools.count()

    def registerCallback(self, cb: Callable[..., Any], *args: Any) -> int:  # noqa: N802
        """Call `cb` with each message and `args`; return the connection's number."""
        connection = next(self._numbers)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:  # noqa: N802
        """Pass messages on to the callbacks."""
        for callback, args in list(self.callbacks.values()):
            callback(*(msg + args))


class Subscriber(SimpleFilter):
    """A subscription as a filter: `Subscriber(node, msg_type, topic, qos_profile=...)`."""

    def __init__(self, node: Node, msg_type: Any, topic: str, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        if args:
            kwargs["qos_profile"] = args[0]
        kwargs.setdefault("qos_profile", 10)
        self.node = node
        self.topic = topic
        self.sub = node.create_subscription(msg_type, topic, self.callback, **kwargs)

    def callback(self, msg: Any) -> None:
        """Pass a message on."""
        self.signalMessage(msg)

    def getTopic(self) -> str:  # noqa: N802
        """Return the topic's name."""
        return self.topic


def _stamp(message: Any, arrival: Time | None) -> Time:
    header = getattr(message, "header", None)
    if arrival is not None and (header is None or not hasattr(header, "stamp")):
        return arrival
    return Time.from_msg(header.stamp)


class Cache(SimpleFilter):
    """Keeps the last messages of a filter, in the order of their stamps."""

    def __init__(
        self, f: SimpleFilter, cache_size: int = 1, allow_headerless: bool = False
    ) -> None:
        super().__init__()
        self.cache_size = cache_size
        self.allow_headerless = allow_headerless
        self._lock = threading.RLock()
        self.cache_times: list[Time] = []
        self.cache_msgs: list[Any] = []
        self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:  # noqa: N802
        """Take messages from a filter."""
        self.incoming_connection = f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        """Take a message."""
        if not hasattr(msg, "header") and not self.allow_headerless:
            raise RuntimeError("Cannot use message filters with non-stamped messages")
        stamp = _stamp(msg, ROSClock().now() if self.allow_headerless else None)
        with self._lock:
            index = bisect.bisect_right(self.cache_times, stamp)
            self.cache_times.insert(index, stamp)
            self.cache_msgs.insert(index, msg)
            if len(self.cache_msgs) > self.cache_size:
                del self.cache_times[0], self.cache_msgs[0]
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Time, to_stamp: Time) -> list[Any]:  # noqa: N802
        """Return the messages from one time to another, both included."""
        with self._lock:
            first = bisect.bisect_left(self.cache_times, from_stamp)
            last = bisect.bisect_right(self.cache_times, to_stamp)
            return self.cache_msgs[first:last]

    def getElemAfterTime(self, stamp: Time) -> Any:  # noqa: N802
        """Return the first message at or after a time, None if there is none."""
        with self._lock:
            index = bisect.bisect_left(self.cache_times, stamp)
            return self.cache_msgs[index] if index < len(self.cache_msgs) else None

    def getElemBeforeTime(self, stamp: Time) -> Any:  # noqa: N802
        """Return the last message at or before a time, None if there is none."""
        with self._lock:
            index = bisect.bisect_right(self.cache_times, stamp)
            return self.cache_msgs[index - 1] if index else None

    def getLastestTime(self) -> Time | None:  # noqa: N802
        """Return the newest stamp (the name is upstream's)."""
        return self.cache_times[-1] if self.cache_times else None

    getLatestTime = getLastestTime  # noqa: N815

    def getOldestTime(self) -> Time | None:  # noqa: N802
        """Return the oldest stamp."""
        return self.cache_times[0] if self.cache_times else None

    def getLast(self) -> Any:  # noqa: N802
        """Return the newest message, None if there is none."""
        return self.cache_msgs[-1] if self.cache_msgs else None


class TimeSynchronizer(SimpleFilter):
    """Passes on sets of messages, one of each filter, whose stamps are equal.

    Args:
        fs: The filters.
        queue_size: How many unmatched messages of each are kept; the oldest stamps go first.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.RLock()
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:  # noqa: N802
        """Take messages from filters."""
        # For each filter {stamp in ns: message}.
        self.queues: list[dict[int, Any]] = [{} for _ in fs]
        self.input_connections = [
            filter_.registerCallback(self.add, queue, index)
            for index, (filter_, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        """Take a message of one filter."""
        stamp_ns = _stamp(msg, None).nanoseconds
        with self.lock:
            self._insert(my_queue, stamp_ns, msg)
            if not all(stamp_ns in queue for queue in self.queues):
                return
            messages = [queue.pop(stamp_ns) for queue in self.queues]
        self.signalMessage(*messages)

    def _insert(self, queue: dict[int, Any], stamp_ns: int, message: Any) -> None:
        queue[stamp_ns] = message
        while len(queue) > self.queue_size:
            del queue[min(queue)]


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Passes on sets of messages, one of each filter, whose stamps are close together.

    Args:
        fs: The filters.
        queue_size: How many unmatched messages of each are kept; the oldest stamps go first.
        slop: Seconds within which the stamps of a set must lie.
        allow_headerless: Whether messages without a header count by their arrival.
        sync_arrival_time: Whether all count by their arrival.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
        sync_arrival_time: bool = False,
    ) -> None:
        super().__init__(fs, queue_size)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless
        self.sync_arrival_time = sync_arrival_time

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        """Take a message of one filter."""
        if self.sync_arrival_time:
            stamp = ROSClock().now()
        elif hasattr(getattr(msg, "header", None), "stamp"):
            stamp = Time.from_msg(msg.header.stamp)
        elif self.allow_headerless:
            stamp = ROSClock().now()
        else:
            raise RuntimeError(
                "cannot synchronize messages without a header unless allow_headerless is True"
            )
        with self.lock:
            self._insert(my_queue, stamp.nanoseconds, msg)
            chosen = self._choose(stamp.nanoseconds, my_queue)
            if chosen is None:
                return
            messages = [queue.pop(key) for queue, key in zip(self.queues, chosen, strict=True)]
        self.signalMessage(*messages)

    def _choose(self, stamp_ns: int, my_queue: dict[int, Any]) -> tuple[int, ...] | None:
        """Return a stamp for each filter, close to the new one and to one another, or None."""
        if stamp_ns not in my_queue:
            return None  # so old that it went at once
        slop_ns = self.slop.nanoseconds
        candidates = [
            [stamp_ns]
            if queue is my_queue
            else sorted(
                (key for key in queue if abs(key - stamp_ns) <= slop_ns),
                key=lambda key: abs(key - stamp_ns),
            )
            for queue in self.queues
        ]
        for chosen in itertools.product(*candidates):
            if max(chosen) - min(chosen) < slop_ns:
                return chosen
        return None
