# SPDX-License-Identifier: Apache-2.0
"""The command ``vla-policy``: one module for each verb.

A verb's module has a docstring whose first line is its help, ``add_arguments(parser)`` and
``run(arguments) -> int``. What a verb needs beyond the standard library it imports when it runs;
where that is missing, ``EXTRA`` names the extra of this package that brings it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from vla_policies.protocol import PolicyError

VERBS = {
    "bench": "vla_policies.cli.bench",
    "convert": "vla_policies.cli.convert",
    "make-tiny": "vla_policies.cli.make_tiny",
    "serve": "vla_policies.cli.serve",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code; 2 for what the caller can mend, with one line."""
    parser = argparse.ArgumentParser(prog="vla-policy", description="Work with policies.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module_name in VERBS.items():
        module = importlib.import_module(module_name)
        summary = (module.__doc__ or "").splitlines()[0]
        verb = verbs.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(verb)
        verb.set_defaults(run=module.run, extra=getattr(module, "EXTRA", "smolvla"))
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except PolicyError as error:
        print(f"vla-policy: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        # No index has this package: it is installed from where the suite lies.
        install = f"; run: pip install './src/vla_policies[{chosen.extra}]'"
        run = "" if "pip install" in str(error) else install
        print(f"vla-policy: {error}{run}", file=sys.stderr)
        return 2
