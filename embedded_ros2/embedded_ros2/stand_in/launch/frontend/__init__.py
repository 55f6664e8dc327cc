# SPDX-License-Identifier: Apache-2.0
"""What launch files in XML and YAML are made for: they are not read, and so these do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["expose_action", "expose_substitution"]

_Exposed = TypeVar("_Exposed")


def expose_action(name: str) -> Callable[[_Exposed], _Exposed]:
    """Return the action as it is; the name would be for XML and YAML launch files."""
    return lambda exposed: exposed


expose_substitution = expose_action
