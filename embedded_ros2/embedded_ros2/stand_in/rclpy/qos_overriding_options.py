# SPDX-License-Identifier: Apache-2.0
"""Overriding qualities of service by parameters, `qos_overrides./topic.publisher.depth`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult

from rclpy import qos as qos_module
from rclpy.duration import Duration
from rclpy.exceptions import ParameterAlreadyDeclaredException
from rclpy.qos import QoSPolicyKind, QoSProfile

if TYPE_CHECKING:
    from rclpy.node import Node

QosCallbackResult = SetParametersResult
QosCallbackType = Callable[[QoSProfile], SetParametersResult]


class InvalidQosOverridesError(Exception):
    """The callback refused the profile."""


class QoSOverridingOptions:
    """Which policies of a publisher or subscription parameters may set.

    Args:
        policy_kinds: The policies.
        callback: Judges the profile when all are applied.
        entity_id: Tells several publishers or subscriptions of a topic apart.

    Attributes:
        policy_kinds: The policies that parameters may set.
        entity_id: What tells entities of one topic apart.
    """

    def __init__(
        self,
        policy_kinds: Iterable[QoSPolicyKind],
        *,
        callback: QosCallbackType | None = None,
        entity_id: str | None = None,
    ) -> None:
        self.policy_kinds = tuple(policy_kinds)
        self._callback = callback
        self.entity_id = entity_id

    @property
    def callback(self) -> QosCallbackType | None:
        """What judges the profile."""
        return self._callback

    @classmethod
    def with_default_policies(
        cls, *, callback: QosCallbackType | None = None, entity_id: str | None = None
    ) -> QoSOverridingOptions:
        """Return options for history, depth and reliability."""
        kinds = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
        return cls(kinds, callback=callback, entity_id=entity_id)


def _apply(
    node: Node, kind: str, topic: str, profile: QoSProfile, options: QoSOverridingOptions
) -> QoSProfile:
    """Declare the parameters of a publisher or subscription; return the profile that they make.

    Raises:
        InvalidQosOverridesError: If the callback refuses it.
        RuntimeError: If a parameter is no value of its policy.
    """
    profile = copy.copy(profile)
    suffix = "" if options.entity_id is None else f"_{options.entity_id}"
    for policy in options.policy_kinds:
        if kind == "subscription" and policy == QoSPolicyKind.LIFESPAN:
            continue
        policy_name = policy.name.lower()
        present = getattr(profile, policy_name)
        parameter_name = f"qos_overrides.{topic}.{kind}{suffix}.{policy_name}"
        descriptor = ParameterDescriptor(
            description=f"{policy_name} for {kind} `{topic}` with id `{options.entity_id}`",
            read_only=True,
        )
        try:
            parameter = node.declare_parameter(parameter_name, _value(present), descriptor)
        except ParameterAlreadyDeclaredException:
            parameter = node.get_parameter(parameter_name)
        setattr(profile, policy_name, _policy(policy_name, present, parameter.value))
    if options.callback is not None:
        result = options.callback(profile)
        if not result.successful:
            raise InvalidQosOverridesError(
                f"Provided QoS overrides for {kind} `{topic}` with id `{options.entity_id}`, "
                f"are not valid: {result.reason}"
            )
    return profile


def _value(present: Any) -> str | int | bool:
    if isinstance(present, qos_module.QoSPolicyEnum):
        return present.short_key
    return present.nanoseconds if isinstance(present, Duration) else present


def _policy(name: str, present: Any, value: Any) -> Any:
    if isinstance(present, qos_module.QoSPolicyEnum):
        try:
            return type(present)[value.upper()]
        except KeyError:
            raise RuntimeError(
                f"Unexpected QoS override for policy `{name}`: `{value}`; it takes one of "
                f"{', '.join(type(present).short_keys())}"
            ) from None
    return Duration(nanoseconds=value) if isinstance(present, Duration) else value
