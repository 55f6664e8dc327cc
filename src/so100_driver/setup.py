# SPDX-License-Identifier: Apache-2.0
"""Package so100_driver for pip and colcon."""

from setuptools import find_packages, setup

NAME = "so100_driver"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={NAME: ["py.typed", "udev/*.rules"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    entry_points={"console_scripts": ["so101 = so100_driver.cli.__main__:main"]},
    python_requires=">=3.10",
    install_requires=["numpy>=1.21", "rustypot>=1.13"],
    extras_require={"test": ["pytest"]},
    maintainer="The maintainers",
    maintainer_email="maintainers@vla-smooth.invalid",
    description="The Feetech bus of the SO-100 and SO-101, its calibration, a simulated bus.",
    license="Apache-2.0",
)
