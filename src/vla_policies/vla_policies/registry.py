# SPDX-License-Identifier: Apache-2.0
"""Find a policy by its name: those of this package, and those that other packages register.

Another package registers a factory, called with the options, under the entry point group
``vla_policies``. The built-in ones are also listed here, so that the source tree alone suffices.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vla_policies.protocol import Policy, PolicyError
from vla_policies.spec_check import check_spec

GROUP = "vla_policies"
# What a policy's own code may raise; a module of scripts may even leave by itself.
_ITS_OWN = (Exception, SystemExit)
BUILT_IN = {
    "color_pick": "vla_policies.color_pick:make",
    "replay": "vla_policies.replay:make",
    "adversary": "vla_policies.adversary:make",
    "remote": "vla_policies.remote:make",
    "lerobot": "vla_policies.lerobot_adapter:make",
}


def available() -> dict[str, str]:
    """Return the name and the ``module:factory`` of every policy.

    Raises:
        PolicyError: Two packages register the same name.
    """
    found = dict(BUILT_IN)
    for entry in entry_points(group=GROUP):
        if found.setdefault(entry.name, entry.value) != entry.value:
            raise PolicyError(
                f"two policies are called {entry.name}: {found[entry.name]} and {entry.value}; "
                f"uninstall or rename one"
            )
    return found


def load_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """Make the policy called `name`.

    Args:
        name: As registered.
        options: Its options, from the contract.

    Raises:
        PolicyError: There is no such policy, it cannot be imported, fails, refuses its options or
            says what cannot be of itself. One line.
    """
    known = available()
    if name not in known:
        raise PolicyError(f"there is no policy {name!r}; there are {', '.join(sorted(known))}")
    try:
        factory: Callable[[Mapping[str, Any]], Policy] = _load(name, known[name])
    except (ImportError, AttributeError) as error:
        raise PolicyError(
            f"policy {name}: {known[name]} cannot be imported ({_line(error)}); install what it "
            "needs"
        ) from error
    except _ITS_OWN as error:
        raise PolicyError(
            f"policy {name}: importing {known[name]} failed with {_told(error)}; mend it there"
        ) from error
    if not callable(factory):
        raise PolicyError(
            f"policy {name}: {known[name]} is a {type(factory).__name__}; register a function "
            "that takes the options and returns the policy"
        )
    try:
        policy = factory(options)
        fits = isinstance(policy, Policy)
        spec = policy.spec if fits else None
    except PolicyError:
        raise
    except _ITS_OWN as error:
        raise PolicyError(
            f"policy {name}: {known[name]} failed with {_told(error)}; check its options, or mend "
            "it there"
        ) from error
    if not fits:
        raise PolicyError(
            f"policy {name}: {known[name]} returned a {type(policy).__name__}; it must return an "
            "object with spec, reset, infer and close"
        )
    try:
        check_spec(name, spec)
    except PolicyError:
        with contextlib.suppress(*_ITS_OWN):
            policy.close()
        raise
    return policy


def _told(error: BaseException) -> str:
    """Return an exception with the place where it was raised, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {_line(error)}{place}"


def _line(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:300]
    except Exception:
        return "without words"


def _load(name: str, value: str) -> Any:
    """Import what an entry point's ``module:attribute`` names."""
    return EntryPoint(name=name, value=value, group=GROUP).load()
