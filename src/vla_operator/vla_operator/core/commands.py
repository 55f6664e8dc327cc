# SPDX-License-Identifier: Apache-2.0
"""What a page may say, read strictly: one small JSON object with known keys and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from vla_contract.texts import visible

# Takes whether something was done, and the reason in words. May be called in any thread.
Answer = Callable[[bool, str], None]

MOST_BYTES = 4096
MOST_TEXT = 400
MOST_NAME = 40
_MOST_COUNT = 2**53
_LONGEST_RUN_S = 3600.0
MOST_JOINTS = 32


class PageCommandError(ValueError):
    """A message that cannot be used. The text says why."""


@dataclass(frozen=True)
class PageCommand:
    """One message of a page.

    Attributes:
        do: What is asked.
        number: By which the page knows the answer; 0 where it awaits none.
        given: The rest, checked.
    """

    do: str
    number: int
    given: Mapping[str, Any] = field(default_factory=dict)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_COUNT:
        raise PageCommandError("is no count")
    return value


def _yes(value: Any) -> bool:
    if type(value) is not bool:
        raise PageCommandError("is not true or false")
    return value


def _printable(most: int, least: int = 1) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        shown = visible(value) if type(value) is str else ""
        if type(value) is not str or not least <= len(shown.strip()) <= len(value) <= most:
            raise PageCommandError(f"is no text of {least} to {most} characters")
        if not shown.isprintable():
            raise PageCommandError("has characters that cannot be printed")
        return " ".join(value.split())

    return read


def _between(least: float, most: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        # A whole number of any length is one in JSON, so it is bounded before it is converted.
        if type(value) not in (int, float) or not least <= value <= most:
            raise PageCommandError(f"is no number between {least:g} and {most:g}")
        number = float(value)
        if not math.isfinite(number):
            raise PageCommandError("is not finite")
        return number

    return read


def _rates(value: Any) -> tuple[float, ...]:
    if type(value) is not list or not 0 < len(value) <= MOST_JOINTS:
        raise PageCommandError(f"is no list of 1 to {MOST_JOINTS} numbers")
    read = _between(-1.0, 1.0)
    return tuple(read(each) for each in value)


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words or type(value) is not str:
            raise PageCommandError(f"is none of {', '.join(words)}")
        return str(value)

    return read


_mark = _one_of("unmarked", "success", "failure")
# What each takes beside `do` and `n`.
_KNOWN: dict[str, dict[str, Callable[[Any], Any]]] = {
    "seen": {},
    "stop": {},
    "take": {"name": _printable(MOST_NAME), "over": _yes},
    "release": {},
    "reset": {},
    "instruct": {"text": _printable(MOST_TEXT), "seconds": _between(1.0, _LONGEST_RUN_S)},
    "end": {},
    "arm": {"hold": _yes},
    "jog": {"rates": _rates},
    # Without a task it is that of the policy.
    "record": {"task": _printable(MOST_TEXT, 0), "operator": _printable(MOST_NAME)},
    "finish": {"mark": _mark, "discard": _yes},
    "keep": {
        "task": _printable(MOST_TEXT, 0),
        "operator": _printable(MOST_NAME),
        "seconds": _between(1.0, _LONGEST_RUN_S),
    },
    "mark": {"episode": _printable(MOST_TEXT), "mark": _mark},
    "retask": {"episode": _printable(MOST_TEXT), "task": _printable(MOST_TEXT)},
    "delete": {"episode": _printable(MOST_TEXT)},
}
# Everybody who was let in may say these; the others take control.
FOR_ALL = frozenset({"seen", "stop", "take", "release"})


def read(text: str) -> PageCommand:
    """Read a message.

    Raises:
        PageCommandError: It is too long, no JSON, or asks for what there is not.
    """
    # Letters take up to four bytes each.
    if len(text) > MOST_BYTES:
        raise PageCommandError(f"has more than {MOST_BYTES} characters")
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise PageCommandError("is no JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("do"), str):
        raise PageCommandError('is no object with a text "do"')
    do = found.pop("do")
    if do not in _KNOWN:
        raise PageCommandError(f"asks for {do[:20]!r}, which there is not")
    wanted = _KNOWN[do]
    unknown = sorted(set(found) - set(wanted) - {"n"})
    if unknown:
        raise PageCommandError(f"{do} has {unknown[0][:20]!r}, which there is not")
    given = {}
    for key, check in {"n": _count, **wanted}.items():
        if key not in found:
            raise PageCommandError(f"{do} has no {key}")
        try:
            given[key] = check(found[key])
        except PageCommandError as error:
            raise PageCommandError(f"{do}: {key} {error}") from None
    return PageCommand(do, given.pop("n"), given)


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)
