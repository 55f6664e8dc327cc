# SPDX-License-Identifier: Apache-2.0
"""Reads the controllers' own parameters and hands over what is wrong with them.

They are read again and again: some of them can be set while the controller runs, and a controller
can be loaded anew with others. What a controller tells on /parameter_events is taken in at once,
but only to withhold plans: anybody may publish there, so what gives a permit back is an answer of
the controller. Nothing here waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import ParameterEvent, ParameterType
from rcl_interfaces.srv import GetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from node_kit import qos
from smoothness_monitor.core import controller_parameters
from smoothness_monitor.core.controller_parameters import Value
from smoothness_monitor.guard import Guard
from smoothness_monitor.params import MonitorConfig
from smoothness_monitor.subscribe import STATE_BYTES, Bounded
from vla_contract.robot import Robot

LOOK_S = 0.1
AGAIN_S = 1.0
# An answer that takes longer is told of, where none came before. What was read holds on
# meanwhile: on a busy host an answer takes seconds, and silence does not say that a value changed.
PATIENCE_S = 2.0
# One that takes longer will not come.
LONGEST_S = 10.0

_FIELDS = {
    ParameterType.PARAMETER_BOOL: "bool_value",
    ParameterType.PARAMETER_INTEGER: "integer_value",
    ParameterType.PARAMETER_DOUBLE: "double_value",
    ParameterType.PARAMETER_STRING: "string_value",
    ParameterType.PARAMETER_DOUBLE_ARRAY: "double_array_value",
    ParameterType.PARAMETER_STRING_ARRAY: "string_array_value",
}


class ParameterReader:
    """Asks one controller for its parameters, and reports what is wrong with them."""

    def __init__(
        self,
        node: Node,
        controller: str,
        joints: Sequence[str],
        report: Callable[[str, str], None],
        *,
        required: bool,
    ) -> None:
        """Begin to ask `<controller>/get_parameters`.

        Args:
            node: The node that asks.
            controller: Name of the controller.
            joints: Those that the robot file gives it.
            report: Is called with the controller's name and what is wrong, empty when nothing is.
            required: Whether it counts as wrong that nobody serves the parameters.
        """
        self._controller, self._joints = controller, tuple(joints)
        self._names = controller_parameters.names(self._joints)
        self._report, self._required = report, required
        self._client = node.create_client(GetParameters, f"{controller}/get_parameters")
        # Name of the controller's node, with its namespace and as it is remapped here.
        service = node.resolve_service_name(f"{controller}/get_parameters")
        self._node_name = service.rpartition("/")[0]
        self._values: dict[str, Value] = {}
        self._read: dict[str, Value] = {}
        self._left: list[str] = []
        self._asked_s: float | None = None
        self._due_s = 0.0
        # Whether they were read, and the one who answered is there still.
        self._known = False
        # Counts the questions: an answer to an old one, held back, is none.
        self._question = 0
        node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_event(self, event: ParameterEvent) -> None:
        """Take in that parameters of some node were set."""
        if event.node != self._node_name:
            return
        changed = (*event.new_parameters, *event.changed_parameters)
        told = {each.name: _value(each.value) for each in changed}
        told.update((each.name, None) for each in event.deleted_parameters)
        told = {name: told[name] for name in self._names if name in told}
        if told:
            self.ask_soon()
        if not (told and self._known):
            return
        problem = controller_parameters.problem({**self._read, **told}, self._joints)
        if problem:
            # An answer that is on its way may be of before.
            self._question += 1
            self._asked_s = None
            self._tell(problem)

    def ask_soon(self) -> None:
        """Ask with the next look."""
        self._due_s = 0.0

    def _look(self) -> None:
        now_s = time.monotonic()
        if not self._client.service_is_ready():
            if (self._asked_s is not None or now_s >= self._due_s) and self._required:
                self._tell(
                    f"nobody serves {self._client.srv_name}, so its parameters are not known; "
                    "start the controller, or remap that name where it has another"
                )
            self._asked_s, self._known = None, False
            return
        if self._asked_s is not None:
            waited_s = now_s - self._asked_s
            if waited_s >= LONGEST_S:
                self._asked_s, self._known = None, False
            if waited_s >= PATIENCE_S and not self._known:
                self._tell(f"{self._client.srv_name} does not answer")
            return
        if now_s < self._due_s:
            return
        self._values, self._left = {}, []
        self._ask(list(self._names))

    def _ask(self, names: list[str]) -> None:
        self._question += 1
        question, self._asked_s = self._question, time.monotonic()
        future = self._client.call_async(GetParameters.Request(names=names))
        future.add_done_callback(lambda done: self._answered(question, names, done))

    def _answered(self, question: int, names: list[str], future: Any) -> None:
        if question != self._question or future.exception() is not None:
            return
        answers = future.result().values
        if len(answers) == len(names):
            found = {name: _value(answer) for name, answer in zip(names, answers, strict=True)}
            self._values.update(found)
        elif len(names) > 1:
            # rclcpp answers nothing at all where one of the names is not declared.
            self._left = list(names)
        if self._left:
            self._ask([self._left.pop()])
            return
        self._asked_s, self._due_s = None, time.monotonic() + AGAIN_S
        self._known = True
        self._read = self._values
        self._tell(controller_parameters.problem(self._read, self._joints))

    def _tell(self, problem: str) -> None:
        self._report(self._controller, problem)


def _value(answer: Any) -> Value:
    field = _FIELDS.get(answer.type)
    if field is None:
        return None
    value: Value = getattr(answer, field)
    return list(value) if field.endswith("array_value") else value  # type: ignore[arg-type]


def listen(node: Node, guard: Guard, readers: Sequence[ParameterReader]) -> None:
    """Hand every event about parameters to the readers."""

    def on_event(event: ParameterEvent) -> None:
        for reader in readers:
            reader.on_event(event)

    def on_unread(_: str) -> None:
        for reader in readers:
            reader.ask_soon()

    Bounded(node, guard).subscribe(
        ParameterEvent,
        "/parameter_events",
        on_event,
        qos.PARAMETER_EVENTS,
        most_bytes=STATE_BYTES,
        refused=on_unread,
    )


def read_parameters(
    node: Node,
    robot: Robot,
    config: MonitorConfig,
    report: Callable[[str, str], None],
    guard: Guard,
) -> None:
    """Begin to read the parameters of a robot's controllers; `report` as of `ParameterReader`."""
    readers = []
    controllers = {
        robot.arm_controller: robot.limits.joint_names,
        robot.gripper.controller: (robot.gripper.joint,),
    }
    for controller, joints in controllers.items():
        if config.controller_parameters == "none":
            report(controller, "")
            continue
        # A robot may be run without its gripper; without its arm there is nothing to do.
        required = controller == robot.arm_controller
        readers.append(ParameterReader(node, controller, joints, report, required=required))
    if readers:
        listen(node, guard, readers)
