# SPDX-License-Identifier: Apache-2.0
"""The node's parameters.

``python -m vla_policy_node.params README.md`` renews the table in that file.
"""

import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

from node_kit.parameters import ParameterError, parameter, table
from node_kit.tables import renew_files
from strict_yaml import StrictYamlError, parse_yaml
from vla_contract.contract import CHUNKS


@dataclass(frozen=True)
class PolicyNodeParameters:
    """Their names, defaults, meaning, units and bounds."""

    robot_file: str = parameter("", "Robot file: joints, limits, controllers.", required=True)
    contract_file: str = parameter(
        "", "Contract: the policy, its inputs, its joints.", required=True
    )
    policy: str = parameter(
        "", "Policy to load in place of the contract's, whose options then do not apply."
    )
    policy_options: str = parameter(
        "", "YAML mapping laid over the policy's options, e.g. `{device: cpu}`."
    )
    policy_python: str = parameter(
        "",
        "Interpreter of the environment in which the policy runs, in a process of its own, "
        "whatever the contract says.",
    )
    chunks: str = parameter(
        "continue",
        "How a chunk follows the one before it, where the contract says nothing of it. "
        "`continue`: a policy that can is told what the arm carries out anyway, and goes on from "
        "there (real-time chunking); any other blends. `blend`: a new chunk begins where the "
        "running plan is, and the difference fades away over 1.5 times the delay of an answer. "
        "`replace`: the new chunk as it is; the arm of a policy that answers late goes back and "
        "forth. `ensemble`: the mean of what all chunks of the run say about a moment. The motion "
        "is jerk-bounded in each case.",
        choices=CHUNKS,
    )
    planner: str = parameter(
        "smooth",
        "`smooth`: jerk-bounded plans. `raw`: the chunk's rows as they are, without any limit; "
        "only for tests of the monitor, which refuses them and stops the arm. Can be set while "
        "the node runs.",
        choices=("smooth", "raw"),
        live=True,
    )
    replan_period_s: float = parameter(
        0.2, "Time from one observation handed to the policy to the next.", "s", 0.05, 5.0
    )
    overlap_s: float = parameter(
        0.2,
        "How far ahead of its publication a plan may first differ from the running one; more than "
        "the monitor's `plan_overlap_s`.",
        "s",
        0.1,
        1.0,
    )
    planning_margin_s: float = parameter(
        0.06,
        "Added to the overlap for planning and delivery; a plan that took longer is dropped.",
        "s",
        0.02,
        0.5,
    )
    acknowledge_timeout_s: float = parameter(
        0.3,
        "A plan that the controller does not run after this long counts as lost.",
        "s",
        0.05,
        2.0,
    )
    permit_timeout_s: float = parameter(
        0.2, "The monitor's permit lapses when its state is older than this.", "s", 0.1, 1.0
    )
    input_timeout_s: float = parameter(
        3.0,
        "A run ends with INPUT_LOST when an input stays unusable for longer than this.",
        "s",
        0.1,
        60.0,
    )
    source_timeout_s: float = parameter(
        2.0,
        "A source of chunks other than the policy loses the arm when no usable chunk of it has "
        "come for longer than this. The plan that runs ends at rest by itself.",
        "s",
        0.1,
        60.0,
    )
    policy_timeout_s: float = parameter(
        30.0,
        "A run ends with INPUT_LOST when the policy's server or process stays away for longer "
        "than this.",
        "s",
        0.1,
        3600.0,
    )
    similar_state_rad: float = parameter(
        0.0,
        "An observation is skipped when no joint has moved by more than this since the last one, "
        "unless the plan is about to end. 0: never.",
        "rad",
        0.0,
        1.0,
    )
    inference_timeout_s: float = parameter(
        10.0,
        "A policy that takes longer than this hangs: a process of its own is started again, any "
        "other ends the run with POLICY_FAILED.",
        "s",
        0.1,
        300.0,
    )
    simulated_latency_s: float = parameter(
        0.05,
        "With `use_sim_time`: how long the policy takes to answer. Simulated time waits for an "
        "answer that is not there by then, so a slow computer changes nothing.",
        "s",
        0.0,
        60.0,
    )
    warm_up_timeout_s: float = parameter(
        300.0,
        "The same for a policy's first answer, after the start and after it was away: compilers "
        "and caches. Not below `inference_timeout_s`.",
        "s",
        0.1,
        3600.0,
    )
    startup_timeout_s: float = parameter(
        15.0,
        "The node exits when a topic of the contract still has no publisher after this long.",
        "s",
        0.5,
        600.0,
    )
    max_failures: int = parameter(
        10,
        "A run ends with POLICY_FAILED after this many chunks in a row that yield no plan, or a "
        "plan that the controller never runs.",
        "",
        1,
        1000,
    )
    status_rate_hz: float = parameter(10.0, "Rate of `~/status` and of feedback.", "Hz", 1.0, 50.0)

    @property
    def status_period_s(self) -> float:
        """Time from one status to the next."""
        return 1.0 / self.status_rate_hz

    def __post_init__(self) -> None:
        parse_options(self.policy_options)


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


TABLES = {"parameters": partial(table, PolicyNodeParameters)}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
