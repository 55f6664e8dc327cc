# SPDX-License-Identifier: Apache-2.0
"""Install vla_training with its commands, vla-train and vla-eval."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "vla_training"
# colcon puts console scripts where `ros2 run` looks; what lies in bin/ is on PATH. pip needs none.
BY_PIP = {"bdist_wheel", "dist_info", "editable_wheel"} & set(sys.argv)
ON_PATH = [] if BY_PIP else [("bin", ["bin/vla-train", "bin/vla-eval"])]

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
        *ON_PATH,
    ],
    install_requires=[
        "matplotlib>=3.5",
        "numpy>=1.21",
        "pyyaml>=5.4",
        *siblings(
            "smolvla",
            "smooth_motion",
            "strict_yaml",
            "vla_contract",
            "vla_policies",
            "vla_recording",
            "vla_sim",
        ),
    ],
    # What computes it, as with smolvla; without it demonstrations can be collected.
    extras_require={
        "test": ["pytest"],
        "torch": ["torch", "safetensors", "tokenizers"],
        "tensorboard": ["tensorboard"],
    },
    python_requires=">=3.10",
    zip_safe=False,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="Teach a vision-language-action policy in a simulated world. Imports no ROS.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"vla-train = {PACKAGE}.cli:main",
            f"vla-eval = {PACKAGE}.evaluation.command:main",
        ]
    },
)
