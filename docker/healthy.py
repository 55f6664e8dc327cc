#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Health check of a container: the monitor says its state, and that state is not FAULT.

It joins the graph as any node does, so it works with ROS 2 and with embedded_ros2. A latched stop
is healthy: the suite does what it must. In FAULT it is not; a person has to come.
"""

from __future__ import annotations

import argparse
import sys
import time

import rclpy
from rclpy.qos import qos_profile_sensor_data
from vla_msgs.msg import MonitorStatus

STATES = {
    MonitorStatus.STARTUP: "STARTUP",
    MonitorStatus.READY: "READY",
    MonitorStatus.STOPPING: "STOPPING",
    MonitorStatus.STOPPED_LATCHED: "STOPPED_LATCHED",
    MonitorStatus.FAULT: "FAULT",
}


def heard(topic: str, within_s: float) -> MonitorStatus | None:
    """Return the first message on a topic, or None where there is none within a time."""
    got: list[MonitorStatus] = []
    rclpy.init()
    node = rclpy.create_node(f"healthy_{time.monotonic_ns()}")
    node.create_subscription(MonitorStatus, topic, got.append, qos_profile_sensor_data)
    end = time.monotonic() + within_s
    while not got and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    node.destroy_node()
    rclpy.shutdown()
    return got[0] if got else None


def main(argv: list[str] | None = None) -> int:
    """Return 0 where the monitor is there and not in FAULT, else 1; say why in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topic", default="/smoothness_monitor/state")
    parser.add_argument("--within", type=float, default=8.0, help="seconds (default: %(default)s)")
    arguments = parser.parse_args(argv)
    status = heard(arguments.topic, arguments.within)
    if status is None:
        print(f"no monitor: nothing on {arguments.topic} for {arguments.within:g} s")
        return 1
    state = STATES.get(status.state, f"unknown state {status.state}")
    print(f"{state} {status.first_cause_detail or ', '.join(status.waiting_for)}".rstrip())
    return 0 if status.state in STATES and status.state != MonitorStatus.FAULT else 1


if __name__ == "__main__":
    sys.exit(main())
