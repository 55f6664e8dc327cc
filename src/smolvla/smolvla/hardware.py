# SPDX-License-Identifier: Apache-2.0
"""What the processor can do, and what the system can take back."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_DONT_NEED = 4  # MADV_DONTNEED: unlike MADV_PAGEOUT, also where another process maps the file


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


def spare_amx() -> None:
    """Keep OpenVINO from a virtual machine's AMX units, unless ONEDNN_MAX_CPU_ISA says otherwise.

    OpenVINO 2026.4 divides by zero there, and the process ends, where the machine tells its
    processor's caches wrongly. To be called before the first model is compiled.
    """
    if {"amx_bf16", "hypervisor"} <= cpu_flags():
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")


def lacks_bfloat16(precision: str) -> str:
    """Say why this processor cannot compute a bundle of a precision, empty where it can."""
    if precision not in ("bfloat16", "mixed") or has_bfloat16():
        return ""
    return (
        f"{precision} needs bfloat16, which this processor does not compute; convert with "
        "--precision float32, or int8"
    )


def give_back() -> None:
    """Give memory that was freed back to the system, which large loads leave behind."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def drop_mapped_pages(files: Iterable[Path]) -> None:
    """Let the system take back the memory of files that are mapped but no longer read.

    Nothing is lost: a page that is read again comes from the file. Does nothing elsewhere than
    on Linux.
    """
    names = {str(path.resolve()) for path in files}
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        madvise = ctypes.CDLL(None, use_errno=True).madvise
    except (OSError, AttributeError):
        return
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] in names and "w" not in fields[1]:
            start, _, end = fields[0].partition("-")
            madvise(int(start, 16), int(end, 16) - int(start, 16), _DONT_NEED)
