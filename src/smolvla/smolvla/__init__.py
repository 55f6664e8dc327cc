# SPDX-License-Identifier: Apache-2.0
"""SmolVLA: LeRobot's checkpoints, run exactly and fast. Nothing heavy is imported until used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vla_policies.protocol import Policy, PolicyError


def make(options: Mapping[str, Any]) -> Policy:
    """Make the policy; see `smolvla.policy.make` for the options.

    Raises:
        PolicyError: An option or the checkpoint cannot be used, or a library is not installed.
    """
    try:
        from smolvla.policy import make as make_policy
    except ImportError as error:
        install = "pip install './src/smolvla[torch]'"
        raise PolicyError(f"smolvla: {error}; run: {install}") from None
    return make_policy(options)
