# SPDX-License-Identifier: Apache-2.0
"""Find a policy by its name: those of this package, and those that other packages register.

Another package registers a factory, called with the options, under the entry point group
``vla_policies``. The built-in ones are also listed here, so that the source tree alone suffices.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, distributions, entry_points
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


def available() -> dict[str, tuple[str, ...]]:
    """Return the ``module:factory`` of every policy by its name.

    Two for a name that two packages register: that one cannot be loaded, the others can.
    """
    found: dict[str, tuple[str, ...]] = {name: (value,) for name, value in BUILT_IN.items()}
    for entry in _registered()[0]:
        values = found.setdefault(entry.name, ())
        if entry.value not in values:
            found[entry.name] = (*values, entry.value)
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
        damaged = "".join(
            f"; the entry_points.txt of {package} is damaged, install that package again"
            for package in _registered()[1]
        )
        there = ", ".join(sorted(known))
        raise PolicyError(f"there is no policy {name!r}; there are {there}{damaged}")
    value, *others = known[name]
    if others:
        raise PolicyError(
            f"two policies are called {name}: {value} and {others[0]}; uninstall or rename one"
        )
    try:
        factory: Callable[[Mapping[str, Any]], Policy] = _load(name, value)
    except (ImportError, AttributeError) as error:
        raise PolicyError(
            f"policy {name}: {value} cannot be imported ({_line(error)}); install what it needs"
        ) from error
    except _ITS_OWN as error:
        raise PolicyError(
            f"policy {name}: importing {value} failed with {_told(error)}; mend it there"
        ) from error
    if not callable(factory):
        raise PolicyError(
            f"policy {name}: {value} is a {type(factory).__name__}; register a function "
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
            f"policy {name}: {value} failed with {_told(error)}; check its options, or mend "
            "it there"
        ) from error
    if not fits:
        raise PolicyError(
            f"policy {name}: {value} returned a {type(policy).__name__}; it must return an "
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


def _registered() -> tuple[list[EntryPoint], list[str]]:
    """Return what packages register, and the packages whose file of entry points is damaged."""
    try:
        return list(entry_points(group=GROUP)), []
    except Exception:
        # One such file of any package, ours or not, and this raises for all of them.
        found: list[EntryPoint] = []
        damaged: list[str] = []
        for package in distributions():
            try:
                found += package.entry_points.select(group=GROUP)
            except Exception:
                damaged.append(str(package.metadata["Name"]))
        return found, damaged


def _load(name: str, value: str) -> Any:
    """Import what an entry point's ``module:attribute`` names."""
    entry = EntryPoint(name=name, value=value, group=GROUP)
    if not entry.pattern.match(value):
        raise ImportError("an entry point is written module:factory")
    return entry.load()
