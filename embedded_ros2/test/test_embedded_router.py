# SPDX-License-Identifier: Apache-2.0
"""Processes meet through one router, which nobody has to start and nobody has to end."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from embedded_ros2 import router, session

DEADLINE_S = 60.0
NODE = """
import sys
from embedded_ros2.network import Network
network = Network(0)
node = network.declare_node("/", sys.argv[1])
print(" ".join(sorted(token.node for token in network.graph.nodes())), flush=True)
for line in sys.stdin:
    wanted = set(line.split())
    found = network.graph.wait_for(
        lambda: {token.node for token in network.graph.nodes()} == wanted, 60
    )
    print(found, flush=True)
network.close()
"""


@pytest.fixture
def port():
    """Return a port that nobody uses, so that the test has a router of its own."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start(port):
    """Return a function that starts a process with a node."""
    processes = []

    def start(name):
        override = f'connect/endpoints=["tcp/localhost:{port}"]'
        process = subprocess.Popen(
            [sys.executable, "-c", NODE, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ZENOH_CONFIG_OVERRIDE": override},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def sees(process, *names):
    """Return whether a process sees these nodes and no others before its deadline."""
    process.stdin.write(" ".join(names) + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip() == "True"


def routers(port):
    """Return the process ids of the routers for a port."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
    )
    return [
        int(line.split()[0]) for line in listed.stdout.splitlines() if f"serve({port})" in line
    ]


def wait_until(predicate):
    deadline = time.monotonic() + DEADLINE_S
    while not predicate():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.05)


def test_processes_that_start_at_once_share_one_router_and_leave_nothing(start, port):
    names = [f"node{number}" for number in range(6)]
    processes = [start(name) for name in names]
    for process in processes:
        assert process.stdout.readline()
    assert len(routers(port)) == 1
    assert all(sees(process, *names) for process in processes)
    for process in processes[:3]:
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0
    for process in processes[3:]:
        process.kill()
    wait_until(lambda: not routers(port))
    assert not router._lock_path(port).exists()


def test_a_process_that_outlives_the_router_keeps_no_zombie(monkeypatch, port):
    monkeypatch.setenv("ZENOH_CONFIG_OVERRIDE", f'connect/endpoints=["tcp/localhost:{port}"]')
    session.open_session().close()
    (process_id,) = routers(port)
    os.kill(process_id, signal.SIGKILL)

    def is_gone():
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(is_gone)


def test_a_node_that_comes_later_sees_the_others(start, port):
    first = start("first")
    first.stdout.readline()
    second = start("second")
    second.stdout.readline()
    assert sees(second, "first", "second")
    assert sees(first, "first", "second")


def test_nodes_find_each_other_again_after_the_router_was_killed(start, port):
    first = start("first")
    first.stdout.readline()
    os.kill(routers(port)[0], signal.SIGKILL)
    wait_until(lambda: not router.is_listening(port))
    second = start("second")
    second.stdout.readline()
    assert sees(first, "first", "second")
    assert sees(second, "first", "second")
    assert len(routers(port)) == 1


def test_something_else_on_the_port_is_named(start, port):
    with http.server.HTTPServer(("localhost", port), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.run(
            [sys.executable, "-c", NODE, "x"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                "ZENOH_CONFIG_OVERRIDE": f'connect/endpoints=["tcp/localhost:{port}"]',
            },
            timeout=DEADLINE_S,
            check=False,
        )
        server.shutdown()
    assert process.returncode == 1
    assert f"localhost:{port}, but it is no Zenoh router" in process.stderr
