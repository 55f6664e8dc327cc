# SPDX-License-Identifier: Apache-2.0
"""What Ctrl-C does to a node, by where it meets it."""

import os
import subprocess
import sys
import textwrap

import pytest

NODE = """
    import os, signal, sys, time
    from rclpy.node import Node
    from node_kit.run import run

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    def say(words):
        print(words, flush=True)

    class Interrupted(Node):
        def __init__(self):
            super().__init__("interrupted")
            {making}
            say("made")
            self.create_timer(0.01, self.work)

        def work(self):
            {work}
            say("worked")

        def destroy_node(self):
            interrupt()
            super().destroy_node()
            say("destroyed")

    sys.exit(run("interrupted", Interrupted, (ValueError,), []))
"""


@pytest.fixture
def said(monkeypatch):
    def run(*, making="pass", work="pass"):
        # Few processes have one number at one time.
        monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
        code = textwrap.dedent(NODE).format(making=making, work=work)
        ended = subprocess.run(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout.splitlines()

    return run


@pytest.mark.parametrize("work", ["interrupt()", "interrupt(); interrupt()"])
def test_the_callback_that_an_interrupt_meets_goes_on_to_its_end(said, work):
    lines = said(work=work)
    assert (lines[0], lines[-1]) == ("made", "destroyed")
    # rclpy shuts its context down on a thread of its own, and may get to another call before.
    assert set(lines[1:-1]) == {"worked"}


def test_a_callback_without_end_is_broken_off(said):
    endless = "interrupt()\n        while True: time.sleep(0.01)"
    assert said(work=endless) == ["made", "destroyed"]


def test_a_node_that_is_being_made_ends_at_once(said):
    assert said(making="interrupt()") == []
