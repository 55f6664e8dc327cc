# SPDX-License-Identifier: Apache-2.0
"""The Zenoh session of a process, and how it is opened."""

from __future__ import annotations

import time
from contextlib import nullcontext

import zenoh

from embedded_ros2 import links, memory, router, threads
from embedded_ros2.zenoh_config import local_router_port, session_config

_CONNECT_TIMEOUT_S = 5.0


def open_session() -> zenoh.Session:
    """Open this process's session; start the machine's router if nobody has.

    Raises:
        ValueError: If the configuration in the environment cannot be read.
        RuntimeError: If no router can be reached or started.
    """
    threads.let_readers_wait()
    zenoh.try_init_log_from_env()  # RUST_LOG shows what Zenoh does
    memory.keep_large_blocks()
    config = session_config()
    port = local_router_port(config)
    with nullcontext() if port is None else router.available(port):
        session = zenoh.open(config)
        links.look_after(session)
        if port is not None:
            deadline = time.monotonic() + _CONNECT_TIMEOUT_S
            while not session.info.routers_zid():
                if time.monotonic() > deadline:
                    session.close()
                    raise RuntimeError(
                        f"something listens on localhost:{port}, but it is no Zenoh router"
                    )
                time.sleep(0.005)
        return session
