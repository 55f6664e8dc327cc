# SPDX-License-Identifier: Apache-2.0
"""Every module of every package can be imported with the versions that are installed here."""

import importlib
import pkgutil

import numpy as np
import pytest

PACKAGES = [
    "embedded_ros2",
    "smolvla",
    "node_kit",
    "smooth_motion",
    "smoothness_monitor",
    "so100_driver",
    "strict_yaml",
    "vla_bringup",
    "vla_contract",
    "vla_moveit",
    "vla_operator",
    "vla_policies",
    "vla_policy_node",
    "vla_recording",
    "vla_sim",
    "vla_training",
]
# What an extra brings, or another policy's own environment.
OPTIONAL = {
    "franky_sim",
    "lerobot",
    "nncf",
    "openvino",
    "pylibfranka",
    "safetensors",
    "tokenizers",
    "torch",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_can_be_imported(package):
    if package == "embedded_ros2":
        # Not the package itself: from the top of the repository its folder passes for one.
        pytest.importorskip("embedded_ros2.fallback", reason="a ROS 2 is here in its place")
    module = importlib.import_module(package)
    wrong = {}
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        if found.name.endswith("__main__") or ".stand_in." in found.name:
            continue
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                wrong[found.name] = str(error)
        except Exception as error:
            wrong[found.name] = repr(error)
    assert not wrong, f"with numpy {np.__version__}"
