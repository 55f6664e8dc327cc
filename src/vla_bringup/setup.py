# SPDX-License-Identifier: Apache-2.0
"""Install the launch files and the configuration that live at the top of the repository."""

import os
from collections import defaultdict
from pathlib import Path

from setuptools import find_packages, setup

NAME = "vla_bringup"

HERE = Path(__file__).resolve().parent


def siblings(*folders: str) -> list[str]:
    """Require packages of this repository by where they lie, from src/: no index has them."""
    places = [(HERE.parent / folder).resolve() for folder in folders]
    # With a host, or colcon cannot read it.
    return [f"{place.name} @ file://localhost{place.as_uri()[7:]}" for place in places]


TOP = os.path.join("..", "..")


def tree(folder: str, top: str = TOP) -> list[tuple[str, list[str]]]:
    """List every file below a folder of `top`, by the share folder it is installed to."""
    found: dict[str, list[str]] = defaultdict(list)
    for here, folders, files in os.walk(os.path.join(top, folder)):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        target = os.path.join("share", NAME, os.path.relpath(here, top))
        found[target] += [os.path.join(here, name) for name in sorted(files)]
    return [(target, files) for target, files in found.items() if files]


setup(
    name=NAME,
    version="0.1.0",
    description="Launch files, configuration and the demonstration of the suite",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *tree("launch"),
        *tree("config"),
        *tree("urdf", "."),
    ],
    install_requires=[
        "matplotlib>=3.5",
        "numpy>=1.21",
        "opencv-python-headless>=4.5",
        "PyYAML>=5.4",
        *siblings(
            "node_kit",
            "smooth_motion",
            "smoothness_monitor",
            "so100_driver",
            "strict_yaml",
            "vla_contract",
            "vla_moveit",
            "vla_operator",
            "vla_policies",
            "vla_policy_node",
            "vla_recording",
            "vla_sim",
            "vla_training",
        ),
    ],
    # `embedded`: where no ROS 2 is installed.
    extras_require={
        "embedded": siblings("../embedded_ros2", "vla_msgs"),
        "test": ["packaging", "pytest"],
    },
    entry_points={
        "console_scripts": [
            "demo = vla_bringup.demo:main",
            "episode_runner = vla_bringup.episode_runner:main",
            "franka_hand = vla_bringup.franka_hand:main",
        ],
        # The arm of `vla-eval --live`.
        "vla_eval_live": ["graph = vla_bringup.live_arm:open_arm"],
    },
)
