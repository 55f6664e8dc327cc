# SPDX-License-Identifier: Apache-2.0
"""One mapping of a contract's file: what is asked of it is there and is right, or is an error."""

from __future__ import annotations

import math
from typing import Any

from vla_contract.names import topic_problem
from vla_contract.units import UNITS, Unit

# What is older shows another scene; who writes more means milliseconds.
LONGEST_AGE_S = 10.0


class ContractError(ValueError):
    """The contract cannot be used. The message names the file, the key and the remedy."""


class ContractTable:
    """A mapping of the file, with the path of its key for messages.

    Each method but `keys` raises a `ContractError` where a value is missing or wrong.

    Attributes:
        value: The mapping.
    """

    def __init__(self, path: str, key: str, value: object) -> None:
        self._path = path
        self._key = key
        if not isinstance(value, dict):
            raise ContractError(
                f"{path}: {key or 'the file'}: is {_kind(value)}; write a mapping of keys"
            )
        self.value: dict[str, Any] = value

    @property
    def keys(self) -> list[str]:
        """Its keys, in the file's order."""
        return list(self.value)

    def error(self, key: object, problem: str) -> ContractError:
        """Make an error that names the file and a key here."""
        return ContractError(f"{self._path}: {self._join(key)}: {problem}")

    def _join(self, key: object) -> str:
        return f"{self._key}.{key}" if self._key else str(key)

    def only(self, *known: str, optional: tuple[str, ...] = ()) -> None:
        """Allow these keys and no others; those that are not optional have to be there."""
        for key in self.keys:
            if key not in known:
                raise self.error(key, f"unknown key; the keys here are {', '.join(known)}")
        for key in known:
            if key not in self.value and key not in optional:
                raise self.error(key, "is missing; add it")

    def table(self, key: str) -> ContractTable:
        """Return the mapping at a key."""
        return ContractTable(self._path, self._join(key), self.value[key])

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self.value.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"is {_kind(value)}; write a name")
        return value

    def variables(self, key: str) -> dict[str, str]:
        """Return variables of a process by name; none where the key is left out."""
        if key not in self.value:
            return {}
        table = self.table(key)
        for name, value in table.value.items():
            if not isinstance(name, str) or type(value) not in (str, int):
                raise table.error(name, f"is {_kind(value)}; write a text or a whole number")
        return {name: str(value) for name, value in table.value.items()}

    def one_of(self, key: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices."""
        if key not in self.value:
            raise self.error(key, f"is missing; write one of {', '.join(choices)}")
        value = self.value[key]
        if value not in choices:
            raise self.error(key, f"{value!r} is unknown; write one of {', '.join(choices)}")
        return str(value)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices, the first where the key is left out."""
        return self.one_of(key, choices) if key in self.value else choices[0]

    def topic(self) -> str:
        """Return the name at `topic`, one that ROS takes."""
        name = self.text("topic")
        problem = topic_problem(name)
        if problem:
            raise self.error("topic", problem)
        return name

    def age(self) -> float:
        """Return the time at `max_age_s`, s."""
        age_s = self.positive("max_age_s")
        if not age_s <= LONGEST_AGE_S:
            raise self.error(
                "max_age_s", f"is {age_s:g} s; write seconds, {LONGEST_AGE_S:g} at the most"
            )
        return age_s

    def positive(self, key: str) -> float:
        """Return a number of seconds above 0, `inf` too where the reader of the file took it."""
        value = self.value[key]
        number = float(value) if isinstance(value, (int, float)) else math.nan
        if isinstance(value, bool) or not number > 0.0:
            raise self.error(key, f"is {value!r}; write a number of seconds above 0")
        return number

    def joints(self, known: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names at `joints`, each one of those that are known."""
        value = self.value["joints"]
        if not isinstance(value, list) or not value:
            raise self.error("joints", f"is {_kind(value)}; write a list of joint names")
        for joint in value:
            if joint not in known:
                raise self.error(
                    "joints",
                    f"{joint!r} is not a joint of the robot; it has {', '.join(known)}",
                )
            if value.count(joint) > 1:
                raise self.error("joints", f"{joint!r} is listed twice; list it once")
        return tuple(value)

    def unit(self) -> Unit:
        """Return the unit at `units`."""
        return UNITS[self.one_of("units", tuple(UNITS))]


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    words = {str: "the text", list: "a list", dict: "a mapping", bool: "yes or no"}
    return f"{words.get(type(value), 'a number')} ({value!r})"
