# SPDX-License-Identifier: Apache-2.0
"""Package strict_yaml for pip and colcon."""

from setuptools import find_packages, setup

NAME = "strict_yaml"

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
    install_requires=["PyYAML>=5.4"],
    extras_require={"test": ["pytest"]},
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="Reads the YAML files that people write, and refuses what would surprise them.",
    license="Apache-2.0",
)
