# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Handlers for the events of a launch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from . import _deep_paths
from .event import Event
from .event_handler import BaseEventHandler
from .events import ExecutionComplete, IncludeLaunchDescription, Shutdown
from .events.process import ProcessExited, ProcessIO, ProcessStarted
from .launch_description_entity import LaunchDescriptionEntity
from .some_entities_type import SomeEntitiesType

if TYPE_CHECKING:
    from .action import Action
    from .actions import ExecuteLocal
    from .launch_context import LaunchContext

__all__ = [
    "OnActionEventBase",
    "OnExecutionComplete",
    "OnIncludeLaunchDescription",
    "OnProcessExit",
    "OnProcessIO",
    "OnProcessStart",
    "OnShutdown",
    "event_named",
]

_Reaction = SomeEntitiesType | Callable[[Any, Any], Any]


def event_named(name: str) -> Callable[[Event], bool]:
    """Return a matcher for the events of this name."""
    return lambda event: event.name == name


class OnActionEventBase(BaseEventHandler):
    """Reacts to one kind of event of an action, or of those that a matcher accepts."""

    def __init__(
        self,
        *,
        action_matcher: Callable[[Any], bool] | Action | None,
        on_event: _Reaction,
        target_event_cls: type[Event],
        target_action_cls: type[Action],
        handle_once: bool = False,
    ) -> None:
        if not issubclass(target_event_cls, Event):
            raise TypeError("'target_event_cls' must be a subclass of 'Event'")
        if not (
            action_matcher is None
            or isinstance(action_matcher, target_action_cls)
            or callable(action_matcher)
        ):
            raise TypeError(
                f"action_matcher must be an '{target_action_cls.__name__}' instance or a callable"
            )

        def matcher(event: Event) -> bool:
            if not isinstance(event, target_event_cls):
                return False
            if action_matcher is None:
                return True
            if isinstance(action_matcher, target_action_cls):
                return event.action is action_matcher  # type: ignore[attr-defined]
            return bool(action_matcher(event.action))  # type: ignore

        super().__init__(matcher=matcher, handle_once=handle_once)
        self.__description = f"event == {target_event_cls.__name__}"
        if action_matcher is not None:
            self.__description += f" and {target_action_cls.__name__}(event.action)"
        self.__on_event: Callable[[Any, Any], Any] | None = None
        self.__entities: list[LaunchDescriptionEntity] = []
        if callable(on_event):
            self.__on_event = on_event
        elif isinstance(on_event, Iterable):
            self.__entities = list(on_event)
        else:
            self.__entities = [on_event]
        for entity in self.__entities:
            if not isinstance(entity, LaunchDescriptionEntity):
                raise TypeError(
                    f"{type(self).__name__} expected actions, but got '{entity}' of type "
                    f"'{type(entity).__name__}'"
                )

    @property
    def handler_description(self) -> str:
        return "<actions>" if self.__on_event is None else str(self.__on_event)

    @property
    def matcher_description(self) -> str:
        return self.__description

    def describe(self) -> tuple[str, list[LaunchDescriptionEntity]]:
        text, actions = super().describe()
        return text, [*actions, *self.__entities]

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        if self.__on_event is not None:
            reaction: SomeEntitiesType | None = self.__on_event(event, context)
            return reaction
        return self.__entities


class OnExecutionComplete(OnActionEventBase):
    """Reacts when an action has done its work."""

    def __init__(
        self,
        *,
        target_action: Callable[[Action], bool] | Action | None = None,
        on_completion: SomeEntitiesType
        | Callable[[ExecutionComplete, LaunchContext], SomeEntitiesType | None],
        handle_once: bool = False,
    ) -> None:
        from .action import Action

        super().__init__(
            action_matcher=target_action,
            on_event=on_completion,
            target_event_cls=ExecutionComplete,
            target_action_cls=Action,
            handle_once=handle_once,
        )


class OnProcessStart(OnActionEventBase):
    """Reacts when a process runs."""

    def __init__(
        self,
        *,
        target_action: Callable[[ExecuteLocal], bool] | ExecuteLocal | None = None,
        on_start: SomeEntitiesType
        | Callable[[ProcessStarted, LaunchContext], SomeEntitiesType | None],
        handle_once: bool = False,
    ) -> None:
        from .actions import ExecuteLocal

        super().__init__(
            action_matcher=target_action,
            on_event=on_start,
            target_event_cls=ProcessStarted,
            target_action_cls=ExecuteLocal,
            handle_once=handle_once,
        )


class OnProcessExit(OnActionEventBase):
    """Reacts when a process has ended."""

    def __init__(
        self,
        *,
        target_action: Callable[[ExecuteLocal], bool] | ExecuteLocal | None = None,
        on_exit: SomeEntitiesType
        | Callable[[ProcessExited, LaunchContext], SomeEntitiesType | None],
        handle_once: bool = False,
    ) -> None:
        from .actions import ExecuteLocal

        super().__init__(
            action_matcher=target_action,
            on_event=on_exit,
            target_event_cls=ProcessExited,
            target_action_cls=ExecuteLocal,
            handle_once=handle_once,
        )


class OnProcessIO(OnActionEventBase):
    """Reacts to what a process writes."""

    def __init__(
        self,
        *,
        target_action: Callable[[ExecuteLocal], bool] | ExecuteLocal | None = None,
        on_stdin: Callable[[ProcessIO], SomeEntitiesType | None] | None = None,
        on_stdout: Callable[[ProcessIO], SomeEntitiesType | None] | None = None,
        on_stderr: Callable[[ProcessIO], SomeEntitiesType | None] | None = None,
        handle_once: bool = False,
    ) -> None:
        from .actions import ExecuteLocal

        def react(event: ProcessIO, context: LaunchContext) -> SomeEntitiesType | None:
            if event.from_stdout and on_stdout is not None:
                return on_stdout(event)
            if event.from_stderr and on_stderr is not None:
                return on_stderr(event)
            if event.from_stdin and on_stdin is not None:
                return on_stdin(event)
            return None

        super().__init__(
            action_matcher=target_action,
            on_event=react,
            target_event_cls=ProcessIO,
            target_action_cls=ExecuteLocal,
            handle_once=handle_once,
        )


class OnShutdown(BaseEventHandler):
    """Reacts when the launch ends."""

    def __init__(
        self,
        *,
        on_shutdown: SomeEntitiesType
        | Callable[[Shutdown, LaunchContext], SomeEntitiesType | None],
        handle_once: bool = False,
    ) -> None:
        super().__init__(
            matcher=lambda event: isinstance(event, Shutdown), handle_once=handle_once
        )
        self.__on_shutdown = on_shutdown

    @property
    def handler_description(self) -> str:
        return str(self.__on_shutdown)

    @property
    def matcher_description(self) -> str:
        return "event issubclass of launch.events.Shutdown"

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        if callable(self.__on_shutdown):
            assert isinstance(event, Shutdown)
            return self.__on_shutdown(event, context)
        return self.__on_shutdown


class OnIncludeLaunchDescription(BaseEventHandler):
    """Visits the launch description that an event asks for."""

    def __init__(self, *, handle_once: bool = False) -> None:
        super().__init__(
            matcher=lambda event: isinstance(event, IncludeLaunchDescription),
            handle_once=handle_once,
        )

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        super().handle(event, context)
        assert isinstance(event, IncludeLaunchDescription)
        return event.launch_description


_deep_paths.publish(__name__, __all__, also={"OnProcessIO": "on_process_io"})
