# SPDX-License-Identifier: Apache-2.0
"""The architecture as docs/explanation/architecture.md has it: layers, and what may import ROS."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
SRC = TOP / "src"
GROUND = {"strict_yaml", "smooth_motion", "vla_policies", "vla_contract"}
# What each package may import of the suite. vla_msgs has no Python of its own.
MAY_IMPORT = {
    "strict_yaml": set(),
    "smooth_motion": set(),
    "vla_policies": {"strict_yaml"},
    "smolvla": {"vla_policies"},
    "vla_contract": GROUND - {"vla_contract"},
    "so100_driver": {"node_kit", "vla_contract", "vla_msgs"},
    "vla_training": {*GROUND, "smolvla", "vla_recording", "vla_sim"},
    "node_kit": {"smooth_motion"},
    "vla_sim": {*GROUND, "node_kit", "vla_msgs"},
    "vla_policy_node": {*GROUND, "node_kit", "vla_msgs"},
    "vla_operator": {"node_kit", "smooth_motion", "vla_contract", "vla_msgs"},
    "vla_recording": {*GROUND, "node_kit", "vla_msgs"},
    "vla_moveit": {*GROUND - {"vla_policies"}, "node_kit", "vla_msgs"},
    "smoothness_monitor": {*GROUND - {"vla_policies"}, "node_kit", "vla_msgs"},
    "vla_bringup": {*GROUND - {"vla_policies"}, "node_kit", "vla_msgs", "vla_training"},
}
ROS = {"rclpy", "launch", "launch_ros", "ament_index_python", "tf2_ros", "cv_bridge"}
NODES = [
    "vla_sim",
    "vla_policy_node",
    "smoothness_monitor",
    "so100_driver",
    "vla_moveit",
    "vla_operator",
]
WITHOUT_ROS = sorted({*GROUND, "smolvla", "vla_training"})


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if "build" not in path.parts]


def imported(path: Path) -> set[str]:
    """Return the top-level names that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_every_package_has_its_floor():
    """One that is new, and not in the table above, would be looked at by no test here."""
    with_modules = {path.parent.name for path in SRC.glob("*/setup.py")} - {"vla_msgs"}
    assert set(MAY_IMPORT) == with_modules
    nodes = {path.parents[1].name for path in SRC.glob("*/*/core")}
    assert set(NODES) == nodes


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_stands_below_it(package):
    suite = {*MAY_IMPORT, "vla_msgs", "verification", "benchmarks"}
    for path in modules(SRC / package / package):
        foreign = imported(path) & suite - {package}
        assert foreign <= MAY_IMPORT[package], f"{path.relative_to(TOP)} imports {foreign}"


@pytest.mark.parametrize("package", WITHOUT_ROS)
def test_the_ground_floor_knows_no_ros(package):
    for path in modules(SRC / package / package):
        found = {name for name in imported(path) if name in ROS or name.endswith("_msgs")}
        assert not found, f"{path.relative_to(TOP)} imports {found}"


@pytest.mark.parametrize("package", NODES)
def test_a_core_knows_no_ros_and_reads_no_clock(package):
    clocks = re.compile(r"\btime\.(time|time_ns|monotonic|monotonic_ns|sleep)\(|datetime\.now\(")
    for path in modules(SRC / package / package / "core"):
        found = {name for name in imported(path) if name in ROS or name.endswith("_msgs")}
        assert not found, f"{path.relative_to(TOP)} imports {found}"
        assert not clocks.search(path.read_text()), f"{path.relative_to(TOP)} reads a clock"


@pytest.mark.parametrize("package", NODES)
def test_a_node_is_thin(package):
    for path in (SRC / package / package).glob("*node.py"):
        assert len(path.read_text().splitlines()) < 300, path


def test_no_code_is_for_one_robot():
    """Which one it is, is an argument. Its name may be the default of one, or stand in words."""
    names = {path.name for path in (TOP / "config" / "robots").iterdir()}
    assert names
    # This one is the driver of two robots, and says so.
    for package in sorted({*MAY_IMPORT} - {"so100_driver"}):
        for path in modules(SRC / package / package):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            said = set()
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr):
                    said.add(node.value)
                elif isinstance(node, ast.keyword) and node.arg in {"default", "default_value"}:
                    said |= set(ast.walk(node.value))
                elif isinstance(node, ast.arguments):
                    said |= set(node.defaults)
            for node in set(ast.walk(tree)) - said:
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found = [name for name in names if re.search(rf"{name}(?![a-z])", node.value)]
                    assert not found, f"{path.relative_to(TOP)}:{node.lineno} is for {found}"


def test_no_node_asks_whether_ros_is_real():
    for package in MAY_IMPORT:
        for path in modules(SRC / package / package):
            assert "embedded_ros2" not in imported(path), f"{path.relative_to(TOP)}"


def test_embedded_ros2_is_a_project_of_its_own():
    """It stands beside src/, colcon passes it by, it knows neither the suite nor its robots."""
    project = TOP / "embedded_ros2"
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "COLCON_IGNORE", "pyproject.toml"):
        assert (project / name).is_file(), name
    suite = {*(package.name for package in SRC.iterdir()), "smoothness", "so100", "so101"}
    words = re.compile("|".join(sorted(suite)), re.IGNORECASE)
    for path in (path for path in project.rglob("*") if path.is_file()):
        if path.suffix in {".py", ".md", ".toml", ".txt", ".pth", ".json"}:
            found = words.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(TOP)} speaks of {found.group()}"


def test_a_class_name_stands_for_one_thing():
    """Who meets it in two packages reads about one of them and thinks of the other.

    The stand-ins of embedded_ros2 are left out: the names there are those of ROS 2 itself. So are
    names with an underscore, which nobody meets outside of their module, and tests.
    """
    places = [(package, SRC / package / package) for package in MAY_IMPORT]
    places += [(name, TOP / name) for name in ("embedded_ros2", "benchmarks", "verification")]
    found: dict[str, dict[str, set[str]]] = {}
    for package, folder in places:
        for path in modules(folder):
            parts = path.relative_to(folder).parts
            if "stand_in" in parts or "test" in parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    where = found.setdefault(node.name, {}).setdefault(package, set())
                    where.add(f"{path.relative_to(TOP)}:{node.lineno}")
    assert len(found) > 300
    twice = {name: where for name, where in found.items() if len(where) > 1}
    assert not twice


def test_every_package_has_a_readme_a_licence_and_one_version():
    versions = set()
    for package in sorted(SRC.iterdir()):
        assert (package / "README.md").is_file(), package.name
        manifest = package / "package.xml"
        if manifest.is_file():
            text = manifest.read_text()
            assert "<license>Apache-2.0</license>" in text, package.name
            versions.add(re.search(r"<version>(.*)</version>", text).group(1))
    assert len(versions) == 1


def test_no_pytest_plugin_of_ros_collects_the_tests(tmp_path):
    """launch_testing imports each file in a place where one that skips itself skips them all.

    Its names as Jazzy has them; that of launch_testing_ros builds on hooks of launch_testing.
    """
    (tmp_path / "ros_plugins.py").write_text("def pytest_launch_collect_makemodule(): ...\n")
    names = ("launch_testing", "launch_ros", "launch_pytest")
    points = "".join(f"{name} = ros_plugins\n" for name in names)
    about = tmp_path / "ros_plugins-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ros-plugins\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", str(TOP / "src/strict_yaml/test")],
        env={**os.environ, "PYTHONPATH": path},
        cwd=TOP,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_field_of_a_message_is_a_word_of_cpp():
    """Where ROS 2 is, headers are made of them too: a field called operator compiles nowhere."""
    words = [
        "alignas",
        "and",
        "asm",
        "auto",
        "bool",
        "break",
        "case",
        "catch",
        "char",
        "class",
        "const",
        "continue",
        "default",
        "delete",
        "do",
        "double",
        "else",
        "enum",
        "explicit",
        "export",
        "extern",
        "false",
        "float",
        "for",
        "friend",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "mutable",
        "namespace",
        "new",
        "not",
        "operator",
        "or",
        "private",
        "protected",
        "public",
        "register",
        "requires",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typedef",
        "typename",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
        "xor",
    ]
    looked_at = 0
    for path in (SRC / "vla_msgs").glob("*/*.*"):
        if path.suffix not in {".msg", ".srv", ".action"}:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            field = line.partition("#")[0].split()
            if len(field) >= 2:
                looked_at += 1
                assert field[1] not in words, f"{path.name}: {field[1]}"
    assert looked_at > 100
