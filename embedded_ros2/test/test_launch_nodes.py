# SPDX-License-Identifier: Apache-2.0
"""Nodes of launch files: what runs, under which name, with which parameters and remappings."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import List  # noqa: UP035

import pytest
import yaml

from embedded_ros2 import fallback

fallback.install()

from launch import LaunchDescription, LaunchService  # noqa: E402
from launch import logging as launch_logging  # noqa: E402
from launch.actions import ExecuteProcess, GroupAction, LogInfo, SetLaunchConfiguration  # noqa: E402
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution  # noqa: E402
from launch_ros.actions import (  # noqa: E402
    Node,
    PushRosNamespace,
    SetParameter,
    SetRemap,
)
from launch_ros.parameter_descriptions import (  # noqa: E402
    Parameter,
    ParameterFile,
    ParameterValue,
)
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare  # noqa: E402

from embedded_ros2.cli import executables  # noqa: E402

VALUE = LaunchConfiguration
Started = list[str]
Start = Callable[..., tuple[int, dict[str, Started], str]]

# An executable that tells its arguments, and the content of the parameter files among them. This
# Python runs it, not the PATH's: that may be a version manager's chain of shell scripts.
SHOW = f"""#!{sys.executable}
import json, sys
arguments = sys.argv[1:]
for number, argument in enumerate(arguments):
    if number and arguments[number - 1] == "--params-file":
        arguments[number] = open(argument).read()
print(json.dumps(arguments), flush=True)
"""


class Shown(dict[str, Started]):
    """Arguments by process name; where one showed none, the test tells all that was said."""

    def __init__(self, text: str) -> None:
        said = re.findall(r"^\[(\w+)-\d+\] (\[.*\])$", text, re.MULTILINE)
        super().__init__({name: json.loads(arguments) for name, arguments in said})
        self.text = text

    def __missing__(self, name: str) -> Started:
        pytest.fail(f"{name} showed no arguments:\n{self.text}")


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An install prefix with a package in the layout of ROS."""
    prefix = tmp_path / "install"
    share, lib = prefix / "share" / "some_package", prefix / "lib" / "some_package"
    share.mkdir(parents=True)
    lib.mkdir(parents=True)
    (share / "package.xml").write_text("<package><name>some_package</name></package>")
    (lib / "show").write_text(SHOW)
    (lib / "show").chmod(0o755)
    (lib / "data.txt").write_text("no executable")
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "some_package").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    return prefix


@pytest.fixture
def start(
    prefix: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Start]:
    """Launch some actions; return exit code, arguments by process name, and all output."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    before = os.environ.copy()

    def launch(*entities, **arguments: str) -> tuple[int, dict[str, Started], str]:
        settings = [SetLaunchConfiguration(*item) for item in arguments.items()]
        service = LaunchService()
        service.include_launch_description(LaunchDescription([*settings, *entities]))
        code = service.run()
        text = capsys.readouterr().out
        return code, Shown(text), text

    yield launch
    launch_logging.reset()
    os.environ.clear()
    os.environ.update(before)


def show(exec_name: str = "show", **more) -> Node:
    return Node(
        package="some_package", executable="show", exec_name=exec_name, output="screen", **more
    )


def files(arguments: Started) -> list[dict]:
    """Return the content of the parameter files among the arguments."""
    marks = [number for number, item in enumerate(arguments) if item == "--params-file"]
    return [yaml.safe_load(arguments[number + 1]) for number in marks]


def test_name_namespace_arguments_and_remappings_go_to_the_command_line(start: Start) -> None:
    code, shown, _ = start(
        show(
            name=["tal", VALUE("end")],
            namespace="left",
            arguments=["--fast", VALUE("end")],
            ros_arguments=["--log-level", "debug"],
            remappings=[("a", "b"), ("~/c", ["/", VALUE("end")])],
        ),
        end="ker",
    )
    assert code == 0
    assert shown["show"] == [
        *("--fast", "ker", "--ros-args", "--log-level", "debug", "--ros-args"),
        *("-r", "__node:=talker", "-r", "__ns:=/left", "-r", "a:=b", "-r", "~/c:=/ker"),
    ]


def test_a_node_without_a_name_gets_none(start: Start) -> None:
    assert start(show())[1] == {"show": ["--ros-args"]}


def test_parameters_keep_their_types_and_nested_names_are_joined(start: Start) -> None:
    parameters = {
        "flag": True,
        "count": 3,
        "gain": 1e-7,
        "text": "1",
        "empty": "",
        "colon": "yes: no",
        "ints": [1, 2],
        "mixed": (1, 2.5),
        "texts": ["a", "1"],
        "flags": [True, False],
        "outer": {"inner": {"deep": 4}, VALUE("rate"): 5},
        "read_as_yaml": VALUE("rate"),
        "joined": [VALUE("rate"), "0"],
        "list_of_read": [[VALUE("rate")], ["4"]],
        "as_text": ParameterValue(VALUE("rate"), value_type=str),
        "as_float": ParameterValue(VALUE("rate"), value_type=float),
        "as_list": ParameterValue("[1, 2]", value_type=str),
        "list_from_text": ParameterValue(VALUE("items"), value_type=List[float]),  # noqa: UP006
    }
    _, shown, _ = start(
        show(name="node", namespace="ns", parameters=[parameters]), rate="30", items="[1.5, 2]"
    )
    values = files(shown["show"])[0]["/ns/node"]["ros__parameters"]
    assert values == {
        "flag": True,
        "count": 3,
        "gain": 1e-7,
        "text": "1",
        "empty": "",
        "colon": "yes: no",
        "ints": [1, 2],
        "mixed": [1.0, 2.5],
        "texts": ["a", "1"],
        "flags": [True, False],
        "outer.inner.deep": 4,
        "outer.30": 5,
        "read_as_yaml": 30,
        "joined": 300,
        "list_of_read": [30, 4],
        "as_text": "30",
        "as_float": 30.0,
        "as_list": "[1, 2]",
        "list_from_text": [1.5, 2.0],
    }
    assert all(isinstance(item, float) for item in values["mixed"])


def test_parameters_of_a_node_without_a_full_name_are_for_any_node(start: Start) -> None:
    _, shown, _ = start(show(name="node", parameters=[{"a": 1}]))
    assert files(shown["show"]) == [{"/**": {"ros__parameters": {"a": 1}}}]


def test_parameter_files_are_passed_on_in_order(start: Start, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("/**: {ros__parameters: {rate: 30}}")
    plain = str(tmp_path / "p.yaml")
    joined = PathJoinSubstitution([str(tmp_path), "p.yaml"])
    _, shown, text = start(
        show(
            parameters=[
                {"first": 1},
                ParameterFile(joined),
                ParameterFile(plain),
                tmp_path / "absent.yaml",
                Parameter("one", "text"),
                Parameter("two", VALUE("rate"), value_type=float),
            ]
        ),
        rate="30",
    )
    arguments = shown["show"]
    first, second, third = [item for item in arguments if item.startswith("/**")]
    assert "first: 1" in first
    assert "{rate: 30}" in second
    assert second == third
    assert f"Parameter file path is not a file: {tmp_path}/absent.yaml" in text
    assert arguments[-4:] == ["-p", 'one:="text"', "-p", "two:=30.0"]


def test_substitutions_in_a_parameter_file_are_refused_with_its_name(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("/**: {ros__parameters: {rate: $(var rate)}}")
    code, _, text = start(show(parameters=[ParameterFile(str(path), allow_substs=True)]))
    assert code == 1
    assert f"parameter file '{path}': allow_substs is not offered" in text


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], "must be non-empty"),
        ([1, "a"], "bool, int, float or str throughout"),
        (VALUE("mapping"), "a value of type 'dict' is not allowed"),
        (VALUE("broken"), "is not valid YAML"),
        (ParameterValue(VALUE("text"), value_type=int), "'arm' is not of type int"),
    ],
)
def test_a_value_that_no_parameter_can_have_names_node_and_parameter(
    start: Start, value: object, complaint: str
) -> None:
    code, _, text = start(
        show(parameters=[{"p": value}]), mapping="{a: 1}", broken="a: b: c", text="arm"
    )
    assert code == 1
    errors = [line for line in text.splitlines() if "[ERROR]" in line]
    assert len(errors) == 1
    assert "Node(package='some_package', executable='show'): parameter 'p': " in errors[0]
    assert complaint in errors[0]


def test_none_is_no_parameter_value() -> None:
    with pytest.raises(TypeError, match=r"parameter 'a\.b' has a value of type 'NoneType'"):
        show(parameters=[{"a": {"b": None}}])


def test_a_pushed_namespace_parameter_and_remapping_hold_for_the_group_only(start: Start) -> None:
    _, shown, _ = start(
        SetParameter("outer", "text"),
        GroupAction(
            [
                PushRosNamespace("a"),
                PushRosNamespace(VALUE("b")),
                SetParameter("use_sim_time", True),
                SetRemap("from", "to"),
                show("relative", namespace="c"),
                show("absolute", namespace="/d"),
            ]
        ),
        show("after"),
        b="b",
    )
    common = [
        *("-p", 'outer:="text"', "-p", "use_sim_time:=true", "-r", "from:=to"),
    ]
    assert shown["relative"] == ["--ros-args", "-r", "__ns:=/a/b/c", *common]
    assert shown["absolute"] == ["--ros-args", "-r", "__ns:=/d", *common]
    assert shown["after"] == ["--ros-args", "-p", 'outer:="text"']


@pytest.mark.parametrize(
    ("kwargs", "complaint"),
    [
        ({"name": "a-b"}, "node name 'a-b' is not valid"),
        ({"namespace": "a/1b"}, "namespace '/a/1b' is not valid"),
    ],
)
def test_names_that_no_node_can_have_are_refused(start: Start, kwargs, complaint: str) -> None:
    code, _, text = start(show(**kwargs))
    assert code == 1
    assert complaint in text


def test_two_nodes_of_one_name_are_warned_of(start: Start) -> None:
    two = [show(name="same", namespace="/") for _ in range(2)]
    _, _, text = start(*two)
    assert "there are now at least 2 nodes with the name /same" in text


@pytest.mark.parametrize(
    ("package", "complaint"),
    [
        ("no_such_package", "package 'no_such_package' not found"),
        ("some_package", "package 'some_package' has no executable 'absent'; it has: show"),
    ],
)
def test_a_missing_package_or_executable_gives_one_clear_line(
    start: Start, package: str, complaint: str
) -> None:
    code, _, text = start(Node(package=package, executable="absent"))
    assert code == 1
    errors = [line for line in text.splitlines() if "[ERROR]" in line]
    assert len(errors) == 1
    assert complaint in errors[0]


SETUP_PY = """
from setuptools import setup
package_name = "source_package"
setup(
    name=package_name,
    entry_points={"console_scripts": [
        "plain = source_package.node:main",
        f"formatted = {package_name}.node:Other.run",
    ]},
)
raise RuntimeError("this file must be read, not run")
"""

MODULE = """
import json, os, sys
def main():
    print(json.dumps([sys.argv[0], *sys.argv[1:]]), flush=True)
    return 3
class Other:
    @staticmethod
    def run():
        print(json.dumps(["other"]), flush=True)
"""


@pytest.fixture
def source_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the source of a package that is not installed."""
    folder = tmp_path / "src" / "source_package"
    (folder / "source_package").mkdir(parents=True)
    (folder / "setup.py").write_text(textwrap.dedent(SETUP_PY))
    (folder / "package.xml").write_text("<package><name>source_package</name></package>")
    (folder / "source_package" / "__init__.py").touch()
    (folder / "source_package" / "node.py").write_text(MODULE)
    monkeypatch.setenv("EMBEDDED_ROS2_SHARE", str(folder.parent))
    return folder.parent


def test_a_package_that_is_not_installed_runs_from_its_source(start, source_root) -> None:
    code, shown, text = start(
        Node(package="source_package", executable="plain", output="screen", arguments=["x"]),
        Node(package="source_package", executable="formatted", output="screen"),
    )
    assert code == 0
    assert shown == {"plain": ["plain", "x", "--ros-args"], "formatted": ["other"]}
    assert "exit code 3" in text


@pytest.mark.parametrize("named", ["root", "folder"])
def test_a_source_package_is_found_by_its_root_and_by_its_folder(
    source_root: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    if named == "folder":
        monkeypatch.setenv("EMBEDDED_ROS2_SHARE", str(source_root / "source_package"))
    program = executables.find("source_package", "plain")
    assert program.argv[-1] == "plain=source_package.node:main"
    assert str(source_root / "source_package") in program.argv


def test_the_scripts_of_a_distribution_run_with_this_interpreter() -> None:
    # pytest itself is a distribution with a console script.
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="pytest")
    program = executables.find("pytest", "pytest")
    assert program.argv[0] == sys.executable
    assert program.argv[-1] == f"pytest={script.value}"


def test_an_installed_executable_goes_before_that_of_a_distribution(
    prefix: Path,
) -> None:
    lib = prefix / "lib" / "pytest"
    lib.mkdir()
    (lib / "pytest").write_text("#!/bin/sh\n")
    (lib / "pytest").chmod(0o755)
    assert executables.find("pytest", "pytest").argv == (str(lib / "pytest"),)


def test_packages_are_found_by_substitutions(start: Start, prefix: Path) -> None:
    _, shown, text = start(
        LogInfo(msg=["at ", FindPackageShare("some_package")]),
        ExecuteProcess(
            cmd=[ExecutableInPackage(package="some_package", executable="show"), "x"],
            output="screen",
        ),
    )
    assert f"at {prefix}/share/some_package" in text
    assert shown == {"show": ["x"]}


def test_a_missing_package_share_is_named(start: Start) -> None:
    code, _, text = start(LogInfo(msg=FindPackageShare("no_such_package")))
    assert code == 1
    assert "no_such_package" in next(line for line in text.splitlines() if "ERROR" in line)


def test_an_argument_that_does_not_exist_is_named() -> None:
    with pytest.raises(TypeError, match="node_executable"):
        show(node_executable="x")
