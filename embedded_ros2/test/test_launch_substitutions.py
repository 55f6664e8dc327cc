# SPDX-License-Identifier: Apache-2.0
"""Text that is known only when the launch runs."""

from __future__ import annotations

import sys

import pytest

from embedded_ros2 import fallback

fallback.install()

from launch import LaunchContext  # noqa: E402
from launch.substitutions import (  # noqa: E402
    AllSubstitution,
    AndSubstitution,
    AnySubstitution,
    Command,
    EnvironmentVariable,
    EqualsSubstitution,
    FileContent,
    FindExecutable,
    IfElseSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    NotSubstitution,
    OrSubstitution,
    PathJoinSubstitution,
    PythonExpression,
    SubstitutionFailure,
    TextSubstitution,
)


@pytest.fixture
def context() -> LaunchContext:
    context = LaunchContext()
    context.launch_configurations.update(rate="30", on="true", name="arm")
    return context


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1", "true", True),
        ("TRUE", True, True),
        ("false", "0", True),
        ("30.0", 30, True),
        ("30", "31", False),
        ("1.0", "true", False),
        ("arm", "arm", True),
        ("arm", "Arm", False),
        (None, "", True),
        (LaunchConfiguration("rate"), 30, True),
        (["r", LaunchConfiguration("name")], "rarm", True),
    ],
)
def test_equality_is_of_truth_values_then_numbers_then_text(context, left, right, equal) -> None:
    assert EqualsSubstitution(left, right).perform(context) == str(equal).lower()
    assert NotEqualsSubstitution(left, right).perform(context) == str(not equal).lower()


def test_logic_gives_true_and_false(context) -> None:
    on, off = LaunchConfiguration("on"), NotSubstitution(LaunchConfiguration("on"))
    assert off.perform(context) == "false"
    assert AndSubstitution(on, off).perform(context) == "false"
    assert OrSubstitution(on, off).perform(context) == "true"
    assert AnySubstitution(off, off, on).perform(context) == "true"
    assert AllSubstitution(on, "1", off).perform(context) == "false"
    assert IfElseSubstitution(on, if_value=["a", "b"], else_value="c").perform(context) == "ab"
    assert IfElseSubstitution(off, "a").perform(context) == ""


@pytest.mark.parametrize("first", ["true", "false"])
def test_a_value_that_is_no_bool_is_found_whatever_the_other_one_is(context, first) -> None:
    with pytest.raises(SubstitutionFailure, match="'maybe' is not a bool"):
        OrSubstitution(first, "maybe").perform(context)
    with pytest.raises(SubstitutionFailure, match="'maybe' is not a bool"):
        AllSubstitution(first, "maybe").perform(context)


def test_a_python_expression_may_use_the_modules_named(context) -> None:
    rate = LaunchConfiguration("rate")
    assert PythonExpression(["sqrt(", rate, " + 6)"]).perform(context) == "6.0"
    assert PythonExpression(["'", rate, "' == '30'"]).perform(context) == "True"
    assert PythonExpression("json.dumps([1])", ["json"]).perform(context) == "[1]"
    with pytest.raises(SubstitutionFailure, match="NameError: name 'absent' is not defined"):
        PythonExpression("absent").perform(context)


def test_a_command_gives_its_output_and_fails_loudly(context) -> None:
    python = sys.executable
    assert Command("echo 'a  b' c").perform(context) == "a  b c\n"
    with pytest.raises(SubstitutionFailure, match="executed command failed"):
        Command("false").perform(context)
    noisy = [python, ' -c "import sys; print(1); print(2, file=sys.stderr)"']
    with pytest.raises(SubstitutionFailure, match="showed stderr output"):
        Command(noisy).perform(context)
    assert Command(noisy, on_stderr="ignore").perform(context) == "1\n"
    with pytest.raises(SubstitutionFailure, match="file not found: 'no-such-program"):
        Command("no-such-program -x").perform(context)


def test_a_script_of_this_interpreter_is_found_though_it_is_not_on_the_path(
    context, monkeypatch, tmp_path
) -> None:
    script = tmp_path / "some-script"
    script.write_text("#!/bin/sh\necho found\n")
    script.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert Command("some-script").perform(context) == "found\n"
    assert FindExecutable(name="some-script").perform(context) == str(script)


def test_paths_are_joined_and_a_part_that_is_a_list_is_refused_as_by_jazzy(context) -> None:
    path = PathJoinSubstitution(["/a", LaunchConfiguration("name"), "arm.yaml"])
    assert path.perform(context) == "/a/arm/arm.yaml"
    with pytest.raises(TypeError):
        PathJoinSubstitution(["/a", [LaunchConfiguration("name"), ".yaml"]])


def test_files_and_environment_are_read(context, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("text")
    assert FileContent(str(tmp_path / "file")).perform(context) == "text"
    with pytest.raises(SubstitutionFailure, match="File not found"):
        FileContent(str(tmp_path / "absent")).perform(context)
    monkeypatch.setenv("SOME", "value")
    assert EnvironmentVariable("SOME").perform(context) == "value"
    monkeypatch.delenv("SOME")
    with pytest.raises(SubstitutionFailure, match="environment variable 'SOME' does not exist"):
        EnvironmentVariable("SOME").perform(context)


def test_a_missing_configuration_is_named_and_a_default_may_be_any_value(context) -> None:
    with pytest.raises(SubstitutionFailure, match="launch configuration 'absent' does not exist"):
        LaunchConfiguration("absent").perform(context)
    assert LaunchConfiguration("absent", default=5).perform(context) == "5"
    assert LaunchConfiguration(["ra", "te"]).perform(context) == "30"


def test_text_must_be_text() -> None:
    with pytest.raises(TypeError, match="expected text, got 'int'"):
        TextSubstitution(text=5)  # type: ignore[arg-type]
