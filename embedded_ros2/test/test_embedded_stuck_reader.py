# SPDX-License-Identifier: Apache-2.0
"""A process that hangs, is slow or is gone holds up nobody but itself."""

import os
import queue
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import zenoh

from embedded_ros2 import links
from embedded_ros2.session import open_session

STUCK = 3
# Zenoh gives a connection up after 10 s of silence. A socket used to be closed for 10 s more, and
# whoever waited for the threads that did it, waited as long: half of that is a failure here.
CLOSING_S = 10.0
DEADLINE_S = 60.0

# A simulation: sends pictures, latched values, requests and goals to whoever is there; answers
# each number with its twin, the count of the readers that it still sees and its last picture.
SIMULATION = """
import sys
import rclpy
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from example_interfaces.action import Fibonacci
from example_interfaces.srv import AddTwoInts
from sensor_msgs.msg import Image
from std_msgs.msg import Int64, Int64MultiArray, String
rclpy.init(args=[])
node = rclpy.create_node("simulation")
answers = node.create_publisher(Int64MultiArray, "answers", 10)
pictures = node.create_publisher(Image, "image", 10)
latched = node.create_publisher(
    String, "latched", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
clients = [node.create_client(AddTwoInts, f"add_{number}") for number in range(3)]
actions = [ActionClient(node, Fibonacci, f"count_{number}") for number in range(3)]
data = bytes(640 * 480 * 3)
sent = 0
def show():
    global sent
    sent += 1
    pictures.publish(
        Image(width=sent, height=480, encoding="rgb8", step=1920, data=data))
def ask():
    latched.publish(String(data="x" * 10000))
    for client, action in zip(clients, actions):
        client.call_async(AddTwoInts.Request())
        action.send_goal_async(Fibonacci.Goal(order=3))
def answer(message):
    readers = sum(name.startswith("reader") for name in node.get_node_names())
    answers.publish(Int64MultiArray(data=[message.data, readers, sent]))
node.create_subscription(Int64, "numbers", answer, 10)
node.create_timer(1 / 30, show)
node.create_timer(0.1, ask)
rclpy.spin(node)
"""
READER = """
import sys
import rclpy
from rclpy.action import ActionServer
from rclpy.qos import DurabilityPolicy, QoSProfile
from example_interfaces.action import Fibonacci
from example_interfaces.srv import AddTwoInts
from sensor_msgs.msg import Image
from std_msgs.msg import String
number = sys.argv[1]
rclpy.init(args=[])
node = rclpy.create_node(f"reader_{number}")
node.create_subscription(Image, "image", lambda m: print(m.width, flush=True), 10)
node.create_subscription(String, "latched", lambda m: None,
    QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
node.create_service(AddTwoInts, f"add_{number}", lambda request, response: response)
def count(goal):
    goal.succeed()
    return Fibonacci.Result()
server = ActionServer(node, Fibonacci, f"count_{number}", count)
rclpy.spin(node)
"""


class Process:
    """A node in a process of its own, whose lines are read as they come."""

    def __init__(self, code, *arguments):
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
        )
        self._lines = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(int(line))

    def number(self):
        """Return the next number that the process prints."""
        return self._lines.get(timeout=DEADLINE_S)

    def send(self, number):
        """Send a signal."""
        self._process.send_signal(number)

    def resident_mb(self):
        """Return how much memory the process holds."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def end(self):
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def start(ping):
    """Return a function that starts a process, which meets the one below."""
    processes = []

    def start(*arguments):
        processes.append(Process(*arguments))
        return processes[-1]

    yield start
    for process in processes:
        process.end()


@pytest.fixture
def ping(monkeypatch):
    """Return a function that sends a number to the simulation and waits for the answer.

    It returns how long that took, s, how many readers are left, and the last picture's number.
    """
    import rclpy
    from std_msgs.msg import Int64, Int64MultiArray

    # A router of its own: one test stops it.
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("ZENOH_CONFIG_OVERRIDE", f'connect/endpoints=["tcp/localhost:{port}"]')
    rclpy.init(args=[])
    node = rclpy.create_node("monitor")
    publisher = node.create_publisher(Int64, "numbers", 10)
    answers = {}
    node.create_subscription(
        Int64MultiArray, "answers", lambda m: answers.update({m.data[0]: m.data[1:]}), 10
    )
    sent = 0

    def ping(timeout_s=DEADLINE_S):
        nonlocal sent
        sent += 1
        began = time.monotonic()
        publisher.publish(Int64(data=sent))
        while sent not in answers:
            rclpy.spin_once(node, timeout_sec=0.1)
            if time.monotonic() - began > timeout_s:
                pytest.fail(f"number {sent} was not answered within {timeout_s} s")
        return time.monotonic() - began, *answers.pop(sent)

    ping.has_company = lambda: (
        publisher.get_subscription_count() and node.count_publishers("/answers")
    )
    ping.node, ping.port = node, port
    yield ping
    rclpy.try_shutdown()


def wait_for_company(ping):
    """Wait until the simulation is there."""
    import rclpy

    deadline = time.monotonic() + DEADLINE_S
    while not ping.has_company():
        rclpy.spin_once(ping.node, timeout_sec=0.05)
        assert time.monotonic() < deadline
    for _ in range(100):  # the way back may not stand yet
        try:
            return ping(1.0)
        except pytest.fail.Exception:
            continue
    raise AssertionError("the simulation does not answer")


def test_processes_that_hang_delay_nobody_and_get_what_is_new_when_they_go_on(start, ping):
    simulation = start(SIMULATION)
    wait_for_company(ping)
    readers = [start(READER, str(number)) for number in range(STUCK)]
    for reader in readers:
        reader.number()
    while ping()[1] < STUCK:
        time.sleep(0.05)
    before_mb = simulation.resident_mb()
    for reader in readers:
        reader.send(signal.SIGSTOP)
    _, _, first = ping()
    left, deadline = STUCK, time.monotonic() + DEADLINE_S
    while left:  # until the simulation has given them up
        _, left, _ = ping(CLOSING_S / 2)
        time.sleep(0.02)
        assert time.monotonic() < deadline, "the simulation does not give the readers up"
    for _ in range(100):
        _, _, last = ping(CLOSING_S / 2)
        time.sleep(0.02)
    assert simulation.resident_mb() - before_mb < 64
    for reader in readers:
        reader.send(signal.SIGCONT)
    missed = last - first
    for reader in readers:
        old = 0
        while (picture := reader.number()) <= last:
            old += picture > first
        # What lay in the connection, and not what was sent since.
        assert old < missed / 2
    while ping()[1] < STUCK:
        time.sleep(0.05)


def test_those_who_know_each_other_go_on_while_the_router_hangs(start, ping):
    start(SIMULATION)
    wait_for_company(ping)
    listed = subprocess.run(
        ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
    )
    mark = f"serve({ping.port})"
    (router,) = [int(line.split()[0]) for line in listed.stdout.splitlines() if mark in line]
    os.kill(router, signal.SIGSTOP)
    try:
        end = time.monotonic() + 1.5 * CLOSING_S
        while time.monotonic() < end:
            ping(CLOSING_S / 2)
            time.sleep(0.05)
    finally:
        os.kill(router, signal.SIGCONT)
    ping()


def test_a_large_answer_to_a_client_that_hangs_delays_no_other_client(start, ping):
    import rclpy
    from example_interfaces.srv import AddTwoInts

    server = start("""
import array
import rclpy
from example_interfaces.srv import AddTwoInts
from nav_msgs.srv import GetMap
rclpy.init(args=[])
node = rclpy.create_node("server")
def get_map(request, response):
    response.map.data = array.array('b', bytes(4_000_000))
    return response
node.create_service(GetMap, "map", get_map)
node.create_service(AddTwoInts, "add", lambda request, response: response)
rclpy.spin(node)
""")
    hangs = start("""
import rclpy
from nav_msgs.srv import GetMap
rclpy.init(args=[])
node = rclpy.create_node("client")
client = node.create_client(GetMap, "map")
client.wait_for_service()
future = client.call_async(GetMap.Request())
rclpy.spin_until_future_complete(node, future)
print(1, flush=True)
while True:
    futures = [client.call_async(GetMap.Request()) for _ in range(10)]
    print(2, flush=True)
    rclpy.spin_until_future_complete(node, futures[-1])
""")
    assert hangs.number() == 1
    assert hangs.number() == 2
    hangs.send(signal.SIGSTOP)
    client = ping.node.create_client(AddTwoInts, "add")
    assert client.wait_for_service(DEADLINE_S)
    lost = 0
    for _ in range(50):
        deadline = time.monotonic() + DEADLINE_S
        future = client.call_async(AddTwoInts.Request())
        rclpy.spin_until_future_complete(ping.node, future, timeout_sec=CLOSING_S)
        while not future.done():  # a request may be lost on its way, as any message may
            assert time.monotonic() < deadline
            lost += 1
            future = client.call_async(AddTwoInts.Request())
            rclpy.spin_until_future_complete(ping.node, future, timeout_sec=CLOSING_S)
        time.sleep(0.02)
    assert lost <= 2
    assert server.resident_mb() < 1000


def test_no_socket_of_a_session_waits_when_it_is_closed():
    session = open_session()
    others = [open_session() for _ in range(2)]
    try:
        deadline = time.monotonic() + DEADLINE_S
        while len(session.info.links()) < 3:
            time.sleep(0.05)
            assert time.monotonic() < deadline
        ends = {
            (links._port(link.src), links._port(link.dst))
            for one in (session, *others)
            for link in one.info.links()
        }
        waiting = {end: lingers(end) for end in ends}
        while any(waiting.values()):  # a link is listed a moment before it is announced
            time.sleep(0.05)
            assert time.monotonic() < deadline, waiting
            waiting = {end: lingers(end) for end in ends}
        assert len(waiting) >= 3
    finally:
        for one in (session, *others):
            one.close()


@pytest.mark.parametrize("renewed", [True, False])
def test_who_is_lost_after_the_way_to_the_router_was_renewed_is_asked_for_again(renewed):
    """As after a long stop. The sockets are real; Zenoh's events are made here, in that order."""

    def event(one, zid, kind):
        ends = [f"tcp/127.0.0.1:{end[1]}" for end in (one.getsockname(), one.getpeername())]
        return SimpleNamespace(kind=kind, link=SimpleNamespace(src=ends[0], dst=ends[1], zid=zid))

    with socket.create_server(("127.0.0.1", 0)) as server:
        pairs = []
        for _ in range(2):
            one = socket.create_connection(server.getsockname())
            pairs.append((one, server.accept()[0]))
        (router, its_end), (other, _) = pairs
        watch = links._Links()
        watch.on_transport(
            SimpleNamespace(transport=SimpleNamespace(zid="1", whatami=zenoh.WhatAmI.ROUTER))
        )
        made = [event(other, "2", zenoh.SampleKind.PUT), event(router, "1", zenoh.SampleKind.PUT)]
        for each in made if renewed else reversed(made):
            watch.on_link(each)
        watch.on_link(event(other, "2", zenoh.SampleKind.DELETE))
        its_end.settimeout(DEADLINE_S)
        if not renewed:
            router.sendall(b"still there")
        assert its_end.recv(100) == (b"" if renewed else b"still there")
        for one in (end for pair in pairs for end in pair):
            one.close()


def lingers(ends):
    """Return whether closing the socket between two ports of this process waits."""
    return with_socket(
        ends,
        lambda one: any(
            struct.unpack("ii", one.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))[:1]
        ),
    )


def with_socket(ends, action):
    """Return what an action says of this process's socket between two ports."""
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.family != socket.AF_INET:
                    continue
                if (one.getsockname()[1], one.getpeername()[1]) == ends:
                    return action(one)
        except OSError:
            continue
    return None
