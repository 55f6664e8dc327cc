# SPDX-License-Identifier: Apache-2.0
"""Runs launch descriptions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from .event import Event
from .event_handlers import OnIncludeLaunchDescription, OnShutdown
from .events import IncludeLaunchDescription, Shutdown
from .events.process import SignalProcess
from .launch_context import LaunchContext
from .launch_description import LaunchDescription
from .launch_description_entity import LaunchDescriptionEntity
from .logging import get_logger, launch_config, log_launch_config
from .utilities import visit_all_entities_and_collect_futures

_ENDING = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


def _words(error: Exception) -> str:
    """Return what went wrong and, if it was in the code of a launch file, where."""
    text = str(error)
    if not isinstance(error, RuntimeError) or not text:
        text = f"{type(error).__name__}: {text}"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals.get("__name__") == "python_launch_file":
            return f"{text} ({frame.f_code.co_filename}:{line})"
    return text


class LaunchService:
    """Visits launch descriptions and keeps running until all that they started has ended.

    Args:
        argv: Arguments, for actions that look at the context's.
        noninteractive: Whether the launch has no terminal.
        debug: Whether to log more.

    Attributes:
        context: The launch context.
        event_loop: The loop in which the launch runs; None if it does not.
        task: The task that runs the launch.
    """

    def __init__(
        self,
        *,
        argv: Iterable[str] | None = None,
        noninteractive: bool = False,
        debug: bool = False,
    ) -> None:
        launch_config.level = logging.DEBUG if debug else logging.INFO
        self.__debug = debug
        self.__logger = get_logger("launch")
        self.context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self.context.register_event_handler(OnIncludeLaunchDescription())
        self.context.register_event_handler(OnShutdown(on_shutdown=self.__on_shutdown))
        self.__futures: list[asyncio.Future[Any]] = []
        self.__loop_lock = threading.RLock()
        self.event_loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[Any] | None = None
        self.__shutting_down = False
        self.__return_code = 0
        self.__signals_received = 0

    def emit_event(self, event: Event) -> None:
        """Emit an event from any thread, before or during the run."""
        with self.__loop_lock:
            loop = self.event_loop
            if loop is None:
                self.context.emit_event_sync(event)
                return
        loop.call_soon_threadsafe(self.context.emit_event_sync, event)

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Have a launch description visited; from any thread, before or during the run."""
        self.emit_event(IncludeLaunchDescription(launch_description))

    def shutdown(self, force_sync: bool = False) -> Coroutine[Any, Any, None] | None:
        """End the launch, from any thread; nothing happens if it does not run.

        Args:
            force_sync: Whether to emit the event at once. If not, and when called within the
                loop, the result must be awaited.
        """
        event = Shutdown(reason="LaunchService.shutdown() called")
        with self.__loop_lock:
            if self.event_loop is None:
                return None
        if force_sync:
            self.__shutdown(event)
            return None
        try:
            inside = asyncio.get_running_loop() is self.event_loop
        except RuntimeError:
            inside = False
        if inside:
            return self.__shutdown_async(event)
        self.emit_event(event)
        return None

    async def __shutdown_async(self, event: Shutdown) -> None:
        self.__shutdown(event)

    def __shutdown(self, event: Shutdown) -> None:
        if not self.__shutting_down:
            self.__on_shutdown(event, self.context)
            self.context.emit_event_sync(event)

    def __on_shutdown(self, event: Event, context: LaunchContext) -> None:
        self.__shutting_down = True
        context._set_is_shutdown(True)

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """Run in the main thread until the launch ends.

        Args:
            shutdown_when_idle: Whether the launch ends when nothing of it is active any more.

        Returns:
            0, or 1 if an error ended the launch, a process could not be started, or the launch
            was told to terminate by a signal other than SIGINT. As in ROS 2, the exit codes of
            the processes do not matter.
        """
        return asyncio.run(self.run_async(shutdown_when_idle=shutdown_when_idle))

    async def run_async(self, *, shutdown_when_idle: bool = True) -> int:
        """Run within an asyncio loop of the main thread; see run."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("LaunchService can only be run in the main thread.")
        with self.__loop_lock:
            if self.event_loop is not None:
                raise RuntimeError("LaunchService cannot be run multiple times concurrently.")
            loop = self.event_loop = asyncio.get_running_loop()
        self.task = asyncio.current_task()
        self.context._set_asyncio_loop(loop)
        self.context._failed = False
        self.__return_code = 0
        self.__signals_received = 0
        log_launch_config(logger=self.__logger)
        loop.set_debug(self.__debug)
        loop.set_exception_handler(self.__on_loop_exception)
        try:
            with self.__signal_handlers(loop):
                while not await self.__step(shutdown_when_idle):
                    pass
                if self.context._supervisor is not None:
                    await loop.run_in_executor(None, self.context._supervisor.close)
        finally:
            with self.__loop_lock:
                self.event_loop = None
            self.context._set_asyncio_loop(None)
            self.__shutting_down = False
            self.context._set_is_shutdown(False)
        return 1 if self.context._failed else self.__return_code

    async def __step(self, shutdown_when_idle: bool) -> bool:
        """Do what is to be done now, or wait for more; return whether the launch is over."""
        try:
            queue = self.context._event_queue
            while queue:
                self.__process(queue.popleft())
                await asyncio.sleep(0)
            active = self.__active_futures()
            if not active and not queue:
                if self.__shutting_down:
                    return True
                if shutdown_when_idle:
                    self.__shutdown(Shutdown(reason="idle"))
                    return False
            await self.__wait(active)
        except asyncio.CancelledError:
            self.__logger.error("run task was canceled")
            self.__return_code = 1
            self.__shutdown(Shutdown(reason="run task was canceled"))
        except Exception as error:
            self.__logger.debug(traceback.format_exc())
            message = f"Caught exception in launch (see debug for traceback): {_words(error)}"
            self.__logger.error(message)
            self.__return_code = 1
            self.__shutdown(Shutdown(reason=message))
        return False

    def __active_futures(self) -> list[asyncio.Future[Any]]:
        """Return the futures to wait for; raise the error of one that failed."""
        self.__futures += self.context._completion_futures
        self.context._completion_futures.clear()
        done = [future for future in self.__futures if future.done()]
        self.__futures = [future for future in self.__futures if not future.done()]
        for future in done:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                raise error
        return self.__futures

    async def __wait(self, active: list[asyncio.Future[Any]]) -> None:
        """Wait for an event, or for one of the futures."""
        arrived = self.context._event_arrived
        assert arrived is not None
        arrived.clear()
        if self.context._event_queue:
            return
        event = asyncio.ensure_future(arrived.wait())
        try:
            await asyncio.wait({event, *active}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            event.cancel()

    def __process(self, event: Event) -> None:
        for handler in tuple(self.context._event_handlers):
            if not handler.matches(event):
                continue
            self.__logger.debug("event '%s' goes to %s", event.name, handler.describe()[0])
            self.context._push_locals()
            try:
                entities = handler.handle(event, self.context)
                if entities is None:
                    continue
                if isinstance(entities, LaunchDescriptionEntity):
                    entities = [entities]
                for entity in entities:
                    if entity is None:
                        continue
                    if not isinstance(entity, LaunchDescriptionEntity):
                        raise RuntimeError(
                            f"event handler {handler.describe()[0]} returned '{entity}' of type "
                            f"'{type(entity).__name__}'; return launch actions or None"
                        )
                    pairs = visit_all_entities_and_collect_futures(entity, self.context)
                    self.__futures += [future for _, future in pairs]
            finally:
                self.context._pop_locals()

    def __on_loop_exception(
        self, loop: asyncio.AbstractEventLoop, details: dict[str, Any]
    ) -> None:
        self.__return_code = 1
        loop.default_exception_handler(details)

    # Signals: the first asks all processes to end, each further one is more insistent.

    @contextlib.contextmanager
    def __signal_handlers(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        def on(number: signal.Signals) -> Callable[[], None]:
            return lambda: self.__on_signal(number)

        handled = [signal.SIGINT, *_ENDING]
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            handled.remove(signal.SIGHUP)  # started with nohup, to outlive its terminal
        before = {number: signal.getsignal(number) for number in handled}
        for number in handled:
            loop.add_signal_handler(number, on(number))
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number] or signal.SIG_DFL)

    def __on_signal(self, number: signal.Signals) -> None:
        self.__signals_received += 1
        what = "user interrupted with ctrl-c (SIGINT)"
        if number is not signal.SIGINT:
            what = f"told to terminate ({number.name})"
            self.__return_code = 1
        if self.__signals_received == 1:
            self.__logger.warning(what)
            self.__shutdown(Shutdown(reason=what, due_to_sigint=number is signal.SIGINT))
            return
        insistence = signal.SIGTERM if self.__signals_received == 2 else signal.SIGKILL
        self.__logger.warning("%s again, sending '%s' to all processes", what, insistence.name)
        self.context.emit_event_sync(
            SignalProcess(signal_number=insistence, process_matcher=lambda process: True)
        )
