# SPDX-License-Identifier: Apache-2.0
import time

import pytest
import rclpy
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

from smoothness_monitor import parameter_reader

JOINTS = ("pan", "lift")
DEADLINE_S = 60.0


class Controller:
    """Serves parameters that are right, as long as it answers at all."""

    def __init__(self, node):
        self.node = node
        self.asked = 0
        self.answers = True
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
        response.values = [ParameterValue() for _ in request.names]
        return response


@pytest.fixture
def asking(monkeypatch):
    """Return a controller, what is reported of it, and a function that spins."""
    monkeypatch.setattr(parameter_reader, "AGAIN_S", 0.0)
    monkeypatch.setattr(parameter_reader, "PATIENCE_S", 0.2)
    rclpy.init(args=[], domain_id=87)
    node = rclpy.create_node("asking")
    told = []
    controller = Controller(node)
    parameter_reader.ParameterReader(
        node, "arm", JOINTS, lambda _, problem: told.append(problem), required=True
    )

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
