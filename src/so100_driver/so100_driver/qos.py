# SPDX-License-Identifier: Apache-2.0
"""The quality of service of every topic of the node."""

from rclpy.qos import QoSProfile, ReliabilityPolicy

# Only the newest command counts; publishers of both kinds are heard.
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
STATE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
HEALTH = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
