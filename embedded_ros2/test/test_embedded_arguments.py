# SPDX-License-Identifier: Apache-2.0
import pytest

from embedded_ros2 import arguments
from embedded_ros2.arguments import ArgumentError, ParameterRule


def test_arguments_for_ros_are_told_from_the_others():
    parsed = arguments.parse(
        ["prog", "--own", "--ros-args", "-r", "a:=b", "-p", "x:=1", "--", "file", "--ros-args",
         "--log-level", "warn", "--log-level", "arm:=debug", "--disable-rosout-logs"]
    )  # fmt: skip
    assert parsed.rest == ["prog", "--own", "file"]
    assert [rule.source for rule in parsed.remaps] == ["a"]
    assert parsed.parameters == [ParameterRule("/**", "x", 1)]
    assert parsed.log_levels == {"": 30, "arm": 10}
    assert (parsed.rosout, parsed.stdout) == (False, True)


def test_what_is_not_for_ros_can_be_had_alone():
    argv = ["prog", "a", "--ros-args", "-r", "a:=b", "--", "b"]
    assert arguments.remove_ros_arguments(argv) == ["prog", "a", "b"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--frobnicate"], "unknown ROS argument '--frobnicate'"),
        (["-r"], "'-r' needs a value"),
        (["-r", "a"], "'from:=to'"),
        (["-p", "a"], "'name:=value'"),
        (["-p", "a:="], "no value"),
        (["-p", "a:=[1, 2.0]"], "mixes types"),
        (["-p", "a:={b: 1}"], "no type"),
        (["-p", "a:=[1"], "no YAML"),
        (["a:=b"], "'-r' or '-p'"),
        (["--log-level", "loud"], "log level"),
        (["--params-file", "/nowhere/x.yaml"], "/nowhere/x.yaml"),
    ],
)
def test_a_bad_argument_is_named(argv, message):
    with pytest.raises(ArgumentError, match=message.replace("(", r"\(")):
        arguments.parse(argv, in_ros_args=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("5", "no node's name"),
        ("node: 5", "'node' stands outside"),
        ("ros__parameters: {a: 1}", "below a node's name"),
        ("node: {ros__parameters: 5}", "holds no keys"),
        ("node: {ros__parameters: {a: [1, x]}}", "parameter 'a' mixes types"),
        ("node: [", "cannot be read"),
    ],
)
def test_a_bad_parameter_file_is_named_with_its_trouble(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ArgumentError, match=message) as caught:
        arguments.load_parameters(path)
    assert str(path) in str(caught.value)


def test_keys_are_text_even_if_they_look_like_something_else(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text("node: {ros__parameters: {on: {1: 2}}}")
    assert arguments.load_parameters(path) == [ParameterRule("/node", "on.1", 2)]


@pytest.mark.parametrize(
    ("pattern", "node", "fits"),
    [
        ("/**", "/a", True),
        ("/**", "/a/b/c", True),
        ("/a", "/a", True),
        ("/a", "/x/a", False),
        ("/**/a", "/a", True),
        ("/**/a", "/x/y/a", True),
        ("/*/a", "/x/a", True),
        ("/*/a", "/a", False),
        ("/x/*", "/x/a", True),
        ("/x/*", "/x/a/b", False),
        ("/x.y", "/xzy", False),
    ],
)
def test_patterns_choose_nodes(pattern, node, fits):
    assert arguments.pattern_fits(pattern, node) is fits


def test_an_empty_list_gives_no_value():
    assert arguments.parse_parameter("a:=[]").value is None
