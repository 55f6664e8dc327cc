# SPDX-License-Identifier: Apache-2.0
"""A policy across a network: MessagePack on WebSockets, understood by openpi's too."""

from importlib.metadata import PackageNotFoundError, version

LEAST = 15
"""Of websockets: the oldest whose threaded client and asyncio server are what is used here."""


def check_websockets() -> None:
    """Raise where websockets is missing or too old, as in every Ubuntu until 24.04.

    Raises:
        ImportError: What is there, what is needed and how to install it.
    """
    try:
        found = version("websockets")
    except PackageNotFoundError:
        found = "none"
    major = found.partition(".")[0]
    if not (major.isdecimal() and int(major) >= LEAST):
        raise ImportError(
            f"a policy across a network needs websockets {LEAST} or newer (found: {found}, as "
            f"distributions ship it): python3 -m pip install 'websockets>={LEAST}'"
        )


check_websockets()
