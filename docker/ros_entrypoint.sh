#!/bin/bash
# The command of a container, with ROS 2 and the suite around it.
set -e
source "/opt/ros/${ROS_DISTRO}/setup.bash"
source /opt/vla/local_setup.bash
exec "$@"
