# SPDX-License-Identifier: Apache-2.0
import pytest

from embedded_ros2 import names
from embedded_ros2.names import InvalidName, RemapRule


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("state", "/ns/state"),
        ("/state", "/state"),
        ("~", "/ns/node"),
        ("~/state", "/ns/node/state"),
        ("{node}/x", "/ns/node/x"),
        ("{ns}/x", "/ns/x"),
        ("a/b", "/ns/a/b"),
    ],
)
def test_names_are_expanded(name, expected):
    names.check_topic_name(name)
    assert names.expand(name, "node", "/ns") == expected


def test_the_root_namespace_adds_no_slash():
    assert names.expand("state", "node", "/") == "/state"
    assert names.expand("~/state", "node", "/") == "/node/state"
    assert names.join("/", "node") == "/node"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("", 0),
        ("a b", 1),
        ("a//b", 2),
        ("a/", 1),
        ("~a", 1),
        ("a~", 1),
        ("a/1", 2),
        ("{x}", 0),
        ("a{", 1),
    ],
)
def test_an_invalid_name_tells_where(name, index):
    with pytest.raises(InvalidName) as caught:
        names.check_topic_name(name)
    assert caught.value.index == index


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a:=b", RemapRule("a", "b")),
        ("node:a:=b", RemapRule("a", "b", "node")),
        ("__ns:=/x", RemapRule("__ns", "/x")),
        ("rostopic://a:=b", RemapRule("a", "b", "", "topic")),
        ("node:rosservice://a:=rosservice://b", RemapRule("a", "b", "node", "service")),
    ],
)
def test_rules_are_read(text, rule):
    assert names.parse_remap(text) == rule


@pytest.mark.parametrize("text", ["a", "a:=", ":=b", "a b:=c", "a:=b//c"])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match="remapping rule"):
        names.parse_remap(text)


def test_the_first_rule_that_fits_counts():
    rules = [RemapRule("x", "other", "stranger"), RemapRule("x", "one"), RemapRule("/ns/x", "two")]
    assert names.remap(rules, "/ns/x", "topic", "node", "/ns") == "/ns/one"
    assert names.remap(rules, "/ns/y", "topic", "node", "/ns") == "/ns/y"


def test_a_rule_for_services_leaves_topics_alone():
    rules = [RemapRule("x", "y", "", "service")]
    assert names.remap(rules, "/x", "topic", "node", "/") == "/x"
    assert names.remap(rules, "/x", "service", "node", "/") == "/y"


def test_a_node_can_be_renamed_by_its_name():
    rules = [RemapRule("__node", "b", "a"), RemapRule("__ns", "/n")]
    assert names.remap_node(rules, "a", "/") == ("b", "/n")
    assert names.remap_node(rules, "c", "/") == ("c", "/n")
