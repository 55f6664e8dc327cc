# SPDX-License-Identifier: Apache-2.0
"""The parameters, their checks and their table."""

from pathlib import Path

import pytest

from vla_policy_node.params import (
    ParameterError,
    Parameters,
    check,
    parameter_fields,
    parse_options,
    renew,
)

GIVEN = {"robot_file": "robot.yaml", "contract_file": "contract.yaml"}


def test_the_table_in_the_readme_is_current():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert renew(readme) == readme, "run python -m vla_policy_node.params README.md"


def test_defaults_are_within_their_own_bounds():
    assert check(GIVEN) == Parameters(**GIVEN)


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_a_required_parameter_that_is_not_set_is_named(name):
    with pytest.raises(ParameterError, match=f"parameter {name}: is not set"):
        check({**GIVEN, name: ""})


@pytest.mark.parametrize("spec", parameter_fields(), ids=lambda spec: spec.name)
def test_a_value_out_of_bounds_or_of_another_type_is_refused(spec):
    values = [None, True]
    if not isinstance(spec.default, str):
        kind = type(spec.default)
        values += [kind(spec.metadata["low"] / 2 - 1), kind(spec.metadata["high"] * 2 + 1)]
    if isinstance(spec.default, float):
        values.append(float("nan"))
    if spec.metadata.get("choices"):
        values.append("neither")
    for value in values:
        with pytest.raises(ParameterError, match=f"parameter {spec.name}: "):
            check({**GIVEN, spec.name: value})


def test_options_are_a_yaml_mapping():
    assert parse_options("") == {}
    assert parse_options("{device: cpu, steps: 4}") == {"device": "cpu", "steps": 4}
    for text in ("cpu", "[1]", "{"):
        with pytest.raises(ParameterError, match="policy_options"):
            check({**GIVEN, "policy_options": text})
