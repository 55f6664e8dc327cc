# SPDX-License-Identifier: Apache-2.0
"""The node beside the real monitor: what pages can do to the arm, and what ends nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

from operator_graph import OperatorGraph
from rclpy.action import ActionServer
from std_msgs.msg import String
from vla_msgs.action import RunPolicy
from vla_msgs.msg import MonitorStatus, PolicyStatus

from node_kit import qos
from smoothness_monitor.core.detectors import StaleClock
from verification.monitor_graph import DOMAIN, FILES
from vla_operator import calls
from vla_operator.core import told
from vla_operator.core.access import AccessError
from vla_operator.params import OperatorParams
from vla_operator.settings import settings_of


@pytest.fixture
def graph(graph, monkeypatch):
    """Nobody is silent because the host is busy: what these tests wait for is not its time."""
    monkeypatch.setattr(StaleClock, "SILENT_S", 300.0)
    monkeypatch.setattr(told, "SILENT_S", 300.0)
    for name in ("_ANSWER_S", "_GOAL_S", "_RESET_S"):
        monkeypatch.setattr(calls, name, 300.0)
    return graph


def test_a_page_stops_the_arm_in_motion_and_resets_it(graph):
    """H34."""
    around = graph.around

    async def see_it_ready(browser):
        page = await browser.open()
        state = await page.until("state", lambda each: each["monitor"]["name"] == "READY")
        assert state["monitor"]["permit"]
        assert state["monitor"]["blocks_reset"] == ["nothing is latched"]

    async def stop_it(browser):
        page = await browser.open()
        answer = await page.ask("stop")
        assert answer["ok"], answer
        stopped = await page.until("state", lambda each: each["monitor"]["name"] == "STOPPED")
        assert stopped["monitor"]["cause"].startswith("somebody asked for the stop")

    async def reset_it(browser):
        page = await browser.open()
        refused = await page.ask("reset")
        assert not refused["ok"], "it is not in control"
        assert (await page.ask("take", name="Ann", over=False))["ok"]
        free = await page.until("state", lambda each: not each["monitor"]["waiting_for"])
        assert free["monitor"]["blocks_reset"] == []
        answer = await page.ask("reset")
        assert answer["ok"], answer
        await page.until("state", lambda each: each["monitor"]["name"] == "READY")

    graph.browse(see_it_ready)
    graph.move()
    graph.browse(stop_it)
    assert around.newest.first_cause == "operator"
    graph.until(lambda: around.time_ns() > around.running.end_ns + 100_000_000)
    assert np.abs(around.running.sample(around.time_ns()).velocity).max() == 0.0
    graph.browse(reset_it)
    graph.until(lambda: around.newest.permit)


def test_pages_that_are_lost_or_senseless_leave_a_motion_alone(graph):
    """H34: nothing is moved, stopped or freed by them, not even by one that was in control."""
    around = graph.around
    graph.move()
    end_ns = around.running.end_ns
    plans = len(around.received)

    async def misbehave(browser):
        page = await browser.open()
        assert (await page.ask("take", name="Ann", over=False))["ok"]
        page.socket._response.connection.transport.abort()
        for words in ("nonsense", '{"do": "reset"}', "[" * 3000):
            other = await browser.open()
            await other.socket.send_str(words)
            await other.until("answer")
            other.socket._response.connection.transport.abort()
        page = await browser.open()
        await page.until("control", lambda each: each["operator"] == "")

    graph.browse(misbehave)
    graph.until(lambda: around.time_ns() > end_ns)
    assert len(around.received) == plans, "what ran, ran to its end"
    assert around.newest.state == MonitorStatus.READY
    assert around.newest.permit
    assert around.newest.causes == []


def test_an_end_of_the_page_s_node_leaves_a_motion_alone(graph):
    """H34."""
    around = graph.around
    graph.move()
    end_ns = around.running.end_ns
    graph.executor.remove_node(graph.page)
    graph.page._server.close()
    graph.until(lambda: around.time_ns() > end_ns)
    assert (around.newest.state, around.newest.permit) == (MonitorStatus.READY, True)


def test_an_instruction_is_a_run_of_the_policy_whose_end_is_told(graph):
    around = graph.around
    runs: list[tuple[str, float]] = []

    async def run(handle):
        runs.append((handle.request.instruction, handle.request.max_duration))
        handle.abort()
        return RunPolicy.Result(termination_reason=RunPolicy.Result.TIMED_OUT, message="too slow")

    server = ActionServer(around, RunPolicy, "/vla_policy_node/run_policy", execute_callback=run)
    status = around.create_publisher(PolicyStatus, "/vla_policy_node/status", qos.LATCHED)
    running = PolicyStatus(state=2, instruction="put it\nthere", waiting_for=["x" * 900])
    timer = around.create_timer(0.1, lambda: status.publish(running))
    ends: list[str] = []
    around.create_subscription(
        String, "/vla_policy_node/instruction", lambda msg: ends.append(msg.data), qos.EACH
    )

    async def look(browser):
        page = await browser.open()
        assert (await page.ask("take", name="Ann", over=False))["ok"]
        state = await page.until("state", lambda each: each["policy"]["name"] == "RUNNING")
        assert state["policy"]["instruction"] == "put it there"
        assert len(state["policy"]["waiting_for"][0]) == 300
        answer = await page.ask("instruct", text="put the red cube in the bin", seconds=30)
        assert answer == {**answer, "ok": True, "text": "the policy has the instruction"}
        done = await page.until("state", lambda each: each["policy"]["last_end"])
        assert done["policy"]["last_end"] == "Ended: its time was over. Too slow"
        assert (await page.ask("end"))["ok"]

    graph.until(lambda: graph.page._calls._run.server_is_ready())
    graph.browse(look)
    assert runs == [("put the red cube in the bin", 30.0)]
    graph.until(lambda: ends == [""])
    timer.cancel()
    server.destroy()


def test_a_page_without_a_monitor_says_so_and_its_stop_too(tmp_path):
    """What is not heard is not shown as good."""
    graph = OperatorGraph(tmp_path)
    try:
        graph.executor.remove_node(graph.monitor)

        async def look(browser):
            page = await browser.open()
            state = await page.until("state")
            assert state["monitor"]["name"] == "NOT HEARD"
            assert not state["monitor"]["permit"]
            answer = await page.ask("stop")
            assert (answer["ok"], "cut its power" in answer["text"]) == (False, True)
            assert (await page.ask("take", name="Ann", over=False))["ok"]
            answer = await page.ask("instruct", text="go", seconds=5)
            assert answer["text"] == "the policy node is not there"

        graph.browse(look)
    finally:
        graph.close()


def node_says(*words: str) -> str:
    """Return what the node says when it is started like this; it is to end by itself."""
    given = [word for each in words for word in ("-p", each)]
    done = subprocess.run(
        [sys.executable, "-m", "vla_operator.node", "--ros-args", *given],
        capture_output=True,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)},
    )
    assert done.returncode == 2, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("vla_operator: "))
    return line


def test_it_refuses_to_be_reached_from_elsewhere_without_token_and_tls(tmp_path):
    """H34."""
    robot = f"robot_file:={FILES['robot_file']}"
    assert "takes a token and TLS" in node_says(robot, "address:=0.0.0.0")
    token = tmp_path / "token"
    token.write_text("f" * 32)
    token.chmod(0o644)
    with pytest.raises(AccessError, match=f"chmod 600 {token}"):
        settings_of(OperatorParams(robot_file="x", token_file=str(token)))
    token.chmod(0o600)
    assert settings_of(OperatorParams(robot_file="x", token_file=str(token))).token == "f" * 32
    token.write_text("short")
    with pytest.raises(AccessError, match="a token has 20 to 256 printable"):
        settings_of(OperatorParams(robot_file="x", token_file=str(token)))
    with pytest.raises(AccessError, match="give both"):
        settings_of(OperatorParams(robot_file="x", key_file="key.pem"))
    files = {"certificate_file": str(token), "key_file": str(token)}
    with pytest.raises(AccessError, match="give a certificate and its key as PEM"):
        settings_of(OperatorParams(robot_file="x", **files))
