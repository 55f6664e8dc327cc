# SPDX-License-Identifier: Apache-2.0
import os

import rclpy


def test_a_log_call_does_not_raise_though_a_signal_ends_the_context_within_it(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))
    rclpy.init(args=[])
    node = rclpy.create_node("interrupted")
    try:
        answers = [False, True]  # asked before the publishing, and within it
        monkeypatch.setattr(node.context, "ok", lambda: answers.pop() if answers else False)
        assert node.get_logger().info("still said")
        assert answers == []
    finally:
        monkeypatch.undo()
        node.destroy_node()
        rclpy.try_shutdown()
