# SPDX-License-Identifier: Apache-2.0
import signal

import pytest
from rclpy.exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
    NotInitializedException,
)
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int64, String
from std_srvs.srv import Trigger


def test_nodes_of_other_processes_appear_and_disappear(node, peer, spin_until):
    other = peer("counter", "--ros-args", "-r", "__ns:=/far/away")
    spin_until(node, lambda: ("counter", "/far/away") in node.get_node_names_and_namespaces())
    assert "/far/away/counter" in node.get_fully_qualified_node_names()
    spin_until(node, lambda: node.count_publishers("/far/away/count") == 1)
    other.stop()
    spin_until(node, lambda: "counter" not in node.get_node_names())
    spin_until(node, lambda: node.count_publishers("/far/away/count") == 0)


def test_a_killed_process_disappears_from_the_graph(node, peer, spin_until):
    other = peer("counter")
    spin_until(node, lambda: node.count_publishers("/count") == 1)
    other.send(signal.SIGKILL)
    spin_until(node, lambda: node.count_publishers("/count") == 0)
    spin_until(node, lambda: "counter" not in node.get_node_names())


def test_topics_and_services_are_listed_with_their_types(node, peer, spin_until):
    peer("server")
    spin_until(node, lambda: node.count_services("set") and node.count_services("add"))
    services = dict(node.get_service_names_and_types())
    assert services["/set"] == ["std_srvs/srv/SetBool"]
    by_node = dict(node.get_service_names_and_types_by_node("server", "/"))
    assert by_node["/add"] == ["example_interfaces/srv/AddTwoInts"]
    topics = dict(node.get_topic_names_and_types())
    assert topics["/parameter_events"] == ["rcl_interfaces/msg/ParameterEvent"]


def test_endpoints_tell_their_node_type_and_quality(node, spin_until):
    profile = QoSProfile(
        depth=7,
        reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    node.create_publisher(Int64, "numbers", profile)
    node.create_subscription(Int64, "numbers", lambda message: None, 5)
    spin_until(node, lambda: node.get_publishers_info_by_topic("numbers"))
    (publisher,) = node.get_publishers_info_by_topic("numbers")
    assert publisher.node_name == "tester"
    assert publisher.node_namespace == "/"
    assert publisher.topic_type == "std_msgs/msg/Int64"
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    spin_until(node, lambda: node.get_subscriptions_info_by_topic("numbers"))
    (subscription,) = node.get_subscriptions_info_by_topic("numbers")
    assert subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_names_are_resolved_in_the_namespace(ros):
    node = ros.create_node("arm", namespace="left")
    assert node.get_namespace() == "/left"
    assert node.get_fully_qualified_name() == "/left/arm"
    assert node.get_logger().name == "left.arm"
    assert node.resolve_topic_name("state") == "/left/state"
    assert node.resolve_topic_name("~/state") == "/left/arm/state"
    assert node.resolve_topic_name("/state") == "/state"
    assert node.resolve_service_name("~/stop") == "/left/arm/stop"
    node.destroy_node()


def test_names_are_remapped(ros):
    node = ros.create_node(
        "arm",
        cli_args=[
            "--ros-args",
            "-r",
            "__node:=hand",
            "-r",
            "__ns:=/right",
            "-r",
            "state:=/all/state",
            "-r",
            "~/stop:=halt",
        ],
    )
    assert node.get_fully_qualified_name() == "/right/hand"
    publisher = node.create_publisher(String, "state", 1)
    assert publisher.topic_name == "/all/state"
    service = node.create_service(Trigger, "~/stop", lambda request, response: response)
    assert service.service_name == "/right/halt"
    assert node.resolve_topic_name("state", only_expand=True) == "/right/state"
    node.destroy_node()


@pytest.mark.parametrize("name", ["", "2fast", "with space", "a/b", "a-b"])
def test_a_bad_node_name_is_refused(ros, name):
    with pytest.raises(InvalidNodeNameException):
        ros.create_node(name)


@pytest.mark.parametrize("namespace", ["/a//b", "/a/", "/a b", "/2"])
def test_a_bad_namespace_is_refused(ros, namespace):
    with pytest.raises(InvalidNamespaceException):
        ros.create_node("node", namespace=namespace)


@pytest.mark.parametrize("name", ["", "a//b", "a/", "a b", "a/2", "{node"])
def test_a_bad_topic_or_service_name_is_refused(node, name):
    with pytest.raises(InvalidTopicNameException):
        node.create_publisher(String, name, 1)
    with pytest.raises(InvalidServiceNameException):
        node.create_client(Trigger, name)


def test_a_node_needs_init():
    import rclpy

    with pytest.raises(NotInitializedException):
        rclpy.create_node("early")
