# SPDX-License-Identifier: Apache-2.0
"""What the command line does without any node: definitions, packages, executables, messages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from embedded_ros2 import fallback

fallback.install()

from embedded_ros2.cli import CommandError, definitions, main, messages  # noqa: E402


def out_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_help_names_all_commands(capsys) -> None:
    text = out_of(capsys)
    for command in ("action", "bag", "doctor", "interface", "launch", "lifecycle", "node"):
        assert re.search(rf"^ +{command}\b", text, re.MULTILINE)


@pytest.mark.parametrize("command", ["component", "control", "security", "multicast"])
def test_commands_of_ros2_that_are_not_here_say_so_by_name(capsys, command) -> None:
    assert main([command, "list"]) == 1
    assert re.fullmatch(
        rf"embedded_ros2 does not offer '{command}': .*\n", capsys.readouterr().out
    )


def test_there_is_no_daemon_and_nothing_wrong_with_that(capsys) -> None:
    assert "there is no daemon" in out_of(capsys, "daemon", "stop")


def test_wtf_is_doctor(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["wtf", "--help"])
    assert caught.value.code == 0
    assert "embedded-ros2 doctor" in capsys.readouterr().out


def test_an_interface_is_shown_with_what_is_in_it(capsys) -> None:
    text = out_of(capsys, "interface", "show", "std_msgs/msg/Header", "--no-comments")
    assert text == (
        "builtin_interfaces/Time stamp\n\tint32 sec\n\tuint32 nanosec\nstring frame_id\n"
    )


def test_a_service_is_shown_with_its_separator(capsys) -> None:
    text = out_of(capsys, "interface", "show", "std_srvs/srv/SetBool", "--no-comments")
    assert text == "bool data\n---\nbool success\nstring message\n"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("std_msgs/String", "Expected three parts"),
        ("std_msgs/msg/Absent", "Could not find the interface 'std_msgs/msg/Absent'"),
        ("absent_msgs/msg/X", "unknown package 'absent_msgs'"),
    ],
)
def test_an_interface_that_is_not_there_is_an_error(capsys, name, complaint) -> None:
    assert main(["interface", "show", name]) == 1
    assert complaint in capsys.readouterr().err


def test_interfaces_are_listed_by_package_and_kind(capsys) -> None:
    assert out_of(capsys, "interface", "package", "std_srvs") == (
        "std_srvs/srv/Empty\nstd_srvs/srv/SetBool\nstd_srvs/srv/Trigger\n"
    )
    listed = out_of(capsys, "interface", "list", "-a")
    assert listed.startswith("Actions:\n")
    assert "    example_interfaces/action/Fibonacci\n" in listed
    assert "std_msgs/msg" not in listed
    assert "std_srvs\n" in out_of(capsys, "interface", "packages", "-s")


def test_a_prototype_is_yaml(capsys) -> None:
    text = out_of(capsys, "interface", "proto", "geometry_msgs/msg/Point", "--no-quotes")
    assert text == "x: 0.0\ny: 0.0\nz: 0.0\n\n"


def test_the_packages_of_a_prefix_are_found(capsys, tmp_path: Path, monkeypatch) -> None:
    share, lib = tmp_path / "share" / "some_package", tmp_path / "lib" / "some_package"
    share.mkdir(parents=True)
    lib.mkdir(parents=True)
    (share / "package.xml").write_text("<package><name>some_package</name></package>")
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "some_package").touch()
    (lib / "some_node").write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    (lib / "some_node").chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("EMBEDDED_ROS2_SHARE", "")
    assert "some_package\n" in out_of(capsys, "pkg", "list")
    assert out_of(capsys, "pkg", "prefix", "some_package") == f"{tmp_path}\n"
    assert out_of(capsys, "pkg", "prefix", "--share", "some_package") == f"{share}\n"
    assert out_of(capsys, "pkg", "executables", "some_package") == "some_package some_node\n"
    assert "<name>some_package</name>" in out_of(capsys, "pkg", "xml", "some_package")
    assert out_of(capsys, "pkg", "xml", "some_package", "-t", "name") == "some_package\n"
    assert main(["pkg", "xml", "some_package", "--tag", "absent"]) == 1
    assert main(["pkg", "xml", "absent"]) == 1
    assert capsys.readouterr().err.endswith("Package 'absent' not found\n")
    assert main(["pkg", "prefix", "absent"]) == 1
    assert capsys.readouterr().err == "Package not found\n"
    assert main(["pkg", "executables", "absent"]) == 1
    done = subprocess.run(
        [sys.executable, "-m", "embedded_ros2.cli", "run", "some_package", "some_node", "-x", "y"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "-x y\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "absent", "x"), "package 'absent' not found"),
        (("launch", "absent", "x.launch.py"), "Package 'absent' not found"),
    ],
)
def test_a_package_that_is_not_there_is_one_line(capsys, arguments, complaint) -> None:
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


@pytest.fixture
def share_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "some_package"
    for name in ("launch/a.launch.py", "launch/b.launch.py", "more/b.launch.py"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            "from launch import LaunchDescription\n"
            "def generate_launch_description():\n"
            "    return LaunchDescription([])\n"
        )
    (folder / "package.xml").write_text("<package><name>some_package</name></package>")
    monkeypatch.setenv("EMBEDDED_ROS2_SHARE", str(tmp_path))
    return folder


def test_a_launch_file_is_found_below_the_share_folder(capsys, share_root) -> None:
    text = out_of(capsys, "launch", "some_package", "a.launch.py", "--show-args")
    assert "No arguments." in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("x.launch.py",), "launch files there: a.launch.py, b.launch.py, b.launch.py"),
        (("b.launch.py",), "was found more than once"),
        ((), "no launch file given"),
        (("a.launch.py", "mode=x"), "malformed launch argument 'mode=x'"),
    ],
)
def test_a_launch_that_cannot_begin_says_why(capsys, share_root, arguments, complaint) -> None:
    assert main(["launch", "some_package", *arguments]) == 1
    assert complaint in capsys.readouterr().err


def test_a_launch_file_may_be_named_by_its_path(capsys, share_root) -> None:
    path = str(share_root / "launch" / "a.launch.py")
    assert "Arguments" in out_of(capsys, "launch", "--show-args", path)


def test_a_message_is_filled_from_yaml_with_nested_lists_and_numbers_as_text() -> None:
    message = messages.interface("trajectory_msgs/msg/JointTrajectory", "msg")()
    stamps: list[messages.Stamp] = []
    values = messages.read_mapping(
        "{header: auto, joint_names: [a, 1], points: [{positions: [1, 2.5], "
        "time_from_start: {sec: 1}}, {positions: [3]}]}"
    )
    messages.fill(message, values, stamps=stamps)
    assert len(stamps) == 1
    assert message.joint_names == ["a", "1"]
    assert [list(point.positions) for point in message.points] == [[1.0, 2.5], [3.0]]
    assert message.points[0].time_from_start.sec == 1
    number = messages.interface("std_msgs/Float64", "msg")()
    messages.fill(number, messages.read_mapping("data: 1e-3"))
    assert number.data == 0.001


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("std_msgs/msg/Header", {"stamp": 5}, "'stamp': expected a dictionary, got '5'"),
        ("std_msgs/msg/Header", {"stamp": {"sec": "x"}}, "'sec'"),
        ("sensor_msgs/msg/JointState", {"name": "a"}, "'name': expected a list, got 'a'"),
        ("std_msgs/msg/UInt8", {"data": 300}, "'data'"),
    ],
)
def test_a_value_that_does_not_fit_names_the_field(name, values, complaint) -> None:
    message = messages.interface(name, "msg")()
    with pytest.raises(CommandError, match=r"Failed to populate field") as caught:
        messages.fill(message, values)
    assert complaint in str(caught.value)


def test_long_sequences_and_text_are_cut_or_shown_by_type() -> None:
    message = messages.interface("std_msgs/msg/Float64MultiArray", "msg")()
    message.data = [float(number) for number in range(5)]
    message.layout.dim = [messages.interface("std_msgs/MultiArrayDimension", "msg")(label="x" * 9)]
    cut = messages.to_yaml(message, truncate_length=3)
    assert "data:\n- 0.0\n- 1.0\n- 2.0\n- '...'\n" in cut
    assert "label: xxx...\n" in cut
    assert "data: '<sequence type: double, length: 5>'\n" in messages.to_yaml(message, no_arr=True)
    assert "label: '<string length: <9>>'\n" in messages.to_yaml(message, no_str=True)
    nested = messages.to_yaml(message.layout, no_arr=True)
    assert "dim: '<sequence type: std_msgs/msg/MultiArrayDimension, length: 1>'\n" in nested


def test_a_definition_bundle_names_each_nested_type_once() -> None:
    text = definitions.bundle("trajectory_msgs/msg/JointTrajectory")
    names = [line for line in text.splitlines() if line.startswith("MSG: ")]
    assert sorted(names) == [
        "MSG: builtin_interfaces/Duration",
        "MSG: builtin_interfaces/Time",
        "MSG: std_msgs/Header",
        "MSG: trajectory_msgs/JointTrajectoryPoint",
    ]


@pytest.mark.parametrize("domain", ["abc", "300", "-1", "1.5"])
def test_an_impossible_domain_is_one_line(monkeypatch, capsys, domain):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    assert main(["node", "list"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == f"ROS_DOMAIN_ID is '{domain}'; a number from 0 to 232 is needed"
