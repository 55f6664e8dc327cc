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


@pytest.mark.parametrize("package", TABLES)
def test_every_hash_of_a_package_is_jazzys(package):
    names = ["/".join((package, *interface)) for interface in registry.interfaces(package)]
    computed = {name: hashes.type_hash(name) for name in names if name in GOLDEN}
    assert computed == {name: GOLDEN[name] for name in computed}


def test_hardly_any_definition_lacks_a_golden_hash():
    names = {
        "/".join((package, *interface))
        for package in TABLES
        for interface in registry.interfaces(package)
    }
    assert len(GOLDEN) > 200
    assert {name for name in names - GOLDEN.keys() if not name.startswith("shape_msgs/")} == set()


def test_char_is_hashed_as_uint8():
    assert hashes.type_hash("std_msgs/msg/Char") == GOLDEN["std_msgs/msg/Char"]


def test_a_type_that_nobody_defines_has_no_hash():
    with pytest.raises(DefinitionError, match="nowhere_msgs/msg/Nothing"):
        hashes.type_hash("nowhere_msgs/msg/Nothing")
