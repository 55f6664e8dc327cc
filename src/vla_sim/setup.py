# SPDX-License-Identifier: Apache-2.0
"""Installs the package, with pip or colcon."""

from setuptools import find_packages, setup

PACKAGE = "vla_sim"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={f"{PACKAGE}.world": ["*.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["numpy", "PyYAML", "mujoco"],
    python_requires=">=3.10",
    zip_safe=False,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="A simulated arm: MuJoCo world, trajectory controllers and cameras in one node.",
    license="Apache-2.0",
    entry_points={"console_scripts": [f"{PACKAGE} = {PACKAGE}.node:main"]},
)
