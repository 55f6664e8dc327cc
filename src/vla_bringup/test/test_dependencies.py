# SPDX-License-Identifier: Apache-2.0
"""Each package says what it imports, to rosdep and to pip, and so installs and starts alone."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import setuptools
import yaml

SOURCES = Path(__file__).parents[2]
if not (SOURCES / "vla_msgs").is_dir():
    pytest.skip("the sources of the other packages are not here", allow_module_level=True)

PACKAGES = [
    "smolvla",
    "node_kit",
    "so100_driver",
    "smooth_motion",
    "smoothness_monitor",
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
# Import name -> rosdep key, and -> name on PyPI. What is not here is called the same.
ROSDEP = {
    "av": "python3-av-pip",
    # rosbags brings these.
    "backports": "python3-rosbags-pip",
    "cv2": "python3-opencv",
    # Of an extra alone.
    "franky_sim": "franky-sim",
    "lz4": "python3-rosbags-pip",
    "mujoco": "python3-mujoco-pip",
    "piqp": "python3-piqp-pip",
    "pyarrow": "python3-pyarrow-pip",
    "rosbags": "python3-rosbags-pip",
    "rustypot": "python3-rustypot-pip",
    "websockets": "python3-websockets-pip",
    "yaml": "python3-yaml",
    **{
        name: f"python3-{name}"
        for name in (
            "aiohttp",
            "hypothesis",
            "matplotlib",
            "msgpack",
            "numba",
            "numpy",
            "packaging",
            "pytest",
            "scipy",
            "setuptools",
        )
    },
}
PYPI = {
    "backports": "backports.zstd",
    "cv2": "opencv-python-headless",
    "franky_sim": "franky-sim",
    "yaml": "pyyaml",
}
# LeRobot's own environment has these: its adapter runs there, and is tried where they are.
LEROBOT = {"lerobot", "safetensors", "torch"}
# Whoever plans with MoveIt has it; others need none of it.
MOVEIT = {"moveit"}
# Each comes with a ROS 2, or with embedded_ros2.
ROS = {
    "action_msgs",
    "ament_index_python",
    "builtin_interfaces",
    "control_msgs",
    "controller_manager_msgs",
    "diagnostic_msgs",
    "geometry_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
    "trajectory_msgs",
    "vla_msgs",
    "xacro",
}


def imported(folder: Path, package: str) -> set[str]:
    """Return every name that the files of a folder import, the standard library's aside."""
    found = set()
    # A test file may import another one that lies beside it.
    own = {path.stem for path in folder.rglob("*.py")} if folder.name == "test" else set()
    # What is not installed is beside the packages, and no package imports it.
    own |= {"verification"} if folder.name == "test" else set()
    for path in folder.rglob("*.py"):
        if "build" in path.relative_to(SOURCES.parent).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - own - {package} - set(sys.stdlib_module_names)


def folders(package: str) -> dict[str, Path]:
    """Return what a package installs (the launch files too) and what it is tested with."""
    installed = {"": SOURCES / package / package, "test": SOURCES / package / "test"}
    return installed | ({"launch": SOURCES.parent / "launch"} if package == "vla_bringup" else {})


def told_to_rosdep(package: str, kinds: tuple[str, ...]) -> set[str]:
    root = ElementTree.parse(SOURCES / package / "package.xml").getroot()
    return {element.text for element in root if element.tag in kinds}


def told_to_pip(package: str, monkeypatch) -> dict[str, list[str]]:
    """Return what setup.py requires, by extra; `""` is what is always required."""
    told: dict = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    monkeypatch.chdir(SOURCES / package)
    runpy.run_path("setup.py")
    return {"": told["install_requires"], **told.get("extras_require", {})}


def names(requirements: list[str]) -> Iterator[str]:
    return (re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements)


def test_every_package_is_asked():
    assert {path.parent.name for path in SOURCES.glob("*/setup.py")} - {"vla_msgs"} == set(
        PACKAGES
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_rosdep_is_told_every_import(package, monkeypatch):
    optional = {
        name for extra, required in told_to_pip(package, monkeypatch).items() if extra
        for name in names(required)
    }  # fmt: skip
    run = ("depend", "exec_depend")
    for folder, path in folders(package).items():
        kinds = (*run, "test_depend") if folder == "test" else run
        keys = {ROSDEP.get(name, name) for name in imported(path, package)}
        # What only an extra brings is no rosdep key: there is none for torch or lerobot.
        missing = {key for key in keys if key not in told_to_rosdep(package, kinds) | optional}
        missing |= keys & ROS - told_to_rosdep(package, kinds)
        missing -= {"openpi_client"} | (LEROBOT if package == "vla_policies" else set())
        missing -= MOVEIT if package == "vla_moveit" else set()
        assert not missing, f"{package}/{folder}: package.xml"


@pytest.mark.parametrize("package", PACKAGES)
def test_pip_is_told_every_import(package, monkeypatch):
    told = told_to_pip(package, monkeypatch)
    known = {name for required in told.values() for name in names(required)}
    for folder, path in folders(package).items():
        used = {PYPI.get(name, name) for name in imported(path, package)}
        missing = used - known - ROS
        missing -= MOVEIT if package == "vla_moveit" else set()
        # A test may look for these and go on without.
        missing -= {"openpi_client"} if folder == "test" else set()
        missing -= LEROBOT if package == "vla_policies" else set()
        if folder == "test" and package == "vla_bringup":
            missing -= {"setuptools"}
        assert not missing, f"{package}/{folder}: setup.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_launch_files_and_nodes_find_ros_where_pip_brings_it(package, monkeypatch):
    """A package that needs ROS has an extra that brings the part of it that it uses."""
    told = told_to_pip(package, monkeypatch)
    if imported(SOURCES / package / package, package) & ROS:
        assert {"embedded_ros2", "vla_msgs"} <= set(names(told["embedded"]))
    else:
        assert "embedded" not in told


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_of_this_repository_are_required_by_where_they_lie(package, monkeypatch):
    """Asked for by name alone they would be looked for on PyPI, where anyone may have the name."""
    folders = {path.name: path for path in SOURCES.iterdir()}
    for required in told_to_pip(package, monkeypatch).values():
        for requirement in required:
            name = next(names([requirement]))
            if name in folders:
                where = folders[name].resolve().as_uri().replace("file:///", "file://localhost/")
                assert requirement == f"{name} @ {where}"


@pytest.mark.parametrize("package", PACKAGES)
def test_colcon_finds_the_tests(package, monkeypatch):
    """It runs pytest only where the extra `test` names it."""
    assert "pytest" in told_to_pip(package, monkeypatch)["test"]


@pytest.mark.parametrize("package", PACKAGES)
def test_versions_that_rosdep_brings_are_allowed(package, monkeypatch):
    """Ubuntu's packages satisfy what setup.py asks for: pip is not to replace them."""
    for file in ("constraints-jammy.txt", "constraints-noble.txt"):
        shipped = dict(
            line.lower().split("==")
            for line in (SOURCES.parent / file).read_text().splitlines()
            if "==" in line
        )
        for requirement in told_to_pip(package, monkeypatch)[""]:
            name, _, bound = requirement.partition(">=")
            if name.lower() in shipped and bound:
                have, least = (
                    tuple(int(part) for part in version.split(",")[0].split("."))
                    for version in (shipped[name.lower()], bound)
                )
                assert have >= least, f"{file}: {requirement}"


def test_rosdep_brings_no_older_version_than_pip(monkeypatch):
    """rosdep takes any version that is there for enough, unless its file names a bound."""
    told = {
        requirement.split(",<")[0]
        for package in PACKAGES
        for requirement in told_to_pip(package, monkeypatch)[""]
    }
    keys = {
        key
        for package in PACKAGES
        for key in told_to_rosdep(package, ("depend", "exec_depend", "test_depend"))
        if key.endswith("-pip")
    }
    given = yaml.safe_load((SOURCES.parent / "rosdep.yaml").read_text())
    assert set(given) == keys
    for system in ("debian", "ubuntu"):
        # An upper bound may follow: Ubuntu's other libraries may be too old for the newest.
        brought = {given[key][system]["pip"]["packages"][0].split(",<")[0] for key in keys}
        assert brought <= told
