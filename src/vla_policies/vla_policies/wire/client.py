# SPDX-License-Identifier: Apache-2.0
"""One connection to a policy server: what it serves, then one question and answer at a time."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.sync.client import ClientConnection, connect

from vla_policies.protocol import PolicyError, PolicyUnavailableError
from vla_policies.wire.address import check_url, client_tls
from vla_policies.wire.codec import MessageLimits, WireError, decode, encode
from vla_policies.wire.messages import Description, read_description

UNAUTHORIZED = 401
LEAVE_S = 0.5
PING_S = 20.0
# The name of the scheme that openpi's clients use too.
SCHEME = "Api-Key"


class HungError(PolicyUnavailableError):
    """A server took a question and gives no answer."""


@dataclass(frozen=True)
class Server:
    """Where a server is and how to talk to it.

    Attributes:
        url: ``ws://127.0.0.1:8000``, or ``wss://...`` on another computer.
        token: Empty for none.
        authority: Certificate to trust in place of the system's.
        limits: Of what is read.
    """

    url: str
    token: str = ""
    authority: Path | None = None
    limits: MessageLimits = field(default_factory=MessageLimits)

    def __post_init__(self) -> None:
        check_url(self.url, token=self.token)

    def tls(self) -> ssl.SSLContext | None:
        """Return what to encrypt by."""
        return client_tls(self.url, self.authority)


class Connection:
    """A connection. One thread at a time uses it; any may close it."""

    def __init__(self, server: Server, timeout_s: float) -> None:
        """Connect and hear what is served.

        Args:
            server: Whom to ask.
            timeout_s: How long that may take, s.

        Raises:
            PolicyUnavailableError: Nobody answers, or nobody has room for a client.
            PolicyError: The server refuses, or speaks another protocol.
        """
        self._url, self._limits = server.url, server.limits
        headers = {"Authorization": f"{SCHEME} {server.token}"} if server.token else {}
        try:
            self._socket = _connect(server, headers, timeout_s)
        except InvalidStatus as refused:
            reason = (refused.response.body or b"").decode(errors="replace").strip()[:200]
            text = f"{self._url}: refused, {refused.response.status_code}: {reason}"
            if refused.response.status_code == UNAUTHORIZED:
                raise PolicyError(text) from None
            raise PolicyUnavailableError(text) from None
        except ssl.SSLCertVerificationError as error:
            problem = f"its certificate is not trusted: {error.verify_message}"
            raise PolicyError(f"{self._url}: {problem}; give tls_ca") from None
        except (OSError, TimeoutError, EOFError, InvalidHandshake, InvalidURI) as error:
            raise PolicyUnavailableError(f"{self._url}: {_reason(error)}") from None
        try:
            # openpi's servers say anything here, by which they can be told apart if it is more
            # than nothing.
            self.greeting = self._bytes(timeout_s)
            greeting = decode(self.greeting, self._limits)
            self.description: Description | None = read_description(greeting)
            if self.description is not None or not greeting:
                self.greeting = b""
        except WireError as error:
            self.close()
            raise PolicyError(f"{self._url}: {error}") from None
        except PolicyError:
            self.close()
            raise

    def ask(self, message: dict[str, object], timeout_s: float) -> Any:
        """Send a message and return the answer; a text that comes in its place is an error.

        Raises:
            PolicyUnavailableError: The connection is lost, and of no use any more. `HungError`:
                because there was no answer in time.
            PolicyError: The server says what is wrong with the message.
            WireError: The answer cannot be read.
        """
        # A server that hangs does not read either, and sending to it never returns by itself.
        late = threading.Event()

        def cut() -> None:
            late.set()
            self.close()

        timer = threading.Timer(timeout_s, cut)
        timer.daemon = True
        timer.start()
        try:
            self._socket.send(encode(message))
            return self._receive(None)
        except (ConnectionClosed, OSError, PolicyUnavailableError) as error:
            if late.is_set():
                raise HungError(f"{self._url}: no answer for {timeout_s:g} s") from None
            raise PolicyUnavailableError(f"{self._url}: {_reason(error)}") from None
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the connection at once, whatever the other side does."""
        # Not with a closing handshake, which a server that hangs would hold up.
        with suppress(OSError):
            self._socket.socket.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """End the connection in good order, if the other side is quick about it."""
        timer = threading.Timer(LEAVE_S, self.close)
        timer.start()
        self._socket.close()
        timer.cancel()

    def _receive(self, timeout_s: float | None) -> Any:
        return decode(self._bytes(timeout_s), self._limits)

    def _bytes(self, timeout_s: float | None) -> bytes:
        try:
            data = self._socket.recv(timeout_s)
        except (ConnectionClosed, TimeoutError) as error:
            raise PolicyUnavailableError(_reason(error)) from None
        if isinstance(data, str):
            raise PolicyError(f"{self._url}: {' '.join(data.split())[-500:]}")
        return data


def _connect(server: Server, headers: dict[str, str], timeout_s: float) -> ClientConnection:
    # As a context, because later versions connect only then; it is left by `close`.
    connection = connect(
        server.url,
        additional_headers=headers,
        ssl=server.tls(),
        compression=None,
        max_size=server.limits.message_bytes,
        open_timeout=timeout_s,
        close_timeout=0.2,
        # Kept alive, but cut by our own limits alone: openpi's server answers no ping while it
        # computes, which may take longer than the library waits.
        ping_interval=PING_S,
        ping_timeout=None,
        # What the environment names as a proxy is for the web.
        proxy=None,
    )
    return ExitStack().enter_context(connection)


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionClosed):
        sent = error.rcvd.reason if error.rcvd is not None else ""
        return f"the connection was lost{f' ({sent})' if sent else ''}"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer"
    return " ".join(str(error).split()) or type(error).__name__
