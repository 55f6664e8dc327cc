# SPDX-License-Identifier: Apache-2.0
"""What a package's `msg`, `srv` and `action` modules hold: classes by name, and names by class."""

from __future__ import annotations

from typing import Any

from embedded_ros2.interfaces import registry
from embedded_ros2.interfaces.classes import Message, message_class
from embedded_ros2.interfaces.parse import DefinitionError


class _ServiceType(type):
    """Refuses to instantiate a service or an action: only its parts have instances."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("Service classes can not be instantiated")


def service_class(name: str) -> type:
    """Return the class of a service, with `Request`, `Response` and `Event`."""
    package, kind, stem = name.split("/")
    return _ServiceType(
        stem,
        (),
        {
            "__module__": f"{package}.{kind}",
            "_interface_name": name,
            "Request": message_class(f"{name}_Request"),
            "Response": message_class(f"{name}_Response"),
            "Event": message_class(f"{name}_Event"),
        },
    )


def action_class(name: str) -> type:
    """Return the class of an action, with `Goal`, `Result`, `Feedback` and its wire types."""
    package, kind, stem = name.split("/")
    implementation = _ServiceType(
        "Impl",
        (),
        {
            "SendGoalService": service_class(f"{name}_SendGoal"),
            "GetResultService": service_class(f"{name}_GetResult"),
            "FeedbackMessage": message_class(f"{name}_FeedbackMessage"),
            "CancelGoalService": service_class("action_msgs/srv/CancelGoal"),
            "GoalStatusMessage": message_class("action_msgs/msg/GoalStatusArray"),
        },
    )
    return _ServiceType(
        stem,
        (),
        {
            "__module__": f"{package}.{kind}",
            "_interface_name": name,
            "Goal": message_class(f"{name}_Goal"),
            "Result": message_class(f"{name}_Result"),
            "Feedback": message_class(f"{name}_Feedback"),
            "Impl": implementation,
        },
    )


def interface_name(cls: Any) -> str:
    """Return ``package/kind/Name`` of a generated class.

    Raises:
        TypeError: If `cls` is not a message, service or action class.
    """
    if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message:
        return cls._structure.name
    name = getattr(cls, "_interface_name", None)
    if not isinstance(name, str):
        raise TypeError(
            f"{cls!r} is not a message, service or action class; import one from a package's "
            "msg, srv or action module"
        )
    return name


def lookup(package: str, kind: str, stem: str) -> type:
    """Return what `from package.kind import stem` gives.

    Raises:
        DefinitionError: If the package defines no such thing.
    """
    name = f"{package}/{kind}/{stem}"
    if (kind, stem) in registry.interfaces(package):
        if kind == "srv":
            return service_class(name)
        if kind == "action":
            return action_class(name)
    elif kind == "msg":
        raise DefinitionError(f"no definition of {name} is installed")
    if registry.is_service_part(name):
        return service_class(name)
    return message_class(name)
