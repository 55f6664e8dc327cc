# SPDX-License-Identifier: Apache-2.0
"""Let `import rclpy` and its kin resolve to the stand-ins where the real packages are absent.

The interpreter imports this module at every start (through ``embedded_ros2.pth``), so it
imports nothing but `sys` until one of its names is asked for.
"""

import sys

INTERFACE_KINDS = ("msg", "srv", "action")

# Asked for before a directory of the same name can pass for the package: a source tree often
# has a folder called `launch`, and Python would take it for a namespace package.
STAND_INS = frozenset(
    (
        "rclpy",
        "ament_index_python",
        "cv_bridge",
        "diagnostic_updater",
        "launch",
        "launch_ros",
        "launch_xml",
        "launch_yaml",
        "message_filters",
        "osrf_pycommon",
        "rosidl_runtime_py",
        "tf2_ros",
    )
)


class FallbackFinder:
    """Finds stand-ins and generated interface packages, after every other finder has failed."""

    def find_spec(self, fullname, path=None, target=None):
        """Return a spec for `fullname` if it is ours and nobody else's, else None."""
        package, dot, rest = fullname.partition(".")
        if not dot:
            if package not in STAND_INS:
                return None
        elif rest not in INTERFACE_KINDS:
            return None
        from embedded_ros2 import _fallback_specs

        return _fallback_specs.find(fullname, path, target, self)


class LastFinder:
    """Finds interface packages whose names are known only from the definitions installed."""

    def find_spec(self, fullname, path=None, target=None):
        """Return a spec for the interface package `fullname`, else None."""
        if "." in fullname:
            return None
        from embedded_ros2 import _fallback_specs

        return _fallback_specs.find_interface_package(fullname)


def install() -> None:
    """Register the finders once. `EMBEDDED_ROS2=off` in the environment leaves Python as it is."""
    import os

    if os.environ.get("EMBEDDED_ROS2", "").lower() in ("off", "0"):
        return
    if any(type(finder).__name__ == "FallbackFinder" for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, FallbackFinder())
    sys.meta_path.append(LastFinder())
