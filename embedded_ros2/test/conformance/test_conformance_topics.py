# SPDX-License-Identifier: Apache-2.0
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Int64, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

LATCHED = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def _joint_state():
    message = JointState(name=["left", "ähm"], position=[0.1, -2.5], velocity=[], effort=[1e300])
    message.header.stamp.sec, message.header.stamp.nanosec = -5, 999999999
    message.header.frame_id = "base"
    return message


def _image():
    pixels = np.arange(640 * 480 * 3, dtype=np.uint32).astype(np.uint8)
    return Image(height=480, width=640, encoding="rgb8", step=1920, data=pixels.tobytes())


def _trajectory():
    points = [
        JointTrajectoryPoint(positions=[1.0, 2.0], time_from_start=Duration(sec=1, nanosec=5)),
        JointTrajectoryPoint(positions=[], effort=[0.25]),
    ]
    return JointTrajectory(joint_names=["a", "b"], points=points)


@pytest.mark.parametrize(
    "message",
    [String(data="ünï"), _joint_state(), _image(), _trajectory()],
    ids=lambda m: type(m).__name__,
)
def test_a_message_comes_back_unchanged_from_another_process(node, peer, spin_until, message):
    received = []
    name = type(message).__name__
    node.create_subscription(type(message), f"{name}_out", received.append, 10)
    publisher = node.create_publisher(type(message), f"{name}_in", 10)
    peer("echo")
    spin_until(
        node, lambda: publisher.get_subscription_count() and node.count_publishers(f"{name}_out")
    )
    # Again and again: the way back may not stand yet.
    node.create_timer(0.2, lambda: publisher.publish(message))
    spin_until(node, lambda: received)
    assert received[0] == message


def test_a_late_subscription_gets_the_last_latched_messages(node, peer, spin_until):
    peer("latched")
    first, second = [], []
    node.create_subscription(Int64, "latched", lambda m: first.append(m.data), LATCHED)
    # A peer that is ready has handed its messages over: some may be on their way still.
    spin_until(node, lambda: first[-1:] == [3])
    assert first[-3:] == [1, 2, 3]
    assert first == sorted(set(first))
    # Now all have arrived, and what comes late gets the depth and no more.
    node.create_subscription(Int64, "latched", lambda m: second.append(m.data), LATCHED)
    spin_until(node, lambda: second[-1:] == [3])
    assert second == [1, 2, 3]


def test_a_late_publisher_serves_a_waiting_latched_subscription(node, peer, spin_until):
    received = []
    node.create_subscription(Int64, "latched", lambda m: received.append(m.data), LATCHED)
    peer("latched")
    spin_until(node, lambda: received[-1:] == [3])
    assert received == sorted(set(received))


def test_a_volatile_subscription_gets_nothing_from_before_it(node, spin_until):
    publisher = node.create_publisher(Int64, "numbers", LATCHED)
    publisher.publish(Int64(data=1))
    received = []
    node.create_subscription(Int64, "numbers", lambda m: received.append(m.data), 3)
    spin_until(node, lambda: publisher.get_subscription_count())
    publisher.publish(Int64(data=2))
    spin_until(node, lambda: received)
    assert received == [2]


def test_a_full_queue_keeps_the_newest(node, spin_until):
    received = []
    node.create_subscription(Int64, "numbers", lambda m: received.append(m.data), 3)
    publisher = node.create_publisher(Int64, "numbers", 100)
    spin_until(node, lambda: publisher.get_subscription_count())
    for number in range(10):
        publisher.publish(Int64(data=number))
    spin_until(node, lambda: received[-1:] == [9])
    assert received == [7, 8, 9]


def test_keep_all_keeps_all(node, spin_until):
    profile = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
    received = []
    node.create_subscription(Int64, "numbers", lambda m: received.append(m.data), profile)
    publisher = node.create_publisher(Int64, "numbers", profile)
    spin_until(node, lambda: publisher.get_subscription_count())
    for number in range(200):
        publisher.publish(Int64(data=number))
    spin_until(node, lambda: len(received) >= 200)
    assert received == list(range(200))


def test_a_message_of_another_type_is_refused(node):
    publisher = node.create_publisher(Int64, "numbers", 1)
    with pytest.raises(TypeError):
        publisher.publish(String(data="5"))


def test_a_callback_may_ask_for_information_about_the_message(node, spin_until):
    received = []

    def callback(message, info):
        received.append(info)

    node.create_subscription(Int64, "numbers", callback, 10)
    publisher = node.create_publisher(Int64, "numbers", 10)
    spin_until(node, lambda: publisher.get_subscription_count())
    publisher.publish(Int64())
    publisher.publish(Int64())
    spin_until(node, lambda: len(received) == 2)
    first, second = received
    assert 0 < first["source_timestamp"] <= first["received_timestamp"]
    assert first["source_timestamp"] <= second["source_timestamp"]


def test_a_raw_subscription_gets_bytes_that_hold_the_message(node, spin_until):
    received = []
    node.create_subscription(Int64, "numbers", received.append, 10, raw=True)
    publisher = node.create_publisher(Int64, "numbers", 10)
    spin_until(node, lambda: publisher.get_subscription_count())
    publisher.publish(Int64(data=-7))
    spin_until(node, lambda: received)
    assert deserialize_message(received[0], Int64) == Int64(data=-7)


def test_a_destroyed_subscription_gets_nothing_more(node, spin_until):
    first, second = [], []
    subscription = node.create_subscription(Int64, "numbers", first.append, 10)
    node.create_subscription(Int64, "numbers", second.append, 10)
    publisher = node.create_publisher(Int64, "numbers", 10)
    spin_until(node, lambda: publisher.get_subscription_count() == 2)
    assert node.destroy_subscription(subscription)
    publisher.publish(Int64())
    spin_until(node, lambda: second)
    assert first == []


def test_a_callback_that_takes_three_arguments_is_refused(node):
    with pytest.raises(RuntimeError):
        node.create_subscription(Int64, "numbers", lambda a, b, c: None, 10)


def test_a_negative_depth_is_refused(node):
    with pytest.raises(ValueError, match="depth"):
        node.create_publisher(Int64, "numbers", -1)


def test_messages_that_wait_can_be_taken_without_an_executor(node):
    received = []
    subscription = node.create_subscription(Int64, "taken", received.append, 10)
    publisher = node.create_publisher(Int64, "taken", 10)
    end = time.monotonic() + 60.0
    while publisher.get_subscription_count() < 1:
        assert time.monotonic() < end
        time.sleep(0.01)
    for number in range(3):
        publisher.publish(Int64(data=number))
    taken = []
    while len(taken) < 3:
        assert time.monotonic() < end
        with subscription.handle:
            found = subscription.handle.take_message(Int64, bool(taken))
        if found is None:
            time.sleep(0.01)
        else:
            taken.append(found)
    message, info = taken[0]
    assert message == Int64(data=0)
    assert info["source_timestamp"] > 0
    assert [deserialize_message(data, Int64).data for data, _ in taken[1:]] == [1, 2]
    with subscription.handle:
        assert subscription.handle.take_message(Int64, False) is None
    assert received == []
