# SPDX-License-Identifier: Apache-2.0
"""Installs the package, with pip or colcon."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "vla_sim"

# colcon puts console scripts where `ros2 run` looks; what lies in bin/ is on PATH. pip needs none.
BY_PIP = {"bdist_wheel", "dist_info", "editable_wheel"} & set(sys.argv)
ON_PATH = [] if BY_PIP else [("bin", ["bin/vla-robot"])]
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
    package_data={f"{PACKAGE}.world": ["*.xml"], f"{PACKAGE}.from_urdf": ["*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *ON_PATH,
    ],
    install_requires=[
        "mujoco>=3.3",
        "numpy>=1.21",
        *siblings("node_kit", "smooth_motion", "strict_yaml", "vla_contract", "vla_policies"),
    ],
    # `embedded`: where no ROS 2 is installed.
    extras_require={
        "embedded": siblings("../embedded_ros2", "vla_msgs"),
        # A simulated Franka arm behind libfranka's wire.
        "fci": ["franky-sim", "pylibfranka"],
        "test": ["pytest", "PyYAML>=5.4"],
    },
    python_requires=">=3.10",
    zip_safe=False,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="A simulated arm: MuJoCo world, trajectory controllers and cameras in one node.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"{PACKAGE} = {PACKAGE}.node:main",
            f"{PACKAGE}_servos = {PACKAGE}.servo_node:main",
            f"{PACKAGE}_fci = {PACKAGE}.fci_node:main",
            f"faults = {PACKAGE}.faults.node:main",
            f"emulated_controllers = {PACKAGE}.emulated_controllers:main",
            f"vla-robot = {PACKAGE}.from_urdf.command:main",
        ]
    },
)
