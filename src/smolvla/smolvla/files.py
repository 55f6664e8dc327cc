# SPDX-License-Identifier: Apache-2.0
"""Read the JSON files of a checkpoint; an error names the file, the key and the remedy."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vla_policies.protocol import PolicyError


@dataclass(frozen=True)
class JsonObject:
    """An object of a JSON file, with its place for messages.

    Attributes:
        path: The file.
        key: Where in the file; empty at its top.
        values: What is there.
    """

    path: Path
    key: str
    values: dict[str, Any]

    def error(self, key: str, problem: str) -> PolicyError:
        """Make an error that names the file and the key."""
        place = f"{self.key}.{key}" if self.key and key else self.key or key
        return PolicyError(": ".join(part for part in (str(self.path), place, problem) if part))

    def take(self, key: str) -> Any:
        """Return a value.

        Raises:
            PolicyError: It is missing.
        """
        if key not in self.values:
            raise self.error(key, "is missing; add it")
        return self.values[key]

    def table(self, key: str) -> JsonObject:
        """Return an object inside this one.

        Raises:
            PolicyError: It is missing or something else.
        """
        value = self.take(key)
        if not isinstance(value, dict):
            raise self.error(key, f"is {value!r}; it must be an object")
        return JsonObject(self.path, f"{self.key}.{key}" if self.key else key, value)

    def whole(self, key: str, *, least: int = 1, most: int = 1_000_000) -> int:
        """Return an integer from `least` to `most`.

        Raises:
            PolicyError: It is missing or something else.
        """
        value = self.take(key)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= most:
            raise self.error(key, f"is {value!r}; it must be a whole number, {least} to {most}")
        return int(value)

    def number(self, key: str) -> float:
        """Return a finite number above 0.

        Raises:
            PolicyError: It is missing or something else.
        """
        value = self.take(key)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not value > 0:
            raise self.error(key, f"is {value!r}; it must be a number above 0")
        return float(value)

    def text(self, key: str) -> str:
        """Return a text that is not empty.

        Raises:
            PolicyError: It is missing or something else.
        """
        value = self.take(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"is {value!r}; it must be a text")
        return value

    def fixed(self, key: str, *accepted: Any, otherwise: str) -> None:
        """Check that a value, where there is one, is one that is supported.

        Raises:
            PolicyError: It is another, with what to do.
        """
        if key in self.values and self.values[key] not in accepted:
            raise self.error(key, f"is {self.values[key]!r}; {otherwise}")


def read_json(path: Path) -> JsonObject:
    """Read a file that holds one JSON object.

    Raises:
        PolicyError: It cannot be read, or holds something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except FileNotFoundError:
        raise PolicyError(f"{path}: there is no such file; a checkpoint has one") from None
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"{path}: is not JSON ({error}); copy the checkpoint again") from None
    if not isinstance(document, dict):
        raise PolicyError(f"{path}: holds no JSON object; copy the checkpoint again")
    return JsonObject(path, "", document)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is written twice")
        found[key] = value
    return found
