# SPDX-License-Identifier: Apache-2.0
"""A process that hangs holds up nobody but itself."""

import itertools
import os
import signal
import subprocess
import sys

# Until Zenoh closes a connection whose other end does not read.
CLOSED_AFTER_S = 5.0

PUBLISHER = """
import time
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Int64
rclpy.init(args=[])
node = rclpy.create_node("publisher")
numbers, pictures = node.create_publisher(Int64, "n", 10), node.create_publisher(Image, "i", 10)
picture = Image(width=640, height=480, encoding="rgb8", step=1920, data=bytes(640 * 480 * 3))
node.create_timer(0.01, lambda: numbers.publish(Int64(data=time.monotonic_ns())))
node.create_timer(0.03, lambda: pictures.publish(picture))
rclpy.spin(node)
"""
READER = """
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Int64
rclpy.init(args=[])
node = rclpy.create_node("reader")
node.create_subscription(Int64, "n", lambda message: print(message.data, flush=True), 10)
node.create_subscription(Image, "i", lambda message: None, 10)
rclpy.spin(node)
"""


def test_a_reader_that_hangs_does_not_stall_a_reliable_publisher():
    environment = {**os.environ, "ROS_DOMAIN_ID": str(141 + os.getpid() % 20)}
    hangs, reads, publishes = (
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for code in (READER, READER, PUBLISHER)
    )
    try:
        hangs.stdout.readline()
        reads.stdout.readline()
        hangs.send_signal(signal.SIGSTOP)
        published_ns = [int(reads.stdout.readline())]
        while published_ns[-1] < published_ns[0] + 1.6e9 * CLOSED_AFTER_S:
            published_ns.append(int(reads.stdout.readline()))
    finally:
        for process in (hangs, reads, publishes):
            process.kill()
            process.communicate()
    longest_ns = max(late - early for early, late in itertools.pairwise(published_ns))
    assert longest_ns < 0.5e9 * CLOSED_AFTER_S
