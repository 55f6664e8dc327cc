# SPDX-License-Identifier: Apache-2.0
"""The ROS actions of the launch system, as far as Python launch files need them.

Names, modules and signatures are those of ``launch_ros`` in ROS 2 Jazzy. Not offered, as there
are no C++ components here: composable nodes and their containers.
"""

from . import (
    actions,
    descriptions,
    event_handlers,
    events,
    parameter_descriptions,
    ros_adapters,
    substitutions,
    utilities,
)

__all__ = [
    "actions",
    "descriptions",
    "event_handlers",
    "events",
    "parameter_descriptions",
    "ros_adapters",
    "substitutions",
    "utilities",
]
