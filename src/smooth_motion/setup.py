# SPDX-License-Identifier: Apache-2.0
"""Package smooth_motion for pip and colcon."""

from setuptools import find_packages, setup

NAME = "smooth_motion"

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
    install_requires=["numba>=0.55", "numpy>=1.21", "piqp>=0.6", "scipy>=1.8"],
    extras_require={"test": ["hypothesis", "pytest"]},
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="Plans, brakes and checks whose jerk is bounded by construction. No ROS inside.",
    license="Apache-2.0",
)
