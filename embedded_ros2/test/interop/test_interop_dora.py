# SPDX-License-Identifier: Apache-2.0
"""Both ways with dora-rs, an rmw_zenoh peer of other authors and in another language.

It knows types by their definitions and by the hashes that a build of Jazzy printed: those here.
"""

import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import zenoh

from embedded_ros2.interfaces import registry
from embedded_ros2.wire import attachment, tokens
from embedded_ros2.wire.tokens import Token
from embedded_ros2.zenoh_config import session_config

if any(importlib.util.find_spec(name) is None for name in ("dora", "pyarrow")):
    pytest.skip("dora-rs, the other rmw_zenoh peer, is not installed", allow_module_level=True)

import rclpy
from example_interfaces.action import Fibonacci
from example_interfaces.srv import AddTwoInts
from rclpy.action import ActionClient, ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

DEADLINE_S = 60.0
HERE = Path(__file__).parent
GOLDEN = json.loads((HERE.parent / "golden" / "jazzy_type_hashes.json").read_text())
PACKAGES = (
    *("std_msgs", "sensor_msgs", "geometry_msgs", "builtin_interfaces", "example_interfaces"),
    *("action_msgs", "unique_identifier_msgs", "service_msgs"),
)
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STRING_TYPE = "std_msgs::msg::dds_::String_"
ADD_TYPE = "example_interfaces::srv::dds_::AddTwoInts_"


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    """Lay interface definitions and Jazzy's hashes out as an installed ROS 2 has them."""
    prefix = tmp_path_factory.mktemp("prefix")
    for package in PACKAGES:
        share = prefix / "share" / package
        for kind, stem in registry.interfaces(package):
            folder = share / kind
            folder.mkdir(parents=True, exist_ok=True)
            text = "\n".join(registry.definition(f"{package}/{kind}/{stem}"))
            (folder / f"{stem}.{kind}").write_text(text + "\n")
            name = f"{package}/{kind}/{stem}"
            hashes = [
                {"type_name": key, "hash_string": value}
                for key, value in GOLDEN.items()
                if key == name or key.startswith(name + "_")
            ]
            description = {"type_description": {"type_name": name}}
            description["referenced_type_descriptions"] = []
            (folder / f"{stem}.json").write_text(
                json.dumps({"type_description_msg": description, "type_hashes": hashes})
            )
        (share / "package.xml").write_text("<package/>")
    return prefix


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    """Give this process's tests a domain of its own."""
    number = 101 + os.getpid() % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    return number


@pytest.fixture
def node(domain):
    """Return a node."""
    rclpy.init(args=[])
    made = rclpy.create_node("here", namespace="/this")
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


class Peer:
    """dora-rs in a process of its own."""

    def __init__(self, role, definitions, configuration):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "dora_peer.py"), role, configuration],
            env={**os.environ, "AMENT_PREFIX_PATH": str(definitions)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self._said.put(json.loads(line))
        self._said.put(None)

    def says(self):
        """Return what it says next."""
        try:
            said = self._said.get(timeout=DEADLINE_S)
        except queue.Empty:
            pytest.fail("dora-rs said nothing more")
        if said is None:
            pytest.fail(
                f"dora-rs ended: {self.process.wait()}: {self.process.stderr.read()[:1500]}"
            )
        return said

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


@pytest.fixture
def dora(definitions, tmp_path, node):
    """Return a function that starts dora-rs in a role; it is ready when this returns."""
    peers = []
    # Its own defaults are the same, but a file says for sure which router is meant.
    configuration = tmp_path / "zenoh.json5"
    configuration.write_text(str(session_config()))

    def start(role):
        peer = Peer(role, definitions, str(configuration))
        peers.append(peer)
        assert peer.says() == {"ready": True}
        return peer

    yield start
    for peer in peers:
        peer.stop()


def spin_until(node, predicate):
    deadline = time.monotonic() + DEADLINE_S
    while not predicate():
        if time.monotonic() > deadline:
            pytest.fail("what was waited for did not happen")
        rclpy.spin_once(node, timeout_sec=0.05)


def result_of(node, future):
    spin_until(node, future.done)
    return future.result()


@pytest.fixture
def spinning(node):
    """Spin the node on other threads, for tests that wait for dora-rs."""
    executor = MultiThreadedExecutor(4)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(DEADLINE_S)


@pytest.fixture
def spy(domain):
    """Return a plain Zenoh session: what it sees is what the wire carries."""
    session = zenoh.open(session_config())
    yield session
    session.close()


def test_messages_come_from_the_other_peer(node, dora):
    texts, once, joints = [], [], []
    node.create_subscription(String, "/chatter", texts.append, 10)
    node.create_subscription(JointState, "/joints", joints.append, 10)
    dora("publish")
    node.create_subscription(String, "/latched", once.append, LATCHED)
    spin_until(node, lambda: texts and once and joints)
    assert texts[0].data == "grüezi"
    assert [message.data for message in once] == ["once"]
    joint_state = joints[0]
    assert (joint_state.header.stamp.sec, joint_state.header.stamp.nanosec) == (1, 2)
    assert joint_state.header.frame_id == "arm"
    assert joint_state.name == ["a", "bc"]
    assert list(joint_state.position) == [1.5, -2.5]
    assert not joint_state.velocity
    assert list(joint_state.effort) == [0.25]
    assert node._token.network.counters.malformed_samples == 0


def test_messages_reach_the_other_peer(node, dora):
    node.create_publisher(String, "/latched", LATCHED).publish(String(data="once"))
    peer = dora("subscribe")
    texts = node.create_publisher(String, "/chatter", 10)
    joints = node.create_publisher(JointState, "/joints", 10)
    joint_state = JointState(name=["a", "bc"], position=[1.5, -2.5], effort=[0.25])
    joint_state.header.frame_id = "arm"

    def publish():
        texts.publish(String(data="grüezi"))
        joints.publish(joint_state)

    node.create_timer(0.05, publish)
    found = {}

    def listen():
        while len(found) < 3:
            said = peer.says()
            found[said["topic"]] = said["message"]

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    spin_until(node, lambda: len(found) == 3)
    assert found["latched"] == {"data": "once"}
    assert found["chatter"] == {"data": "grüezi"}
    assert found["joints"] == {
        "header": {"stamp": {"sec": 0, "nanosec": 0}, "frame_id": "arm"},
        "name": ["a", "bc"],
        "position": [1.5, -2.5],
        "velocity": [],
        "effort": [0.25],
    }


def test_the_other_peer_answers_a_request(node, dora):
    client = node.create_client(AddTwoInts, "/add")
    dora("serve")
    spin_until(node, client.service_is_ready)
    for a, b in ((20, 22), (-1, -(2**62))):
        assert result_of(node, client.call_async(AddTwoInts.Request(a=a, b=b))).sum == a + b


def test_the_other_peer_is_answered(spinning, dora):
    def add(request, response):
        response.sum = request.a + request.b
        return response

    spinning.create_service(AddTwoInts, "/add", add)
    peer = dora("call")
    assert peer.says() == {"sum": 42}
    assert peer.says() == {"sum": -1 - 2**62}


def test_the_other_peer_does_and_cancels_goals(node, dora):
    client = ActionClient(node, Fibonacci, "/fibonacci")
    dora("act")
    spin_until(node, client.server_is_ready)
    feedback = []
    deadline = time.monotonic() + DEADLINE_S
    while not feedback:  # the other peer may not know yet who wants its feedback
        assert time.monotonic() < deadline
        handle = result_of(
            node,
            client.send_goal_async(
                Fibonacci.Goal(order=6), lambda message: feedback.append(message.feedback)
            ),
        )
        assert handle.accepted
        answer = result_of(node, handle.get_result_async())
        assert answer.status == 4
        assert list(answer.result.sequence) == [0, 1, 1, 2, 3, 5]
        rclpy.spin_once(node, timeout_sec=0.5)
    assert list(feedback[0].sequence)[:2] == [0, 1]

    handle = result_of(node, client.send_goal_async(Fibonacci.Goal(order=1000)))
    cancelled = result_of(node, handle.cancel_goal_async())
    assert [bytes(goal.goal_id.uuid) for goal in cancelled.goals_canceling] == [
        bytes(handle.goal_id.uuid)
    ]
    assert result_of(node, handle.get_result_async()).status == 5


def test_goals_of_the_other_peer_are_done_rejected_and_cancelled(spinning, dora):
    ended = threading.Event()

    def execute(goal_handle):
        sequence = [0, 1]
        while len(sequence) < goal_handle.request.order:
            if goal_handle.is_cancel_requested:
                goal_handle.canceled()
                ended.set()
                return Fibonacci.Result(sequence=sequence[:10])
            if len(sequence) < 20:
                sequence.append(sequence[-1] + sequence[-2])
                goal_handle.publish_feedback(Fibonacci.Feedback(sequence=sequence))
            time.sleep(0.02)
        goal_handle.succeed()
        return Fibonacci.Result(sequence=sequence)

    ActionServer(
        spinning,
        Fibonacci,
        "/fibonacci",
        execute,
        callback_group=ReentrantCallbackGroup(),
        goal_callback=lambda goal: GoalResponse.REJECT if goal.order < 0 else GoalResponse.ACCEPT,
        cancel_callback=lambda goal_handle: CancelResponse.ACCEPT,
    )
    peer = dora("send_goal")
    assert peer.says() == {"feedback": [0, 1]}
    assert peer.says() == {"status": "succeeded", "sequence": [0, 1, 1, 2, 3, 5, 8, 13]}
    assert peer.says() == {"rejected": True}
    assert peer.says() == {"cancelled": 0}
    assert ended.wait(DEADLINE_S)


def _tokens(node, kind):
    return [token for token in node._token.network.graph.endpoints(kind) if token.node == "dora"]


def test_the_graph_shows_the_other_peer_and_its_tokens_are_written_as_ours_are(node, dora, domain):
    dora("publish")
    spin_until(node, lambda: len(_tokens(node, tokens.PUBLISHER)) == 3)
    assert ("dora", "/other") in node.get_node_names_and_namespaces()
    (info,) = node.get_publishers_info_by_topic("/chatter")
    assert (info.node_name, info.node_namespace) == ("dora", "/other")
    assert info.topic_type == "std_msgs/msg/String"
    assert str(info.topic_type_hash) == GOLDEN["std_msgs/msg/String"]
    by_name = {token.name: token for token in _tokens(node, tokens.PUBLISHER)}
    chatter, latched = by_name["/chatter"], by_name["/latched"]
    assert (chatter.qos.reliability, chatter.qos.durability, chatter.qos.depth) == (1, 2, 10)
    assert latched.qos.durability == 1
    # Our own writing of what was read is, character for character, a token of theirs.
    written = {token.key for token in by_name.values()}
    # A busy router may not know them all yet.
    spin_until(node, lambda: written <= _keys(node, f"{tokens.ADMIN_SPACE}/{domain}/**"))


def _keys(node, key):
    session = node._token.network.session
    replies = session.liveliness().get(key)
    return {str(reply.ok.key_expr) for reply in replies if reply.ok is not None}


def test_keys_and_attachments_agree_on_the_wire(node, dora, domain, spy):
    samples = queue.Queue()
    spy.declare_subscriber(f"{domain}/**", zenoh.handlers.Callback(samples.put, indirect=False))
    dora("publish")
    publisher = node.create_publisher(String, "/ours", 10)
    own_key = publisher._endpoint.token.key
    spin_until(node, lambda: len(_tokens(node, tokens.PUBLISHER)) == 3)

    def next_sample(name):
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if name == "/ours":
                publisher.publish(String(data="x"))
            sample = samples.get(timeout=DEADLINE_S)
            if str(sample.key_expr).startswith(f"{domain}{name}/"):
                return sample
        pytest.fail(f"nothing came on {name}")

    for name in ("/chatter", "/ours"):
        sample = next_sample(name)
        golden = GOLDEN["std_msgs/msg/String"]
        assert str(sample.key_expr) == f"{domain}{name}/{STRING_TYPE}/{golden}"
        assert sample.payload.to_bytes()[:4] == b"\x00\x01\x00\x00"
        first = attachment.decode(sample.attachment.to_bytes())
        if name == "/ours":  # dora-rs draws its own identifiers; any will do that stays the same
            assert first.gid == tokens.gid(own_key)
        assert abs(first.time_ns - time.time_ns()) < 60 * 10**9
        second = attachment.decode(next_sample(name).attachment.to_bytes())
        assert (second.sequence, second.gid) == (first.sequence + 1, first.gid)


def test_a_service_has_the_same_key_on_both_sides(node, dora, domain):
    client = node.create_client(AddTwoInts, "/add")
    dora("serve")
    spin_until(node, lambda: _tokens(node, tokens.SERVICE))
    (server,) = _tokens(node, tokens.SERVICE)
    assert isinstance(server, Token)
    golden = GOLDEN["example_interfaces/srv/AddTwoInts"]
    assert (server.dds_type, server.type_hash) == (ADD_TYPE, golden)
    assert client._endpoint.key == f"{domain}/add/{ADD_TYPE}/{golden}"
