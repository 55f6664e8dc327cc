# SPDX-License-Identifier: Apache-2.0
"""The parameters, their checks and their table."""

from dataclasses import fields
from pathlib import Path

import pytest

from node_kit.parameters import ParameterError, check
from node_kit.tables import renew
from vla_policy_node.params import TABLES, PolicyNodeParameters, parse_options

GIVEN = {"robot_file": "robot.yaml", "contract_file": "contract.yaml"}


def test_the_table_in_the_readme_is_current():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert renew(readme, TABLES) == readme, "run python -m vla_policy_node.params README.md"


def test_defaults_are_within_their_own_bounds():
    assert check(PolicyNodeParameters, GIVEN) == PolicyNodeParameters(**GIVEN)


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_a_required_parameter_that_is_not_set_is_named(name):
    with pytest.raises(ParameterError, match=f"parameter {name}: is not set"):
        check(PolicyNodeParameters, {**GIVEN, name: ""})


@pytest.mark.parametrize("spec", fields(PolicyNodeParameters), ids=lambda spec: spec.name)
def test_a_value_out_of_bounds_or_of_another_type_is_refused(spec):
    values = [None, True]
    if not isinstance(spec.default, str):
        kind = type(spec.default)
        values += [kind(spec.metadata["lower"] / 2 - 1), kind(spec.metadata["upper"] * 2 + 1)]
    if isinstance(spec.default, float):
        values.append(float("nan"))
    if spec.metadata["choices"]:
        values.append("neither")
    for value in values:
        with pytest.raises(ParameterError, match=f"parameter {spec.name}: "):
            check(PolicyNodeParameters, {**GIVEN, spec.name: value})


def test_options_are_a_yaml_mapping():
    assert parse_options("") == {}
    assert parse_options("{device: cpu, steps: 4}") == {"device": "cpu", "steps": 4}
    for text in ("cpu", "[1]", "{"):
        with pytest.raises(ParameterError, match="policy_options"):
            check(PolicyNodeParameters, {**GIVEN, "policy_options": text})
