# SPDX-License-Identifier: Apache-2.0
"""The quality of service of every topic of the node."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _reliable(depth: int, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=durability,
    )


# An older trajectory must never follow a newer one.
TRAJECTORY = _reliable(1)
# Drivers publish best effort more often than not, and a best effort subscription hears both. Deep
# enough for a stall of 0.1 s at 1 kHz: a gap restarts the estimate of the measured jerk.
INPUT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.BEST_EFFORT
)
# A late subscriber learns at once what the state is.
STATE = _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
SMOOTHNESS = _reliable(1)
DIAGNOSTICS = _reliable(1)
# Several nodes publish there, each on its own.
HEALTH = _reliable(10)
# As the controller manager publishes it.
ACTIVITY = _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
HEARTBEAT = _reliable(1, DurabilityPolicy.TRANSIENT_LOCAL)
# As every node publishes them; fewer are kept, for a flood of them must not take long to hear.
PARAMETER_EVENTS = _reliable(100)
