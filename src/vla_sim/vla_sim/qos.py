# SPDX-License-Identifier: Apache-2.0
"""The quality of service of every topic of the node."""

from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, reliability: ReliabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)


# Only the newest image counts, and a resent one would be late.
IMAGE = _profile(1, ReliabilityPolicy.BEST_EFFORT)
STATE = _profile(10, ReliabilityPolicy.RELIABLE)
# An older plan must never follow a newer one.
TRAJECTORY = _profile(1, ReliabilityPolicy.RELIABLE)
# As the monitor hears its inputs: drivers publish best effort more often than not.
INPUT = _profile(100, ReliabilityPolicy.BEST_EFFORT)
TASK_STATE = _profile(1, ReliabilityPolicy.RELIABLE)
# Some subscribe reliably, those of rclpy and rclcpp do not.
CLOCK = _profile(10, ReliabilityPolicy.RELIABLE)
ACKNOWLEDGEMENT = _profile(10, ReliabilityPolicy.RELIABLE)
