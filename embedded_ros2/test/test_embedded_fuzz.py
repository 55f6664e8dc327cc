# SPDX-License-Identifier: Apache-2.0
"""Ten thousand samples, requests and tokens that nobody should send: dropped and counted."""

import importlib
import os
import random
import string

import pytest
import rclpy
import zenoh
from rclpy.qos import HistoryPolicy, QoSProfile

from embedded_ros2 import session
from embedded_ros2.interfaces import cdr
from embedded_ros2.interfaces.hashes import type_hash
from embedded_ros2.wire import attachment, keys, tokens

DEADLINE_S = 60.0
SAMPLES, REQUESTS, TOKENS, REPLIES = 10_000, 500, 500, 200
GOOD = attachment.encode(1, 1, bytes(16))
EVERYTHING = QoSProfile(history=HistoryPolicy.KEEP_ALL, depth=1)
TYPES = (
    "std_msgs/msg/String",
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/Image",
    "trajectory_msgs/msg/JointTrajectory",
    "diagnostic_msgs/msg/DiagnosticArray",
    "rcl_interfaces/msg/ParameterEvent",
)


def _class(name):
    package, kind, stem = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), stem)


@pytest.fixture
def node(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
    rclpy.init(args=[])
    made = rclpy.create_node("target")
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def stranger():
    """Return a session that can put anything on any key."""
    opened = session.open_session()
    yield opened
    opened.close()


def _spin_until(node, predicate):
    future = rclpy.task.Future()
    timer = node.create_timer(0.02, lambda: predicate() and future.set_result(True))
    rclpy.spin_until_future_complete(node, future, timeout_sec=DEADLINE_S)
    node.destroy_timer(timer)
    assert future.done(), "what was waited for did not happen"


def _mutate(noise, good):
    """Return what was a payload once: cut, changed, longer, or nothing but noise."""
    data = bytearray(good)
    kind = noise.randrange(5)
    if kind == 0:
        return noise.randbytes(noise.randrange(64))
    if kind == 1:
        return bytes(data[: noise.randrange(len(data))])
    if kind == 2:  # a length becomes enormous
        at = noise.randrange(4, max(5, len(data) - 4))
        data[at : at + 4] = (2**31 + noise.randrange(2**31)).to_bytes(4, "little")
    else:
        for _ in range(noise.randint(1, 8)):
            data[noise.randrange(len(data))] = noise.randrange(256)
    return bytes(data) + noise.randbytes(noise.randrange(16) if kind == 4 else 0)


def _attachment(noise, number=1):
    kind = noise.randrange(4)
    if kind == 0:
        return None
    if kind == 1:
        return GOOD[: noise.randrange(33)]
    if kind == 2:
        return noise.randbytes(33)
    return attachment.encode(number, 1, bytes(16))


def _good_payloads():
    joint_state = _class("sensor_msgs/msg/JointState")(name=["a", "b"], position=[1.0, 2.0])
    image = _class("sensor_msgs/msg/Image")(height=4, width=4, encoding="rgb8", data=bytes(48))
    point = _class("trajectory_msgs/msg/JointTrajectoryPoint")(positions=[1.0, 2.0])
    trajectory = _class("trajectory_msgs/msg/JointTrajectory")(joint_names=["a"], points=[point])
    status = _class("diagnostic_msgs/msg/DiagnosticStatus")(name="n", message="m")
    array = _class("diagnostic_msgs/msg/DiagnosticArray")(status=[status, status])
    event = _class("rcl_interfaces/msg/ParameterEvent")(node="/n")
    messages = (_class(TYPES[0])(data="text"), joint_state, image, trajectory, array, event)
    return {
        name: bytes(cdr.serialize(message)) for name, message in zip(TYPES, messages, strict=True)
    }


def test_ten_thousand_fuzzed_samples_are_dropped_and_counted_and_the_node_lives(node, stranger):
    noise = random.Random(20261120)
    domain = node.context.get_domain_id()
    good, received, publishers, wrong = _good_payloads(), [], {}, []
    for number, name in enumerate(TYPES):
        node.create_subscription(_class(name), f"t{number}", received.append, EVERYTHING)
        key = keys.data_key(domain, f"/t{number}", keys.dds_type(name), type_hash(name))
        publishers[name] = stranger.declare_publisher(
            key, congestion_control=zenoh.CongestionControl.BLOCK
        )
        other = key[:-4] + ("0000" if key[-4:] != "0000" else "1111")
        wrong.append(
            stranger.declare_publisher(other, congestion_control=zenoh.CongestionControl.BLOCK)
        )
    _spin_until(node, lambda: all(p.matching_status.matching for p in publishers.values()))
    for number in range(1, SAMPLES + 1):
        name = noise.choice(TYPES)
        publishers[name].put(_mutate(noise, good[name]), attachment=_attachment(noise, number))
        # Of another definition of the type: nobody listens there.
        noise.choice(wrong).put(good[name], attachment=GOOD)
    counters = node._token.network.counters
    _spin_until(node, lambda: len(received) + counters.malformed_samples >= SAMPLES)
    assert len(received) + counters.malformed_samples == SAMPLES
    assert counters.malformed_samples > SAMPLES / 2
    before = len(received)
    last = attachment.encode(SAMPLES + 1, 1, bytes(16))
    for name, publisher in publishers.items():
        publisher.put(good[name], attachment=last)
    _spin_until(node, lambda: len(received) == before + len(TYPES))


def test_fuzzed_requests_are_dropped_and_counted_and_the_service_serves_on(node, stranger):
    noise = random.Random(1)
    set_bool = _class("std_srvs/srv/SetBool")
    served = []

    def serve(request, response):
        served.append(request)
        return response

    node.create_service(set_bool, "set", serve)
    name = "std_srvs/srv/SetBool"
    key = keys.data_key(node.context.get_domain_id(), "/set", keys.dds_type(name), type_hash(name))
    querier = stranger.declare_querier(key, target=zenoh.QueryTarget.ALL_COMPLETE)
    _spin_until(node, lambda: querier.matching_status.matching)
    good = cdr.HEADER + b"\x01"
    for _ in range(REQUESTS):
        querier.get(
            zenoh.handlers.Callback(lambda reply: None, indirect=False),
            payload=_mutate(noise, good),
            attachment=_attachment(noise),
        )
    counters = node._token.network.counters
    _spin_until(node, lambda: len(served) + counters.malformed_requests >= REQUESTS)
    assert len(served) + counters.malformed_requests == REQUESTS
    assert counters.malformed_requests > REQUESTS / 2
    client = node.create_client(set_bool, "set")
    _spin_until(node, client.service_is_ready)
    future = client.call_async(set_bool.Request(data=True))
    _spin_until(node, future.done)
    assert future.result() is not None


def test_fuzzed_replies_are_dropped_and_counted_and_the_client_hears_the_next(node, stranger):
    noise = random.Random(2)
    name = "std_srvs/srv/SetBool"
    set_bool = _class(name)
    client = node.create_client(set_bool, "set")
    key = keys.data_key(node.context.get_domain_id(), "/set", keys.dds_type(name), type_hash(name))
    good = bytes(cdr.serialize(set_bool.Response(success=True, message="yes")))

    def answer(query):
        with query:
            for _ in range(REPLIES):
                query.reply(key, _mutate(noise, good), attachment=_attachment(noise))
            query.reply_err(b"trouble")
            query.reply(key, good, attachment=query.attachment)

    stranger.declare_queryable(key, zenoh.handlers.Callback(answer, indirect=False), complete=True)
    _spin_until(node, lambda: client._endpoint.has_route)
    future = client.call_async(set_bool.Request(data=True))
    _spin_until(node, future.done)
    assert future.result() == set_bool.Response(success=True, message="yes")
    assert node._token.network.counters.malformed_replies >= REPLIES / 2


def test_foreign_tokens_are_passed_over_and_counted_and_the_graph_stays_right(node, stranger):
    noise = random.Random(3)
    domain = node.context.get_domain_id()
    prefix = f"{tokens.ADMIN_SPACE}/{domain}"
    alphabet = string.ascii_letters + string.digits + "%:,_."
    graph = node._token.network.graph
    nodes, malformed = len(graph.nodes()), graph.malformed
    held = []
    for number in range(TOKENS):
        parts = ["".join(noise.choices(alphabet, k=noise.randint(1, 9))) for _ in range(11)]
        parts[3] = noise.choice(tokens.KINDS) if number % 2 else parts[3] + "x"
        # An endpoint's token ends with a QoS profile, which this is not.
        kept = parts[: noise.randrange(1, 7)] if parts[3] == tokens.NODE else [*parts, "?"]
        key = f"{prefix}/{number}/" + "/".join(part.replace("?", "bad") for part in kept)
        held.append(stranger.liveliness().declare_token(key))
    held.append(stranger.liveliness().declare_token(f"{prefix}/z/9/9/NN/%/%/real"))
    _spin_until(node, lambda: ("real", "/") in node.get_node_names_and_namespaces())
    _spin_until(node, lambda: graph.malformed + len(graph.nodes()) >= malformed + nodes + TOKENS)
    for token in held:
        token.undeclare()
    _spin_until(node, lambda: ("real", "/") not in node.get_node_names_and_namespaces())
    _spin_until(node, lambda: len(graph.nodes()) == nodes)
