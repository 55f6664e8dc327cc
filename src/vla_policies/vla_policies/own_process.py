# SPDX-License-Identifier: Apache-2.0
"""A policy in a process of its own, if wanted in an environment of its own.

The process serves this one alone, on the loopback address, by a token that is made for it. It is
asked once before any question counts, started again when it dies, killed when it hangs, and ends
with this process, however that ends. One that is started again and again and never answers is left
alone until the next instruction.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from vla_policies.environment import ENVIRONMENT
from vla_policies.protocol import (
    Action,
    Observation,
    PolicyError,
    PolicySpec,
    PolicyUnavailableError,
)
from vla_policies.remote import RemotePolicy
from vla_policies.rtc import Committed
from vla_policies.wire.client import HungError, Server

MODULE = "vla_policies.wire.child"
WATCH_S = 0.1
HEALTH_S, HEALTH_TIMEOUT_S = 2.0, 3.0
UNHEALTHY = 3
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0
LASTED_S = 60.0
# Starts in a row without an answer to a question.
STARTS = 4
# Three waits of this at most end all within the 5 s that a launcher leaves a node.
END_S = 1.5


@dataclass(frozen=True)
class Launch:
    """What to start.

    Attributes:
        name: The policy, as registered.
        options: Its options.
        python: The interpreter of its environment; empty for this one's.
        environment: Variables, over `ENVIRONMENT`.
        start_timeout_s: How long loading the policy may take, s.
        warm_up_timeout_s: How long its first answer may take, s, which nobody acts upon.
    """

    name: str
    options: Mapping[str, Any]
    python: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 600.0
    warm_up_timeout_s: float = 300.0


class OwnProcessPolicy:
    """A policy that runs in a child process, which is watched."""

    def __init__(self, launch: Launch, timeout_s: float) -> None:
        """Start the process and wait until the policy is loaded and has answered once.

        Args:
            launch: What to start.
            timeout_s: A later call that takes longer means that the process hangs, s.

        Raises:
            PolicyError: The process or the policy cannot be started.
        """
        self._launch, self._timeout_s = launch, timeout_s
        self._closed = threading.Event()
        # How often in a row a process ended that had answered nothing, and why that is the end.
        self._starts, self._given_up = 1, ""
        self._child = _Child(launch)
        self._child.wait(self._closed)
        try:
            self._remote = RemotePolicy(
                lambda: self._child.server(), timeout_s=timeout_s, connect_timeout_s=10.0
            )
        except PolicyError:
            self._child.end()
            raise
        self._watcher = threading.Thread(target=self._watch, name="own process", daemon=True)
        self._watcher.start()

    @property
    def spec(self) -> PolicySpec:
        """Of the policy."""
        return self._remote.spec

    @property
    def continues(self) -> bool:
        """Whether the policy can continue a chunk."""
        return self._remote.continues

    @property
    def pid(self) -> int:
        """Of the process that there is now."""
        return self._child.process.pid

    def reset(self) -> None:
        """A new instruction begins: a process that was left alone is tried again."""
        self._starts, self._given_up = (1, "") if self._given_up else (self._starts, "")
        self._remote.reset()

    def infer(self, observation: Observation) -> Action:
        """Ask the process.

        Raises:
            PolicyUnavailableError: It is not there, or hangs.
            PolicyError: The policy says what is wrong, or no process of it has ever answered.
        """
        return self._ask(lambda: self._remote.infer(observation))

    def continue_chunk(self, observation: Observation, committed: Committed) -> Action:
        """Ask the process for a chunk that continues the one that runs.

        Raises:
            PolicyUnavailableError: As `infer`.
            PolicyError: As `infer`, and where the policy cannot continue a chunk.
        """
        return self._ask(lambda: self._remote.continue_chunk(observation, committed))

    def _ask(self, question: Callable[[], Action]) -> Action:
        child = self._child
        if self._given_up:
            raise PolicyError(self._given_up)
        try:
            action = question()
        except PolicyUnavailableError as error:
            if isinstance(error, HungError):
                child.kill(f"gave no answer for {self._timeout_s:g} s (inference_timeout_s)")
            raise PolicyUnavailableError(self._named(child.state() or str(error))) from None
        except PolicyError:
            # It said what is wrong, so it works.
            child.answered = True
            raise
        child.answered = True
        return action

    def _named(self, text: str) -> str:
        return f"{self._launch.name} in its own process: {text}"

    def close(self) -> None:
        """End the process."""
        self._closed.set()
        self._child.dismiss()
        self._remote.close()
        self._watcher.join(END_S)
        self._child.end()

    def _watch(self) -> None:
        """Start the process again whenever it is gone; ask it now and then how it is."""
        pause_s, unhealthy, asked_s = FIRST_PAUSE_S, 0, time.monotonic()
        while not self._closed.wait(WATCH_S):
            child = self._child
            if child.process.poll() is None:
                if child.ready and time.monotonic() - asked_s > HEALTH_S:
                    asked_s = time.monotonic()
                    unhealthy = 0 if child.healthy() else unhealthy + 1
                    if unhealthy >= UNHEALTHY:
                        child.kill("did not answer whether it is well")
                continue
            self._remote.abandon("the process ended")
            if not self._starts_again(child):
                continue
            if time.monotonic() - child.began_s > LASTED_S:
                pause_s = FIRST_PAUSE_S
            if self._closed.wait(pause_s):
                return
            pause_s, unhealthy = min(2.0 * pause_s, LAST_PAUSE_S), 0
            child.end()
            try:
                self._child = _Child(self._launch)
                self._child.wait(self._closed)
            except PolicyError:
                continue
            # Whatever it is, without this thread nobody would ever start it again.
            except Exception as error:
                self._child.kill(f"could not be started ({type(error).__name__}: {error})")

    def _starts_again(self, child: _Child) -> bool:
        """Count the end of a process, and return whether another is started."""
        if self._given_up:
            return False
        if child.answered:
            self._starts = 0
        if self._starts >= STARTS:
            self._given_up = self._named(
                f"was started {self._starts} times and has never answered, at last: "
                f"{child.end_of_it()}; a new instruction tries again"
            )
            return False
        self._starts += 1
        return True


class _Child:
    """One process."""

    def __init__(self, launch: Launch) -> None:
        self._token = secrets.token_urlsafe(32)
        self._port, self._failure, self._killed = 0, "", ""
        self._launch, self._loaded_s = launch, 0.0
        self.answered = False
        self._python = os.path.expanduser(launch.python) or sys.executable
        self.began_s = time.monotonic()
        # Unbuffered: a line must not be read ahead of `select`.
        try:
            self.process = subprocess.Popen(
                [self._python, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**ENVIRONMENT, **os.environ, **launch.environment},
                # Ctrl-C is for this process, which ends the other in good order.
                start_new_session=True,
            )
        except OSError as error:
            raise PolicyError(f"python: {launch.python}: {error.strerror}") from None
        asked = {"name": launch.name, "options": dict(launch.options), "token": self._token}
        try:
            line = json.dumps(asked).encode() + b"\n"
        except (TypeError, ValueError) as error:
            self.end()
            raise PolicyError(f"{launch.name}: options: cannot be passed on: {error}") from None
        with suppress(OSError):
            self._stdin.write(line)

    @property
    def _stdin(self) -> Any:
        return self.process.stdin

    @property
    def _stdout(self) -> Any:
        return self.process.stdout

    @property
    def ready(self) -> bool:
        """Whether the policy is loaded and served."""
        return self._port != 0

    def wait(self, closed: threading.Event) -> None:
        """Wait until the policy is served, which it is when it is loaded and warm.

        Raises:
            PolicyError: It cannot be; the process has been ended.
        """
        said = self._read(closed)
        if "loaded" in said:
            self._loaded_s = time.monotonic()
            said = self._read(closed)
        if "error" in said:
            self.end()
            self._failure = said["error"]
            raise PolicyError(said["error"])
        self._port = int(said["port"])

    def _read(self, closed: threading.Event) -> dict[str, Any]:
        """Return what the process says next."""
        line, pipe = b"", self._stdout
        while not line.endswith(b"\n"):
            if closed.is_set() or self._late():
                self._failure = self._late() or "was told to end"
                self.end()
                raise PolicyError(self._failure)
            if select.select([pipe], [], [], WATCH_S)[0]:
                # One by one, because the next line is not to be read yet.
                piece = pipe.read(1)
                if not piece:
                    break
                line += piece
        try:
            return dict(json.loads(line))
        except ValueError:
            self.end()
            self._failure = (
                f"{self._python} -m {MODULE} {self.end_of_it()} before it served; install "
                "vla_policies there, with what the policy needs (its words: on standard error)"
            )
            raise PolicyError(self._failure) from None

    def _late(self) -> str:
        """Say what took too long, empty where nothing has yet."""
        launch, now_s = self._launch, time.monotonic()
        if self._loaded_s:
            late = now_s - self._loaded_s > launch.warm_up_timeout_s
            limit = f"{launch.warm_up_timeout_s:g} s (warm_up_timeout_s)"
            return f"is loaded, and gave no first answer within {limit}" if late else ""
        late = now_s - self.began_s > launch.start_timeout_s
        return f"was not loaded within {launch.start_timeout_s:g} s" if late else ""

    def _progress(self) -> str:
        """Say what is waited for, for how long, and which parameter limits that."""
        launch, now_s = self._launch, time.monotonic()
        if self._loaded_s:
            return (
                "is loaded and gives its first answer, to warm up: for "
                f"{now_s - self._loaded_s:.0f} s, of {launch.warm_up_timeout_s:g} s at most "
                "(warm_up_timeout_s)"
            )
        return (
            f"is being loaded: for {now_s - self.began_s:.0f} s, of {launch.start_timeout_s:g} s "
            "at most"
        )

    def server(self) -> Server:
        """Return where it serves."""
        if not self.ready:
            raise PolicyUnavailableError(self.state())
        return Server(f"ws://127.0.0.1:{self._port}", self._token)

    def state(self) -> str:
        """Say what became of the process, empty while it serves."""
        if self._failure or self._killed or self.process.poll() is not None:
            return f"{self.end_of_it()}; it is started again"
        return "" if self.ready else self._progress()

    def end_of_it(self) -> str:
        """Say how it ended."""
        code = self.process.poll()
        if self._failure:
            return self._failure
        if self._killed:
            return f"{self._killed} and was killed"
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with code {code}"

    def healthy(self) -> bool:
        """Whether the server says that it is well."""
        # Without the environment's proxy, which is for the web.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._port}/healthz", timeout=HEALTH_TIMEOUT_S):
                return True
        # HTTPException: words that are no HTTP, of whoever has the port now.
        except (OSError, ValueError, HTTPException):
            return False

    def kill(self, why: str) -> None:
        """End a process that hangs."""
        self._killed = why
        self.process.kill()

    def dismiss(self) -> None:
        """Tell the process to end."""
        with suppress(OSError):
            self._stdin.close()

    def end(self) -> None:
        """End the process, in good order if it can."""
        self.dismiss()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
