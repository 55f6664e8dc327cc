# SPDX-License-Identifier: Apache-2.0
r"""A simulated SO-101 with a policy and the monitor: `sim.launch.py` of this robot.

ros2 launch vla_bringup so101_sim.launch.py
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

SIMULATION = str(Path(__file__).with_name("sim.launch.py"))


def generate_launch_description() -> LaunchDescription:
    """Bring up the simulation, the monitor and the policy node."""
    return LaunchDescription([IncludeLaunchDescription(PythonLaunchDescriptionSource(SIMULATION))])
