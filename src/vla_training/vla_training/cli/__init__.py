# SPDX-License-Identifier: Apache-2.0
"""The command ``vla-train``."""

from __future__ import annotations

from collections.abc import Sequence

from vla_policies.cli import run_command

VERBS = {
    "collect": "vla_training.cli.collect",
    "imitate": "vla_training.cli.imitate",
    "rl": "vla_training.cli.rl",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; see `vla_policies.cli.run_command`."""
    return run_command("vla-train", "Teach a policy in a simulated world.", VERBS, arguments)
