# SPDX-License-Identifier: Apache-2.0
"""Package vla_contract for pip and colcon."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "vla_contract"

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
    package_data={NAME: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.21",
        "opencv-python-headless>=4.5",
        *siblings("smooth_motion", "strict_yaml", "vla_policies"),
    ],
    extras_require={"test": ["pytest", "PyYAML>=5.4"]},
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="The robot file, the contract of a policy with its topics, and observations.",
    license="Apache-2.0",
)
