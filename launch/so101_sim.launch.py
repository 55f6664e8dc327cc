# SPDX-License-Identifier: Apache-2.0
r"""A simulated SO-101 with a policy and the monitor: `sim.launch.py` of this robot.

ros2 launch vla_bringup so101_sim.launch.py
"""

from launch import LaunchDescription

from vla_bringup.launch_parts import included


def generate_launch_description() -> LaunchDescription:
    """Bring up the simulation, the monitor and the policy node."""
    return LaunchDescription([included(__file__, "sim")])
