# SPDX-License-Identifier: Apache-2.0
"""How the page is served: what the parameters name is read, and refused where it is not enough."""

from __future__ import annotations

import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from vla_operator.core.access import AccessError, require_protection, usable_token
from vla_operator.params import OperatorParams, listed

_MOST_FILE = 65_536


@dataclass(frozen=True)
class ServerSettings:
    """How the page is served.

    Attributes:
        address: That it is bound to.
        port: Its port; one of the next nine where it is taken; 0: any.
        names: Under which other computers reach this one.
        token: To be known by whoever opens the page; empty: none.
        context: Of TLS, None for none.
        viewers: Pages at once.
        connections: TCP connections at once.
    """

    address: str
    port: int
    names: tuple[str, ...] = ()
    token: str = ""
    context: ssl.SSLContext | None = None
    viewers: int = 16
    connections: int = 96


def settings_of(params: OperatorParams) -> ServerSettings:
    """Return the settings that parameters ask for.

    Raises:
        AccessError: A file cannot be used, or the address needs more of them.
    """
    pair = bool(params.certificate_file), bool(params.key_file)
    if pair[0] is not pair[1]:
        missing = "key_file" if pair[0] else "certificate_file"
        raise AccessError(f"parameter {missing}: TLS takes a certificate and its key; give both")
    require_protection(params.address, token=bool(params.token_file), certificate=all(pair))
    host = socket.gethostname()
    return ServerSettings(
        params.address,
        params.port,
        (*listed(params.names), host, f"{host}.local"),
        _token(params.token_file) if params.token_file else "",
        _context(params.certificate_file, params.key_file) if all(pair) else None,
        params.viewers,
        params.connections,
    )


def _token(name: str) -> str:
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            mode, data = path.stat().st_mode, file.read(_MOST_FILE)
    except OSError as error:
        raise AccessError(f"parameter token_file: {path}: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise AccessError(
            f"parameter token_file: {path} can be read or changed by others; `chmod 600 {path}`"
        )
    try:
        return usable_token(data.decode("ascii", errors="replace"))
    except AccessError as error:
        raise AccessError(f"parameter token_file: {path}: {error}") from None


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    files = Path(certificate).expanduser(), Path(key).expanduser()
    try:
        # A key with a passphrase would be asked for at a terminal that may not be there.
        context.load_cert_chain(*files, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise AccessError(
            f"parameter certificate_file, key_file: {files[0]}, {files[1]}: {reason}; give a "
            "certificate and its key as PEM, the key without a passphrase"
        ) from None
    return context
