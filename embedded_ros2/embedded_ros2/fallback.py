# SPDX-License-Identifier: Apache-2.0
"""Let `import rclpy` and its kin resolve to the stand-ins where the real packages are absent.

The interpreter imports this module at every start (through ``embedded_ros2.pth``), so it
imports nothing but `os` and `sys` until one of its names is asked for.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing for its own would double the cost
if TYPE_CHECKING:
    from typing import Any

SWITCH = "EMBEDDED_ROS2"
_INTERFACE_KINDS = ("msg", "srv", "action")
_STAND_INS = frozenset(("ament_index_python", "launch", "launch_ros", "rclpy"))
# Packages of ROS 2 in Python that programs ask for, and that have no stand-in.
_REFUSED = frozenset(
    (
        "cv_bridge",
        "diagnostic_updater",
        "image_geometry",
        "image_transport_py",
        "launch_pytest",
        "launch_testing",
        "launch_testing_ros",
        "launch_xml",
        "launch_yaml",
        "laser_geometry",
        "message_filters",
        "ros2cli",
        "rosbag2_py",
        "rosidl_runtime_py",
        "rpyutils",
        "sensor_msgs_py",
        "tf2_geometry_msgs",
        "tf2_kdl",
        "tf2_py",
        "tf2_ros",
        "tf2_sensor_msgs",
    )
)


def _may_have_definitions(package: str) -> bool:
    """Return whether a package of this name is worth a closer look.

    Python asks for many optional modules that exist nowhere; those must cost next to nothing.
    """
    here = os.path.dirname(__file__)
    if os.path.isfile(os.path.join(here, "interfaces", "definitions", package + ".txt")):
        return True
    environ = os.environ
    roots = environ.get("EMBEDDED_ROS2_SHARE", "").split(os.pathsep)
    prefixes = [*environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    roots += [os.path.join(prefix, "share") for prefix in prefixes if prefix]
    return any(
        os.path.basename(root) == package or os.path.isdir(os.path.join(root, package))
        for root in roots
        if root
    )


class NamedFinder:
    """Finds the names known beforehand, and asks every other finder first.

    It stands at the front because a source tree often has a folder called `launch` or `msg`,
    which Python's own finder would take for a namespace package.
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Return a spec for `fullname` if it is a stand-in's and nobody else's, else None."""
        package, dot, rest = fullname.partition(".")
        if package in _STAND_INS:
            pass
        elif not dot or rest not in _INTERFACE_KINDS:
            return None
        from embedded_ros2 import stand_ins

        if dot and package in _STAND_INS:
            return stand_ins.find_submodule(fullname, path)
        return stand_ins.find(fullname, path, (NamedFinder, LastFinder))


class LastFinder:
    """Finds interface packages, whose names are known only from the definitions installed.

    Of ROS packages that are nowhere and not offered it says so.
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Return a spec for the interface package `fullname`, else None."""
        if fullname in _REFUSED:
            from embedded_ros2 import stand_ins

            return stand_ins.find_refused(fullname, (NamedFinder, LastFinder))
        if "." in fullname or not _may_have_definitions(fullname):
            return None
        from embedded_ros2 import stand_ins

        return stand_ins.find_interface_package(fullname, (NamedFinder, LastFinder))


def install() -> None:
    """Register the finders, once; ``EMBEDDED_ROS2=off`` leaves Python as it is."""
    if os.environ.get(SWITCH) == "off":
        return
    if any(isinstance(finder, LastFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, NamedFinder())
    sys.meta_path.append(LastFinder())
