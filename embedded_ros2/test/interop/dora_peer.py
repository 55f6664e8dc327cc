# SPDX-License-Identifier: Apache-2.0
"""The other side of the tests: dora-rs speaks rmw_zenoh with code that shares nothing with ours.

``dora_peer.py <role> <Zenoh configuration>`` prints one JSON a line and ends when its standard
input does; it finds definitions and type hashes by `AMENT_PREFIX_PATH`.
"""

import json
import sys
import threading
import warnings

import dora
import pyarrow

POLL_S = 0.1
INT32_SEQUENCE = pyarrow.struct([("sequence", pyarrow.list_(pyarrow.int32()))])
STAMP_TYPE = pyarrow.struct([("sec", pyarrow.int32()), ("nanosec", pyarrow.uint32())])
DOUBLES = pyarrow.list_(pyarrow.float64())
JOINT_STATE_TYPE = pyarrow.struct(
    [
        ("header", pyarrow.struct([("stamp", STAMP_TYPE), ("frame_id", pyarrow.string())])),
        ("name", pyarrow.list_(pyarrow.string())),
        *((field, DOUBLES) for field in ("position", "velocity", "effort")),
    ]
)
JOINT_STATE = {
    "header": {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": "arm"},
    "name": ["a", "bc"],
    "position": [1.5, -2.5],
    "velocity": [],
    "effort": [0.25],
}
over = threading.Event()


def say(**what):
    print(json.dumps(what), flush=True)


def rows(value):
    return value[0].as_py()


def qos(**more):
    return dora.Ros2QosPolicies(reliable=True, keep_last=10, **more)


def topic(node, name="/chatter", kind="std_msgs/String", profile=None):
    return node.create_topic(name, kind, profile or qos())


def publish(node):
    """Publish texts and joint states until the end."""
    texts = node.create_publisher(topic(node))
    latched = node.create_publisher(
        topic(node, "/latched", profile=qos(durability=dora.Ros2Durability.TransientLocal))
    )
    latched.publish(pyarrow.array([{"data": "once"}]))
    joints = node.create_publisher(topic(node, "/joints", "sensor_msgs/JointState"))
    say(ready=True)
    while not over.wait(POLL_S):
        texts.publish(pyarrow.array([{"data": "grüezi"}]))
        joints.publish(pyarrow.array([JOINT_STATE], JOINT_STATE_TYPE))


def subscribe(node):
    """Tell of each message, on three topics."""
    latching = qos(durability=dora.Ros2Durability.TransientLocal)
    subscriptions = {
        "chatter": node.create_subscription(topic(node)),
        "latched": node.create_subscription(topic(node, "/latched", profile=latching)),
        "joints": node.create_subscription(topic(node, "/joints", "sensor_msgs/JointState")),
    }
    say(ready=True)
    while not over.wait(0.01):
        for name, subscription in subscriptions.items():
            message = subscription.next()
            if message is not None:
                say(topic=name, message=rows(message))


def serve(node):
    """Add two numbers."""
    server = node.create_service_server("/add", "example_interfaces/AddTwoInts", qos())
    say(ready=True)
    while not over.is_set():
        request = server.take_request(timeout_s=POLL_S)
        if request is not None:
            number, values = request[0], rows(request[1])
            server.send_response(number, pyarrow.array([{"sum": values["a"] + values["b"]}]))


def call(node):
    """Have two numbers added, twice."""
    client = node.create_service_client("/add", "example_interfaces/AddTwoInts", qos())
    say(ready=True)
    for a, b in ((20, 22), (-1, -(2**62))):
        say(sum=rows(client.call(pyarrow.array([{"a": a, "b": b}]), timeout_s=20))["sum"])


def act(node):
    """Serve Fibonacci; a goal above 20 waits for its cancellation."""
    server = node.create_action_server("/fibonacci", "example_interfaces/Fibonacci", qos())
    say(ready=True)

    def sequence(values):
        return pyarrow.array([{"sequence": values}], type=INT32_SEQUENCE)

    while not over.is_set():
        taken = server.take_goal(timeout_s=POLL_S)
        if taken is None:
            continue
        goal, order = taken[0], rows(taken[1])["order"]
        numbers = [0, 1]
        while len(numbers) < order and order <= 20:
            numbers.append(numbers[-1] + numbers[-2])
            server.send_feedback(goal, sequence(numbers))
        if order > 20:
            while not over.is_set() and goal not in (server.take_cancel(timeout_s=POLL_S) or ()):
                pass
        status = "canceled" if order > 20 else "succeeded"
        server.send_result(goal, sequence(numbers), status=status, timeout_s=20)


def send_goal(node):
    """Have a goal done, one rejected, and one cancelled."""
    client = node.create_action_client("/fibonacci", "example_interfaces/Fibonacci", qos())
    say(ready=True)

    def send(order):
        goal = pyarrow.array([{"order": order}], type=pyarrow.struct([("order", pyarrow.int32())]))
        return client.send_goal(goal, timeout_s=20)

    done = send(8)
    feedback = client.take_feedback(done, timeout_s=20)
    say(feedback=rows(feedback)["sequence"][:2])
    status, result = client.take_result(done, timeout_s=20)
    say(status=status, sequence=rows(result)["sequence"])
    say(rejected=send(-1) is None)
    endless = send(1000)
    say(cancelled=client.cancel(endless, timeout_s=20))


ROLES = {role.__name__: role for role in (publish, subscribe, serve, call, act, send_goal)}


def main():
    role, configuration = sys.argv[1:]
    warnings.simplefilter("ignore")  # that its bridge is unstable

    def watch():
        sys.stdin.read()
        over.set()

    threading.Thread(target=watch, daemon=True).start()
    context = dora.Ros2Context(transport=dora.Ros2Transport.zenoh("rep2016", configuration))
    ROLES[role](context.new_node("dora", "/other", dora.Ros2NodeOptions(False)))
    over.wait()


if __name__ == "__main__":
    main()
