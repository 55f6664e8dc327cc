# SPDX-License-Identifier: Apache-2.0
"""Tests that import nothing but ROS names: the same files hold for the real rclpy."""

import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

# The real Jazzy checks the types of fields only on request.
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

DEADLINE_S = 60.0
PEER = Path(__file__).with_name("peer.py")
_domains = itertools.count(os.getpid() % 80)


def pytest_addoption(parser):
    parser.addoption(
        "--conformance-page", type=Path, help="write into this page how many tests passed"
    )


def pytest_sessionfinish(session, exitstatus):
    """Say in a page how many tests hold, if all that there are were run and hold."""
    page = session.config.getoption("--conformance-page")
    if page is None or exitstatus or session.config.getoption("-k"):
        return
    distribution = os.environ.get("ROS_DISTRO", "")
    side = distribution or "embedded_ros2"
    middleware = os.environ.get("RMW_IMPLEMENTATION", "its default middleware")
    name = f"ROS 2 {distribution.capitalize()} over {middleware}" if distribution else side
    begin, end = f"<!-- begin {side} -->\n", f"\n<!-- end {side} -->"
    head, _, rest = page.read_text().partition(begin)
    tail = rest.partition(end)[2]
    assert rest, f"{page} lacks the line {begin}"
    page.write_text(f"{head}{begin}{session.testscollected} tests pass with {name}.{end}{tail}")


class Peer:
    """A node in a process of its own, whose standard output is read line by line."""

    def __init__(self, role, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, str(PEER), role, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background, SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def line(self):
        """Return the next line; fail after the deadline or at the end."""
        try:
            line = self._lines.get(timeout=DEADLINE_S)
        except queue.Empty:
            pytest.fail("the peer printed nothing more")
        if line is None:
            pytest.fail(f"the peer ended: {self.process.stderr.read()}")
        return line

    def send(self, number):
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self):
        """Return (exit code, remaining lines, standard error); fail after the deadline."""
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail("the peer does not end")
        self._reader.join(DEADLINE_S)
        rest = list(iter(lambda: self._lines.get_nowait(), None))
        return code, rest, self.process.stderr.read()

    def stop(self):
        """Interrupt; return what `wait` does."""
        self.send(signal.SIGINT)
        return self.wait()


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    """Give each test a domain of its own."""
    number = 101 + next(_domains) % 80
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    return number


@pytest.fixture
def peer():
    """Return a function that starts a peer with a role; it is ready when this returns."""
    peers = []

    def start(role, *arguments):
        started = Peer(role, *arguments)
        peers.append(started)
        assert started.line() == "ready"
        return started

    yield start
    for started in peers:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait()


@pytest.fixture
def ros():
    """Initialize rclpy for the time of a test."""
    import rclpy

    rclpy.init(args=[])
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture
def node(ros):
    """Return a node."""
    made = ros.create_node("tester")
    yield made
    made.destroy_node()


@pytest.fixture
def spin_until():
    """Return a function that spins a node until a predicate holds, and fails at a deadline."""
    import rclpy

    def spin(node, predicate, timeout_s=DEADLINE_S):
        deadline = time.monotonic() + timeout_s
        while not predicate():
            if time.monotonic() > deadline:
                pytest.fail("what was waited for did not happen")
            rclpy.spin_once(node, timeout_sec=0.05)

    return spin


@pytest.fixture
def call(ros):
    """Return a function that waits for the result of a future while a node spins."""

    def wait(node, future):
        ros.spin_until_future_complete(node, future, timeout_sec=DEADLINE_S)
        assert future.done(), "no result came"
        return future.result()

    return wait
