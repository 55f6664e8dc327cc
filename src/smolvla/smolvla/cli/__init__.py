# SPDX-License-Identifier: Apache-2.0
"""The command ``smolvla``."""

from __future__ import annotations

from collections.abc import Sequence

from vla_policies.cli import run_command

VERBS = {
    "bench": "smolvla.cli.bench",
    "convert": "smolvla.cli.convert",
    "make-tiny": "smolvla.cli.make_tiny",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; see `vla_policies.cli.run_command`."""
    return run_command("smolvla", "Work with SmolVLA checkpoints.", VERBS, arguments)
