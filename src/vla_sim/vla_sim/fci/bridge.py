# SPDX-License-Identifier: Apache-2.0
"""The client: positions to the arm through libfranka itself (PyPI: pylibfranka), one by one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from pylibfranka import (
    ControlException,
    ControllerMode,
    JointPositions,
    NetworkException,
    RealtimeConfig,
    Robot,
)

from vla_sim.fci.reflexes import JOINTS, Array

# The server's first states are read before it begins to wait for commands.
SETTLE_S = 0.02
# libfranka gives up after a second without a state. Here a busy host is only slow.
PATIENCE = 120


class FciBridge:
    """A connection with a simulated arm of its own, in another process.

    Attributes:
        host: Address of the arm.
        moving: Whether a motion is under way.
        last: Errors that ended the last motion, as libfranka names them.
    """

    def __init__(self, robot_file: Path, position: Array, *, host: str, loss: float = 0.0) -> None:
        """Start an arm at a position and connect.

        Args:
            robot_file: The robot's; beside it is what its control allows.
            position: (7,) rad.
            host: Loopback address to serve at.
            loss: Share of the commands that do not arrive.

        Raises:
            RuntimeError: The server did not start.
        """
        command = [sys.executable, "-m", "vla_sim.fci.server", "--robot-file", str(robot_file)]
        command += ["--host", host, "--loss", str(loss)]
        command += ["--position", *map(repr, position.tolist())]
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self._server.stdout is not None
        self.host = self._server.stdout.readline().strip()
        if not self.host:
            raise RuntimeError(f"no server at {host}: it ended with {self._server.wait()}")
        policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
        self._robot = Robot(self.host, RealtimeConfig.kIgnore)
        # It takes the highest real-time priority where it may, which in simulated time would
        # take the whole host.
        os.sched_setscheduler(0, policy, priority)
        self._control: Any = None
        self.last: tuple[str, ...] = ()

    def __enter__(self) -> FciBridge:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the connection and the server."""
        self._control = None
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            self._server.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    @property
    def moving(self) -> bool:
        """Whether a motion is under way."""
        return self._control is not None

    def start(self) -> Array:
        """Begin a motion, after an abort with a recovery; return where, (7,) rad."""
        if self.last:
            self._robot.automatic_error_recovery()
            self.last = ()
        self._control = self._robot.start_joint_position_control(ControllerMode.JointImpedance)
        state = self._read()
        position = np.array(state.q_d)
        self._control.writeOnce(JointPositions(position.tolist()))
        time.sleep(SETTLE_S)
        self._read()
        return position

    def _read(self) -> Any:
        for _ in range(PATIENCE):
            try:
                return self._control.readOnce()[0]
            except NetworkException as error:
                if "Timeout" not in str(error):
                    raise
        raise TimeoutError(f"no state from {self.host} for about {PATIENCE} s")

    def exchange(self, command: Array) -> Array | None:
        """Send positions (7,), rad, and return those that are measured a millisecond later.

        Returns:
            (7,) rad; None where the arm has ended the motion, and `last` says why.
        """
        assert self._control is not None
        assert command.shape == (JOINTS,)
        try:
            self._control.writeOnce(JointPositions(command.tolist()))
            state = self._read()
        except ControlException as error:
            self._control = None
            self.last = tuple(re.findall(r"\w+(?:violation|discontinuity|invalid)\b", str(error)))
            self.last = self.last or (str(error),)
            return None
        return np.array(state.q)
