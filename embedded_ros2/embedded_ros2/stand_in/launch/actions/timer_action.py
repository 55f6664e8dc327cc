# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Actions that run later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..condition import Condition
from ..event import Event
from ..event_handler import BaseEventHandler
from ..event_handlers import OnShutdown
from ..events import TimerEvent
from ..launch_description_entity import LaunchDescriptionEntity
from ..some_entities_type import SomeEntitiesType
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities.type_utils import normalize_typed_substitution, perform_typed_substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class TimerAction(Action):
    """Visits actions after a time, unless cancelled.

    Args:
        period: The time, in seconds.
        actions: What to visit.
        cancel_on_shutdown: Whether the end of the launch cancels the timer.
        condition: The condition under which the timer starts.

    Attributes:
        period: The time, in seconds, as given.
        actions: What is visited.
    """

    def __init__(
        self,
        *,
        period: float | SomeSubstitutionsType,
        actions: Iterable[LaunchDescriptionEntity],
        cancel_on_shutdown: bool | SomeSubstitutionsType = True,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        if isinstance(period, str):
            period = float(period)
        self.period = normalize_typed_substitution(period, float)
        self.actions = list(actions)
        self.__cancel_on_shutdown = normalize_typed_substitution(cancel_on_shutdown, bool)
        self.__locals: dict[str, Any] = {}
        self.__cancelled = False
        self.__wake: asyncio.Event | None = None
        self.__task: asyncio.Task[None] | None = None

    def describe(self) -> str:
        return f"TimerAction(period={self.period}, actions=<actions>)"

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        return [(f"{self.period} seconds pass without being canceled", self.actions)]

    def cancel(self) -> None:
        """Cancel the timer, or keep it from starting."""
        self.__cancelled = True
        if self.__wake is not None:
            self.__wake.set()

    def handle(self, context: LaunchContext) -> SomeEntitiesType | None:
        """Return what to visit, in the surroundings in which the timer was started."""
        context.extend_locals(self.__locals)
        return self.actions

    def execute(self, context: LaunchContext) -> None:
        if self.__cancelled:
            return
        if not any(isinstance(handler, _OnTimer) for handler in context._event_handlers):
            context.register_event_handler(_OnTimer())
        self.__locals = context.get_locals_as_dict()
        self.__wake = asyncio.Event()
        period_s = perform_typed_substitution(context, self.period, float)
        self.__task = context.asyncio_loop.create_task(self.__wait(context, float(period_s)))
        if perform_typed_substitution(context, self.__cancel_on_shutdown, bool):
            context.register_event_handler(OnShutdown(on_shutdown=lambda *_: self.cancel()))

    async def __wait(self, context: LaunchContext, period_s: float) -> None:
        assert self.__wake is not None
        try:
            await asyncio.wait_for(self.__wake.wait(), period_s)
        except asyncio.TimeoutError:
            context.emit_event_sync(TimerEvent(timer_action=self))

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        return self.__task


class _OnTimer(BaseEventHandler):
    """Visits the actions of any timer that has run out; one for each launch."""

    def __init__(self) -> None:
        super().__init__(matcher=lambda event: isinstance(event, TimerEvent))

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        assert isinstance(event, TimerEvent)
        return event.timer_action.handle(context)
