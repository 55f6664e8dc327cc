# SPDX-License-Identifier: Apache-2.0
"""What pages are shown of the real graph: jerk, plans, cameras, servos."""

import math

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vla_msgs.msg")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import Image
from vla_msgs.msg import ActionChunk

from node_kit import qos
from node_kit.messages import to_time


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
