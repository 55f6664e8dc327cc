# SPDX-License-Identifier: Apache-2.0
"""Messages become what the core computes with, and back, without loss."""

import re
from array import array

import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Duration, Time
from control_msgs.msg import JointTrajectoryControllerState
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectoryPoint
from vla_msgs.action import RunPolicy
from vla_msgs.msg import ActionChunk, MonitorStatus, PolicyStatus

from smooth_motion import Chunk, GripperPlan, MotionError, Plan, track
from smooth_motion import State as Motion
from vla_policy_node import convert
from vla_policy_node.core.outputs import Status
from vla_policy_node.core.permit import MonitorState
from vla_policy_node.core.received_chunk import ReceivedChunk
from vla_policy_node.core.session import Ended, RunState, RunStatistics, Termination

NAMES = ("pan", "lift", "elbow")
RED, GREEN, BLUE = (250, 10, 20), (1, 240, 2), (3, 4, 230)


def image(encoding: str, rows, padding: int = 0) -> Image:
    pixels = np.array(rows, dtype=np.uint8)
    height, width = pixels.shape[:2]
    lines = pixels.reshape(height, -1)
    lines = np.hstack([lines, np.full((height, padding), 99, dtype=np.uint8)])
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        step=lines.shape[1],
        data=array("B", lines.tobytes()),
    )


@pytest.mark.parametrize("padding", [0, 5])
def test_every_encoding_becomes_rgb(padding):
    rgb = np.array([[RED, GREEN], [BLUE, RED], [GREEN, BLUE]], dtype=np.uint8)
    alpha = np.full((3, 2, 1), 7, dtype=np.uint8)
    for encoding, rows in (
        ("rgb8", rgb),
        ("bgr8", rgb[..., ::-1]),
        ("rgba8", np.concatenate([rgb, alpha], axis=2)),
        ("bgra8", np.concatenate([rgb[..., ::-1], alpha], axis=2)),
    ):
        pixels = convert.to_pixels(image(encoding, rows, padding), None)
        assert pixels.flags.c_contiguous
        assert (pixels == rgb).all(), encoding
    grey = convert.to_pixels(image("mono8", rgb[..., :1], padding), "mono8")
    assert (grey == np.repeat(rgb[..., :1], 3, axis=2)).all()


def test_an_image_that_is_not_what_it_says_is_refused():
    good = image("rgb8", [[RED, GREEN]])
    for field, value, problem in (
        ("encoding", "16UC1", "encoding 16UC1 is not known"),
        ("height", 2, "2 rows"),
        ("width", 3, "3 pixels"),
        ("step", 5, "5 bytes"),
        ("data", array("B"), "0 bytes"),
    ):
        bad = image("rgb8", [[RED, GREEN]])
        setattr(bad, field, value)
        with pytest.raises(convert.MessageError, match=problem):
            convert.to_pixels(bad, None)
    with pytest.raises(convert.MessageError, match="the contract says bgr8"):
        convert.to_pixels(good, "bgr8")


def test_an_image_with_a_damaged_size_does_not_pass_as_another():
    bad = Image(height=0, width=0, encoding="rgb8", step=0)
    with pytest.raises(convert.MessageError):
        convert.to_pixels(bad, None)


def controller_state() -> JointTrajectoryControllerState:
    return JointTrajectoryControllerState(
        header=Header(stamp=Time(sec=7, nanosec=5)),
        joint_names=["elbow", "pan", "lift"],
        reference=JointTrajectoryPoint(
            positions=[3.0, 1.0, 2.0],
            velocities=[0.3, 0.1, 0.2],
            accelerations=[0.0, 0.0, 0.5],
            time_from_start=Duration(sec=-1, nanosec=999_999_999),
        ),
    )


def test_a_reference_is_put_into_the_robots_order():
    report = convert.to_report(controller_state(), NAMES)
    assert report.position.tolist() == [1.0, 2.0, 3.0]
    assert report.velocity.tolist() == [0.1, 0.2, 0.3]
    assert report.acceleration.tolist() == [0.0, 0.5, 0.0]
    assert report.start_ns == 7_000_000_005 + 1
    assert not report.at_rest


def test_a_reference_without_a_joint_or_a_value_is_refused():
    with pytest.raises(convert.MessageError, match="lacks wrist"):
        convert.to_report(controller_state(), (*NAMES, "wrist"))
    message = controller_state()
    message.reference.accelerations = []
    with pytest.raises(convert.MessageError, match="0 accelerations for 3 joints"):
        convert.to_report(message, NAMES)


def test_a_monitor_state_that_is_not_known_counts_as_a_fault():
    report = convert.to_monitor(MonitorStatus(state=77, permit=True))
    assert report.state is MonitorState.FAULT
    message = MonitorStatus(state=MonitorStatus.READY, permit=True, waiting_for=["joint_states"])
    assert convert.to_monitor(message).cause == "joint_states"
    message = MonitorStatus(
        state=MonitorStatus.STOPPED_LATCHED, first_cause="jerk", first_cause_detail="120 of 100"
    )
    assert convert.to_monitor(message).cause == "jerk (120 of 100)"
    message = MonitorStatus(plans_rejected=3, last_rejection="splice_too_early: 90 ms")
    report = convert.to_monitor(message)
    assert (report.rejections, report.rejection) == (3, "splice_too_early: 90 ms")


def test_the_constants_are_those_of_the_messages():
    for state in RunState:
        assert getattr(PolicyStatus, state.name) == state
    for termination in Termination:
        assert getattr(RunPolicy.Result, termination.name) == termination
    for monitor in MonitorState:
        assert getattr(MonitorStatus, monitor.name) == monitor


def test_a_plan_goes_over_the_wire_bit_by_bit(robot):
    targets = np.linspace([0.1, -0.4, 0.3], [0.5, -0.1, 0.0], 20)
    start_ns = 1_700_000_000_123_456_789
    plan = track(
        Chunk(NAMES, start_ns, 33_333_333, targets),
        Motion.at_rest(targets[0]),
        robot.limits,
        start_ns=start_ns,
    )
    message = convert.from_plan(plan)
    points = [
        (convert.to_ns(p.time_from_start), p.positions, p.velocities, p.accelerations)
        for p in message.points
    ]
    back = Plan.from_points(message.joint_names, convert.to_ns(message.header.stamp), points)
    assert back.start_ns == plan.start_ns
    for field in ("times_ns", "positions", "velocities", "accelerations"):
        assert (getattr(back, field) == getattr(plan, field)).all()


def test_a_gripper_has_positions_only():
    plan = GripperPlan("gripper", 5, np.array([0, 2_500_000_000]), np.array([0.1, 0.4]))
    message = convert.from_rows(plan)
    assert message.joint_names == ["gripper"]
    assert [list(point.positions) for point in message.points] == [[0.1], [0.4]]
    assert message.points[1].time_from_start == Duration(sec=2, nanosec=500_000_000)
    assert len(message.points[0].velocities) == 0


def test_raw_rows_keep_what_is_not_finite():
    positions = np.array([[0.0, np.nan], [np.inf, 1.0]])
    rows = ReceivedChunk("noise 1", 1, 1, 5, 1e-8, ("a", "b"), positions)
    message = convert.from_rows(rows)
    assert np.isnan(message.points[0].positions[1])
    assert np.isinf(message.points[1].positions[0])


def test_a_chunk_is_recorded_as_it_came():
    positions = np.array([[0.0, np.nan, 2.0], [3.0, 4.0, 5.0]])
    chunk = ReceivedChunk(
        "noise 1", 3, 9, 1_500_000_000, 0.1, NAMES, positions, 0.25, "reach", True
    )
    message = convert.from_chunk(chunk)
    assert list(message.shape) == [2, 3]
    np.testing.assert_array_equal(np.array(message.positions).reshape(2, 3), positions)
    assert (message.chunk_id, message.dt, message.phase, message.done) == (9, 0.1, "reach", True)
    assert message.header.stamp == Time(sec=1, nanosec=500_000_000)


def message(rows=2, **changes) -> ActionChunk:
    fields = {
        "header": Header(stamp=Time(sec=7, nanosec=5)),
        "lease": 2**63 + 1,
        "chunk_id": 4,
        "source": "jog",
        "joint_names": list(NAMES),
        "shape": [rows, 3],
        "dt": 0.05,
        "positions": np.arange(3.0 * rows).tolist(),
    }
    return ActionChunk(**{**fields, **changes})


def test_a_chunk_of_another_node_is_read_as_it_was_sent():
    chunk, problem = convert.to_chunk(message())
    assert problem == ""
    assert (chunk.source, chunk.lease, chunk.chunk_id) == ("jog", 2**63 + 1, 4)
    assert (chunk.stamp_ns, chunk.dt_s, chunk.joint_names) == (7_000_000_005, 0.05, NAMES)
    assert chunk.positions.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"shape": [0, 3], "positions": []}, "shape says 0 rows"),
        ({"shape": [4_000_000_000, 3]}, "shape says 4000000000 rows; write 1 to 10000"),
        ({"shape": [2, 2]}, r"shape is \(2, 2\), with 3 joint_names and 6 positions"),
        ({"positions": [1.0] * 5}, "and 5 positions"),
        ({"joint_names": ["a"] * 65}, "65 joint_names, 64 at most"),
        ({"joint_names": []}, "with 0 joint_names"),
    ],
)
def test_a_chunk_that_is_no_table_is_not_copied_and_says_why(changes, problem):
    chunk, found = convert.to_chunk(message(**changes))
    assert re.search(problem, found)
    assert chunk.positions.size == 0
    assert len(convert.to_chunk(message(source="x" * 1000))[0].source) == 64


def test_figures_that_do_not_exist_yet_are_nan():
    status = Status(RunState.IDLE, "", "noise 1", "", (), RunStatistics(), 0.0)
    assert np.isnan(convert.from_status(status, 0).inference_latency)
    result = convert.from_ended(Ended(1, Termination.CANCELED, "why", 2.0, RunStatistics()))
    assert np.isnan(result.plan_time_p99)
    assert (result.termination_reason, result.message) == (RunPolicy.Result.CANCELED, "why")


def test_percentiles_reach_the_client():
    statistics = RunStatistics(chunks=3, plans=2, plans_acknowledged=1)
    statistics.latencies_s.extend([0.1, 0.3, 0.2])
    statistics.plan_times_s.extend([0.004, 0.006])
    result = convert.from_ended(Ended(1, Termination.DONE, "", 2.0, statistics))
    assert (result.inference_latency_p50, result.inference_latency_p99) == (0.2, 0.3)
    assert (result.plan_time_p50, result.plan_time_p99) == (0.004, 0.006)
    assert (result.chunks, result.plans, result.plans_acknowledged) == (3, 2, 1)


def test_a_speed_scaling_that_makes_no_sense_withholds_the_permit():
    good = MonitorStatus(state=MonitorStatus.READY, permit=True, speed_scaling=0.5)
    assert convert.to_monitor(good).speed_scaling == 0.5
    assert convert.to_monitor(MonitorStatus(permit=True)).speed_scaling == 1.0
    for scaling in (0.0, -1.0, 1.5, float("nan")):
        report = convert.to_monitor(MonitorStatus(permit=True, speed_scaling=scaling))
        assert not report.permit
        assert "speed_scaling is" in report.cause


def test_a_plan_survives_the_wire_and_positions_alone_are_none():
    zero = np.zeros(3)
    plan = Plan(
        NAMES,
        1_700_000_000_000_000_001,
        np.array([0, 100_000_000]),
        np.array([zero, zero]),
        np.array([zero, zero]),
        np.array([zero, zero]),
    )
    back = convert.to_plan(convert.from_plan(plan))
    assert (back.start_ns, back.joint_names) == (plan.start_ns, NAMES)
    assert (back.times_ns == plan.times_ns).all()
    message = convert.from_plan(plan)
    message.points[0].velocities = []
    with pytest.raises(MotionError):
        convert.to_plan(message)


def test_a_compressed_image_becomes_rgb_or_one_line():
    import cv2
    from sensor_msgs.msg import CompressedImage

    pixels = np.random.default_rng(0).integers(0, 255, (8, 10, 3), dtype=np.uint8)
    data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
    message = CompressedImage(format="png", data=array("B", data.tobytes()))
    assert (convert.to_pixels(message, None) == pixels).all()
    message.data = array("B", b"nothing")
    with pytest.raises(convert.MessageError, match="jpeg or png"):
        convert.to_pixels(message, None)
