# SPDX-License-Identifier: Apache-2.0
"""Names for annotations of what takes message, service and action classes."""

from __future__ import annotations

from typing import Any, TypeVar

from embedded_ros2.interfaces.classes import Message
from embedded_ros2.interfaces.lookup import interface_name


class Srv:
    """A service class, in annotations."""


class Action:
    """An action class, in annotations."""


Msg = Message
MsgT = TypeVar("MsgT", bound=Message)
SrvT = TypeVar("SrvT")
SrvRequestT = TypeVar("SrvRequestT", bound=Message)
SrvResponseT = TypeVar("SrvResponseT", bound=Message)
SrvEventT = TypeVar("SrvEventT", bound=Message)
# Their former names, which the modules that use them export.
MsgType, SrvType = MsgT, SrvT
SrvTypeRequest, SrvTypeResponse = SrvRequestT, SrvResponseT


def check_for_type_support(msg_or_srv_type: type[Any]) -> None:
    """Raise TypeError unless this is a message, service or action class."""
    interface_name(msg_or_srv_type)


def check_is_valid_msg_type(msg_type: type[Any]) -> None:
    """Raise TypeError unless this is a message class."""
    if interface_name(msg_type).split("/")[1] != "msg":
        raise TypeError(f"{msg_type!r} is not a message class")


def check_is_valid_srv_type(srv_type: type[Any]) -> None:
    """Raise TypeError unless this is a service class."""
    if interface_name(srv_type).split("/")[1] != "srv":
        raise TypeError(f"{srv_type!r} is not a service class")
