# SPDX-License-Identifier: Apache-2.0
import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "smoothness_monitor"
ROS_FREE = sorted([*PACKAGE.glob("core/**/*.py"), PACKAGE / "params.py"])
ALLOWED = {
    "__future__", "collections", "dataclasses", "enum", "functools", "math", "pathlib", "typing",
    "numpy", "strict_yaml", "smooth_motion", "vla_contract", "node_kit",
    "smoothness_monitor",
}  # fmt: skip


@pytest.mark.parametrize("path", ROS_FREE, ids=lambda path: path.name)
def test_the_core_imports_neither_ros_nor_a_clock(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [node.module or ""]
        assert {name.split(".")[0] for name in names} <= ALLOWED
        for name in names:
            assert not name.startswith(("smoothness_monitor.node", "smoothness_monitor.convert"))
            # Of node_kit these know no ROS.
            assert not name.startswith("node_kit") or name in {
                "node_kit.log", "node_kit.parameters", "node_kit.tables",
            }  # fmt: skip


def test_the_node_stays_thin():
    assert len((PACKAGE / "node.py").read_text(encoding="utf-8").splitlines()) < 300
