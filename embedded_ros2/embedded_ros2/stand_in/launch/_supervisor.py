# SPDX-License-Identifier: Apache-2.0
"""Sees to it that no process outlives the launch that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from .logging import get_logger

TAG_VARIABLE = "EMBEDDED_ROS2_LAUNCH_ID"
_KEEPER = Path(__file__).with_name("_keeper.py")


class Supervisor:
    """Marks the processes of one launch and has a keeper end those that are left over.

    The keeper is a small process of its own. It notices through a pipe that the launch is gone,
    even if it was killed with SIGKILL, and then ends what the launch has left behind: SIGINT
    first, so that nodes can bring their hardware to rest.
    """

    def __init__(self) -> None:
        self._tag = uuid.uuid4().hex
        self._keeper: subprocess.Popen[bytes] | None = None

    def environment(self, env: dict[str, str]) -> dict[str, str]:
        """Return the environment for a child, with the mark of this launch in it."""
        return {**env, TAG_VARIABLE: self._tag}

    def start(self) -> None:
        """Start the keeper, unless it runs."""
        if self._keeper is not None and self._keeper.poll() is None:
            return
        env = {name: value for name, value in os.environ.items() if name != TAG_VARIABLE}
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_KEEPER), self._tag],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=env,
        )

    def started(self, pid: int) -> None:
        """Tell the keeper of a child, the leader of its own process group."""
        self._tell(f"+{pid}\n")

    def ended(self, pid: int) -> None:
        """Tell the keeper that a child has ended."""
        self._tell(f"-{pid}\n")

    def close(self) -> None:
        """Have what is left of the launch ended, and wait until it has."""
        if self._keeper is None:
            return
        self._tell("close\n")
        with contextlib.suppress(OSError):
            self._keeper.stdin.close()  # type: ignore[union-attr]
        try:
            self._keeper.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            get_logger("launch").warning("ending what the launched processes have left running")
            self._keeper.wait()
        self._keeper = None

    def _tell(self, message: str) -> None:
        if self._keeper is None or self._keeper.stdin is None:
            return
        with contextlib.suppress(OSError):  # the keeper was killed; there is nothing left to tell
            self._keeper.stdin.write(message.encode())
            self._keeper.stdin.flush()


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and, where it ends something, to all of its process group.

    Raises:
        ProcessLookupError: If the process is gone.
    """
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGQUIT, signal.SIGHUP)
    if number in ending:
        # As a terminal does on Ctrl-C: a shell or a wrapper does not pass signals on by itself.
        os.killpg(pid, number)
    else:
        os.kill(pid, number)
