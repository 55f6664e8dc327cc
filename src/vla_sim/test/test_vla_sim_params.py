# SPDX-License-Identifier: Apache-2.0
"""Parameters are checked, and the README's table is theirs."""

from pathlib import Path

import pytest

from node_kit.parameters import ParameterError, check
from node_kit.tables import renew
from vla_sim.params import TABLES, SimParameters

README = Path(__file__).parents[1] / "README.md"


def test_a_robot_file_is_enough():
    assert check(SimParameters, {"robot_file": "robot.yaml"}).controller_rate_hz == 100


def test_the_robot_file_is_required():
    with pytest.raises(ParameterError, match=r"robot_file: is not set; give one with"):
        check(SimParameters, {})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("controller_rate_hz", 90, "divisor of 1000"),
        ("controller_rate_hz", 10, "between 50 and 1000 Hz"),
        ("camera_rate_hz", float("nan"), "between 1 and 50 Hz"),
        ("camera_rate_hz", 30, "of type float"),
        ("seed", True, "of type int"),
        ("randomise", 1, "of type bool"),
        ("image_width", 0, "between 32 and 1920 px"),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(name, value, problem):
    with pytest.raises(ParameterError, match=f"parameter {name}: .*{problem}"):
        check(SimParameters, {"robot_file": "robot.yaml", name: value})


def test_the_readme_shows_these_parameters():
    text = README.read_text(encoding="utf-8")
    assert renew(text, TABLES) == text
    assert "<!-- table: parameters -->\n|" in text
