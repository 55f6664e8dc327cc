# SPDX-License-Identifier: Apache-2.0
"""Who may reach the page: by which address, under which name, from which site, with what token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urlsplit

# A token that can be guessed is none.
LEAST_TOKEN = 20
MOST_TOKEN = 256
# Wrong tokens in a row from one address before each further one has to wait.
_FREE_FAILURES = 5
_MOST_ADDRESSES = 256
_PAUSE_S = 2.0
_MOST_SESSIONS = 64
_MOST_HEADER = 256
LOOPBACK_NAMES = frozenset({"localhost"})


class AccessError(ValueError):
    """The page must not be served like this. The message says what to do."""


@dataclass(frozen=True)
class AccessRefusal:
    """Why a request is refused.

    Attributes:
        status: Of HTTP.
        text: In words.
    """

    status: int
    text: str


def is_loopback(address: str) -> bool:
    """Return whether an address is one that only this computer reaches."""
    if address in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def require_protection(address: str, *, token: bool, certificate: bool) -> None:
    """Refuse to be reached from elsewhere without a token and TLS.

    Raises:
        AccessError: One of them is missing.
    """
    if is_loopback(address):
        return
    missing = [
        name
        for name, there in (
            ("token_file", token),
            ("certificate_file and key_file", certificate),
        )
        if not there
    ]
    if missing:
        raise AccessError(
            f"parameter address: {address} can be reached from other computers, and that takes a "
            f"token and TLS: give {' and '.join(missing)}, or leave the address at 127.0.0.1"
        )


def usable_token(text: str) -> str:
    """Return a token as read from its file.

    Raises:
        AccessError: It could be guessed, or cannot be sent.
    """
    token = text.strip()
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN or not all("!" <= c <= "~" for c in token):
        raise AccessError(
            f"a token has {LEAST_TOKEN} to {MOST_TOKEN} printable ASCII characters without "
            "blanks; `openssl rand -hex 24` makes one"
        )
    return token


class Doorkeeper:
    """Judges a request by what is in its head.

    A site that a browser shows can send requests to this page too, and a name that its owner lets
    point here (DNS rebinding) makes them look like the page's own. So the name must be one of
    this computer's, and what acts must come from the page itself.
    """

    def __init__(self, address: str, names: tuple[str, ...], *, encrypted: bool) -> None:
        """Begin.

        Args:
            address: That the page is bound to.
            names: By which other computers reach this one.
            encrypted: TLS is spoken.
        """
        self._loopback = is_loopback(address)
        self._names = LOOPBACK_NAMES | {name.lower().rstrip(".") for name in names}
        self._scheme = "https" if encrypted else "http"

    def judge_host(self, hosts: list[str]) -> AccessRefusal | None:
        """Judge the Host headers of a request; there is to be one."""
        if len(hosts) == 1 and len(hosts[0]) <= _MOST_HEADER and self._known(hosts[0]):
            return None
        return AccessRefusal(421, "this page is not served under that name (Host)")

    def judge_origin(self, origins: list[str], host: str) -> AccessRefusal | None:
        """Judge the Origin headers of a request that acts; its Host was judged before.

        Browsers send one with each of these. Whoever sends none is no page of this server.
        """
        if len(origins) == 1 and origins[0] == f"{self._scheme}://{host}":
            return None
        return AccessRefusal(403, "only this page itself may do that (Origin)")

    def _known(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.netloc != host or parts.username is not None or parts.path:
            return False
        if name.rstrip(".") in self._names:
            return True
        # A number is not looked up, so nobody else can let it point here.
        try:
            number = ipaddress.ip_address(name)
        except ValueError:
            return False
        return number.is_loopback or not self._loopback


class Logins:
    """Who has shown the token. Each gets a word of its own, for its cookie."""

    def __init__(self, token: str) -> None:
        """Begin; an empty token means that none is asked for."""
        self._token = token.encode()
        self._sessions: OrderedDict[str, None] = OrderedDict()
        # By address: how many failed, and from when on the next is looked at.
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def asked_for(self) -> bool:
        """Whether a token is needed."""
        return bool(self._token)

    def log_in(self, token: str, who: str, now_s: float) -> str | AccessRefusal:
        """Return the word of a new session, or why there is none.

        Args:
            token: What was sent.
            who: From which address: who guesses keeps nobody else out.
            now_s: A steady clock, s.
        """
        failed, next_s = self._failures.pop(who, (0, now_s))
        if now_s < next_s:
            self._failures[who] = (failed, next_s)
            return AccessRefusal(429, "too many wrong tokens; wait 2 s")
        if not self.matches(token):
            failed += 1
            waits_s = _PAUSE_S if failed >= _FREE_FAILURES else 0.0
            self._failures[who] = (failed, now_s + waits_s)
            while len(self._failures) > _MOST_ADDRESSES:
                self._failures.popitem(last=False)
            return AccessRefusal(401, "that is not the token")
        word = secrets.token_urlsafe(32)
        self._sessions[word] = None
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return word

    def matches(self, token: str) -> bool:
        """Compare in a time that tells nothing."""
        return bool(self._token) and hmac.compare_digest(
            self._token, token[: MOST_TOKEN + 1].encode(errors="replace")
        )

    def admits(self, word: str) -> bool:
        """Return whether whoever has this word in its cookie was let in."""
        return not self._token or word in self._sessions
