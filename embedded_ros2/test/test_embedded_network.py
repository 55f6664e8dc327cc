# SPDX-License-Identifier: Apache-2.0
"""What comes in from the network is checked before anything believes it."""

import itertools
import os
import queue

import pytest
import zenoh

from embedded_ros2 import session, zenoh_config
from embedded_ros2.interfaces import cdr
from embedded_ros2.interfaces.hashes import type_hash
from embedded_ros2.network import Network
from embedded_ros2.wire import attachment, keys

DEADLINE_S = 60.0
_domains = itertools.count(181 + os.getpid() % 20)
GID = bytes(range(16))


@pytest.fixture
def ros(monkeypatch):
    """Initialize rclpy in a domain of its own."""
    import rclpy

    monkeypatch.setenv("ROS_DOMAIN_ID", str(next(_domains)))
    rclpy.init(args=[])
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture
def node(ros):
    """Return a node."""
    made = ros.create_node("tester")
    yield made
    made.destroy_node()


@pytest.fixture
def stranger():
    """Return a session that can put anything on any key."""
    opened = session.open_session()
    yield opened
    opened.close()


def _key(node, name, type_name):
    return keys.data_key(
        node.context.get_domain_id(), name, keys.dds_type(type_name), type_hash(type_name)
    )


def _spin_until(ros, node, predicate):
    future = ros.task.Future()
    timer = node.create_timer(0.005, lambda: predicate() and future.set_result(True))
    ros.spin_until_future_complete(node, future, timeout_sec=DEADLINE_S)
    node.destroy_timer(timer)
    assert future.done(), "what was waited for did not happen"


GOOD = attachment.encode(1, 1, GID)


@pytest.mark.parametrize(
    ("payload", "extra"),
    [
        (cdr.HEADER + bytes(8), None),
        (cdr.HEADER + bytes(8), b""),
        (cdr.HEADER + bytes(8), bytes(33)),
        (cdr.HEADER + bytes(8), GOOD + b"x"),
        (b"", GOOD),
        (b"\x00\x01", GOOD),
        (cdr.HEADER + bytes(7), GOOD),
        (b"\x00\x00\x00\x00" + bytes(8), GOOD),
        (os.urandom(1000), os.urandom(33)),
    ],
)
def test_a_malformed_message_is_dropped_and_counted(ros, node, stranger, payload, extra):
    from std_msgs.msg import Int64

    received = []
    node.create_subscription(Int64, "numbers", lambda m: received.append(m.data), 10)
    publisher = stranger.declare_publisher(_key(node, "/numbers", "std_msgs/msg/Int64"))
    _spin_until(ros, node, lambda: publisher.matching_status.matching)
    publisher.put(payload, attachment=extra)
    publisher.put(cdr.HEADER + (5).to_bytes(8, "little"), attachment=GOOD)
    _spin_until(ros, node, lambda: received)
    assert received == [5]
    assert node.context._get_network().counters.malformed_samples == 1


def test_images_are_taken_from_the_key_that_newer_publishers_use_and_once(ros, node, stranger):
    from sensor_msgs.msg import Image

    received = []
    node.create_subscription(Image, "image", lambda m: received.append(m.width), 10)
    key = _key(node, "/image", "sensor_msgs/msg/Image")
    (token,) = node.context._get_network().graph.endpoints("MS", "/image")
    assert token.key.endswith("/backends:cpu:")
    old, new = stranger.declare_publisher(key), stranger.declare_publisher(f"{key}/_buf_cpu")
    _spin_until(ros, node, lambda: old.matching_status.matching and new.matching_status.matching)
    for sequence, publishers in enumerate(((new,), (old, new), (old,)), 1):
        for publisher in publishers:
            publisher.put(
                bytes(cdr.serialize(Image(width=sequence))),
                attachment=attachment.encode(sequence, 1, GID),
            )
    _spin_until(ros, node, lambda: 3 in received)
    assert received == [1, 2, 3]


@pytest.mark.parametrize(
    ("payload", "extra"), [(None, GOOD), (cdr.HEADER, GOOD), (cdr.HEADER + b"\1", None)]
)
def test_a_malformed_request_is_dropped_and_counted(ros, node, stranger, payload, extra):
    from std_srvs.srv import SetBool

    requests = []

    def answer(request, response):
        requests.append(request.data)
        return response

    node.create_service(SetBool, "set", answer)
    querier = stranger.declare_querier(
        _key(node, "/set", "std_srvs/srv/SetBool"), target=zenoh.QueryTarget.ALL_COMPLETE
    )
    _spin_until(ros, node, lambda: querier.matching_status.matching)
    ended = []
    replies = queue.SimpleQueue()
    querier.get(
        zenoh.handlers.Callback(replies.put, lambda: ended.append(1), indirect=False),
        payload=payload,
        attachment=extra,
    )
    _spin_until(ros, node, lambda: ended)
    assert replies.empty()
    assert requests == []
    assert node.context._get_network().counters.malformed_requests == 1
    querier.get(
        zenoh.handlers.Callback(replies.put, indirect=False),
        payload=cdr.HEADER + b"\1",
        attachment=GOOD,
    )
    _spin_until(ros, node, lambda: not replies.empty())
    reply = attachment.decode(replies.get().ok.attachment.to_bytes())
    assert (reply.sequence, reply.gid) == (1, GID)
    assert requests == [True]


@pytest.mark.parametrize("extra", [None, GOOD])
def test_a_malformed_or_foreign_reply_is_dropped(ros, node, stranger, extra):
    from std_srvs.srv import SetBool

    key = _key(node, "/set", "std_srvs/srv/SetBool")
    served = []

    def serve(query):
        served.append(1)
        query.reply(key, cdr.HEADER + bytes(8), attachment=extra)
        query.drop()

    queryable = stranger.declare_queryable(
        key, zenoh.handlers.Callback(serve, indirect=False), complete=True
    )
    client = node.create_client(SetBool, "set")
    _spin_until(ros, node, lambda: client._endpoint.has_route)
    future = client.call_async(SetBool.Request())
    _spin_until(ros, node, lambda: served)
    ros.spin_until_future_complete(node, future, timeout_sec=0.1)
    assert not future.done()
    queryable.undeclare()


def test_tokens_that_mean_nothing_are_counted_and_leave_the_graph_alone(ros, node, stranger):
    domain = node.context.get_domain_id()
    graph = node.context._get_network().graph
    token = stranger.liveliness().declare_token(f"@ros2_lv/{domain}/x/0/0/XX/%/%/n")
    assert graph.wait_for(lambda: graph.malformed, DEADLINE_S)
    assert node.get_node_names() == ["tester"]
    token.undeclare()


def test_a_domain_sees_nothing_of_another(monkeypatch):
    first, second = Network(next(_domains)), Network(next(_domains))
    nodes = [first.declare_node("/", "one"), second.declare_node("/", "two")]
    assert second.graph.wait_for(lambda: second.graph.nodes(), DEADLINE_S)
    assert [token.node for token in second.graph.nodes()] == ["two"]
    for node in nodes:
        node.close()
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ZENOH_CONFIG_OVERRIDE", "mode", "'=' is missing"),
        ("ZENOH_CONFIG_OVERRIDE", "no/such/key=1", "no/such/key"),
        ("ZENOH_SESSION_CONFIG_URI", "/nowhere/x.json5", "/nowhere/x.json5"),
    ],
)
def test_a_bad_configuration_is_named(monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=variable) as caught:
        zenoh_config.session_config()
    assert message in str(caught.value)


def test_the_environment_changes_single_settings(monkeypatch):
    monkeypatch.setenv(
        "ZENOH_CONFIG_OVERRIDE", 'mode="client";connect/endpoints=["tcp/robot.local:7447"]'
    )
    config = zenoh_config.session_config()
    assert config.get_json("mode") == '"client"'
    assert zenoh_config.local_router_port(config) is None


def test_by_default_everything_stays_on_this_machine(monkeypatch):
    monkeypatch.delenv("ZENOH_CONFIG_OVERRIDE", raising=False)
    config = zenoh_config.session_config()
    assert zenoh_config.local_router_port(config) == 7447
    assert config.get_json("listen/endpoints") == '["tcp/localhost:0"]'
    assert '"tcp/localhost:7447"' in zenoh_config.router_config(7447).get_json("listen/endpoints")
    assert "false" in config.get_json("scouting/multicast/enabled")


@pytest.mark.parametrize("value", ["x", "-1", "233"])
def test_a_bad_domain_is_named(monkeypatch, value):
    import rclpy

    monkeypatch.setenv("ROS_DOMAIN_ID", value)
    with pytest.raises(RuntimeError, match="ROS_DOMAIN_ID"):
        rclpy.Context().init(args=[])
