# SPDX-License-Identifier: Apache-2.0
"""A policy that another process or computer runs: `vla-policy serve`, or a server of openpi's.

`infer` never waits for a connection. While there is none it raises `PolicyUnavailableError`, and a
thread goes on connecting, less and less often.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vla_policies.checkpoint_folder import ID_LENGTH
from vla_policies.openpi import OpenPi, read_openpi, refused
from vla_policies.protocol import (
    Action,
    Observation,
    Options,
    PolicyError,
    PolicySpec,
    PolicyUnavailableError,
    check_action,
    check_observation,
)
from vla_policies.rtc import Committed
from vla_policies.warm_up import trial
from vla_policies.wire.address import read_token
from vla_policies.wire.client import Connection, HungError, Server
from vla_policies.wire.codec import WireError
from vla_policies.wire.messages import (
    Description,
    read_answer,
    write_request,
)

NAME = "remote"
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 2.0
ATTEMPT_S = 5.0
END_S = 1.0


class RemotePolicy:
    """Asks a server."""

    def __init__(
        self,
        server: Callable[[], Server],
        *,
        timeout_s: float,
        connect_timeout_s: float,
        warm_up_timeout_s: float = 300.0,
        jpeg_quality: int | None = None,
        openpi: OpenPi | None = None,
    ) -> None:
        """Connect.

        Args:
            server: Whom to ask; called before each attempt.
            timeout_s: A server that has not answered for longer counts as hung, s.
            connect_timeout_s: How long to wait for the first connection, s.
            warm_up_timeout_s: How long a server of openpi's may take for its first answer, s.
            jpeg_quality: 1 to 100; None to send images as they are.
            openpi: What a server of openpi's serves; None for one of this suite.

        Raises:
            PolicyError: There is no server, or it cannot be used.
        """
        self._server, self._timeout_s = server, timeout_s
        self._warm_up_timeout_s = warm_up_timeout_s
        self._jpeg_quality, self._openpi = jpeg_quality, openpi
        self._reset, self._number = True, 0
        self._lock = threading.Lock()
        self._closed, self._wanted = threading.Event(), threading.Event()
        self._reason = ""
        self._connection: Connection | None = self._first(connect_timeout_s)
        self._description = self._describe(self._connection)
        try:
            self._try(self._connection)
        except PolicyError:
            self._connection.close()
            raise
        self._keeper = threading.Thread(target=self._keep, name="reconnect", daemon=True)
        self._keeper.start()

    @property
    def spec(self) -> PolicySpec:
        """Of the policy that is served."""
        return self._description.spec

    @property
    def continues(self) -> bool:
        """Whether the policy that is served can continue a chunk."""
        return self._description.continues

    def reset(self) -> None:
        """The next observation tells the server."""
        self._reset = True

    def infer(self, observation: Observation) -> Action:
        """Ask the server.

        Raises:
            PolicyUnavailableError: There is no connection, or it is lost, or the server hangs.
            PolicyError: The server says what is wrong.
        """
        return self._infer(observation, None)

    def continue_chunk(self, observation: Observation, committed: Committed) -> Action:
        """Ask the server for a chunk that continues the one that runs.

        Raises:
            PolicyUnavailableError: As `infer`.
            PolicyError: As `infer`, and where the policy cannot continue a chunk.
        """
        return self._infer(observation, committed)

    def _infer(self, observation: Observation, committed: Committed | None) -> Action:
        check_observation(observation, self.spec)
        with self._lock:
            connection = self._connection
            if connection is None:
                raise PolicyUnavailableError(self._reason)
        try:
            action = self._ask(connection, observation, committed)
        except PolicyUnavailableError as error:
            self._lose(connection, str(error))
            raise
        except WireError as error:
            # After an answer that cannot be read, nobody knows which one is next. Asking again
            # would not help: the server is there, and says something else than it should.
            self._lose(connection, str(error))
            raise PolicyError(str(error)) from None
        self._reset = False
        return action

    def _ask(
        self, connection: Connection, observation: Observation, committed: Committed | None
    ) -> Action:
        spec, quality = self.spec, self._jpeg_quality
        if self._openpi is not None:
            answer = connection.ask(self._openpi.question(observation), self._timeout_s)
            return self._openpi.action(answer, observation)
        self._number += 1
        message = write_request(
            observation, spec, number=self._number, reset=self._reset, committed=committed,
            jpeg_quality=quality,
        )  # fmt: skip
        answer = connection.ask(message, self._timeout_s)
        if isinstance(answer, dict) and isinstance(answer.get("error"), str):
            raise PolicyError(answer["error"])
        return read_answer(answer, self._number, spec)

    def close(self) -> None:
        """Leave the server."""
        self._closed.set()
        self._wanted.set()
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()
        # A daemon: one that is still connecting holds up nothing.
        self._keeper.join(END_S)

    def abandon(self, reason: str) -> None:
        """Give up the connection there is: its server is known to be gone."""
        with self._lock:
            connection = self._connection
        if connection is not None:
            self._lose(connection, reason)

    # -- the connection ---------------------------------------------------------------------------

    def _first(self, timeout_s: float) -> Connection:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return Connection(self._server(), ATTEMPT_S)
            except PolicyUnavailableError as error:
                if time.monotonic() > deadline:
                    raise PolicyError(f"{error}; start it with vla-policy serve") from None
            time.sleep(FIRST_PAUSE_S)

    def _describe(self, connection: Connection) -> Description:
        said = connection.description
        if self._openpi is not None:
            spec = self._openpi.spec
            if connection.greeting:
                greeting = hashlib.sha256(connection.greeting).hexdigest()[:ID_LENGTH]
                spec = replace(spec, policy_id=f"{spec.policy_id} {greeting}")
            return Description(spec, continues=False)
        if said is None:
            connection.close()
            raise PolicyError(
                "the server does not speak this suite's protocol; if it is one of openpi's, "
                "describe what it serves under the option openpi"
            )
        return said

    def _try(self, connection: Connection) -> None:
        """Ask a server of openpi's once, since it says nothing of what it serves.

        Servers of this suite have asked their policy themselves before they listen.

        Raises:
            PolicyError: It does not serve what was declared, or does not answer.
        """
        if self._openpi is None:
            return
        limit_s = self._warm_up_timeout_s
        self._reason = (
            f"the server gives its first answer, to warm up: {limit_s:g} s at most "
            "(warm_up_timeout_s)"
        )
        seen = trial(self._openpi.spec)
        try:
            action = self._openpi.action(
                connection.ask(self._openpi.question(seen), limit_s), seen
            )
            check_action(action, self._openpi.spec)
        except HungError as error:
            raise PolicyError(f"{error} (warm_up_timeout_s) to the first question") from None
        except PolicyError as error:
            raise refused(error) from None

    def _lose(self, connection: Connection, reason: str) -> None:
        connection.close()
        with self._lock:
            if self._connection is connection:
                self._connection, self._reason = None, reason
        self._wanted.set()

    def _keep(self) -> None:
        """Connect again whenever the connection is lost."""
        while not self._closed.is_set():
            self._wanted.wait()
            self._wanted.clear()
            pause_s = FIRST_PAUSE_S
            while not self._closed.is_set() and self._connection is None:
                found = None
                try:
                    found = Connection(self._server(), ATTEMPT_S)
                    description = self._describe(found)
                    self._try(found)
                # Whatever it is, without this thread nobody would ever connect again.
                except Exception as error:
                    self._reason = str(error) or type(error).__name__
                    if found is not None:
                        found.close()
                else:
                    if description == self._description:
                        self._take(found)
                        break
                    found.close()
                    self._reason = self._another(description.spec)
                self._closed.wait(pause_s)
                pause_s = min(2.0 * pause_s, LAST_PAUSE_S)

    def _another(self, now: PolicySpec) -> str:
        """Say that the server serves something else than what the node was started with."""
        before, after = self.spec.policy_id, now.policy_id
        change = f"{after} now, not {before}"
        if before == after:
            change = f"{after} with another description now"
        return f"the server serves {change}; start the node again"

    def _take(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._connection = connection
                return
        connection.close()


def make(options: Mapping[str, Any]) -> RemotePolicy:
    """Make the policy from its options.

    Needed: ``url``. Optional: ``token_file``, ``tls_ca`` (a certificate to trust), ``timeout_s``
    (2), ``connect_timeout_s`` (10), ``jpeg_quality`` (without it images are sent as they are),
    ``openpi`` (what a server of openpi's serves, see `read_openpi`), and with it
    ``warm_up_timeout_s`` (300).

    Raises:
        PolicyError: An option is missing, unknown or wrong, or there is no server.
    """
    given = Options(NAME, {"timeout_s": 2.0, "connect_timeout_s": 10.0, **options})
    url = given.text("url")
    token, authority, quality, openpi = "", None, None, None
    if "token_file" in given.values:
        token = read_token(Path(given.text("token_file")).expanduser())
    if "tls_ca" in given.values:
        authority = Path(given.text("tls_ca")).expanduser()
    if "jpeg_quality" in given.values:
        quality = given.whole("jpeg_quality")
        if not 1 <= quality <= 100:
            raise given.error("jpeg_quality", f"is {quality}; write 1 to 100")
    warm_up_timeout_s = 300.0
    if "openpi" in given.values:
        openpi = read_openpi(given.section("openpi"))
        if quality is not None:
            raise given.error("jpeg_quality", "is not understood by openpi's servers; remove it")
        if "warm_up_timeout_s" in given.values:
            warm_up_timeout_s = given.number("warm_up_timeout_s", positive=True)
    server = Server(url, token, authority)
    timeout_s = given.number("timeout_s", positive=True)
    connect_timeout_s = given.number("connect_timeout_s", positive=True)
    given.end()
    return RemotePolicy(
        lambda: server,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
        warm_up_timeout_s=warm_up_timeout_s,
        jpeg_quality=quality,
        openpi=openpi,
    )
