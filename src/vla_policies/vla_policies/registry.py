# SPDX-License-Identifier: Apache-2.0
"""Find a policy by its name: those of this package, and those that other packages register.

Another package registers a factory, called with the options, under the entry point group
``vla_policies``. The built-in ones are also listed here, so that the source tree alone suffices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vla_policies.protocol import Policy, PolicyError

GROUP = "vla_policies"
BUILT_IN = {
    "color_pick": "vla_policies.color_pick:make",
    "replay": "vla_policies.replay:make",
    "adversary": "vla_policies.adversary:make",
    "smolvla": "vla_policies.smolvla:make",
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
        PolicyError: There is no such policy, it cannot be imported, or it refuses its options.
    """
    known = available()
    if name not in known:
        raise PolicyError(f"there is no policy {name!r}; there are {', '.join(sorted(known))}")
    try:
        factory: Callable[[Mapping[str, Any]], Policy] = _load(name, known[name])
    except (ImportError, AttributeError) as error:
        raise PolicyError(
            f"policy {name}: {known[name]} cannot be imported ({error}); install what it needs"
        ) from error
    policy = factory(options)
    if not isinstance(policy, Policy):
        raise PolicyError(
            f"policy {name}: {known[name]} returned a {type(policy).__name__}; it must return an "
            "object with spec, reset, infer and close"
        )
    return policy


def _load(name: str, value: str) -> Any:
    """Import what an entry point's ``module:attribute`` names."""
    return EntryPoint(name=name, value=value, group=GROUP).load()
