# SPDX-License-Identifier: Apache-2.0
"""Install the policies and register them."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "vla_policies"
# colcon puts console scripts where `ros2 run` looks; what lies in bin/ is on PATH. pip needs none.
BY_PIP = {"bdist_wheel", "dist_info", "editable_wheel"} & set(sys.argv)
ON_PATH = [] if BY_PIP else [("bin", ["bin/vla-policy"])]
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
        "msgpack>=1.0.3",
        "numpy>=1.21",
        "opencv-python-headless>=4.5",
        "websockets>=15",
        *siblings("strict_yaml"),
    ],
    extras_require={"test": ["pytest", "PyYAML>=5.4"]},
    python_requires=">=3.10",
    zip_safe=True,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="Policies that turn observations into action chunks, and the protocol they share.",
    license="Apache-2.0",
    entry_points={
        # Other packages add theirs to the same group.
        PACKAGE: [
            f"color_pick = {PACKAGE}.color_pick:make",
            f"replay = {PACKAGE}.replay:make",
            f"wander = {PACKAGE}.wander:make",
            f"adversary = {PACKAGE}.adversary:make",
            f"remote = {PACKAGE}.remote:make",
            f"lerobot = {PACKAGE}.lerobot_adapter:make",
        ],
        "console_scripts": [f"vla-policy = {PACKAGE}.cli:main"],
    },
)
