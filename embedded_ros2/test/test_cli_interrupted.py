# SPDX-License-Identifier: Apache-2.0
"""Commands that are told to end: they end, and leave no goal running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.executors import ExternalShutdownException  # noqa: E402

from embedded_ros2.cli import ros  # noqa: E402

DOMAIN = str(1 + os.getpid() % 90)
PATIENT_S = 60.0

SERVER = """
import time
import rclpy
from example_interfaces.action import Fibonacci
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor

rclpy.init()
node = rclpy.create_node("arm")

def execute(goal):
    print("moving", flush=True)
    while not goal.is_cancel_requested:
        time.sleep(0.02)
    goal.canceled()
    print("canceled", flush=True)
    return Fibonacci.Result()

server = ActionServer(node, Fibonacci, "move", execute, callback_group=ReentrantCallbackGroup(),
    cancel_callback=lambda goal: CancelResponse.ACCEPT)
print("ready", flush=True)
executor = MultiThreadedExecutor(4)
executor.add_node(node)
executor.spin()
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": DOMAIN},
        # Where the tests run in the background, SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def until(process: subprocess.Popen[str], words: str) -> str:
    """Read lines until one has these words; return all of them."""
    assert process.stdout is not None
    lines = ""
    for line in process.stdout:
        lines += line
        if words in line:
            return lines
    pytest.fail(f"ended without a word of {words!r}: {lines}")


@pytest.fixture
def arm() -> Iterator[subprocess.Popen[str]]:
    process = start("-c", f"from embedded_ros2 import fallback\nfallback.install()\n{SERVER}")
    until(process, "ready")
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 2), (signal.SIGTERM, 143), (signal.SIGHUP, 143)],
)
def test_a_goal_is_canceled_when_the_command_that_sent_it_is_told_to_end(arm, number, code):
    kind = "example_interfaces/action/Fibonacci"
    command = start("-m", "embedded_ros2.cli", "action", "send_goal", "/move", kind, "{order: 5}")
    until(command, "Goal accepted")
    until(arm, "moving")
    command.send_signal(number)
    out, _ = command.communicate(timeout=PATIENT_S)
    assert "Canceling goal...\nGoal canceled.\n" in out
    assert command.returncode == code
    until(arm, "canceled")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_waiting_for_a_subscription_ends_with_a_signal(number):
    words = ("topic", "pub", "--once", "/nobody", "std_msgs/msg/String", "{data: x}")
    command = start("-m", "embedded_ros2.cli", *words)
    until(command, "Waiting for at least 1 matching subscription")
    command.send_signal(number)
    assert command.wait(timeout=PATIENT_S) in (2, 143)


def test_a_command_that_looks_again_and_again_ends_when_the_context_is_shut_down(monkeypatch):
    # A signal that comes between two waits is seen by nothing else.
    monkeypatch.setenv("ROS_DOMAIN_ID", DOMAIN)
    with ros.node() as own:
        rclpy.try_shutdown()
        with pytest.raises(ExternalShutdownException):
            ros.spin(own, lambda: False)
