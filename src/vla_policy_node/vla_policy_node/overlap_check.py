# SPDX-License-Identifier: Apache-2.0
"""Holds the overlap of the plans against what the monitor asks for, once it can be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

MONITOR = "smoothness_monitor"
WANTED = "plan_overlap_s"
LOOK_S = 0.2


class OverlapCheck:
    """Asks the monitor for its `plan_overlap_s`, at its start and after each restart of it."""

    def __init__(
        self, node: Node, overlap_s: Callable[[], float], say: Callable[[str], Any]
    ) -> None:
        """Begin to look for the monitor.

        Args:
            node: The node that asks.
            overlap_s: Returns the overlap that plans are made with now.
            say: Is called with one line when the two do not fit.
        """
        self._overlap_s, self._say = overlap_s, say
        self._client = node.create_client(GetParameters, f"{MONITOR}/get_parameters")
        self._asked = False
        self._timer = node.create_timer(
            LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _look(self) -> None:
        there = self._client.service_is_ready()
        if there and not self._asked:
            request = GetParameters.Request(names=[WANTED])
            self._client.call_async(request).add_done_callback(self._answered)
        self._asked = there

    def _answered(self, future: Any) -> None:
        answer = None if future.exception() else future.result()
        if answer is None or not answer.values:
            return
        value = answer.values[0]
        if value.type == ParameterType.PARAMETER_DOUBLE:
            problem = overlap_problem(self._overlap_s(), value.double_value)
            if problem:
                self._say(problem)


def overlap_problem(overlap_s: float, plan_overlap_s: float) -> str:
    """Return why no plan could follow another one, or an empty string.

    Args:
        overlap_s: For how long after its publication a plan equals the running one.
        plan_overlap_s: For how long after its arrival the monitor asks for that.
    """
    if overlap_s > plan_overlap_s:
        return ""
    return (
        f"overlap_s: is {overlap_s:g} s, and the monitor asks for more than {plan_overlap_s:g} s: "
        "it will refuse every plan that follows a running one; set the parameter overlap_s of "
        f"this node above that, or lower {WANTED} in the monitor's file"
    )
