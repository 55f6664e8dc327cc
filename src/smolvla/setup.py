# SPDX-License-Identifier: Apache-2.0
"""Install SmolVLA and offer it to vla_policies."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "smolvla"
# colcon puts console scripts where `ros2 run` looks; what lies in bin/ is on PATH. pip needs none.
BY_PIP = {"bdist_wheel", "dist_info", "editable_wheel"} & set(sys.argv)
ON_PATH = [] if BY_PIP else [("bin", ["bin/smolvla"])]

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
        *ON_PATH,
    ],
    install_requires=[
        "numpy>=1.21",
        "opencv-python-headless>=4.5",
        *siblings("vla_policies"),
    ],
    # What computes it. A node that runs it in a process of its own needs none of this.
    extras_require={
        "test": ["pytest"],
        "torch": ["torch", "safetensors", "tokenizers"],
        "openvino": ["openvino", "safetensors", "tokenizers"],
        "convert": ["torch", "openvino", "nncf", "safetensors", "tokenizers"],
    },
    python_requires=">=3.10",
    zip_safe=True,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="SmolVLA checkpoints of LeRobot as a policy: exact in torch, fast in OpenVINO.",
    license="Apache-2.0",
    entry_points={
        "vla_policies": [f"smolvla = {PACKAGE}:make"],
        "console_scripts": [f"smolvla = {PACKAGE}.cli:main"],
    },
)
