# SPDX-License-Identifier: Apache-2.0
"""The one thing this policy understands of an instruction: a colour."""

from __future__ import annotations

import re
from collections.abc import Collection

from vla_policies.protocol import PolicyError


def colour_of(task: str, colours: Collection[str]) -> str:
    """Return the one colour that a task names.

    Raises:
        PolicyError: It names none of `colours`, or more than one.
    """
    words = set(re.findall(r"[a-z]+", task.lower()))
    named = [colour for colour in colours if colour in words]
    known = ", ".join(colours)
    if not named:
        raise PolicyError(f"the instruction {task!r} names no colour that is known; use {known}")
    if len(named) > 1:
        raise PolicyError(f"the instruction {task!r} names {' and '.join(named)}; name one colour")
    return named[0]
