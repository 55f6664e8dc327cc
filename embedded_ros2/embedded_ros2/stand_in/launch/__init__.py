# SPDX-License-Identifier: Apache-2.0
"""The launch system of ROS 2, as far as Python launch files need it.

Names, modules and signatures are those of ``launch`` in ROS 2 Jazzy. Not offered: XML and YAML
launch files.
"""

from . import (
    actions,
    conditions,
    descriptions,
    event_handlers,
    events,
    frontend,
    launch_description_sources,
    logging,
    substitutions,
    utilities,
)
from .action import Action
from .condition import Condition
from .event import Event
from .event_handler import BaseEventHandler, EventHandler
from .invalid_launch_file_error import InvalidLaunchFileError
from .launch_context import LaunchContext
from .launch_description import LaunchDescription
from .launch_description_entity import LaunchDescriptionEntity
from .launch_description_source import LaunchDescriptionSource
from .launch_introspector import LaunchIntrospector
from .launch_service import LaunchService
from .some_entities_type import SomeEntitiesType, SomeEntitiesType_types_tuple
from .some_substitutions_type import SomeSubstitutionsType, SomeSubstitutionsType_types_tuple
from .substitution import Substitution

__all__ = [
    "Action",
    "BaseEventHandler",
    "Condition",
    "Event",
    "EventHandler",
    "InvalidLaunchFileError",
    "LaunchContext",
    "LaunchDescription",
    "LaunchDescriptionEntity",
    "LaunchDescriptionSource",
    "LaunchIntrospector",
    "LaunchService",
    "SomeEntitiesType",
    "SomeEntitiesType_types_tuple",
    "SomeSubstitutionsType",
    "SomeSubstitutionsType_types_tuple",
    "Substitution",
    "actions",
    "conditions",
    "descriptions",
    "event_handlers",
    "events",
    "frontend",
    "launch_description_sources",
    "logging",
    "substitutions",
    "utilities",
]
