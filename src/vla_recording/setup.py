# SPDX-License-Identifier: Apache-2.0
"""Installs the package."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "vla_recording"

HERE = Path(__file__).resolve().parent


def siblings(*folders: str) -> list[str]:
    """Require packages of this repository by where they lie, from src/: no index has them."""
    places = [(HERE.parent / folder).resolve() for folder in folders]
    # With a host, or colcon cannot read it.
    return [f"{place.name} @ file://localhost{place.as_uri()[7:]}" for place in places]


# colcon puts console scripts where `ros2 run` looks; what lies in bin/ is on PATH. pip needs none.
BY_PIP = {"bdist_wheel", "dist_info", "editable_wheel"} & set(sys.argv)
ON_PATH = [] if BY_PIP else [("bin", ["bin/smoothness", "bin/vla-record"])]

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *ON_PATH,
    ],
    install_requires=[
        "av>=14",
        # As rosbags brings them.
        'backports.zstd; python_version < "3.14"',
        "lz4",
        "matplotlib>=3.5",
        "numpy>=1.21",
        "opencv-python-headless>=4.5",
        "pyarrow>=16",
        "PyYAML>=5.4",
        "rosbags>=0.11.9,<0.12",
        *siblings("node_kit", "smooth_motion", "strict_yaml", "vla_contract", "vla_policies"),
    ],
    # `embedded`: the nodes, where no ROS 2 is installed. `smoothness` and `vla-record` need none.
    extras_require={
        "embedded": siblings("../embedded_ros2", "vla_msgs"),
        "test": ["pytest"],
    },
    python_requires=">=3.10",
    zip_safe=True,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="The black box, the episode recorder, LeRobot datasets, the smoothness report.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"black_box = {PACKAGE}.black_box.node:main",
            f"episode_recorder = {PACKAGE}.episodes.node:main",
            f"smoothness = {PACKAGE}.report.command:main",
            f"vla-record = {PACKAGE}.episodes.command:main",
        ]
    },
)
