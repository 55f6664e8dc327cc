# SPDX-License-Identifier: Apache-2.0
"""Package vla_operator for pip and colcon."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "vla_operator"
HERE = Path(__file__).resolve().parent


def siblings(*folders: str) -> list[str]:
    """Require packages of this repository by where they lie, from src/: no index has them."""
    places = [(HERE.parent / folder).resolve() for folder in folders]
    # With a host, or colcon cannot read it.
    return [f"{place.name} @ file://localhost{place.as_uri()[7:]}" for place in places]


setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={NAME: ["py.typed", "page/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    entry_points={"console_scripts": [f"{NAME} = {NAME}.node:main"]},
    python_requires=">=3.10",
    install_requires=[
        "aiohttp>=3.8",
        "numpy>=1.21",
        "opencv-python-headless>=4.5",
        *siblings("node_kit", "smooth_motion", "strict_yaml", "vla_contract", "vla_policies"),
    ],
    # `embedded`: where no ROS 2 is installed.
    extras_require={
        "embedded": siblings("../embedded_ros2", "vla_msgs"),
        "test": ["pytest", *siblings("vla_recording", "smoothness_monitor")],
    },
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="The operator's page in a browser: see the arm, stop it, reset it, instruct it.",
    license="Apache-2.0",
)
