# SPDX-License-Identifier: Apache-2.0
from message_filters import (
    ApproximateTimeSynchronizer,
    Cache,
    SimpleFilter,
    Subscriber,
    TimeSynchronizer,
)
from rclpy.clock import ClockType
from rclpy.time import Time
from sensor_msgs.msg import JointState
from std_msgs.msg import String


def _stamped(seconds, name=""):
    message = JointState()
    message.header.stamp = Time(seconds=seconds).to_msg()
    message.header.frame_id = name
    return message


def _sets(synchronizer):
    received = []
    synchronizer.registerCallback(
        lambda *messages: received.append(tuple(m.header.frame_id for m in messages))
    )
    return received


def test_equal_stamps_are_matched():
    a, b = SimpleFilter(), SimpleFilter()
    received = _sets(TimeSynchronizer([a, b], 5))
    a.signalMessage(_stamped(1, "a1"))
    b.signalMessage(_stamped(2, "b2"))
    assert received == []
    b.signalMessage(_stamped(1, "b1"))
    a.signalMessage(_stamped(2, "a2"))
    assert received == [("a1", "b1"), ("a2", "b2")]


def test_close_stamps_are_matched_and_the_closest_first():
    a, b = SimpleFilter(), SimpleFilter()
    received = _sets(ApproximateTimeSynchronizer([a, b], 5, slop=0.1))
    a.signalMessage(_stamped(1.00, "a1"))
    a.signalMessage(_stamped(1.06, "a2"))
    b.signalMessage(_stamped(1.05, "b1"))
    b.signalMessage(_stamped(1.30, "b2"))
    assert received == [("a2", "b1")]


def test_three_filters_are_matched():
    filters = [SimpleFilter() for _ in range(3)]
    received = _sets(ApproximateTimeSynchronizer(filters, 5, slop=0.1))
    filters[0].signalMessage(_stamped(0.95, "a1"))
    filters[2].signalMessage(_stamped(1.04, "c1"))
    filters[1].signalMessage(_stamped(1.00, "b1"))
    assert received == [("a1", "b1", "c1")]


def test_a_full_queue_forgets_the_oldest():
    a, b = SimpleFilter(), SimpleFilter()
    received = _sets(TimeSynchronizer([a, b], 2))
    for seconds in (1, 2, 3):
        a.signalMessage(_stamped(seconds, f"a{seconds}"))
    for seconds in (1, 2, 3):
        b.signalMessage(_stamped(seconds, f"b{seconds}"))
    assert received == [("a2", "b2"), ("a3", "b3")]


def test_messages_without_a_header_count_by_arrival_only_if_allowed():
    a, b = SimpleFilter(), SimpleFilter()
    received = []
    synchronizer = ApproximateTimeSynchronizer([a, b], 5, slop=10.0, allow_headerless=True)
    synchronizer.registerCallback(lambda *messages: received.append(messages))
    a.signalMessage(String(data="a"))
    b.signalMessage(String(data="b"))
    assert received == [(String(data="a"), String(data="b"))]


def test_a_subscriber_is_a_filter(node, spin_until):
    received = []
    subscriber = Subscriber(node, JointState, "states", qos_profile=5)
    subscriber.registerCallback(received.append)
    publisher = node.create_publisher(JointState, "states", 5)
    spin_until(node, lambda: publisher.get_subscription_count())
    publisher.publish(_stamped(1))
    spin_until(node, lambda: received)
    assert received == [_stamped(1)]


def test_a_cache_is_asked_by_time():
    source = SimpleFilter()
    cache = Cache(source, 3)
    for seconds in (1, 2, 3, 4):
        source.signalMessage(_stamped(seconds, str(seconds)))

    def at(seconds):
        return Time(seconds=seconds, clock_type=ClockType.ROS_TIME)

    assert [m.header.frame_id for m in cache.getInterval(at(2), at(3))] == ["2", "3"]
    assert cache.getElemAfterTime(at(3.5)).header.frame_id == "4"
    assert cache.getElemBeforeTime(at(3.5)).header.frame_id == "3"
    assert cache.getOldestTime() == at(2)


def test_stamps_too_far_apart_are_not_matched():
    a, b = SimpleFilter(), SimpleFilter()
    received = _sets(ApproximateTimeSynchronizer([a, b], 5, slop=0.05))
    a.signalMessage(_stamped(1.0))
    b.signalMessage(_stamped(1.06))
    assert received == []
