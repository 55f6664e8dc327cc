# SPDX-License-Identifier: Apache-2.0
"""Install the interface files with pip, where no ROS 2 builds them.

With ROS 2, colcon builds this package through CMakeLists.txt and never reads this file.
"""

from pathlib import Path

from setuptools import setup

NAME = "vla_msgs"


def interface_files(kind: str) -> tuple[str, list[str]]:
    """Return where the files of one kind go, and which they are."""
    return f"share/{NAME}/{kind}", sorted(str(path) for path in Path(kind).glob(f"*.{kind}"))


setup(
    name=NAME,
    version="0.1.0",
    description="Messages, services and actions of the suite",
    license="Apache-2.0",
    packages=[],
    py_modules=[],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/vla_msgs"]),
        (f"share/{NAME}", ["package.xml"]),
        interface_files("msg"),
        interface_files("srv"),
        interface_files("action"),
    ],
)
