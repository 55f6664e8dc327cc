# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Actions that are Python functions."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..condition import Condition
from ..event_handlers import OnShutdown
from ..launch_description_entity import LaunchDescriptionEntity
from ..utilities import ensure_argument_type

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class OpaqueFunction(Action):
    """Calls a function with the launch context; visits the actions that it returns."""

    def __init__(
        self,
        *,
        function: Callable[..., list[LaunchDescriptionEntity] | None],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if not callable(function):
            raise TypeError(
                "OpaqueFunction expected a callable for 'function', "
                f"got '{type(function).__name__}'"
            )
        ensure_argument_type(args, (Iterable, type(None)), "args", "OpaqueFunction")
        ensure_argument_type(kwargs, (dict, type(None)), "kwargs", "OpaqueFunction")
        self.__function = function
        self.__args = tuple(args or ())
        self.__kwargs = kwargs or {}

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        return self.__function(context, *self.__args, **self.__kwargs)


class OpaqueCoroutine(Action):
    """Runs a coroutine beside the launch; cancels it when the launch ends."""

    def __init__(
        self,
        *,
        coroutine: Callable[..., Awaitable[None]],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        ignore_context: bool = False,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if not inspect.iscoroutinefunction(coroutine):
            raise TypeError(
                "OpaqueCoroutine expected a coroutine function for 'coroutine', "
                f"got '{type(coroutine).__name__}'"
            )
        self.__coroutine = coroutine
        self.__args = tuple(args or ())
        self.__kwargs = kwargs or {}
        self.__ignore_context = ignore_context
        self.__task: asyncio.Task[None] | None = None

    def execute(self, context: LaunchContext) -> None:
        args = self.__args if self.__ignore_context else (context, *self.__args)
        task = context.asyncio_loop.create_task(self.__coroutine(*args, **self.__kwargs))
        self.__task = task

        def cancel(_event: object, _context: object) -> None:
            task.cancel()

        context.register_event_handler(OnShutdown(on_shutdown=cancel))

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        return self.__task
