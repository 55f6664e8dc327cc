# SPDX-License-Identifier: Apache-2.0
"""Installs the package."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "node_kit"

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
    package_data={PACKAGE: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=[*siblings("smooth_motion"), "numpy>=1.21"],
    # `embedded`: where no ROS 2 is installed.
    extras_require={"embedded": siblings("../embedded_ros2", "vla_msgs"), "test": ["pytest"]},
    python_requires=">=3.10",
    zip_safe=True,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="What every node of the suite has: start, end, clock and tables.",
    license="Apache-2.0",
)
