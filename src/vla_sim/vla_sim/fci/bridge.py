# SPDX-License-Identifier: Apache-2.0
"""The client: positions to the arm through libfranka itself (PyPI: pylibfranka), one by one.

After a second of the host's without a state, libfranka shuts its own connection down. Where a
state comes after all it goes on, and says with the next command that the server closed the
connection. Here time is the arm's, and a busy host is only slow. libfranka has no setting for that
second, so its socket is told to wait longer, and is looked at before libfranka does, which holds
Python's lock while it waits.
"""

from __future__ import annotations

import os
import re
import select
import socket
import stat
import struct
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

# Of the host's time: how long a state may take, and how often it is seen whether the arm is there.
PATIENCE_S = 120
LOOK_S = 1.0
LIBFRANKA_S = 1  # libfranka's own patience (its network.h)
TIMEVAL = "ll"  # struct timeval: s, us


def patient_socket() -> socket.socket:
    """Let libfranka wait for states as long as a busy host takes.

    Returns:
        Its socket for states; another descriptor of it.

    Raises:
        RuntimeError: None of this process's sockets waits as long as libfranka's does.
    """
    waits = (socket.SOL_SOCKET, socket.SO_RCVTIMEO)
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if not stat.S_ISSOCK(os.stat(number).st_mode):
                continue
            found = socket.socket(fileno=os.dup(number))
        except OSError:  # closed meanwhile
            continue
        given = found.getsockopt(*waits, struct.calcsize(TIMEVAL))
        if found.type == socket.SOCK_DGRAM and given == struct.pack(TIMEVAL, LIBFRANKA_S, 0):
            found.setsockopt(*waits, struct.pack(TIMEVAL, PATIENCE_S, 0))
            return found
        found.close()
    raise RuntimeError(
        f"pylibfranka has no UDP socket that waits {LIBFRANKA_S} s; use pylibfranka 0.21"
    )


def connected(host: str) -> Robot:
    """Connect with an arm; its first state must come within a second, so try again."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return Robot(host, RealtimeConfig.kIgnore)
        except NetworkException as error:
            if "imeout" not in str(error) or time.monotonic() > until:
                raise


class FciBridge:
    """A connection with a simulated arm of its own, in another process.

    Attributes:
        arm: The arm's process.
        host: Its address.
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
        self.arm = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self.arm.stdout is not None
        self.host = self.arm.stdout.readline().strip()
        if not self.host:
            raise RuntimeError(f"no server at {host}: it ended with {self.arm.wait()}")
        policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
        self._robot = connected(self.host)
        # It takes the highest real-time priority where it may, which in simulated time would
        # take the whole host.
        os.sched_setscheduler(0, policy, priority)
        self._states = patient_socket()
        self._ready = select.poll()
        self._ready.register(self._states, select.POLLIN)
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
        self._states.close()
        assert self.arm.stdin is not None
        self.arm.stdin.close()
        try:
            self.arm.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self.arm.kill()
            self.arm.wait()

    @property
    def moving(self) -> bool:
        """Whether a motion is under way."""
        return self._control is not None

    def start(self) -> Array:
        """Begin a motion, after an abort with a recovery; return where, (7,) rad."""
        if self.last:
            self._robot.automatic_error_recovery()
            self.last = ()
        position = np.array(self._robot.read_once().q_d)
        self._control = self._robot.start_joint_position_control(ControllerMode.JointImpedance)
        self._exchange(position)
        return position

    def _exchange(self, command: Array) -> Any:
        """Send positions (7,), rad, and return the state that comes of them."""
        self._control.writeOnce(JointPositions(command.tolist()))
        until = time.monotonic() + PATIENCE_S
        while not self._ready.poll(LOOK_S * 1e3):
            ended = self.arm.poll()
            if ended is not None:
                raise NetworkException(f"it ended with {ended}")
            doing = Path(f"/proc/{self.arm.pid}/stat").read_text().rpartition(")")[2].split()[0]
            if doing == "R":  # it waits for a processor, however long that takes
                until = time.monotonic() + PATIENCE_S
            if time.monotonic() > until:
                raise TimeoutError(
                    f"no state from the arm at {self.host} for {PATIENCE_S} s; its process is in "
                    f"state {doing} (man 5 proc)"
                )
        return self._control.readOnce()[0]

    def exchange(self, command: Array) -> Array | None:
        """Send positions (7,), rad, and return those that are measured a millisecond later.

        Returns:
            (7,) rad; None where the arm has ended the motion, and `last` says why.

        Raises:
            RuntimeError: The arm's process is gone.
            TimeoutError: It is there, wants no processor, and says nothing for two minutes.
        """
        assert self._control is not None
        assert command.shape == (JOINTS,)
        try:
            state = self._exchange(command)
        except ControlException as error:
            self._control = None
            self.last = tuple(re.findall(r"\w+(?:violation|discontinuity|invalid)\b", str(error)))
            self.last = self.last or (str(error),)
            return None
        except NetworkException as error:
            raise RuntimeError(f"the simulated arm at {self.host} is gone: {error}") from None
        return np.array(state.q)
