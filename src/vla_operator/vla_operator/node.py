# SPDX-License-Identifier: Apache-2.0
"""The node: hears the graph, serves the page, and asks others for what the page asks for.

It moves nothing and stops nothing itself. Where it ends, nothing else does.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.parameters import ParameterError
from node_kit.run import run
from vla_contract.robot import RobotConfigError, load_robot
from vla_operator.calls import Calls
from vla_operator.cameras import Cameras
from vla_operator.core import told
from vla_operator.core.access import AccessError
from vla_operator.core.commands import Answer
from vla_operator.episodes import VideoAnswer
from vla_operator.heard import Heard, packed
from vla_operator.jogging import Jogging
from vla_operator.params import OperatorParams, listed
from vla_operator.recording import EpisodeControls
from vla_operator.server import PageServer
from vla_operator.settings import settings_of

LOOK_S = 1.0
# The control loop goes first, and whatever else moves or watches the arm.
NICENESS = 5
# Curves and the gauge's half minute change less than a state.
SLOWER = 2


class OperatorPage(Node):
    """Between the graph and the server.

    Attributes:
        url: Where the page is.
    """

    def __init__(self) -> None:
        """Connect and serve.

        Raises:
            ParameterError: A parameter is wrong.
            RobotConfigError: The robot file cannot be used.
            AccessError: The page must not or cannot be served like this.
        """
        super().__init__("vla_operator")
        params = declare(self, OperatorParams)
        settings = settings_of(params)
        self._robot = load_robot(params.robot_file)
        self._motion = MotionClock(self)
        self._calls = Calls(self)
        self._heard = Heard(self, self._robot, lambda: self._motion.elapsed_ns() * 1e-9)
        self._cameras = Cameras(self, params)
        self._recording = EpisodeControls(self)
        self._jogging = Jogging(self, self._robot, self._motion, params.jog_speed)
        self._heard.on_executor = self._jogging.hear_executor
        self._turn = 0
        self._server = PageServer(settings, self)
        scheme = "http" if settings.context is None else "https"
        shown = "localhost" if settings.address in ("127.0.0.1", "::1") else settings.address
        self.url = f"{scheme}://{shown}:{self._server.port}"
        hello = {
            "type": "hello",
            "robot": self._robot.name,
            "namespace": self.get_namespace().strip("/"),
            "joints": list(self._robot.limits.joint_names),
            "gripper": self._robot.gripper.joint,
            "instructions": told.lines(listed(params.instructions)),
        }
        self._server.tell("hello", packed(hello))
        self._server.start()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / params.state_rate_hz, self._tell, clock=steady)
        self.create_timer(LOOK_S, self._look, clock=steady)
        self.create_timer(0.5 / params.picture_rate_hz, self._show, clock=steady)
        self.get_logger().info(f"the operator's page: {self.url}")
        if self._server.port != params.port:
            self.get_logger().warning(f"port {params.port} is taken; the page is at {self.url}")

    def destroy_node(self) -> None:
        """Serve no more, and leave the graph."""
        self._server.close()
        self._calls.destroy()
        self._recording.destroy()
        super().destroy_node()

    def survive(self, error: Exception) -> None:
        """Take in what escaped from a callback: the page's STOP must outlive it."""
        text = f"internal error: {type(error).__name__}: {str(error)[:300]}"
        self.get_logger().error(text, throttle_duration_sec=10.0)

    # -- what pages ask for, in the server's thread -----------------------------------------------

    def stop(self, answer: Answer) -> None:
        """Ask the monitor for the stop."""
        self._calls.stop(answer)

    def ask(self, do: str, given: Mapping[str, Any], answer: Answer) -> None:
        """Carry out what the page that is in control asks for."""
        if do == "reset":
            self._calls.reset(answer)
        elif do == "instruct":
            self._calls.instruct(given["text"], given["seconds"], answer)
        elif do == "end":
            self._calls.end(answer)
        elif do == "jog":
            self._jogging.press(given["rates"], answer)
        elif do == "arm" and given["hold"]:
            self._jogging.take(answer)
        elif do == "arm":
            self._jogging.give_back(answer)
        else:
            self._recording.ask(do, given, answer)

    def video(self, name: str, answer: VideoAnswer) -> None:
        """Hand out the video of an episode."""
        self._recording.video(name, answer)

    def control_lost(self) -> None:
        """Jog no more. Whatever else runs goes on, and nothing is freed."""
        self._jogging.give_back()

    # -- what pages are told ----------------------------------------------------------------------

    def _tell(self) -> None:
        self._calls.look()
        self._jogging.look()
        self._recording.look(self._server.watched)
        if not self._server.watched:
            return
        episodes = self._recording.episodes()
        if episodes is not None:
            self._server.tell("episodes", packed(episodes))
        now_ns = self._motion.now().ros_ns
        state = self._heard.state()
        state["cameras"] = self._cameras.told(now_ns)
        state["policy"]["last_end"] = self._calls.last_end
        state["clock"] = self._clock_words()
        state["recorder"] = self._recording.told()
        state["jog"] = self._jogging.told()
        self._server.tell("state", packed(state), keep=False)
        self._turn += 1
        if self._turn % SLOWER == 0:
            self._server.tell("gauge", packed(self._heard.gauge()), keep=False)
            self._server.tell("curves", packed(self._heard.curves(now_ns)), keep=False)

    def _clock_words(self) -> str:
        silent_s = self._motion.silent_s
        if silent_s <= LOOK_S:
            return ""
        return f"Nobody has told the simulated time for {silent_s:.0f} s."

    def _look(self) -> None:
        self._cameras.look(self._server.watched)

    def _show(self) -> None:
        if not self._server.watched:
            return
        now_ns = self._motion.now().ros_ns
        self._cameras.pictures(
            now_ns,
            time.monotonic(),
            lambda name, picture: self._server.tell(f"camera {name}", picture, keep=False),
        )


def main() -> int:
    """Run the node; return 2 if its configuration cannot be used."""
    # A sandbox may not allow it.
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    return run("vla_operator", OperatorPage, (AccessError, ParameterError, RobotConfigError))


if __name__ == "__main__":
    sys.exit(main())
