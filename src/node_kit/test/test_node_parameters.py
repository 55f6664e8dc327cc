# SPDX-License-Identifier: Apache-2.0
"""Parameters are declared once: their checks, their descriptors and their table agree."""

import ast
import importlib
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from node_kit.parameters import ParameterError, check, parameter, table

PACKAGE = Path(__file__).resolve().parents[1] / "node_kit"


@dataclass(frozen=True)
class Example:
    file: str = parameter("", "Which file.", required=True)
    mode: str = parameter("slow", "How.", choices=("slow", "fast"), live=True)
    rate_hz: float = parameter(10.0, "Rate.", "Hz", 1.0, 50.0)
    count: int = parameter(3, "How many.", "", 1, 5)
    seed: int = parameter(0, "Seed.")
    draw: bool = parameter(True, "Draw.")
    left_out: tuple[str, ...] = parameter(("a", "b"), "What is left out.")

    def __post_init__(self) -> None:
        if self.count == self.seed:
            raise ParameterError("parameter seed: is count; write another")


def test_what_is_not_given_has_its_default():
    assert check(Example, {"file": "a"}) == Example(file="a")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("file", "", "is not set; give one with --ros-args -p file:=... "),
        ("file", 3, "is 3; write a value of type str"),
        ("mode", "quick", "is 'quick'; write slow or fast"),
        ("rate_hz", float("nan"), "is nan; write a value between 1 and 50 Hz"),
        ("rate_hz", float("inf"), "is inf; write a value between 1 and 50 Hz"),
        ("rate_hz", 10, "is 10; write a value of type float"),
        ("count", 6, "is 6; write a value between 1 and 5"),
        ("count", True, "is True; write a value of type int"),
        ("draw", 1, "is 1; write a value of type bool"),
        ("left_out", "a", "is 'a'; write a value of type tuple"),
        ("seed", 3, "is count"),
    ],
)
def test_a_wrong_value_is_one_line_with_name_and_remedy(name, value, problem):
    with pytest.raises(ParameterError) as caught:
        check(Example, {"file": "a", name: value})
    assert str(caught.value).startswith(f"parameter {name}: {problem}")
    assert "\n" not in str(caught.value)


def test_the_table_shows_every_parameter_as_it_is_written():
    assert table(Example).splitlines()[2:] == [
        "| `file` | required | | Which file. |",
        "| `mode` | `slow` | `slow` or `fast` | How. |",
        "| `rate_hz` | `10.0` Hz | 1 to 50 Hz | Rate. |",
        "| `count` | `3` | 1 to 5 | How many. |",
        "| `seed` | `0` | | Seed. |",
        "| `draw` | `True` | | Draw. |",
        "| `left_out` | `a`, `b` | | What is left out. |",
    ]


def test_descriptors_have_bounds_and_say_what_can_be_set():
    # `exc_type` of importorskip is unknown to the pytest of Ubuntu 24.04.
    pytest.importorskip("rclpy")
    declare = importlib.import_module("node_kit.declare")
    said = {item.name: declare.descriptor(item) for item in fields(Example)}
    assert not said["mode"].read_only
    assert said["file"].read_only
    assert said["rate_hz"].floating_point_range[0].to_value == 50.0
    assert said["rate_hz"].description == "Rate. Unit: Hz."
    assert said["count"].integer_range[0].from_value == 1
    assert not said["draw"].integer_range


@pytest.mark.parametrize("name", ["__init__", "parameters", "tables", "output"])
def test_what_cores_and_tools_use_of_it_needs_no_ros(name):
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for each in names:
            assert not each.startswith("rclpy"), each
            assert "_msgs" not in each, each
            assert each not in {"node_kit.run", "node_kit.clock", "node_kit.declare"}, each
