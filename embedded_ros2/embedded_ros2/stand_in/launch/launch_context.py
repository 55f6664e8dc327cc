# SPDX-License-Identifier: Apache-2.0
"""What actions and substitutions see of the running launch."""

from __future__ import annotations

import asyncio
import collections
import os
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from .event import Event
from .event_handler import BaseEventHandler
from .substitution import Substitution

if TYPE_CHECKING:
    from ._supervisor import Supervisor


class _Locals:
    """Read-only attribute access to the context's locals."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", values)

    def __getattr__(self, key: str) -> Any:
        values = object.__getattribute__(self, "_values")
        try:
            return values[key]
        except KeyError:
            raise AttributeError(
                f"context.locals does not contain attribute '{key}', "
                f"it contains: [{', '.join(values)}]"
            ) from None

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"can't set attribute '{key}', locals are read-only")


class LaunchContext:
    """Launch configurations, environment, locals, event handlers and the event queue.

    Attributes:
        argv: The arguments given to the launch service.
        noninteractive: Whether the launch has no terminal.
        is_shutdown: Whether the launch is ending.
        launch_configurations: The launch configurations, by name.
    """

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False) -> None:
        self.argv = list(argv) if argv is not None else []
        self.noninteractive = noninteractive

        self._event_queue: collections.deque[Event] = collections.deque()
        self._event_arrived: asyncio.Event | None = None
        self._event_handlers: collections.deque[BaseEventHandler] = collections.deque()
        self._completion_futures: list[asyncio.Future[Any]] = []
        self._supervisor: Supervisor | None = None
        self._failed = False
        # Launch arguments that were declared so far.
        self._declared: set[str] = set()

        self.__globals: dict[str, Any] = {}
        self.__locals: dict[str, Any] = {}
        self.__locals_stack: list[dict[str, Any]] = []
        self.launch_configurations: dict[str, Any] = {}
        self.__launch_configurations_stack: list[dict[str, Any]] = []
        self.__environment_stack: list[dict[str, str]] = []
        self.__environment_at_start = os.environ.copy()
        self.is_shutdown = False
        self.__asyncio_loop: asyncio.AbstractEventLoop | None = None

    def _set_is_shutdown(self, state: bool) -> None:
        self.is_shutdown = state

    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop:
        """The loop in which the launch runs.

        Raises:
            RuntimeError: If the launch does not run.
        """
        if self.__asyncio_loop is None:
            raise RuntimeError("the launch service is not running, so there is no asyncio loop")
        return self.__asyncio_loop

    def _set_asyncio_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.__asyncio_loop = loop
        self._event_arrived = asyncio.Event() if loop is not None else None

    def add_completion_future(self, completion_future: asyncio.Future[Any]) -> None:
        """Keep the launch running until the future is done."""
        self._completion_futures.append(completion_future)

    # Locals: what is known only while one event is handled.

    def _push_locals(self) -> None:
        self.__locals_stack.append(dict(self.__locals))

    def _pop_locals(self) -> None:
        self.__locals = self.__locals_stack.pop()

    def extend_globals(self, extensions: Mapping[str, Any]) -> None:
        """Add to ``locals`` for good."""
        self.__globals.update(extensions)

    def extend_locals(self, extensions: Mapping[str, Any]) -> None:
        """Add to ``locals`` until the event at hand is handled."""
        self.__locals.update(extensions)

    def get_locals_as_dict(self) -> dict[str, Any]:
        """Return the locals as a dictionary."""
        return {**self.__globals, **self.__locals}

    @property
    def locals(self) -> _Locals:
        """The locals, as attributes."""
        return _Locals(self.get_locals_as_dict())

    def _restore_local(self, key: str, values: Mapping[str, Any]) -> None:
        """Set one local to what it is in the values, or remove it."""
        if key in values:
            self.__locals[key] = values[key]
        else:
            self.__locals.pop(key, None)

    # Environment: that of this process, so that child processes inherit it.

    @property
    def environment(self) -> MutableMapping[str, str]:
        """The environment variables."""
        return os.environ

    def _replace_environment(self, values: Mapping[str, str]) -> None:
        # os.environ must stay the same object: it is what putenv() is called for.
        os.environ.clear()
        os.environ.update(values)

    def _push_environment(self) -> None:
        self.__environment_stack.append(os.environ.copy())

    def _pop_environment(self) -> None:
        self._replace_environment(self.__environment_stack.pop())

    def _reset_environment(self) -> None:
        self._replace_environment(self.__environment_at_start)

    # Launch configurations: the launch arguments and what is set beside them.

    def _push_launch_configurations(self) -> None:
        self.__launch_configurations_stack.append(dict(self.launch_configurations))

    def _pop_launch_configurations(self) -> None:
        self.launch_configurations = self.__launch_configurations_stack.pop()

    # Events.

    def would_handle_event(self, event: Event) -> bool:
        """Return whether any registered handler takes the event."""
        return any(handler.matches(event) for handler in self._event_handlers)

    def register_event_handler(
        self, event_handler: BaseEventHandler, append: bool = False
    ) -> None:
        """Register a handler, before those registered earlier unless ``append`` is set."""
        if append:
            self._event_handlers.append(event_handler)
        else:
            self._event_handlers.appendleft(event_handler)

    def unregister_event_handler(self, event_handler: BaseEventHandler) -> None:
        """Unregister a handler.

        Raises:
            ValueError: If the handler is not registered.
        """
        self._event_handlers.remove(event_handler)

    def emit_event_sync(self, event: Event) -> None:
        """Queue an event; call it in the thread of the launch."""
        self._event_queue.append(event)
        if self._event_arrived is not None:
            self._event_arrived.set()

    async def emit_event(self, event: Event) -> None:
        """Queue an event."""
        self.emit_event_sync(event)

    def perform_substitution(self, substitution: Substitution) -> str:
        """Return the text of a substitution."""
        return substitution.perform(self)
