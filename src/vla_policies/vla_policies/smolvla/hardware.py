# SPDX-License-Identifier: Apache-2.0
"""What the processor can do, as far as the choice of a number type depends on it."""

from __future__ import annotations

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cpu_flags() -> frozenset[str]:
    """Return the processor's feature flags; empty where the system does not list them."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware, so that it is the faster type."""
    return not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})
