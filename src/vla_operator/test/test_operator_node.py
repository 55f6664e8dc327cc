# SPDX-License-Identifier: Apache-2.0
"""The node beside the real monitor: what pages are told of it, and what they can do to the arm."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

from control_msgs.msg import JointTrajectoryControllerState
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from operator_graph import OperatorGraph
from rclpy.action import ActionServer
from sensor_msgs.msg import Image
from std_msgs.msg import String
from vla_msgs.action import RecordEpisode, RunPolicy
from vla_msgs.msg import ActionChunk, MonitorStatus, PolicyStatus, RecorderStatus
from vla_msgs.srv import AcquireArm, EditEpisode, FinishEpisode, ReleaseArm

from node_kit import qos
from node_kit.messages import to_time
from verification.monitor_graph import DOMAIN, FILES
from vla_operator.core.access import AccessError
from vla_operator.params import OperatorParams
from vla_operator.settings import settings_of


@pytest.fixture
def graph(tmp_path):
    graph = OperatorGraph(tmp_path)
    try:
        graph.until(lambda: graph.around.newest.permit)
        yield graph
    finally:
        graph.close()


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


def test_jerk_and_curves_are_those_of_the_motion(graph):
    around = graph.around
    chunk = ActionChunk(
        source="a policy",
        joint_names=list(around.names),
        shape=[2, 5],
        dt=0.1,
        positions=[0.1] * 10,
    )
    chunks = around.create_publisher(ActionChunk, "vla_policy_node/action_chunk", qos.EACH)

    async def look(browser):
        page = await browser.open()
        moved = await page.until("curves", lambda each: each["plan"] and each["measured"])
        assert moved["joints"] == list(around.names)
        assert len(moved["plan"]["p"]) == len(moved["measured"]["p"]) == 5
        # The measured joints lie on the plan that runs, where both are known.
        t, p = moved["plan"]["t"], moved["plan"]["p"][0]
        for at, measured in zip(moved["measured"]["t"], moved["measured"]["p"][0], strict=True):
            if t[0] <= at <= t[-1]:
                assert math.isclose(np.interp(at, t, p), measured, abs_tol=5e-3)
        asked = await page.until("curves", lambda each: each["chunk"] and each["chunk"]["t"])
        assert asked["chunk"]["p"] == [[0.1, 0.1]] * 5
        gauge = await page.until("gauge", lambda each: max(each["peak"]) > 5.0)
        assert max(gauge["peak"]) < 100.1
        assert gauge["limit"] == [100.0] * 5
        known = [share for share in gauge["command"] if share is not None]
        assert known
        assert max(known) < 1.001

    def send():
        chunk.header.stamp = to_time(around.time_ns())
        chunks.publish(chunk)

    graph.move()
    # Again and again: simulated time goes as fast as the host can.
    timer = around.create_timer(0.1, send)
    graph.browse(look)
    timer.cancel()


def test_cameras_are_heard_while_a_page_is_open_and_no_longer(graph):
    around = graph.around
    images = around.create_publisher(Image, "front_camera/image_raw", qos.IMAGE)
    depths = around.create_publisher(Image, "depth_camera/image_raw", qos.IMAGE)
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = (200, 20, 20)
    picture = Image(height=48, width=64, encoding="rgb8", step=192, data=pixels.tobytes())
    depth = Image(height=4, width=4, encoding="32FC1", step=16, data=bytes(64))

    def send():
        picture.header.stamp = depth.header.stamp = to_time(around.time_ns())
        images.publish(picture)
        depths.publish(depth)

    timer = around.create_timer(0.05, send)

    async def look(browser):
        page = await browser.open()
        shown = await page.until("picture")
        assert shown["camera"] == "front_camera"
        assert 0.0 <= shown["age_s"] < 60.0
        seen = cv2.imdecode(np.frombuffer(shown["jpeg"], np.uint8), cv2.IMREAD_COLOR)
        assert seen.shape == (48, 64, 3)
        assert np.allclose(seen[24, 10], (20, 20, 200), atol=12), "colours are in their order"
        told = await page.until("state", lambda each: len(each["cameras"]) == 2)
        notes = {camera["name"]: camera["note"] for camera in told["cameras"]}
        while "32FC1" not in notes["depth_camera"]:
            told = await page.until("state")
            notes = {camera["name"]: camera["note"] for camera in told["cameras"]}

    graph.browse(look)
    graph.until(lambda: images.get_subscription_count() == 0)
    timer.cancel()


def test_an_instruction_is_a_run_of_the_policy_whose_end_is_told(graph):
    around = graph.around
    told: list[str] = []

    async def run(handle):
        told.append((handle.request.instruction, handle.request.max_duration))
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
        assert done["policy"]["last_end"] == "Ended: its time was over. too slow"
        assert (await page.ask("end"))["ok"]

    graph.until(lambda: graph.page._calls._run.server_is_ready())
    graph.browse(look)
    assert told == [("put the red cube in the bin", 30.0)]
    graph.until(lambda: ends == [""])
    timer.cancel()
    server.destroy()


def test_servos_and_the_workspace_are_shown_where_they_are_published(graph):
    around = graph.around
    diagnostics = around.create_publisher(DiagnosticArray, "/diagnostics", qos.EACH)
    statuses = [
        DiagnosticStatus(
            name="so100_driver/elbow_flex",
            level=DiagnosticStatus.WARN,
            message="hot",
            values=[
                KeyValue(key="temperature, degrees C", value="61"),
                KeyValue(key="load", value="nan"),
            ],
        ),
        DiagnosticStatus(name="so100_driver/not_a_joint", message="x"),
        DiagnosticStatus(
            name="smoothness_monitor: workspace",
            values=[KeyValue(key="newest", value="0.042 m: gripper to table")],
        ),
    ]
    timer = around.create_timer(0.2, lambda: diagnostics.publish(DiagnosticArray(status=statuses)))

    async def look(browser):
        page = await browser.open()
        state = await page.until("state", lambda each: each["servos"] and each["workspace"])
        (servo,) = state["servos"]
        assert servo["joint"] == "elbow_flex"
        assert (servo["temperature_c"], servo["load"]) == (61.0, None)
        assert (servo["level"], servo["message"]) == (1, "hot")
        assert state["workspace"] == {"text": "0.042 m: gripper to table"}

    graph.browse(look)
    timer.cancel()


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


def test_a_jog_holds_the_arm_sends_chunks_and_ends_with_its_page(graph):
    """H34: a page that is lost has let go, and gives the arm back."""
    around = graph.around
    granted, chunks, released = [], [], []

    def grant(request, response):
        granted.append((request.source, request.take_over))
        response.granted, response.lease, response.timeout = True, 7, 2.0
        return response

    def take_back(request, response):
        released.append(request.lease)
        response.success = True
        return response

    around.create_service(AcquireArm, "arm/acquire", grant)
    around.create_service(ReleaseArm, "arm/release", take_back)
    around.create_subscription(ActionChunk, "arm/action_chunk", chunks.append, qos.EACH)
    gripper = JointTrajectoryControllerState(joint_names=["gripper"])
    gripper.reference.positions = [0.3]
    states = around.create_publisher(
        JointTrajectoryControllerState, "gripper_controller/controller_state", qos.SENSED
    )
    timer = around.create_timer(0.05, lambda: states.publish(gripper))

    async def look(browser):
        page = await browser.open()
        assert (await page.ask("take", name="Ann", over=False))["ok"]
        assert not (await page.ask("jog", rates=[1.0] * 6))["ok"], "it does not hold the arm"
        while not (answer := await page.ask("arm", hold=True))["ok"]:
            assert "nothing is heard" in answer["text"] or "nobody carries" in answer["text"]
            await asyncio.sleep(0.05)
        assert not (await page.ask("jog", rates=[1.0] * 5))["ok"]
        while not chunks or chunks[-1].positions[-6] < around.stands[0] + 0.03:
            assert (await page.ask("jog", rates=[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))["ok"]
            await asyncio.sleep(0.05)
        page.socket._response.connection.transport.abort()

    graph.browse(look)
    graph.until(lambda: released)
    timer.cancel()
    assert granted == [("operator's page", True)]
    assert released == [7]
    newest = chunks[-1]
    assert newest.lease == 7
    assert list(newest.joint_names) == [*around.names, "gripper"]
    rows = np.array(newest.positions).reshape(newest.shape)
    assert (rows[:, 5] == 0.3).all(), "the gripper keeps what it is commanded"
    assert np.allclose(rows[0, 1:5], around.stands[1:], atol=1e-6)
    assert (rows[-5:] == rows[-1]).all(), "every chunk ends at rest"


def test_episodes_are_recorded_and_marked_where_there_is_a_recorder(graph):
    around = graph.around
    asked = []
    status = around.create_publisher(RecorderStatus, "episode_recorder/status", qos.LATCHED)
    status.publish(
        RecorderStatus(
            state=RecorderStatus.RECORDING,
            episode="episode_1",
            task="tidy up",
            rows=7,
            sources=["observation.state"],
            ages=[math.nan],
            skew=math.nan,
        )
    )

    async def record(handle):
        asked.append((handle.request.task, handle.request.operator_name))
        handle.succeed()
        return RecordEpisode.Result(message="finished, 7 rows")

    def finish(request, response):
        asked.append((request.mark, request.discard))
        response.success = True
        return response

    server = ActionServer(around, RecordEpisode, "episode_recorder/record_episode", record)
    around.create_service(FinishEpisode, "episode_recorder/finish", finish)
    around.create_service(EditEpisode, "episode_recorder/edit", lambda _, response: response)

    async def look(browser):
        page = await browser.open()
        state = await page.until("state", lambda each: each["recorder"])
        recorder = state["recorder"]
        assert recorder["recording"]
        assert recorder["ages"] == [["observation.state", None]]
        assert [each["name"] for each in recorder["episodes"]] == ["episode_1"]
        refused = await page.ask("finish", mark="success", discard=False)
        assert "not in control" in refused["text"]
        assert (await page.ask("take", name="Ann", over=False))["ok"]
        while not (answer := await page.ask("record", task="tidy up", operator="Ann"))["ok"]:
            assert answer["text"] == "the recorder is not there"
            await asyncio.sleep(0.05)
        await page.until("state", lambda each: each["recorder"]["last_end"] == "finished, 7 rows")
        assert (await page.ask("finish", mark="failure", discard=True))["ok"]
        await page.say(do="finish", n=99, mark="excellent", discard=True)
        answer = await page.until("answer")
        assert answer["text"].startswith("not understood")

    graph.browse(look)
    assert asked == [("tidy up", "Ann"), (RecorderStatus.FAILURE, True)]
    server.destroy()
