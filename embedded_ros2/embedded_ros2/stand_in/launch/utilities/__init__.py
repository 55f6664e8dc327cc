# SPDX-License-Identifier: Apache-2.0
"""Helpers for actions and substitutions."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .. import _deep_paths
from ..launch_description_entity import LaunchDescriptionEntity
from ..some_entities_type import SomeEntitiesType
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

__all__ = [
    "ensure_argument_type",
    "is_a",
    "is_a_subclass",
    "isclassinstance",
    "normalize_to_list_of_entities",
    "normalize_to_list_of_substitutions",
    "perform_substitutions",
    "visit_all_entities_and_collect_futures",
]


def isclassinstance(obj: object) -> bool:
    """Return whether the object has a class; in Python 3 it always has."""
    return hasattr(obj, "__class__")


def is_a(obj: object, entity_type: type) -> bool:
    """Return whether the object is an instance of the type."""
    return isinstance(obj, entity_type)


def is_a_subclass(obj: object, entity_type: type) -> bool:
    """Return whether the object is an instance of the type, or a subclass of it."""
    if isinstance(obj, entity_type):
        return True
    return inspect.isclass(obj) and issubclass(obj, entity_type)


def ensure_argument_type(
    argument: object, types: type | Iterable[type], argument_name: str, caller: str | None = None
) -> None:
    """Raise TypeError unless the argument is of one of the types."""
    allowed = (types,) if isinstance(types, type) else tuple(types)
    if not isinstance(argument, allowed):
        names = ", ".join(getattr(one, "__name__", str(one)) for one in allowed)
        where = f"'{caller}' " if caller else ""
        raise TypeError(
            f"{where}expected '{argument_name}' to be one of [{names}], "
            f"but got '{argument}' of type '{type(argument).__name__}'"
        )


def normalize_to_list_of_substitutions(subs: SomeSubstitutionsType) -> list[Substitution]:
    """Return text, a substitution or a mixed iterable of both as a list of substitutions.

    Raises:
        TypeError: If an item is neither text nor a substitution.
    """
    from ..substitutions.text import TextSubstitution

    if isinstance(subs, (str, Substitution)):
        subs = [subs]
    elif not isinstance(subs, Iterable):
        raise TypeError(
            f"expected text, a substitution or a list of them, got '{subs}' of type "
            f"'{type(subs).__name__}'"
        )
    normalized: list[Substitution] = []
    for item in subs:
        if isinstance(item, Substitution):
            normalized.append(item)
        elif isinstance(item, str):
            normalized.append(TextSubstitution(text=item))
        else:
            raise TypeError(
                f"expected text or a substitution, got '{item}' of type '{type(item).__name__}'"
            )
    return normalized


def perform_substitutions(context: LaunchContext, subs: Iterable[Substitution]) -> str:
    """Return the concatenated text of the substitutions."""
    return "".join(context.perform_substitution(sub) for sub in subs)


def normalize_to_list_of_entities(
    entities: Iterable[SomeEntitiesType],
) -> list[LaunchDescriptionEntity]:
    """Return a nested iterable of entities as one list."""
    flat: list[LaunchDescriptionEntity] = []
    for entity in entities:
        if isinstance(entity, LaunchDescriptionEntity):
            flat.append(entity)
        else:
            flat.extend(entity)
    return flat


def visit_all_entities_and_collect_futures(
    entity: LaunchDescriptionEntity, context: LaunchContext
) -> list[tuple[LaunchDescriptionEntity, asyncio.Future[Any]]]:
    """Visit the entity and all that it returns, depth first; return the futures to wait for."""
    sub_entities = entity.visit(context)
    future = entity.get_asyncio_future()
    pairs = [(entity, future)] if future is not None else []
    for sub_entity in sub_entities or []:
        if not isinstance(sub_entity, LaunchDescriptionEntity):
            raise TypeError(
                f"{entity.describe()} returned '{sub_entity}' of type "
                f"'{type(sub_entity).__name__}'; return launch actions or None"
            )
        pairs += visit_all_entities_and_collect_futures(sub_entity, context)
    return pairs


_deep_paths.publish(
    __name__,
    __all__,
    also={
        "ensure_argument_type": "ensure_argument_type_impl",
        "is_a": "class_tools_impl",
        "is_a_subclass": "class_tools_impl",
        "isclassinstance": "class_tools_impl",
        "normalize_to_list_of_entities": "normalize_to_list_of_entities_impl",
        "normalize_to_list_of_substitutions": "normalize_to_list_of_substitutions_impl",
        "perform_substitutions": "perform_substitutions_impl",
        "visit_all_entities_and_collect_futures": "visit_all_entities_and_collect_futures_impl",
    },
)
