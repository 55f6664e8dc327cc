# SPDX-License-Identifier: Apache-2.0
"""The quality of service of every topic of the node."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(
    depth: int,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


# Only the newest image counts, and a resent one would be late.
IMAGE = _profile(1, ReliabilityPolicy.BEST_EFFORT)
# Drivers publish best effort more often than not, and a best effort subscription hears both.
STATE = _profile(10, ReliabilityPolicy.BEST_EFFORT)
# An older plan must never follow a newer one.
TRAJECTORY = _profile(1)
# What goes to the controller: each counts, for each is continued.
HEARD = _profile(10)
# A late subscriber learns at once what the state is.
LATCHED = _profile(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
INSTRUCTION = _profile(10)
CHUNK = _profile(10)
