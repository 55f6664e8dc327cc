# SPDX-License-Identifier: Apache-2.0
"""The meeting point of a machine's processes: one small router process, started on demand.

Peers find each other only through a router. The first process that needs one starts it, detached,
for everybody; it ends by itself when no session has been connected for a while. A lock orders
starts and the end: whoever opens a session holds it shared, so that the router cannot leave
between "it listens" and "I am connected"; starting and ending need it alone. The port arbitrates
between users. Nothing depends on any node's life, and once peers know each other they talk
directly, router or not.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import zenoh

from embedded_ros2 import links
from embedded_ros2.zenoh_config import DEFAULT_PORT, router_config

try:
    import fcntl
except ImportError:  # no such locks on this platform: the port alone arbitrates
    fcntl = None  # type: ignore[assignment]

IDLE_S = 5.0
_START_TIMEOUT_S = 15.0
_POLL_S = 0.02
_LAUNCH_MARK = "EMBEDDED_ROS2_LAUNCH_ID"
_SHARED_MEMORY = Path("/dev/shm")
_SEGMENT_AGE_S = 2.0  # younger ones may be about to be locked


def _lock_path(port: int) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"embedded_ros2_router_{user}_{port}.lock"


def _acquire(port: int, *, exclusive: bool, wait: bool = True) -> int | None:
    """Lock; return the file descriptor to close, or None if it is taken and `wait` is False."""
    path = _lock_path(port)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if fcntl is None:
            return descriptor
        operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(descriptor, operation if wait else operation | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        try:
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # the router removed the file while we waited for the lock


def is_listening(port: int) -> bool:
    """Return whether something accepts connections on the loopback port."""
    try:
        with socket.create_connection(("localhost", port), timeout=1.0):
            return True
    except OSError:
        return False


def _start(port: int) -> None:
    """Start a router process and wait until it listens."""
    package_root = str(Path(__file__).resolve().parent.parent)
    code = (
        f"import sys; sys.path.append({package_root!r}); "
        f"from embedded_ros2.router import serve; serve({port})"
    )
    # A launch ends whoever carries its mark when it ends; the router serves others too.
    environment = {k: v for k, v in os.environ.items() if k != _LAUNCH_MARK}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not is_listening(port):
        if process.poll() is not None and not is_listening(port):
            raise RuntimeError(
                f"the router for port {port} ended at once (exit code {process.returncode}); "
                f"run it in the foreground to see why: {sys.executable} -m embedded_ros2.router"
            )
        if time.monotonic() > deadline:
            raise RuntimeError(f"the router did not listen on port {port} in time")
        time.sleep(_POLL_S)
    # The process that starts a router may outlive it, and must not keep a zombie then.
    threading.Thread(target=process.wait, daemon=True).start()


@contextlib.contextmanager
def available(port: int) -> Iterator[None]:
    """See to it that a router listens on the loopback port, and keep it there in the block.

    Raises:
        RuntimeError: If none listens and none can be started.
    """
    descriptor = _acquire(port, exclusive=False)
    try:
        if not is_listening(port):
            assert descriptor is not None
            os.close(descriptor)
            descriptor = _acquire(port, exclusive=True)
            if not is_listening(port):
                _start(port)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def serve(port: int = DEFAULT_PORT, idle_s: float = IDLE_S) -> None:
    """Route until no session has been connected for `idle_s` seconds."""
    router = zenoh.open(router_config(port))
    links.look_after(router)
    last_seen = time.monotonic()
    while True:
        time.sleep(0.5)
        now = time.monotonic()
        if _has_company(router):
            last_seen = now
        elif now - last_seen >= idle_s:
            descriptor = _acquire(port, exclusive=True, wait=False)
            if descriptor is None:
                continue  # somebody is just connecting
            if not _has_company(router):
                router.close()
                _remove_orphaned_segments()
                _lock_path(port).unlink(missing_ok=True)
                return
            os.close(descriptor)


def _remove_orphaned_segments() -> None:
    """Remove shared memory that processes left behind when they were killed.

    Zenoh does this only when the next session uses shared memory, which may be never. Whoever
    uses a segment holds a lock on it.
    """
    if fcntl is None:
        return
    for path in _SHARED_MEMORY.glob("*.zenoh"):
        with contextlib.suppress(OSError):  # somebody else's, or gone, or in use
            if time.time() - path.stat().st_mtime < _SEGMENT_AGE_S:
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _has_company(router: object) -> bool:
    # Not `peers_zid` and `routers_zid`: sessions in client mode are in neither.
    return bool(router.info.transports())  # type: ignore[attr-defined]


def main() -> None:
    """Run a router in the foreground, until it is interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        serve(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PORT, idle_s=math.inf)


if __name__ == "__main__":
    main()
