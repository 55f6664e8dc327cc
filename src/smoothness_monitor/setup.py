# SPDX-License-Identifier: Apache-2.0
"""Installs the package."""

from setuptools import find_packages, setup

PACKAGE = "smoothness_monitor"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["numpy", "PyYAML", "rosbags"],
    python_requires=">=3.10",
    zip_safe=True,
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="Checks every plan, watches command and measured jerk, brakes and latches.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            f"{PACKAGE} = {PACKAGE}.node:main",
            f"black_box = {PACKAGE}.black_box.node:main",
            f"faults = {PACKAGE}.faults.node:main",
            f"smoothness = {PACKAGE}.report.command:main",
        ]
    },
)
