# SPDX-License-Identifier: Apache-2.0
"""Load the policy that a contract names, or a file that says as much of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from vla_policies import Policy, PolicyError, load_policy
from vla_training.errors import TrainingError

ANSWER_S = 60.0  # for one answer of a policy in a process of its own
OWN = "own"


class PolicyChoice(Protocol):
    """What of a contract says which policy it is, and where it runs."""

    @property
    def path(self) -> str:
        """Of the file, for messages."""

    @property
    def policy_name(self) -> str:
        """As registered."""

    @property
    def policy_options(self) -> Mapping[str, Any]:
        """Its options."""

    @property
    def policy_process(self) -> str:
        """`OWN`, or another word for this process."""

    @property
    def policy_python(self) -> str:
        """Interpreter of its own process; empty for this one's."""

    @property
    def policy_environment(self) -> Mapping[str, str]:
        """Variables of its own process."""


def open_policy(contract: PolicyChoice, checkpoint: Path | None) -> Policy:
    """Load a contract's policy, in a process of its own where the contract says so.

    Args:
        contract: Which policy.
        checkpoint: In place of the contract's; None for that.

    Raises:
        TrainingError: It cannot be loaded.
    """
    options = dict(contract.policy_options)
    if checkpoint is not None:
        if "checkpoint" not in options:
            raise TrainingError(f"{contract.path}: policy.options: takes no checkpoint")
        options["checkpoint"] = str(checkpoint)
    try:
        if contract.policy_process == OWN:
            # Here, because no other policy needs what it needs.
            from vla_policies.own_process import Launch, OwnProcessPolicy

            launch = Launch(
                contract.policy_name,
                options,
                contract.policy_python,
                contract.policy_environment,
            )
            return OwnProcessPolicy(launch, ANSWER_S)
        return load_policy(contract.policy_name, options)
    except (PolicyError, ImportError) as error:
        raise TrainingError(f"{contract.path}: policy: {error}") from error


def load_student(
    contract: PolicyChoice, checkpoint: Path, changed: Mapping[str, Any] | None = None
) -> Policy:
    """Load the contract's policy with another checkpoint, in this process.

    Args:
        contract: Of the policy.
        checkpoint: In place of its own.
        changed: Other options.

    Raises:
        TrainingError: It cannot be loaded.
    """
    options = {**contract.policy_options, **(changed or {})}
    options = {**options, "checkpoint": str(checkpoint), "threads": 1}
    try:
        policy = load_policy(contract.policy_name, options)
    except PolicyError as error:
        raise TrainingError(f"{contract.path}: policy: {error}") from None
    return policy
