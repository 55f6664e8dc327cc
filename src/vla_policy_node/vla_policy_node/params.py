# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one dataclass, from which descriptors, checks and the table come.

``python -m vla_policy_node.params README.md`` renews the table in that file.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from strict_yaml import StrictYamlError, parse_yaml

TABLE_BEGIN = "<!-- parameters: written by python -m vla_policy_node.params README.md -->"
TABLE_END = "<!-- end of parameters -->"


# What can be set while the node runs; everything else is read once, at the start.
LIVE = frozenset(("planner",))


class ParameterError(ValueError):
    """A parameter has no value or a wrong one. The message names it and the remedy."""


def _number(default: float, doc: str, unit: str, low: float, high: float) -> Any:
    return field(default=default, metadata={"doc": doc, "unit": unit, "low": low, "high": high})


def _text(default: str, doc: str, choices: tuple[str, ...] = (), required: bool = False) -> Any:
    metadata = {"doc": doc, "unit": "", "choices": choices, "required": required}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Parameters:
    """Their names, defaults, meaning, units and bounds."""

    robot_file: str = _text("", "Robot file: joints, limits, controllers.", required=True)
    contract_file: str = _text("", "Contract: the policy, its inputs, its joints.", required=True)
    policy: str = _text(
        "", "Policy to load in place of the contract's, whose options then do not apply."
    )
    policy_options: str = _text(
        "", "YAML mapping laid over the policy's options, e.g. `{device: cpu}`."
    )
    policy_python: str = _text(
        "",
        "Interpreter of the environment in which the policy runs, in a process of its own, "
        "whatever the contract says.",
    )
    chunks: str = _text(
        "continue",
        "How a chunk follows the one before it. `continue`: a policy that can is told what the "
        "arm carries out anyway, and goes on from there (real-time chunking); any other blends. "
        "`blend`: a new chunk begins where the running plan is, and the difference fades away "
        "over 1.5 times the delay of an answer. `replace`: the new chunk as it is; the arm of a "
        "policy that answers late goes back and forth. `ensemble`: the mean of what all chunks of "
        "the run say about a moment. The motion is jerk-bounded in each case.",
        choices=("continue", "blend", "replace", "ensemble"),  # as in core/chunk_blending.py
    )
    planner: str = _text(
        "smooth",
        "`smooth`: jerk-bounded plans. `raw`: the chunk's rows as they are, without any limit; "
        "only for tests of the monitor, which refuses them and stops the arm. Can be set while "
        "the node runs.",
        choices=("smooth", "raw"),
    )
    replan_period_s: float = _number(
        0.2, "Time from one observation handed to the policy to the next.", "s", 0.05, 5.0
    )
    overlap_s: float = _number(
        0.2,
        "How far ahead of its publication a plan may first differ from the running one; more than "
        "the monitor's `plan_overlap_s`.",
        "s",
        0.1,
        1.0,
    )
    planning_margin_s: float = _number(
        0.06,
        "Added to the overlap for planning and delivery; a plan that took longer is dropped.",
        "s",
        0.02,
        0.5,
    )
    acknowledge_timeout_s: float = _number(
        0.3,
        "A plan that the controller does not run after this long counts as lost.",
        "s",
        0.05,
        2.0,
    )
    permit_timeout_s: float = _number(
        0.2, "The monitor's permit lapses when its state is older than this.", "s", 0.1, 1.0
    )
    input_timeout_s: float = _number(
        3.0,
        "A run ends with INPUT_LOST when an input stays unusable for longer than this.",
        "s",
        0.1,
        60.0,
    )
    source_timeout_s: float = _number(
        2.0,
        "A source of chunks other than the policy loses the arm when no usable chunk of it has "
        "come for longer than this. The plan that runs ends at rest by itself.",
        "s",
        0.1,
        60.0,
    )
    policy_timeout_s: float = _number(
        30.0,
        "A run ends with INPUT_LOST when the policy's server or process stays away for longer "
        "than this.",
        "s",
        0.1,
        3600.0,
    )
    similar_state_rad: float = _number(
        0.0,
        "An observation is skipped when no joint has moved by more than this since the last one, "
        "unless the plan is about to end. 0: never.",
        "rad",
        0.0,
        1.0,
    )
    inference_timeout_s: float = _number(
        10.0,
        "A policy that takes longer than this hangs: a process of its own is started again, any "
        "other ends the run with POLICY_FAILED.",
        "s",
        0.1,
        300.0,
    )
    simulated_latency_s: float = _number(
        0.05,
        "With `use_sim_time`: how long the policy takes to answer. Simulated time waits for an "
        "answer that is not there by then, so a slow computer changes nothing.",
        "s",
        0.0,
        60.0,
    )
    warm_up_timeout_s: float = _number(
        300.0,
        "The same for a policy's first answer, after the start and after it was away: compilers "
        "and caches. Not below `inference_timeout_s`.",
        "s",
        0.1,
        3600.0,
    )
    startup_timeout_s: float = _number(
        15.0,
        "The node exits when a topic of the contract still has no publisher after this long.",
        "s",
        0.5,
        600.0,
    )
    max_failures: int = _number(
        10,
        "A run ends with POLICY_FAILED after this many chunks in a row that yield no plan, or a "
        "plan that the controller never runs.",
        "",
        1,
        1000,
    )
    status_rate_hz: float = _number(10.0, "Rate of `~/status` and of feedback.", "Hz", 1.0, 50.0)

    @property
    def status_period_s(self) -> float:
        """Time from one status to the next."""
        return 1.0 / self.status_rate_hz


def parameter_fields() -> tuple[Field[Any], ...]:
    """Return the fields of `Parameters`, in order."""
    return fields(Parameters)


def check(values: Mapping[str, Any]) -> Parameters:
    """Make checked parameters of values by name.

    Raises:
        ParameterError: A value is missing, of the wrong type or out of bounds.
    """
    known = {spec.name: spec for spec in parameter_fields()}
    for name, value in values.items():
        problem = _problem(known[name], value)
        if problem:
            raise ParameterError(f"parameter {name}: {problem}")
    for name, spec in known.items():
        if spec.metadata.get("required") and not values.get(name):
            raise ParameterError(f"parameter {name}: is not set; {spec.metadata['doc']}")
    parameters = Parameters(**values)
    parse_options(parameters.policy_options)
    return parameters


def parse_options(text: str) -> dict[str, Any]:
    """Return the options of `policy_options`.

    Raises:
        ParameterError: The text is not a YAML mapping.
    """
    try:
        parsed = parse_yaml(text, finite=False) if text.strip() else {}
    except StrictYamlError as error:
        raise ParameterError(f"parameter policy_options: {error}") from None
    if not isinstance(parsed, dict):
        raise ParameterError(
            f"parameter policy_options: {text!r} is not a YAML mapping; write e.g. {{device: cpu}}"
        )
    return parsed


def _problem(spec: Field[Any], value: Any) -> str:
    wanted: Any = type(spec.default)
    if type(value) is not wanted:
        return f"is {value!r}; write a value of type {wanted.__name__}"
    if wanted is str:
        choices = spec.metadata["choices"]
        return "" if not choices or value in choices else f"is {value!r}; write {_or(choices)}"
    low, high = spec.metadata["low"], spec.metadata["high"]
    if math.isfinite(value) and low <= value <= high:
        return ""
    unit = spec.metadata["unit"]
    return f"is {value:g}; write a value between {low:g} and {high:g} {unit}".rstrip()


def _or(choices: tuple[str, ...]) -> str:
    return " or ".join(choices)


def table() -> str:
    """Return the parameters as a Markdown table."""
    rows = ["| parameter | default | bounds | what it does |", "| --- | --- | --- | --- |"]
    for spec in parameter_fields():
        meta = spec.metadata
        unit = f" {meta['unit']}" if meta["unit"] else ""
        if isinstance(spec.default, str):
            default = f"`{spec.default}`" if spec.default else "empty"
            default = "required" if meta["required"] else default
            bounds = _or(tuple(f"`{choice}`" for choice in meta["choices"]))
        else:
            default = f"{spec.default:g}{unit}"
            bounds = f"{meta['low']:g} to {meta['high']:g}{unit}"
        rows.append(f"| `{spec.name}` | {default} | {bounds} | {meta['doc']} |")
    return "\n".join(rows)


def renew(text: str) -> str:
    """Return a document with the table between its marks written anew.

    Raises:
        ValueError: The marks are missing.
    """
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not begin or not end:
        raise ValueError(f"put the lines {TABLE_BEGIN!r} and {TABLE_END!r} into the document")
    return f"{before}{begin}\n{table()}\n{end}{after}"


def main() -> int:
    """Renew the table in the document that the command line names."""
    document = Path(sys.argv[1])
    document.write_text(renew(document.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
