# SPDX-License-Identifier: Apache-2.0
"""Nodes for the other side of the tests, by role: ``peer.py <role> [--ros-args ...]``."""

import sys
import time

import rclpy
from example_interfaces.action import Fibonacci
from example_interfaces.srv import AddTwoInts
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Int64, String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

LATCHED = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def echo(node):
    """Send back what comes in, one topic for each type."""
    for message_type in (String, JointState, Image, JointTrajectory):
        name = message_type.__name__
        publisher = node.create_publisher(message_type, f"{name}_out", 10)
        node.create_subscription(message_type, f"{name}_in", publisher.publish, 10)


def latched(node):
    """Publish four messages that wait for late subscriptions, which get the last three."""
    publisher = node.create_publisher(Int64, "latched", LATCHED)
    for number in range(4):
        publisher.publish(Int64(data=number))


def counter(node):
    """Count aloud."""
    publisher = node.create_publisher(Int64, "count", 10)
    numbers = iter(range(10**9))
    node.create_timer(0.01, lambda: publisher.publish(Int64(data=next(numbers))))


def server(node):
    """Serve two services, one of them by a coroutine that waits."""

    def add(request, response):
        response.sum = request.a + request.b
        return response

    async def set_bool(request, response):
        answer = await client.call_async(AddTwoInts.Request(a=20, b=22))
        response.success = request.data
        response.message = str(answer.sum)
        return response

    group = ReentrantCallbackGroup()
    node.create_service(AddTwoInts, "add", add, callback_group=group)
    client = node.create_client(AddTwoInts, "add", callback_group=group)
    node.create_service(SetBool, "set", set_bool, callback_group=group)


def parameters(node):
    """Declare parameters of several kinds."""
    limits = FloatingPointRange(from_value=0.0, to_value=10.0)
    node.declare_parameter("gain", 1.0, ParameterDescriptor(floating_point_range=[limits]))
    node.declare_parameter("fixed", "as it is", ParameterDescriptor(read_only=True))
    node.declare_parameter("names", ["a", "b"])
    node.declare_parameter("offsets", [0.5, 1.5])
    node.declare_parameter("even", 2)

    def check(changes):
        for change in changes:
            if change.name == "even" and change.value % 2:
                return SetParametersResult(successful=False, reason="must be even")
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def action(node):
    """Serve Fibonacci; it rejects a negative order and aborts at order 13."""

    def decide(goal):
        return GoalResponse.REJECT if goal.order < 0 else GoalResponse.ACCEPT

    def execute(goal_handle):
        sequence = [0, 1]
        for _ in range(goal_handle.request.order):
            if goal_handle.is_cancel_requested:
                goal_handle.canceled()
                return Fibonacci.Result(sequence=sequence)
            sequence.append(sequence[-1] + sequence[-2])
            goal_handle.publish_feedback(Fibonacci.Feedback(sequence=sequence))
            time.sleep(0.01)
        if goal_handle.request.order == 13:
            goal_handle.abort()
        else:
            goal_handle.succeed()
        return Fibonacci.Result(sequence=sequence)

    node.fibonacci = ActionServer(
        node,
        Fibonacci,
        "fibonacci",
        execute,
        callback_group=ReentrantCallbackGroup(),
        goal_callback=decide,
        cancel_callback=lambda goal_handle: CancelResponse.ACCEPT,
    )


def raising(node):
    """Raise in a callback."""

    def fail():
        raise RuntimeError("on purpose")

    node.create_timer(0.01, fail)


def exiting(node):
    """Leave from a callback while messages come in."""
    counter(node)
    node.create_subscription(Int64, "count", lambda message: None, 10)
    node.create_timer(0.1, lambda: sys.exit(3))


def main():
    """Run a role until a signal, and say how it ended."""
    role = sys.argv[1]
    rclpy.init()
    node = rclpy.create_node(role)
    executor = MultiThreadedExecutor(4) if role in ("action", "server") else None

    def say_ready():
        # From within the spin: the real rclpy does not expect a signal just before it.
        ready.cancel()
        print("ready", flush=True)

    ready = node.create_timer(0.001, say_ready)
    globals()[role](node)
    try:
        rclpy.spin(node, executor)
    except (KeyboardInterrupt, ExternalShutdownException) as error:
        print(type(error).__name__, flush=True)
    if "--leave-open" not in sys.argv:
        node.destroy_node()
        rclpy.try_shutdown()
    print("over", flush=True)


if __name__ == "__main__":
    main()
