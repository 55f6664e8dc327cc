# SPDX-License-Identifier: Apache-2.0
"""Simulated time: `use_sim_time` makes a node's clocks follow /clock."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import rosgraph_msgs.msg
from rcl_interfaces.msg import SetParametersResult

from rclpy.clock import ROSClock
from rclpy.clock_type import ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.subscription import Subscription

CLOCK_TOPIC = "/clock"
USE_SIM_TIME_NAME = "use_sim_time"


class TimeSource:
    """Feeds the clocks of a node."""

    def __init__(self, *, node: Node | None = None) -> None:
        self._subscription: Subscription | None = None
        self._reference: Any = lambda: None
        self._clocks: list[ROSClock] = []
        self._last_time = Time(clock_type=ClockType.ROS_TIME)
        self._active = False
        if node is not None:
            self.attach_node(node)

    @property
    def ros_time_is_active(self) -> bool:
        """Whether simulated time is active."""
        return self._active

    @ros_time_is_active.setter
    def ros_time_is_active(self, enabled: bool) -> None:
        if enabled == self._active:
            return
        self._active = enabled
        for clock in self._clocks:
            clock._set_ros_time_is_active(enabled)
        node = self._reference()
        if node is None:
            return
        if enabled and self._subscription is None:
            self._subscription = node.create_subscription(
                rosgraph_msgs.msg.Clock,
                CLOCK_TOPIC,
                self.clock_callback,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
            )
        elif not enabled and self._subscription is not None:
            node.destroy_subscription(self._subscription)
            self._subscription = None

    def attach_node(self, node: Node) -> None:
        """Follow a node's parameter `use_sim_time`."""
        self._reference = weakref.ref(node)
        if not node.has_parameter(USE_SIM_TIME_NAME):
            node.declare_parameter(USE_SIM_TIME_NAME, False)
        parameter = node.get_parameter(USE_SIM_TIME_NAME)
        if parameter.type_ is Parameter.Type.BOOL:
            self.ros_time_is_active = parameter.value
        else:
            node.get_logger().error(
                f"Invalid type for parameter '{USE_SIM_TIME_NAME}' {parameter.type_!r} "
                "should be bool"
            )
        node.add_on_set_parameters_callback(self._on_set_parameters)

    def detach_node(self) -> None:
        """Follow no node."""
        node = self._reference()
        if self._subscription is not None and node is not None:
            node.destroy_subscription(self._subscription)
        self._subscription = None
        self._reference = lambda: None

    def attach_clock(self, clock: ROSClock) -> None:
        """Feed a clock."""
        if not isinstance(clock, ROSClock):
            raise ValueError("Only clocks with type ROS_TIME can be attached.")
        clock.set_ros_time_override(self._last_time)
        clock._set_ros_time_is_active(self._active)
        self._clocks.append(clock)

    def clock_callback(self, msg: rosgraph_msgs.msg.Clock) -> None:
        """Take the time from a message."""
        self._last_time = Time.from_msg(msg.clock)
        for clock in self._clocks:
            clock.set_ros_time_override(self._last_time)

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == USE_SIM_TIME_NAME:
                if parameter.type_ is not Parameter.Type.BOOL:
                    reason = f"{USE_SIM_TIME_NAME} parameter set to something besides a bool"
                    return SetParametersResult(successful=False, reason=reason)
                self.ros_time_is_active = parameter.value
        return SetParametersResult(successful=True)
