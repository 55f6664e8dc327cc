# SPDX-License-Identifier: Apache-2.0
"""Carries out the calls of the stop ladder: an action goal, the controller manager, the driver.

Nothing here waits. Whoever does not offer a service is answered for at once, so that the ladder
goes on to the next rung.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from control_msgs.action import FollowJointTrajectory
from controller_manager_msgs.srv import SwitchController
from rclpy.action import ActionClient
from rclpy.node import Node
from std_srvs.srv import Trigger

from node_kit.messages import trajectory_to
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.types import Call, CallRequest, CallResult
from smoothness_monitor.params import MonitorConfig
from vla_contract.robot import Robot

# Of the controller manager, for a switch; it is done in the next control cycle as a rule.
SWITCH_TIMEOUT_S = 1
# Letters of an answer.
MOST_TEXT = 200


class LadderCalls:
    """Makes calls and reports what came of them."""

    def __init__(
        self,
        node: Node,
        robot: Robot,
        config: MonitorConfig,
        report: Callable[[CallResult], None],
    ) -> None:
        """Create the clients, so that they are connected when they are needed.

        Args:
            node: The node whose clients they are.
            robot: Names the arm's controller.
            config: Names the controller manager and the driver's service.
            report: Is called with the answers, in the executor's thread.
        """
        self._report = report
        self._controller = robot.arm_controller
        action = f"{robot.arm_controller}/follow_joint_trajectory"
        self._goal = ActionClient(node, FollowJointTrajectory, action)
        self._goal_name = action
        self._switch = self._hold = None
        if config.controller_manager:
            name = f"{config.controller_manager}/switch_controller"
            self._switch = node.create_client(SwitchController, name)
        if config.driver_hold_service:
            self._hold = node.create_client(Trigger, config.driver_hold_service)

    def make(self, call: Call) -> None:
        """Carry out a call. Its answer is reported, now or later."""
        if call.request is CallRequest.BRAKE_AS_GOAL:
            assert call.trajectory is not None
            self._send_goal(call.trajectory)
        elif call.request is CallRequest.DRIVER_HOLD:
            self._ask(call.request, self._hold, Trigger.Request(), "success")
        else:
            self._ask(call.request, self._switch, self._switching(call.request), "ok")

    def _send_goal(self, trajectory: Trajectory) -> None:
        request = CallRequest.BRAKE_AS_GOAL
        if not self._goal.server_is_ready():
            self._report(CallResult(request, False, f"nobody serves {self._goal_name}"))
            return
        goal = FollowJointTrajectory.Goal(trajectory=trajectory_to(trajectory))

        def read(response: Any) -> tuple[bool, str]:
            accepted = bool(response.accepted)
            return accepted, "accepted" if accepted else "the controller rejected the goal"

        self._when_done(request, self._goal.send_goal_async(goal), read)

    def _switching(self, request: CallRequest) -> SwitchController.Request:
        switch = SwitchController.Request(strictness=SwitchController.Request.BEST_EFFORT)
        switch.timeout.sec = SWITCH_TIMEOUT_S
        if request is CallRequest.ACTIVATE:
            switch.activate_controllers = [self._controller]
            switch.strictness = SwitchController.Request.STRICT
        else:
            # Best effort: a controller that is inactive already is what is wanted.
            switch.deactivate_controllers = [self._controller]
        return switch

    def _ask(self, request: CallRequest, client: Any, message: Any, verdict: str) -> None:
        if client is None:
            self._report(CallResult(request, False, "none is configured"))
            return
        if not client.service_is_ready():
            self._report(CallResult(request, False, f"nobody serves {client.srv_name}"))
            return

        def read(response: Any) -> tuple[bool, str]:
            accepted = bool(getattr(response, verdict))
            # Older controller managers give no message.
            text = getattr(response, "message", "") or ("done" if accepted else "refused")
            return accepted, "; ".join(text[:MOST_TEXT].splitlines())

        self._when_done(request, client.call_async(message), read)

    def _when_done(
        self, request: CallRequest, future: Any, read: Callable[[Any], tuple[bool, str]]
    ) -> None:
        """Report what comes of a call, whatever comes."""

        def done(future: Any) -> None:
            try:
                accepted, detail = read(future.result())
            except Exception as error:
                accepted, detail = False, f"{type(error).__name__}: {str(error)[:MOST_TEXT]}"
            self._report(CallResult(request, accepted, detail))

        future.add_done_callback(done)
