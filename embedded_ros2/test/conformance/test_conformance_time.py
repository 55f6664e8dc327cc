# SPDX-License-Identifier: Apache-2.0
import threading
import time

import builtin_interfaces.msg
import pytest
from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold
from rclpy.duration import Duration, Infinite
from rclpy.parameter import Parameter
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMsg


def test_durations_are_exact_and_ordered():
    assert Duration(seconds=1, nanoseconds=5).nanoseconds == 1_000_000_005
    assert Duration(seconds=-1.5).nanoseconds == -1_500_000_000
    assert Duration(seconds=1) < Duration(seconds=2) <= Infinite
    message = Duration(nanoseconds=-1).to_msg()
    assert (message.sec, message.nanosec) == (-1, 999_999_999)
    assert Duration.from_msg(message) == Duration(nanoseconds=-1)
    with pytest.raises(OverflowError):
        Duration(seconds=1e10)


def test_times_subtract_and_add():
    earlier, later = Time(seconds=1), Time(seconds=3, nanoseconds=5)
    assert later - earlier == Duration(seconds=2, nanoseconds=5)
    assert earlier - later == Duration(seconds=-2, nanoseconds=-5)
    assert earlier + Duration(seconds=2, nanoseconds=5) == later
    assert later - Duration(seconds=1) == Time(seconds=2, nanoseconds=5)
    assert later.seconds_nanoseconds() == (3, 5)
    with pytest.raises(ValueError, match="negative"):
        earlier - Duration(seconds=2)


def test_times_of_different_clocks_do_not_compare():
    steady = Time(seconds=1, clock_type=ClockType.STEADY_TIME)
    with pytest.raises(TypeError):
        assert steady == Time(seconds=1)
    with pytest.raises(TypeError):
        steady - Time(seconds=1)


def test_times_become_messages_and_back():
    message = Time(nanoseconds=1_700_000_000_123_456_789).to_msg()
    assert message == builtin_interfaces.msg.Time(sec=1_700_000_000, nanosec=123_456_789)
    back = Time.from_msg(message)
    assert back.nanoseconds == 1_700_000_000_123_456_789
    assert back.clock_type == ClockType.ROS_TIME


def test_clocks_go_forward():
    for kind in (ClockType.SYSTEM_TIME, ClockType.STEADY_TIME, ClockType.ROS_TIME):
        clock = Clock(clock_type=kind)
        first = clock.now()
        assert first.clock_type == kind
        assert clock.now() >= first
    assert abs(Clock().now().nanoseconds - time.time_ns()) < 1e9


def test_a_steady_clock_sleeps(ros):
    clock = Clock(clock_type=ClockType.STEADY_TIME)
    started = clock.now()
    assert clock.sleep_for(Duration(seconds=0.05))
    assert clock.now() - started >= Duration(seconds=0.05)


@pytest.fixture
def simulated(node, spin_until):
    """Return (node, function that sets the simulated time in seconds)."""
    node.set_parameters([Parameter("use_sim_time", value=True)])
    publisher = node.create_publisher(ClockMsg, "/clock", 10)
    spin_until(node, lambda: publisher.get_subscription_count())

    def set_time(seconds):
        target = Time(seconds=seconds)
        publisher.publish(ClockMsg(clock=target.to_msg()))
        spin_until(node, lambda: node.get_clock().now().nanoseconds == target.nanoseconds)

    return node, set_time


def test_simulated_time_is_what_the_clock_topic_says(simulated):
    node, set_time = simulated
    assert node.get_clock().ros_time_is_active
    assert node.get_clock().now().nanoseconds == 0
    set_time(5)
    assert node.get_clock().now() == Time(seconds=5, clock_type=ClockType.ROS_TIME)


def test_a_timer_follows_simulated_time(simulated, spin_until, ros):
    node, set_time = simulated
    set_time(10)
    calls = []
    node.create_timer(1.0, lambda: calls.append(node.get_clock().now().nanoseconds))
    set_time(10.5)
    ros.spin_once(node, timeout_sec=0.05)
    assert calls == []
    set_time(11)
    spin_until(node, lambda: calls)
    set_time(11.5)
    ros.spin_once(node, timeout_sec=0.05)
    assert calls == [11_000_000_000]


def test_jumps_of_simulated_time_are_told(simulated):
    node, set_time = simulated
    set_time(100)
    jumps = []
    threshold = JumpThreshold(min_forward=Duration(seconds=10), min_backward=Duration(seconds=-1))
    handle = node.get_clock().create_jump_callback(threshold, post_callback=jumps.append)
    set_time(105)
    set_time(120)
    set_time(110)
    assert [jump.delta for jump in jumps] == [Duration(seconds=15), Duration(seconds=-10)]
    node.set_parameters([Parameter("use_sim_time", value=False)])
    assert jumps[-1].clock_change == ClockChange.ROS_TIME_DEACTIVATED
    handle.unregister()


def test_sleeping_in_simulated_time_ends_when_it_comes(simulated):
    node, set_time = simulated
    set_time(1)
    slept = []
    thread = threading.Thread(
        target=lambda: slept.append(node.get_clock().sleep_for(Duration(seconds=2))), daemon=True
    )
    thread.start()
    for seconds in (2, 3, 4):
        set_time(seconds)
    thread.join(60)
    assert slept == [True]
