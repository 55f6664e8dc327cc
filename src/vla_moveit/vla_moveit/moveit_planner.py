# SPDX-License-Identifier: Apache-2.0
"""The planner MoveIt: asks a process of its own, and looks at each answer as the gate will."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from vla_moveit.core.clear_path import ClearPath
from vla_moveit.core.goal import ToolGoal
from vla_moveit.core.planning import CheckPath, FindPath, PathAnswer

WORKER = (sys.executable, "-m", "vla_moveit.moveit_worker")
_END_S = 3.0
# More than any path and its check take on a line.
_MOST_BYTES = 64_000_000


class PlannerError(RuntimeError):
    """A planner cannot be used. One line that says what to do."""


def find_moveit() -> None:
    """Look whether MoveIt is installed.

    Raises:
        PlannerError: It is not.
    """
    # Its modules are not looked for: that would load MoveIt into this process.
    if importlib.util.find_spec("moveit") is None:
        raise PlannerError(
            "MoveIt is not installed for this Python: apt install ros-$ROS_DISTRO-moveit-py "
            "ros-$ROS_DISTRO-moveit-planners-ompl ros-$ROS_DISTRO-moveit-kinematics, or choose "
            "planner:=straight"
        )


class MoveItPlanner:
    """Questions to MoveIt's process and its answers, without waiting for either.

    Attributes:
        varies: Whether its paths are drawn at random.
    """

    def __init__(
        self,
        setup: dict[str, Any],
        clear: ClearPath,
        *,
        varies: bool,
        command: Sequence[str] = WORKER,
    ) -> None:
        """Start the process; loading takes it some seconds.

        Args:
            setup: What it is to load, see `moveit_worker.MoveItWorker`.
            clear: Looks at every path as the gate does.
            varies: As of the attribute.
            command: Starts the process.
        """
        self.varies = varies
        self._setup, self._clear, self._command = json.dumps(setup), clear, tuple(command)
        self._question: FindPath | CheckPath | None = None
        self._number, self._columns = 0, 0
        self._buffer = b""
        # It has said that it is of no use, or what no sound process says.
        self._spent = False
        self._process = self._start()

    def begin(self, question: FindPath | CheckPath) -> None:
        """Ask. An answer to what was asked before is thrown away."""
        if self._spent or self._process.poll() is not None:
            self.close()
            self._process = self._start()
        self._question = question
        self._number += 1
        words: dict[str, Any] = {"number": self._number}
        if isinstance(question, CheckPath):
            self._columns = question.points.shape[1]
            words |= {"kind": "check", "points": question.points.tolist()}
        else:
            self._columns = len(question.start)
            words |= {"kind": "find", "start": question.start.tolist()}
            if isinstance(question.goal, ToolGoal):
                goal = question.goal
                words |= {"position": goal.position, "orientation": goal.orientation}
            else:
                words["goal"] = question.goal.tolist()
        self._write(json.dumps(words))

    def poll(self) -> PathAnswer | None:
        """Return the answer once it is there."""
        if self._question is None:
            return None
        ended = self._process.poll()
        for line in self._lines():
            answer = self._read(line)
            if answer is not None:
                self._question = None
                return answer
        if ended is None:
            return None
        self._question = None
        return self._refusal(f"MoveIt's process ended (exit code {ended}); it is started anew")

    def close(self) -> None:
        """End the process, whatever it does."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # -- the process ------------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        self._buffer, self._spent = b"", False
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for who started it; it ends when its questions do.
            start_new_session=True,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._process = process
        self._write(self._setup)
        return process

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        # Where it has ended, `poll` says so.
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _lines(self) -> list[bytes]:
        assert self._process.stdout is not None
        while True:
            part = self._process.stdout.read(65_536)
            if not part:
                break
            self._buffer += part
            if len(self._buffer) > _MOST_BYTES:
                self._process.kill()
                break
        *whole, self._buffer = self._buffer.split(b"\n")
        return whole

    def _read(self, line: bytes) -> PathAnswer | None:
        try:
            words = json.loads(line)
            if "failed" in words:
                self._spent = True
                return self._refusal(f"MoveIt could not be loaded: {words['failed']}")
            if words.get("number") != self._number:
                return None
            problem, points = str(words["problem"]), np.array(words["points"], dtype=np.float64)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._spent = True
            return self._refusal("MoveIt's process says what is no answer")
        if problem:
            return self._refusal(problem)
        if isinstance(self._question, CheckPath):
            return self._refusal(self._clear.problem(self._question.points))
        if points.ndim != 2 or points.shape[1:] != (self._columns,):
            return self._refusal(f"MoveIt's path has shape {points.shape}")
        return PathAnswer(points)

    def _refusal(self, problem: str) -> PathAnswer:
        return PathAnswer(np.zeros((0, self._columns)), problem)
