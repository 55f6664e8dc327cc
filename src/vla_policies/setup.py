# SPDX-License-Identifier: Apache-2.0
"""Install the policies and register them."""

from setuptools import find_packages, setup

PACKAGE = "vla_policies"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["numpy", "opencv-python-headless", "PyYAML", "msgpack", "websockets>=15"],
    # What learned policies need; nodes and the other policies do not.
    extras_require={
        "smolvla": ["torch", "safetensors", "tokenizers"],
        "openvino": ["openvino", "safetensors", "tokenizers"],
        "convert": ["torch", "openvino", "nncf", "safetensors", "tokenizers"],
    },
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
            f"adversary = {PACKAGE}.adversary:make",
            f"smolvla = {PACKAGE}.smolvla:make",
            f"remote = {PACKAGE}.remote:make",
            f"lerobot = {PACKAGE}.lerobot_adapter:make",
        ],
        "console_scripts": [f"vla-policy = {PACKAGE}.cli:main"],
    },
)
