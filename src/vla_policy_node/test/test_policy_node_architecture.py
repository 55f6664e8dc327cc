# SPDX-License-Identifier: Apache-2.0
"""What may import what."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vla_policy_node"
ROS_FREE = [*sorted((PACKAGE / "core").glob("*.py")), PACKAGE / "params.py"]
ALLOWED = {
    "node_kit",
    "numpy",
    "smooth_motion",
    "strict_yaml",
    "vla_contract",
    "vla_policies",
    "vla_policy_node",
}
CLOCKS = {"time", "datetime"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", ROS_FREE, ids=lambda path: path.name)
def test_the_core_imports_no_ros_and_reads_no_clock(path):
    import sys

    for name in imported(path):
        top = name.split(".")[0]
        assert top in ALLOWED or top in sys.stdlib_module_names
        assert top not in CLOCKS
        if top == "vla_policy_node":
            assert name.startswith("vla_policy_node.core") or name == "vla_policy_node.params"
        if top == "node_kit":
            assert name in {"node_kit.log", "node_kit.parameters", "node_kit.tables"}


def test_the_node_is_only_input_and_output():
    assert len((PACKAGE / "node.py").read_text(encoding="utf-8").splitlines()) < 300
