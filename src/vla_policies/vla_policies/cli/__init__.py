# SPDX-License-Identifier: Apache-2.0
"""The command ``vla-policy``, and how the command of a policy's own package is run."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence

from vla_policies.protocol import PolicyError

VERBS = {"serve": "vla_policies.cli.serve"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb of ``vla-policy``; see `run_command`."""
    return run_command("vla-policy", "Work with policies.", VERBS, arguments)


def run_command(
    command: str, about: str, verbs: Mapping[str, str], arguments: Sequence[str] | None = None
) -> int:
    """Run a verb of a command.

    Args:
        command: Its name.
        about: What it is for, one line.
        verbs: Module of each verb. It has a docstring whose first line is the verb's help,
            ``add_arguments(parser)`` and ``run(arguments) -> int``. What it needs beyond the
            standard library it imports when it runs; ``INSTALL`` is what pip is told where that
            is missing.
        arguments: Of the command line; None for this process's.

    Returns:
        The exit code; 2 for what the caller can mend, with one line.
    """
    parser = argparse.ArgumentParser(prog=command, description=about)
    choice = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module_name in verbs.items():
        module = importlib.import_module(module_name)
        summary = (module.__doc__ or "").splitlines()[0]
        verb = choice.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(verb)
        verb.set_defaults(run=module.run, install=module.INSTALL)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except PolicyError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        # No index has this package: it is installed from where the suite lies.
        install = f"; run: pip install '{chosen.install}'"
        run = "" if "pip install" in str(error) else install
        print(f"{command}: {error}{run}", file=sys.stderr)
        return 2
