# SPDX-License-Identifier: Apache-2.0
"""A policy across a network: MessagePack on WebSockets, understood by openpi's too."""

from __future__ import annotations

from importlib import import_module

from vla_policies.protocol import PolicyError

NEEDED = 15


def _check() -> None:
    """Say in one line what to install; distributions have versions that lack what is used here.

    Raises:
        PolicyError: `websockets` is missing or too old.
    """
    remedy = f"run: pip install 'websockets>={NEEDED}'"
    try:
        import_module("websockets.asyncio.server")
        import_module("websockets.sync.client")
        from websockets.version import version
    except ImportError as error:
        raise PolicyError(f"websockets is missing or too old ({error}); {remedy}") from None
    if int(version.partition(".")[0]) < NEEDED:
        raise PolicyError(f"websockets {version} is too old; {remedy}")


_check()
