# SPDX-License-Identifier: Apache-2.0
"""Package so100_driver for pip and colcon."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

NAME = "so100_driver"
# colcon puts console scripts where `ros2 run` looks; what lies in bin/ is on PATH. pip needs none.
BY_PIP = {"bdist_wheel", "dist_info", "editable_wheel"} & set(sys.argv)
ON_PATH = [] if BY_PIP else [("bin", ["bin/so101"])]
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
    package_data={NAME: ["py.typed", "udev/*.rules"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *ON_PATH,
    ],
    entry_points={
        "console_scripts": [
            "so101 = so100_driver.cli.__main__:main",
            f"{NAME} = {NAME}.node:main",
            f"leader_arm = {NAME}.leader_node:main",
            f"feetech_check = {NAME}.feetech_check:main",
        ],
        "vla_sim_servos": [f"so101 = {NAME}.sim_bus.world:ServosInTheWorld"],
    },
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.21",
        "rustypot>=1.13",
        *siblings("node_kit", "smooth_motion", "strict_yaml", "vla_contract"),
    ],
    # `embedded`: where no ROS 2 is installed.
    extras_require={"embedded": siblings("../embedded_ros2", "vla_msgs"), "test": ["pytest"]},
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="Driver of the SO-100 and SO-101: the servo bus, calibration, protection.",
    license="Apache-2.0",
)
