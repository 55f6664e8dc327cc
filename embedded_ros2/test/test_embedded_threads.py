# SPDX-License-Identifier: Apache-2.0
"""What is done to Zenoh's threads."""

import os
import subprocess
import sys
import threading

import pytest

from embedded_ros2 import threads


def test_what_the_user_has_set_of_zenohs_threads_stays(monkeypatch):
    monkeypatch.setenv(threads.RUNTIME_VARIABLE, "(rx: (worker_threads: 1))")
    threads.let_readers_wait()
    assert os.environ[threads.RUNTIME_VARIABLE] == "(rx: (worker_threads: 1))"
    monkeypatch.delenv(threads.RUNTIME_VARIABLE)
    threads.let_readers_wait()
    assert "handover" in os.environ[threads.RUNTIME_VARIABLE]


def test_a_thread_whose_state_is_kept_ends_like_any_other():
    for _ in range(50):
        thread = threading.Thread(target=lambda: [threads.keep_state() for _ in range(3)])
        thread.start()
        thread.join(timeout=60.0)
        assert not thread.is_alive()


@pytest.mark.parametrize("end", ["sys.exit(7)", "rclpy.shutdown(); sys.exit(7)"])
def test_no_thread_is_in_the_way_when_a_process_ends(end):
    code = f"import sys, rclpy\nrclpy.init(args=[])\nnode = rclpy.create_node('x')\n{end}"
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (7, "")


INTERRUPTED_WHILE_ZENOH_CALLS = """
import signal
import rclpy
from embedded_ros2.topics import SubscriptionEndpoint
from embedded_ros2.wire.qos import WireQos
from std_msgs.msg import Int64
calls = []

def interrupt(*_):
    signal.raise_signal(signal.SIGINT)
    calls.append("went on")

rclpy.init(args=[])
node = rclpy.create_node("x")
SubscriptionEndpoint(node._token, "/numbers", "std_msgs/msg/Int64", WireQos(), interrupt)
publisher = node.create_publisher(Int64, "/numbers", 10)
try:
    publisher.publish(Int64())
except KeyboardInterrupt:
    calls.append("interrupted")
print(*calls, rclpy.ok())
"""


def test_an_interrupt_while_zenoh_calls_comes_once_it_has_returned():
    """The subscription is of the publishing process, so Zenoh calls on the thread of both."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_ZENOH_CALLS], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("went on interrupted False\n", "")
