# SPDX-License-Identifier: Apache-2.0
"""A launch description in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .action import Action
from .actions import EmitEvent, ExecuteProcess, LogInfo, RegisterEventHandler
from .launch_description import LaunchDescription
from .launch_description_entity import LaunchDescriptionEntity
from .substitution import Substitution


def _words(parts: Iterable[Substitution]) -> str:
    return " + ".join(part.describe() for part in parts)


def _describe(entity: LaunchDescriptionEntity) -> str:
    if isinstance(entity, LogInfo):
        return f"LogInfo({_words(entity.msg)})"
    if isinstance(entity, EmitEvent):
        return f"EmitEvent(event='{entity.event.name}')"
    if isinstance(entity, ExecuteProcess):
        process = entity.process_description
        cmd = ", ".join(_words(part) for part in process.cmd)
        cwd = None if process.cwd is None else f"'{_words(process.cwd)}'"
        env = None
        if process.env is not None:
            pairs = (f"{_words(key)}: {_words(value)}" for key, value in process.env)
            env = "{" + ", ".join(pairs) + "}"
        return f"ExecuteProcess(cmd=[{cmd}], cwd={cwd}, env={env}, shell={entity.shell})"
    if isinstance(entity, RegisterEventHandler):
        return f"RegisterEventHandler('{entity.event_handler.describe()[0]}'):"
    if isinstance(entity, Action):
        return f"Action('{entity.describe()}')"
    return f"Unknown entity('{entity}')"


def _tree(entities: list[LaunchDescriptionEntity], indent: str) -> Iterator[str]:
    for number, entity in enumerate(entities, start=1):
        last = number == len(entities)
        yield f"{indent}{'└' if last else '├'}── {_describe(entity)}"
        if isinstance(entity, RegisterEventHandler):
            below = entity.event_handler.describe()[1]
            yield from _tree(below, indent + ("    " if last else "│   "))


class LaunchIntrospector:
    """Describes launch descriptions."""

    def format_launch_description(self, launch_description: LaunchDescription) -> str:
        """Return a launch description as a tree."""
        lines = [str(launch_description), *_tree(launch_description.entities, "")]
        return "\n".join(lines)
