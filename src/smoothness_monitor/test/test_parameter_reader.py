# SPDX-License-Identifier: Apache-2.0
import time

import pytest
import rclpy
from rcl_interfaces.msg import Parameter, ParameterEvent, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

from smoothness_monitor import parameter_reader
from smoothness_monitor.guard import Guard

JOINTS = ("pan", "lift")
DEADLINE_S = 60.0


class Controller:
    """Serves parameters that are right, as long as it answers at all."""

    def __init__(self, node):
        self.node = node
        self.asked = 0
        self.answers = True
        names = ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY)
        names.string_array_value = list(JOINTS)
        self.values = {"joints": names}
        self.events = node.create_publisher(ParameterEvent, "/parameter_events", 10)
        # A question that is never answered keeps no other callback waiting.
        self.service = node.create_service(
            GetParameters,
            "arm/get_parameters",
            self._answer,
            callback_group=ReentrantCallbackGroup(),
        )

    async def _answer(self, request, response):
        self.asked += 1
        if not self.answers:
            await Future()
        response.values = [self.values.get(name, ParameterValue()) for name in request.names]
        return response

    def set(self, name, value, *, really=True):
        """Set one as a node does: the event follows at once. Or only tell of it."""
        if really:
            self.values[name] = value
        event = ParameterEvent(node="/arm")
        event.changed_parameters = [Parameter(name=name, value=value)]
        self.events.publish(event)


@pytest.fixture
def asking(monkeypatch):
    """Return a controller, what is reported of it, and a function that spins."""
    monkeypatch.setattr(parameter_reader, "AGAIN_S", 0.0)
    monkeypatch.setattr(parameter_reader, "PATIENCE_S", 0.2)
    rclpy.init(args=[], domain_id=87)
    node = rclpy.create_node("asking")
    told = []
    controller = Controller(node)
    reader = parameter_reader.ParameterReader(
        node, "arm", JOINTS, lambda _, problem: told.append(problem), required=True
    )
    parameter_reader.listen(node, Guard(told.append, told.append), [reader])

    def until(condition, seconds=DEADLINE_S):
        end_s = time.monotonic() + seconds
        while not condition() and time.monotonic() < end_s:
            rclpy.spin_once(node, timeout_sec=0.05)
        return condition()

    yield controller, told, until
    node.destroy_node()
    rclpy.try_shutdown()


def known(told):
    """Return whether the newest report is that of parameters that were read."""
    return bool(told) and "does not answer" not in told[-1] and "nobody serves" not in told[-1]


def test_an_answer_that_takes_long_takes_back_nothing_that_was_read(asking):
    controller, told, until = asking
    assert until(lambda: known(told))
    controller.answers = False
    asked = controller.asked
    assert until(lambda: controller.asked > asked)
    until(lambda: False, 1.0)
    assert known(told)
    assert not any("does not answer" in each for each in told)


def test_a_controller_that_never_answers_again_is_no_longer_known(asking, monkeypatch):
    monkeypatch.setattr(parameter_reader, "LONGEST_S", 0.5)
    controller, told, until = asking
    assert until(lambda: known(told))
    controller.answers = False
    assert until(lambda: "does not answer" in told[-1])
    controller.answers = True
    assert until(lambda: known(told))


def test_a_controller_that_is_gone_is_no_longer_known(asking):
    controller, told, until = asking
    assert until(lambda: known(told))
    controller.answers = False
    asked = controller.asked
    assert until(lambda: controller.asked > asked)
    controller.node.destroy_service(controller.service)
    assert until(lambda: "nobody serves" in told[-1])


WRONG = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True)
RIGHT = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=False)
REPLACEMENT = "allow_trajectory_replacement"


def test_a_parameter_that_is_set_wrong_is_known_from_its_event_without_a_question(
    asking, monkeypatch
):
    """H30. Until the next answer a plan could step the arm."""
    controller, told, until = asking
    assert until(lambda: told and told[-1] == "")
    monkeypatch.setattr(parameter_reader, "AGAIN_S", 3600.0)
    asked = controller.asked
    assert until(lambda: controller.asked > asked)
    until(lambda: False, 0.5)
    controller.answers = False
    controller.set(REPLACEMENT, WRONG)
    assert until(lambda: f"{REPLACEMENT} is true" in told[-1])


def test_an_event_gives_nothing_back_only_an_answer_does(asking, monkeypatch):
    """H30. Anybody can publish an event."""
    controller, told, until = asking
    assert until(lambda: told and told[-1] == "")
    controller.set(REPLACEMENT, WRONG)
    assert until(lambda: f"{REPLACEMENT} is true" in told[-1])
    asked = controller.asked
    controller.set(REPLACEMENT, RIGHT, really=False)
    assert until(lambda: controller.asked > asked + 1)
    assert f"{REPLACEMENT} is true" in told[-1]
    controller.set(REPLACEMENT, RIGHT)
    assert until(lambda: told[-1] == "")


def test_events_of_other_nodes_and_of_other_parameters_say_nothing(asking, monkeypatch):
    controller, told, until = asking
    assert until(lambda: told and told[-1] == "")
    event = ParameterEvent(node="/leg")
    event.changed_parameters = [Parameter(name=REPLACEMENT, value=WRONG)]
    controller.events.publish(event)
    controller.set("use_sim_time", WRONG)
    asked = controller.asked
    assert until(lambda: controller.asked > asked + 1)
    assert told[-1] == ""


def test_an_event_too_large_to_be_read_has_the_parameters_read_again(asking, monkeypatch):
    controller, told, until = asking
    assert until(lambda: told and told[-1] == "")
    monkeypatch.setattr(parameter_reader, "AGAIN_S", 3600.0)
    asked = controller.asked
    assert until(lambda: controller.asked > asked)
    until(lambda: False, 0.5)
    controller.values[REPLACEMENT] = WRONG
    event = ParameterEvent(node="/arm")
    name = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="x" * 100_000)
    event.changed_parameters = [
        Parameter(name="robot_description", value=name),
        Parameter(name=REPLACEMENT, value=WRONG),
    ]
    controller.events.publish(event)
    assert until(lambda: f"{REPLACEMENT} is true" in told[-1])
