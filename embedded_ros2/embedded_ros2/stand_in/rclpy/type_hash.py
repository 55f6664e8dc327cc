# SPDX-License-Identifier: Apache-2.0
"""Type hashes."""

from __future__ import annotations


class TypeHash:
    """A version and 32 bytes."""

    def __init__(self, version: int = -1, value: bytes = bytes(32)) -> None:
        self.version = version
        self.value = value

    @classmethod
    def _parse(cls, text: str) -> TypeHash:
        """Read ``RIHS01_<hex>``; what is none gives an unset hash."""
        prefix, _, digits = text.partition("_")
        try:
            return cls(int(prefix.removeprefix("RIHS")), bytes.fromhex(digits))
        except ValueError:
            return cls()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypeHash):
            return False
        return (self.version, self.value) == (other.version, other.value)

    def __hash__(self) -> int:
        return hash((self.version, self.value))

    def __str__(self) -> str:
        if self.version <= 0:
            return "INVALID"
        return f"RIHS{self.version:02}_{self.value.hex()}"
