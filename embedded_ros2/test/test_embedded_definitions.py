# SPDX-License-Identifier: Apache-2.0
import sys

import pytest

from embedded_ros2.interfaces import parse
from embedded_ros2.interfaces.parse import (
    ARRAY,
    SEQUENCE,
    Constant,
    DefinitionError,
    Field,
    FieldType,
)


def test_types_are_read_with_their_shapes_and_bounds():
    read = {
        text: parse.parse_type(text, "pkg")
        for text in (
            "int8",
            "Pose",
            "other/Pose",
            "other/msg/Pose",
            "string<=5[3]",
            "byte[]",
            "float32[<=9]",
        )
    }
    assert read == {
        "int8": FieldType("int8"),
        "Pose": FieldType("pkg/msg/Pose"),
        "other/Pose": FieldType("other/msg/Pose"),
        "other/msg/Pose": FieldType("other/msg/Pose"),
        "string<=5[3]": FieldType("string", ARRAY, 3, 5),
        "byte[]": FieldType("byte", SEQUENCE),
        "float32[<=9]": FieldType("float32", SEQUENCE, 9),
    }


@pytest.mark.parametrize("text", ["int8<=3", "a/b/c/d", "int8[<=]", "int8[", "8int", ""])
def test_what_is_no_type_is_refused(text):
    with pytest.raises(DefinitionError):
        parse.parse_type(text, "pkg")


def test_fields_constants_defaults_and_comments_are_read():
    structure = parse.parse_structure(
        "pkg/msg/Thing",
        [
            "# a comment",
            "",
            "int32 LIMIT=-5 # the limit",
            "string HASH='#1'",
            'string TEXT = "it\'s"',
            "byte LEVEL=2",
            "float64 ratio 1.5",
            "bool on true",
            "string name 'a b'",
            "int32[3] numbers [1, 2, 3]",
            "string[] words ['a', \"b\"]",
            "Other other",
        ],
    )
    assert structure.constants == (
        Constant("LIMIT", "int32", -5),
        Constant("HASH", "string", "#1"),
        Constant("TEXT", "string", "it's"),
        Constant("LEVEL", "byte", b"\x02"),
    )
    assert structure.fields == (
        Field("ratio", FieldType("float64"), 1.5),
        Field("on", FieldType("bool"), True),
        Field("name", FieldType("string"), "a b"),
        Field("numbers", FieldType("int32", ARRAY, 3), [1, 2, 3]),
        Field("words", FieldType("string", SEQUENCE), ["a", "b"]),
        Field("other", FieldType("pkg/msg/Other")),
    )


@pytest.mark.parametrize(
    "line",
    [
        "int32",
        "int32 Upper",
        "int32 two__underscores",
        "int32 trailing_",
        "int8 X=200",
        "bool X=maybe",
        "float32 X=abc",
        "Other x 5",
        "int32[] x 5",
        "int32 x = y = z",
    ],
)
def test_a_bad_line_is_named(line):
    with pytest.raises(DefinitionError, match="pkg/msg/Thing"):
        parse.parse_structure("pkg/msg/Thing", [line])


def test_a_service_gives_request_response_event_and_the_whole():
    names = [
        structure.name
        for structure in parse.parse_service("pkg/srv/Do", ["int8 a", "---", "int8 b"])
    ]
    assert names == ["pkg/srv/Do_Request", "pkg/srv/Do_Response", "pkg/srv/Do_Event", "pkg/srv/Do"]


@pytest.mark.parametrize("lines", [[], ["---", "---"]])
def test_a_service_has_two_parts(lines):
    with pytest.raises(DefinitionError, match="2 parts"):
        parse.parse_service("pkg/srv/Do", lines)


def test_an_action_has_three_parts():
    with pytest.raises(DefinitionError, match="3 parts"):
        parse.parse_action("pkg/action/Do", ["---"])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the folder of a source package with a message, a service and an action."""
    folder = tmp_path / "tested_msgs"
    for kind, name, text in (
        ("msg", "Point2", "float64 x 0.5\nfloat64 y\n"),
        ("msg", "Path2", "std_msgs/Header header\nPoint2[] points\n"),
        ("srv", "Reverse", "Path2 path\n---\nPath2 path\n"),
        ("action", "Follow", "Path2 path\n---\nbool done\n---\nuint32 index\n"),
    ):
        path = folder / kind / f"{name}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "package.xml").write_text("<package/>")
    monkeypatch.setenv("EMBEDDED_ROS2_SHARE", str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.startswith("tested_msgs")]:
        del sys.modules[name]


def test_a_source_package_can_be_imported(package):
    from tested_msgs.action import Follow
    from tested_msgs.msg import Path2, Point2
    from tested_msgs.srv import Reverse

    path = Path2(points=[Point2(y=1.0)])
    assert path.points[0].x == 0.5
    assert Reverse.Request(path=path).path is path
    assert Follow.Feedback().index == 0
    import tested_msgs.msg

    assert sorted(tested_msgs.msg.__all__) == ["Path2", "Point2"]
    with pytest.raises(ImportError, match="Nothing"):
        from tested_msgs.msg import Nothing  # noqa: F401
