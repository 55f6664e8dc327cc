# SPDX-License-Identifier: Apache-2.0
import os
from functools import partial
from pathlib import Path

import pytest

from strict_yaml import MAX_BYTES, StrictYamlError, parse_yaml, read_yaml

SOURCE = Path(__file__).resolve().parents[2]
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("a: 1\na: 2", "", "key 'a' is written twice; keep one of them (line 2)"),
        ("x:\n  a: 0.15\n  b: 1\n  a: 0.40", "x", "key 'a' is written twice"),
        ("- {a: 1, a: 2}", "", "key 'a' is written twice"),
        ("1: a\n1.0: b", "", "is written twice"),
        (BOMB, "", "anchors and aliases are not read"),
        ("a: {b: 1}\nc: {<<: {d: 1}}", "c", "'<<' is not read"),
        ("a: 1:30", "a", "base 60"),
        ("a: 1:30.5", "a", "base 60"),
        ("a: 010", "a", "base 8"),
        ("a:\n  b: .nan", "a.b", "'.nan' is not a finite number"),
        ("a: [1.0, -.inf]", "a", "'-.inf' is not a finite number"),
        ("a: 1.0e+999", "a", "is not a finite number"),
        ("a: " + "9" * 5000, "a", "is no number that can be read"),
        ("a: " + "9" * 400, "a", "is no number that can be read"),
        ("a: \u22121.5", "a", "'\\u22121.5' is a number in other signs"),
        ("a: [\uff10.\uff15]", "a", "type it anew"),
        ("a: !!python/object:os.system x", "a", "is not read; leave it out"),
        ("a: !!set {x, y}", "a", "is not read; leave it out"),
        ("? [1, 2]\n: x", "", "cannot be a key"),
        ("? {a: 1}\n: x", "", "cannot be a key"),
        ("[" * 5000, "", "nested deeper"),
        ("a: [", "", "is not YAML"),
        ("a: 1\n---\nb: 2", "", "is not YAML"),
        ("a: \x00", "", "is not YAML"),
        ("x" * (MAX_BYTES + 1), "", "is longer than"),
    ],
)
def test_what_would_be_read_otherwise_than_it_was_meant_is_refused(text, key, words):
    """H15."""
    with pytest.raises(StrictYamlError) as caught:
        parse_yaml(text)
    assert caught.value.key == key
    assert words in caught.value.problem
    assert "\n" not in str(caught.value)


def test_what_is_meant_is_read():
    text = "a: 1\nb: [1.5, -2.0e-3, true, null, 'x', 0x1f]\nc: {d: 2026-01-02, e: '010', é: 0}\n"
    assert parse_yaml(text) == {
        "a": 1,
        "b": [1.5, -0.002, True, None, "x", 31],
        "c": {"d": "2026-01-02", "e": "010", "é": 0},
    }
    assert parse_yaml("") is None


@pytest.mark.parametrize("text", ["1e3", "1E3", "1.0e3", "+1e+3", "10e2", "1000.", "1000.0"])
def test_a_number_is_one_however_it_is_written(text):
    """YAML 1.1 takes some of them for texts; JSON writes a small one as 1e-05."""
    assert parse_yaml(f"a: {text}") == {"a": 1000.0}
    assert parse_yaml("[1e-05, -.5, '1e3', 1e, e3, 1.2.3, 08]") == [
        1e-5, -0.5, "1e3", "1e", "e3", "1.2.3", "08",
    ]  # fmt: skip


def test_what_has_no_end_is_read_where_the_caller_says_so():
    read = partial(parse_yaml, unbounded=("for_s",))
    assert read("x: {for_s: .inf}") == {"x": {"for_s": float("inf")}}
    for text in ("for_s: -.inf", "for_s: .nan", "other: .inf", "for_s: {other: .inf}"):
        with pytest.raises(StrictYamlError, match="not a finite number"):
            read(text)


def written(tmp_path, data):
    path = tmp_path / "file.yaml"
    path.write_bytes(data)
    return path


def test_a_file_that_cannot_be_used_is_an_error_and_never_waited_for(tmp_path):
    """H15."""
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "absent.yaml", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "pipe", "is not a file"),
        (Path("/dev/zero"), "is not a file"),
        (written(tmp_path, b"a: \xff\xfe"), "is not UTF-8"),
    ):
        with pytest.raises(StrictYamlError, match=words):
            read_yaml(path)
    with pytest.raises(StrictYamlError, match="is larger than"):
        read_yaml(written(tmp_path, b"#" * (MAX_BYTES + 1)))
    with pytest.raises(StrictYamlError, match="cannot be read"):
        read_yaml("a\0b")


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path):
    assert read_yaml(written(tmp_path, b"\xef\xbb\xbfa: 1")) == {"a": 1}


def test_no_other_reader_of_yaml_is_left():
    """Of files that people write; embedded_ros2 reads those of ROS 2, as ROS does."""
    launched = sorted((SOURCE.parent / "launch").glob("*.py"))
    found = [
        path.name
        for package in SOURCE.iterdir()
        for path in [*sorted(package.glob(f"{package.name}/**/*.py")), *launched]
        if package.name != "strict_yaml"
        and path.parent.name != "report"
        and any(call in path.read_text("utf-8") for call in ("yaml.load", "yaml.safe_load"))
    ]
    assert found == []


def test_a_tilde_that_the_shell_left_is_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.yaml").write_text("key: 1\n", encoding="utf-8")
    assert read_yaml("~/x.yaml") == {"key": 1}
