# SPDX-License-Identifier: Apache-2.0
"""Events of publishers and subscriptions, and qualities of service set by parameters."""

import pytest
import rclpy
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import Executor, TimeoutException
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import (
    InvalidQosOverridesError,
    QosCallbackResult,
    QoSOverridingOptions,
)
from std_msgs.msg import String


def test_a_publisher_is_told_who_comes_and_goes(node, spin_until):
    told = []
    publisher = node.create_publisher(
        String, "matched", 10, event_callbacks=PublisherEventCallbacks(matched=told.append)
    )
    first = node.create_subscription(String, "matched", lambda _: None, 10)
    spin_until(node, lambda: told and told[-1].current_count == 1)
    second = node.create_subscription(String, "matched", lambda _: None, 10)
    spin_until(node, lambda: told[-1].current_count == 2)
    node.destroy_subscription(first)
    spin_until(node, lambda: told[-1].current_count == 1)
    node.destroy_subscription(second)
    spin_until(node, lambda: told[-1].current_count == 0)
    assert told[-1].total_count == 2
    assert [one.current_count_change for one in told] == [1, 1, -1, -1]
    node.destroy_publisher(publisher)


def test_a_subscription_is_told_who_comes_and_goes(node, spin_until):
    told = []
    node.create_subscription(
        String,
        "matched",
        lambda _: None,
        10,
        event_callbacks=SubscriptionEventCallbacks(matched=told.append),
    )
    publisher = node.create_publisher(String, "matched", 10)
    spin_until(node, lambda: told and told[-1].current_count == 1)
    assert told[-1].total_count == 1
    node.destroy_publisher(publisher)
    spin_until(node, lambda: told[-1].current_count == 0)
    assert told[-1].current_count_change == -1


def with_overrides(**overrides):
    return rclpy.create_node(
        "overridden",
        parameter_overrides=[
            Parameter(f"qos_overrides./topic.{name.replace('__', '.')}", value=value)
            for name, value in overrides.items()
        ],
    )


def test_parameters_override_qualities_of_service(ros):
    node = with_overrides(publisher__depth=3, subscription__reliability="best_effort")
    options = QoSOverridingOptions.with_default_policies()
    profile = QoSProfile(depth=10)
    publisher = node.create_publisher(String, "topic", profile, qos_overriding_options=options)
    subscription = node.create_subscription(
        String, "topic", lambda _: None, QoSProfile(depth=10), qos_overriding_options=options
    )
    assert publisher.qos_profile.depth == 3
    assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    name = "qos_overrides./topic.publisher.depth"
    assert node.get_parameter(name).value == 3
    assert node.describe_parameter(name).read_only
    node.destroy_node()


def test_a_second_entity_of_the_topic_has_parameters_of_its_own_by_an_id(ros):
    node = with_overrides(publisher_mine__depth=3)
    options = QoSOverridingOptions.with_default_policies(entity_id="mine")
    made = node.create_publisher(String, "topic", 10, qos_overriding_options=options)
    other = node.create_publisher(
        String, "topic", 10, qos_overriding_options=QoSOverridingOptions.with_default_policies()
    )
    assert made.qos_profile.depth == 3
    assert other.qos_profile.depth == 10
    node.destroy_node()


def test_a_callback_may_refuse_the_profile(ros):
    node = with_overrides(publisher__depth=300)
    options = QoSOverridingOptions.with_default_policies(
        callback=lambda profile: QosCallbackResult(successful=profile.depth < 100, reason="deep")
    )
    with pytest.raises(InvalidQosOverridesError, match="deep"):
        node.create_publisher(String, "topic", 10, qos_overriding_options=options)
    node.destroy_node()


def test_a_value_that_is_no_policy_is_refused(ros):
    node = with_overrides(publisher__reliability="always")
    options = QoSOverridingOptions.with_default_policies()
    with pytest.raises(RuntimeError, match="always"):
        node.create_publisher(String, "topic", 10, qos_overriding_options=options)
    node.destroy_node()


class OneByOne(Executor):
    """An executor of one's own, as rclpy's documentation has it."""

    def __init__(self):
        super().__init__()
        self.ran = []

    def spin_once(self, timeout_sec=None):
        """Run one callback on this thread."""
        try:
            handler, entity, node = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except TimeoutException:
            return
        self.ran.append((entity, node))
        handler()


def test_an_executor_of_ones_own_gets_callbacks_to_run(node):
    executor = OneByOne()
    executor.add_node(node)
    called = []
    timer = node.create_timer(0.01, lambda: called.append(1))
    for _ in range(1000):
        executor.spin_once(timeout_sec=0.1)
        if len(called) >= 3:
            break
    assert len(called) >= 3
    assert (timer, node) in executor.ran
    executor.shutdown()
