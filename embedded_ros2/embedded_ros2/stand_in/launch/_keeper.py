# SPDX-License-Identifier: Apache-2.0
"""Ends what a launch leaves behind. A script of its own: it must outlive the launch.

Usage: ``_keeper.py <tag>``, with lines ``+<pid>``, ``-<pid>`` and ``close`` on the standard
input. The end of the input means that the launch is gone.
"""

import contextlib
import os
import signal
import sys
import time

SIGINT_TIMEOUT_S = 5.0
SIGTERM_TIMEOUT_S = 5.0
# The machine's Zenoh router: a node started it, but it serves others too and ends by itself.
SHARED = b"embedded_ros2.router"
TAG_VARIABLE = b"EMBEDDED_ROS2_LAUNCH_ID="


def tagged(tag):  # type: (bytes) -> set[int]
    """Return the ids of the processes that carry the mark of the launch (Linux only)."""
    found = set()  # type: set[int]
    try:
        entries = os.listdir("/proc")
    except OSError:
        return found
    for entry in entries:
        if not entry.isdigit():
            continue
        try:
            with open("/proc/" + entry + "/environ", "rb") as file:
                if TAG_VARIABLE + tag not in file.read().split(b"\0"):
                    continue
            with open("/proc/" + entry + "/cmdline", "rb") as file:
                if SHARED in file.read():
                    continue
            with open("/proc/" + entry + "/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except OSError:
            continue  # ended meanwhile, or another user's
        if state not in (b"Z", b"X"):
            found.add(int(entry))
    return found


def send(number, leaders, tag):  # type: (int, set[int], bytes | None) -> bool
    """Send a signal to all that is left; return whether anything was. 0 sends nothing."""
    left = tagged(tag) if tag is not None else set()
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
    alive = bool(left)
    for pid in leaders - left:
        try:
            os.killpg(pid, number)
            alive = True
        except OSError:
            pass
    return alive


def wait(seconds, leaders, tag, settle):  # type: (float, set[int], bytes, int) -> bool
    """Wait until nothing has been left for some looks in a row; return whether that came."""
    end = time.monotonic() + seconds
    clear = 0
    while time.monotonic() < end:
        clear = 0 if send(0, leaders, tag) else clear + 1
        if clear >= settle:
            return True
        time.sleep(0.05)
    return False


def main():  # type: () -> None
    """Listen until the launch is gone, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    tag = sys.argv[1].encode()
    leaders = set()
    # A process may be between fork and exec, and so not be marked yet, when the launch is killed;
    # a launch that says "close" has no such process.
    settle = 4
    for line in sys.stdin.buffer:
        if line.startswith(b"+"):
            leaders.add(int(line[1:]))
        elif line.startswith(b"-"):
            if not send(0, {int(line[1:])}, None):
                leaders.discard(int(line[1:]))  # nothing of its group is left either
        else:
            settle = 1
    for number, seconds in (
        (signal.SIGINT, SIGINT_TIMEOUT_S),
        (signal.SIGTERM, SIGTERM_TIMEOUT_S),
        (signal.SIGKILL, 1.0),
    ):
        if not send(number, leaders, tag) and settle == 1:
            return
        if wait(seconds, leaders, tag, settle):
            return


if __name__ == "__main__":
    main()
