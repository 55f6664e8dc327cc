# SPDX-License-Identifier: Apache-2.0
"""Where a server is, and what it takes to talk to it: off this computer, a token and TLS."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from vla_policies.protocol import PolicyError

MIN_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Return whether a host is this computer. A name other than localhost may be any."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_url(url: str, *, token: str) -> None:
    """Judge the address of a server.

    Raises:
        PolicyError: It is none, or leaves this computer without a token or TLS.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PolicyError(f"{url}: {error}; write ws://127.0.0.1:8000 or the like") from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise PolicyError(f"{url}: is no address; write ws://127.0.0.1:8000 or wss://host:8000")
    # A proxy's address often has none.
    port = port or (443 if parts.scheme == "wss" else 80)
    if is_loopback(host):
        return
    if parts.scheme != "wss":
        raise PolicyError(
            f"{url}: another computer is asked over TLS only; write wss://, or tunnel it: "
            f"ssh -L {port}:127.0.0.1:{port} {host}"
        )
    if not token:
        raise PolicyError(f"{url}: another computer is asked with a token only; give token_file")


def check_bind(host: str, *, token: str, tls: bool) -> None:
    """Judge where a server listens.

    Raises:
        PolicyError: Others can reach it without a token or TLS.
    """
    if not is_loopback(host) and not (token and tls):
        raise PolicyError(
            f"--host {host}: other computers can reach it; give --token-file, --tls-cert and "
            "--tls-key, or serve on 127.0.0.1"
        )


def read_token(path: Path) -> str:
    """Return the secret of a file of one line.

    Raises:
        PolicyError: It cannot be read, is short, or not of printable characters.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read ({error}); give a file with a token") from None
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise PolicyError(
            f"{path}: a token is one line of at least {MIN_TOKEN} letters and digits; write one "
            "with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a server encrypts by.

    Raises:
        PolicyError: A file cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise PolicyError(f"{certificate}, {key}: cannot be used ({error}); give PEM") from None
    return context


def client_tls(url: str, authority: Path | None) -> ssl.SSLContext | None:
    """Return what a client encrypts by, None where the address asks for no TLS.

    Args:
        url: The address.
        authority: The certificate to trust, in place of the system's.

    Raises:
        PolicyError: The file cannot be used.
    """
    if urlsplit(url).scheme != "wss":
        return None
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise PolicyError(f"{authority}: cannot be used ({error}); give PEM") from None
