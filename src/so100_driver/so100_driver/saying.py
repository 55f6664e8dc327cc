# SPDX-License-Identifier: Apache-2.0
"""What is said once, and again only after a while: a cause may come a hundred times a second."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"[-+]?[0-9.]+")
_AGAIN_S = 2.0


class Saying:
    """Remembers what was said lately; texts that differ in numbers alone are the same."""

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}

    def new(self, text: str, now_s: float) -> bool:
        """Return whether it is time to say this, and take it as said then."""
        kind = _NUMBERS.sub("", text)
        self._said_s = {
            said: at_s for said, at_s in self._said_s.items() if now_s - at_s < _AGAIN_S
        }
        if kind in self._said_s:
            return False
        self._said_s[kind] = now_s
        return True
