# SPDX-License-Identifier: Apache-2.0
"""The ROS actions of the launch system, as far as Python launch files need them.

Names, modules and signatures are those of ``launch_ros`` in ROS 2 Jazzy. Not offered:
C++ components, as there are none here, and transitions of lifecycle nodes.
"""

from . import actions, descriptions, parameter_descriptions, substitutions, utilities

__all__ = ["actions", "descriptions", "parameter_descriptions", "substitutions", "utilities"]
