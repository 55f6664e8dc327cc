# SPDX-License-Identifier: Apache-2.0
"""Futures, and the tasks with which executors run callbacks and coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from typing import Any

# Whether a task below runs on the thread. Such a task may be run within a callback of asyncio's.
_driven = threading.local()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Future:
    """The outcome of something that is not over yet."""

    def __init__(self, *, executor: Any = None) -> None:
        self._done = False
        self._cancelled = False
        self._result: Any = None
        self._exception: BaseException | None = None
        self._exception_fetched = False
        self._callbacks: list[Callable[[Future], Any]] = []
        self._direct: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._executor: Callable[[], Any] = lambda: None
        self._set_executor(executor)

    def __del__(self) -> None:
        if self._exception is not None and not self._exception_fetched:
            print(
                f"The following exception was never retrieved: {self._exception}",
                file=sys.stderr,
            )

    def __await__(self) -> Generator[Any, None, Any]:
        while not self._done and not self._cancelled:
            # Whoever awaits is driven by one of the tasks below, or by asyncio.
            loop = None if getattr(_driven, "by_task", False) else _running_loop()
            yield from (self,) if loop is None else self._finished_in(loop)
        return self.result()

    def _finished_in(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return a future of asyncio's that is done when this one is."""
        waiter = loop.create_future()

        def finish() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(finish)

        self._call_when_finished(wake)
        return waiter

    def cancel(self) -> None:
        """Ask for cancellation; no effect on a future that is done."""
        with self._lock:
            if not self._done:
                self._cancelled = True
        self._finish()

    def cancelled(self) -> bool:
        """Return whether the future was cancelled."""
        return self._cancelled

    def done(self) -> bool:
        """Return whether there is a result or an exception."""
        return self._done

    def result(self) -> Any:
        """Return the result, None if there is none; raise the exception if there is one."""
        if self._exception is not None:
            self._exception_fetched = True
            raise self._exception
        return self._result

    def exception(self) -> BaseException | None:
        """Return the exception, if there is one."""
        self._exception_fetched = True
        return self._exception

    def set_result(self, result: Any) -> None:
        """Become done with a result."""
        with self._lock:
            self._result = result
            self._done, self._cancelled = True, False
        self._finish()

    def set_exception(self, exception: BaseException) -> None:
        """Become done with an exception."""
        with self._lock:
            self._exception = exception
            self._exception_fetched = False
            self._done, self._cancelled = True, False
        self._finish()

    def _finish(self) -> None:
        """Schedule the callbacks on the executor, or call them where there is none."""
        with self._lock:
            executor = self._executor()
            callbacks, self._callbacks = self._callbacks, []
            direct, self._direct = self._direct, []
        for function in direct:
            function()
        for callback in callbacks:
            if executor is not None:
                executor.create_task(callback, self)
                continue
            try:
                callback(self)
            except Exception as error:  # the other callbacks must be called too
                warnings.warn(f"Unhandled exception in done callback: {error}", stacklevel=2)

    def _set_executor(self, executor: Any) -> None:
        self._executor = (lambda: None) if executor is None else weakref.ref(executor)

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Call `callback` with this future when it is done; at once if it is."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
            executor = self._executor()
        if executor is not None:
            executor.create_task(callback, self)
        else:
            callback(self)

    def remove_done_callback(self, callback: Callable[[Future], Any]) -> bool:
        """Undo `add_done_callback`; return whether the callback was there."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
                return True
            return False

    def _call_when_finished(self, function: Callable[[], None]) -> None:
        """Call `function`, on whichever thread finishes this future, without the executor."""
        with self._lock:
            if not self._done and not self._cancelled:
                if function not in self._direct:
                    self._direct.append(function)
                return
        function()


class Task(Future):
    """A function or a coroutine that an executor runs."""

    def __init__(
        self,
        handler: Any,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        executor: Any = None,
    ) -> None:
        super().__init__(executor=executor)
        self._args = args or ()
        self._kwargs = kwargs or {}
        self._handler = handler
        if inspect.iscoroutinefunction(handler):
            self._handler = handler(*self._args, **self._kwargs)
        self._executing = False
        self._task_lock = threading.Lock()
        # What the coroutine waits for when it is suspended; None: it only let others go first.
        self._waits_for: Future | None = None

    def __call__(self) -> None:
        """Run the function, or the coroutine up to where it waits."""
        if self._done or self._executing or not self._task_lock.acquire(blocking=False):
            return
        try:
            if self._done:
                return
            self._executing = True
            self._run()
        finally:
            self._executing = False
            self._task_lock.release()

    def _run(self) -> None:
        try:
            if inspect.iscoroutine(self._handler):
                before, _driven.by_task = getattr(_driven, "by_task", False), True
                try:
                    waits_for = self._handler.send(None)
                finally:
                    _driven.by_task = before
                self._waits_for = waits_for if isinstance(waits_for, Future) else None
                return
            result = self._handler(*self._args, **self._kwargs)
        except StopIteration as stop:
            result = stop.value
        except Exception as error:
            self._release()
            self.set_exception(error)
            return
        self._release()
        self.set_result(result)

    def _release(self) -> None:
        self._handler, self._args, self._kwargs = None, (), {}

    def executing(self) -> bool:
        """Return whether the task is being executed at this moment."""
        return self._executing
