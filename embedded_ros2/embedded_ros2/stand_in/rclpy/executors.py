# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N818  (the names are rclpy's)
"""Executors: they run the callbacks of nodes.

Entities put themselves into the executor's queue when work arrives for them, so that a wait is
one blocking `get` and a message wakes it directly. Timers are the exception: before a wait the
executor asks them when the next is due, unless it still knows from the last time.
"""

from __future__ import annotations

import functools
import inspect
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from embedded_ros2 import threads
from rclpy._entity import Entity
from rclpy.context import Context
from rclpy.subscription import Subscription
from rclpy.task import Future, Task
from rclpy.utilities import get_default_context, timeout_sec_to_nsec

if TYPE_CHECKING:
    from rclpy.node import Node


# A signal that comes just before the wait begins, or on another thread, does not end the wait, and
# Python runs its handler only when the wait is over: so no wait is longer than this.
_SIGNAL_LOOK_S = 0.2
_SIGNAL_LOOK_NS = 200_000_000


class TimeoutException(Exception):
    """Nothing was ready before the timeout."""


class ShutdownException(Exception):
    """The executor was shut down."""


class ExternalShutdownException(Exception):
    """The context was shut down by somebody else, such as a signal."""

    def __init__(self, *args: object) -> None:
        super().__init__("rclpy.shutdown() has been called externally", *args)


class ConditionReachedException(Exception):
    """The condition that was waited for has come true."""


class TimeoutObject:
    """A timeout that may change while it runs."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout


async def await_or_execute(callback: Any, *args: Any) -> Any:
    """Await a coroutine function, or call a function."""
    result = callback(*args)
    return await result if inspect.isawaitable(result) else result


class Executor:
    """Base of executors; `spin_once` is theirs."""

    def __init__(self, *, context: Context | None = None) -> None:
        self._context = get_default_context() if context is None else context
        self._nodes: list[Node] = []
        self._lock = threading.RLock()
        # Entities with work and tasks to run; None only wakes.
        self._ready: queue.SimpleQueue[Entity | Task | None] = queue.SimpleQueue()
        # Entities whose callback group is busy; they return to the queue when a callback ends.
        self._held: list[Entity] = []
        self._is_shutdown = False
        # When the timers must be looked at again, on the steady clock.
        self._look_ns = 0
        # How many handlers each thread is in, by the thread's id.
        self._running: dict[int, int] = {}
        self._idle = threading.Condition(self._lock)
        self._context._wakers.add(self)

    @property
    def context(self) -> Context:
        """The context of this executor."""
        return self._context

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def create_task(
        self, callback: Callable[..., Any] | Coroutine, *args: Any, **kwargs: Any
    ) -> Task:  # type: ignore[type-arg]
        """Run a function or coroutine in this executor; the task is the future of its result."""
        task = Task(callback, args, kwargs, executor=self)
        self._ready.put(task)
        return task

    def wake(self) -> None:
        """Make a waiting spin look around."""
        self._ready.put(None)

    def add_node(self, node: Node) -> bool:
        """Run a node's callbacks from now on; return False if that is so already."""
        with self._lock:
            if node in self._nodes:
                return False
            self._nodes.append(node)
        node.executor = self
        for entity in node._entities():
            if entity._has_work():
                entity._notify()
        self.wake()
        return True

    def remove_node(self, node: Node) -> None:
        """Run the node's callbacks no more."""
        with self._lock:
            if node not in self._nodes:
                return
            self._nodes.remove(node)
        node._executor_removed(self)
        self.wake()

    def get_nodes(self) -> list[Node]:
        """Return the nodes that were added."""
        with self._lock:
            return list(self._nodes)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop, and wait for callbacks that run.

        Returns:
            Whether all of them ended before the timeout.
        """
        self._is_shutdown = True
        self.wake()
        wait_s = None if timeout_sec is None or timeout_sec < 0 else timeout_sec
        # A callback that shuts its own executor down must not wait for itself.
        own = {threading.get_ident()}
        with self._idle:
            if not self._idle.wait_for(lambda: set(self._running) <= own, wait_s):
                return False
        for node in self.get_nodes():
            self.remove_node(node)
        return True

    def spin(self) -> None:
        """Run callbacks until shutdown."""
        while self._context.ok() and not self._is_shutdown:
            self.spin_once()

    def spin_until_future_complete(self, future: Future, timeout_sec: float | None = None) -> None:
        """Run callbacks until a future is done, the timeout passes, or shutdown."""
        future._call_when_finished(self.wake)
        timeout_ns = timeout_sec_to_nsec(timeout_sec)
        deadline_ns = time.monotonic_ns() + timeout_ns
        while self._context.ok() and not future.done() and not self._is_shutdown:
            if future.cancelled():
                return
            left_s = None
            if timeout_ns >= 0:
                left_s = max(0, deadline_ns - time.monotonic_ns()) * 1e-9
            self.spin_once_until_future_complete(future, left_s)
            if timeout_ns >= 0 and time.monotonic_ns() >= deadline_ns:
                return

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run one callback; wait for one until the timeout."""
        raise NotImplementedError

    def spin_once_until_future_complete(
        self, future: Future, timeout_sec: float | TimeoutObject | None = None
    ) -> None:
        """Run one callback; wait for one until the timeout or until the future is done."""
        raise NotImplementedError

    def wait_for_ready_callbacks(
        self,
        timeout_sec: float | TimeoutObject | None = None,
        nodes: list[Node] | None = None,
        condition: Callable[[], bool] = lambda: False,
    ) -> tuple[Callable[[], None], Entity | None, Node | None]:
        """Wait for a callback to run, for executors of one's own.

        Args:
            timeout_sec: How long to wait.
            nodes: The nodes to wait for; all of this executor's by default, and no others.
            condition: Ends the wait when it has come true.

        Returns:
            What runs the callback when called, which must be done once, on whatever thread; the
            entity whose callback it is, and its node (None for a task).

        Raises:
            TimeoutException, ShutdownException, ExternalShutdownException,
            ConditionReachedException
            NotImplementedError: If only some of the nodes are to be waited for.
        """
        if nodes is not None and set(nodes) != set(self.get_nodes()):
            raise NotImplementedError(
                "embedded_ros2 does not offer Executor.wait_for_ready_callbacks for some of the "
                "executor's nodes: give it an executor with these nodes"
            )
        item = self._next_ready(timeout_sec, condition)
        entity = None if isinstance(item, Task) else item
        node = None if entity is None else entity._node_reference()
        return functools.partial(self._run, item), entity, node

    # --- what executors share ---

    def _next_ready(
        self,
        timeout_sec: float | TimeoutObject | None,
        condition: Callable[[], bool] | None = None,
    ) -> Entity | Task:
        """Wait for something to run; `_run` runs it, and must.

        Raises:
            TimeoutException, ShutdownException, ExternalShutdownException,
            ConditionReachedException
        """
        if isinstance(timeout_sec, TimeoutObject):
            timeout_sec = timeout_sec.timeout
        deadline_ns = None
        if timeout_sec is not None and timeout_sec >= 0:
            deadline_ns = time.monotonic_ns() + timeout_sec_to_nsec(timeout_sec)
        while True:
            if self._is_shutdown:
                raise ShutdownException()
            if not self._context._valid:
                threads.make_up()
                raise ExternalShutdownException()
            if condition is not None and condition():
                raise ConditionReachedException()
            now_ns = time.monotonic_ns()
            wait_ns = self._look_ns - now_ns
            if wait_ns <= 0:
                wait_ns = self._poll_timers(now_ns)
            if deadline_ns is not None:
                wait_ns = min(wait_ns, deadline_ns - now_ns)
            try:
                if wait_ns <= 0:
                    item = self._ready.get_nowait()
                else:
                    item = self._ready.get(timeout=min(wait_ns * 1e-9, _SIGNAL_LOOK_S))
            except queue.Empty:
                now_ns = time.monotonic_ns()
                if deadline_ns is not None and now_ns >= deadline_ns:
                    if self._poll_timers(now_ns) == 0:
                        continue
                    raise TimeoutException() from None
                continue
            if not isinstance(item, Subscription):
                # A timer that has run is due anew; a wake may mean that there is a new one.
                self._look_ns = 0
            if item is not None and (isinstance(item, Task) or self._claim(item)):
                return item

    def _poll_timers(self, now_ns: int) -> int:
        """Enqueue the timers that are due, and note when to look again.

        Returns:
            Nanoseconds until then; 0 if one was enqueued.
        """
        soonest_ns = _SIGNAL_LOOK_NS
        queued = False
        for node in self.get_nodes():
            for timer in list(node._timers):
                if timer._queued_in is self:
                    queued = True
                    continue
                due_ns = timer._due_in_ns()
                if due_ns is None:
                    continue
                if due_ns <= 0:
                    timer._notify()
                    queued = True
                    due_ns = 0
                soonest_ns = min(soonest_ns, due_ns)
        # When a timer in the queue is due again is known once it has run.
        self._look_ns = 0 if queued else now_ns + soonest_ns
        return soonest_ns

    def _claim(self, entity: Entity) -> bool:
        """Return whether an entity from the queue may run now; if so, it must."""
        node = entity._node_reference()
        if node is None or node._executor_reference() is not self:
            self._unqueue(entity)
            return False
        if not entity._has_work():
            self._unqueue(entity)
            # What came before that found the entity in the queue and did not put it there again.
            if not entity._has_work():
                return False
            entity._queued_in = self
        group = entity.callback_group
        if group.beginning_execution(entity):
            return True
        with self._lock:
            self._held.append(entity)
        # The callback that keeps the group may have ended just now.
        if group.can_execute(entity):
            self._release_held()
        return False

    def _unqueue(self, entity: Entity) -> None:
        if entity._queued_in is self:
            entity._queued_in = None

    def _run(self, item: Entity | Task) -> None:
        """Run what `_next_ready` returned."""
        if isinstance(item, Task):
            self._run_task(item)
        else:
            self._run_entity(item)

    def _run_entity(self, entity: Entity) -> None:
        # What a message meets on its way is here and in `_next_ready`, at the price of length:
        # at 1 kHz every call counts.
        ident = threading.get_ident()
        self._running[ident] = self._running.get(ident, 0) + 1
        suspended = False
        try:
            if entity._queued_in is self:
                entity._queued_in = None
            work = entity._take()
            if entity._has_work():
                entity._notify()
            if work is None:
                return
            result = work()
            if result is not None and inspect.iscoroutine(result):
                suspended = True
                self._run_task(Task(self._finish_coroutine(entity, result), executor=self))
        finally:
            if not suspended:
                entity.callback_group.ending_execution(entity)
                if self._held:
                    self._release_held()
            self._end(ident)

    async def _finish_coroutine(self, entity: Entity, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            await coroutine
        finally:
            entity.callback_group.ending_execution(entity)
            self._release_held()

    def _run_task(self, task: Task) -> None:
        ident = threading.get_ident()
        self._running[ident] = self._running.get(ident, 0) + 1
        try:
            task()
        finally:
            self._end(ident)
        if task.done():
            error = task.exception()
            if error is not None:
                raise error
        elif task._waits_for is not None:
            task._waits_for._call_when_finished(lambda: self._ready.put(task))
        else:
            self._ready.put(task)

    def _end(self, ident: int) -> None:
        """Note that a callback of a thread ended. A thread changes its own entry only."""
        left = self._running[ident] - 1
        if left:
            self._running[ident] = left
            return
        del self._running[ident]
        # Whoever shuts down says so before looking at the entries: one of us sees the other.
        if self._is_shutdown:
            with self._idle:
                self._idle.notify_all()

    def _release_held(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        for entity in held:
            self._ready.put(entity)


class SingleThreadedExecutor(Executor):
    """Runs callbacks one after the other on the thread that spins."""

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run one callback; wait for one until the timeout."""
        try:
            item = self._next_ready(timeout_sec)
        except (TimeoutException, ShutdownException):
            return
        self._run(item)

    def spin_once_until_future_complete(
        self, future: Future, timeout_sec: float | TimeoutObject | None = None
    ) -> None:
        """Run one callback; wait for one until the timeout or until the future is done."""
        future._call_when_finished(self.wake)
        try:
            item = self._next_ready(timeout_sec, lambda: future.done() or future.cancelled())
        except (TimeoutException, ShutdownException, ConditionReachedException):
            return
        self._run(item)


class MultiThreadedExecutor(Executor):
    """Runs callbacks on a pool of threads, as far as their groups allow."""

    def __init__(self, num_threads: int | None = None, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        if num_threads is None:
            num_threads = max(2, multiprocessing.cpu_count())
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="rclpy_executor")
        self._pending: list[ThreadFuture[Any]] = []

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Start one callback; wait for one until the timeout."""
        self._spin_once(timeout_sec, lambda: False)

    def spin_once_until_future_complete(
        self, future: Future, timeout_sec: float | TimeoutObject | None = None
    ) -> None:
        """Start one callback; wait for one until the timeout or until the future is done."""
        future._call_when_finished(self.wake)
        self._spin_once(timeout_sec, lambda: future.done() or future.cancelled())

    def _spin_once(
        self, timeout_sec: float | TimeoutObject | None, condition: Callable[[], bool]
    ) -> None:
        self._raise_failures()
        try:
            item = self._next_ready(timeout_sec, lambda: condition() or self._has_failed())
        except (TimeoutException, ShutdownException, ConditionReachedException):
            self._raise_failures()
            return
        future = self._pool.submit(self._run, item)
        self._pending.append(future)
        future.add_done_callback(lambda done: self.wake() if done.exception() else None)
        self._raise_failures()

    def _has_failed(self) -> bool:
        return any(future.done() and future.exception() for future in self._pending)

    def _raise_failures(self) -> None:
        finished = [future for future in self._pending if future.done()]
        self._pending = [future for future in self._pending if not future.done()]
        for future in finished:
            future.result()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop, and wait for callbacks that run."""
        done = super().shutdown(timeout_sec)
        self._pool.shutdown(wait=False)
        return done
