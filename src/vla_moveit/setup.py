# SPDX-License-Identifier: Apache-2.0
"""Install the node."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "vla_moveit"

HERE = Path(__file__).resolve().parent


def siblings(*folders: str) -> list[str]:
    """Require packages of this repository by where they lie, from src/: no index has them."""
    places = [(HERE.parent / folder).resolve() for folder in folders]
    # With a host, or colcon cannot read it.
    return [f"{place.name} @ file://localhost{place.as_uri()[7:]}" for place in places]


setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=[
        "numpy>=1.21",
        "PyYAML>=5.4",
        *siblings("node_kit", "smooth_motion", "strict_yaml", "vla_contract"),
    ],
    # `embedded`: where no ROS 2 is installed.
    extras_require={
        "embedded": siblings("../embedded_ros2", "vla_msgs"),
        "test": ["pytest", *siblings("vla_policy_node")],
    },
    python_requires=">=3.10",
    zip_safe=True,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="Planned, collision-aware motion to a pose: a source of chunks like any other.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"motion_planner = {PACKAGE}.node:main",
            f"moveit_files = {PACKAGE}.moveit_files:main",
        ]
    },
)
