# SPDX-License-Identifier: Apache-2.0
"""Type hashes against those that a build of ROS 2 Jazzy printed."""

import json
from pathlib import Path

import pytest

from embedded_ros2.interfaces import hashes, registry
from embedded_ros2.interfaces.parse import DefinitionError

GOLDEN = json.loads(
    Path(__file__).with_name("golden").joinpath("jazzy_type_hashes.json").read_text()
)
TABLES = sorted(
    path.stem for path in Path(registry.__file__).with_name("definitions").glob("*.txt")
)


# The build did not print the hashes of these; rosbags computes them with code of its own.
WITHOUT_GOLDEN = {"shape_msgs"}


@pytest.mark.parametrize("package", sorted({*TABLES} - WITHOUT_GOLDEN))
def test_every_hash_of_a_package_is_jazzys(package):
    """Requests, goals, feedback messages and the like included: they have hashes of their own."""
    offered = set(registry.interfaces(package))

    def is_offered(name):
        _, kind, stem = name.split("/")
        # Parts are named after their interface: Do_Request, Do_SendGoal_Event.
        return any((kind, stem[:end]) in offered for end in _ends(stem))

    golden = {
        name: value
        for name, value in GOLDEN.items()
        if name.startswith(f"{package}/") and is_offered(name)
    }
    assert golden
    assert {name: hashes.type_hash(name) for name in golden} == golden


def _ends(stem):
    return [len(stem), *(number for number, letter in enumerate(stem) if letter == "_")]


def test_every_definition_has_a_golden_hash():
    names = {
        "/".join((package, *interface))
        for package in {*TABLES} - WITHOUT_GOLDEN
        for interface in registry.interfaces(package)
    }
    assert len(names) > 200
    assert names <= GOLDEN.keys()


@pytest.mark.parametrize("package", sorted(WITHOUT_GOLDEN))
def test_hashes_without_golden_values_are_those_of_rosbags(package):
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    names = [f"{package}/{kind}/{stem}" for kind, stem in registry.interfaces(package)]
    assert names
    for name in names:
        assert hashes.type_hash(name) == store.hash_rihs01(name)


def test_char_is_hashed_as_uint8():
    assert hashes.type_hash("std_msgs/msg/Char") == GOLDEN["std_msgs/msg/Char"]


def test_a_type_that_nobody_defines_has_no_hash():
    with pytest.raises(DefinitionError, match="nowhere_msgs/msg/Nothing"):
        hashes.type_hash("nowhere_msgs/msg/Nothing")
