# SPDX-License-Identifier: Apache-2.0
"""The quality of service of every topic, named by what the topic carries."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _kept(
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
IMAGE = _kept(1, ReliabilityPolicy.BEST_EFFORT)
# An older plan must never follow a newer one.
TRAJECTORY = _kept(1)
# Of these too the newest says it all.
NEWEST = _kept(1)
# A late subscriber learns at once what the state is.
LATCHED = _kept(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Each counts: chunks, instructions, what a robot tells of its joints, what goes to its controller.
EACH = _kept(10)
# Drivers publish best effort more often than not, and a best effort subscription hears both.
SENSED = _kept(10, ReliabilityPolicy.BEST_EFFORT)
# The same, deep enough for a stall of 0.1 s at 1 kHz: a gap restarts an estimate of jerk.
ALL_SENSED = _kept(100, ReliabilityPolicy.BEST_EFFORT)
# Of commands to a driver only the newest counts, and both kinds of publishers are heard.
COMMANDED = _kept(1, ReliabilityPolicy.BEST_EFFORT)
# Some subscribe to /clock reliably, those of rclpy and rclcpp do not: to them a time that comes
# too late is of no use.
CLOCK = _kept(10)
CLOCK_HEARD = _kept(1, ReliabilityPolicy.BEST_EFFORT)
# As every node publishes them; fewer are kept, for a flood of them must not take long to hear.
PARAMETER_EVENTS = _kept(100)
