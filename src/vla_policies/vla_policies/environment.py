# SPDX-License-Identifier: Apache-2.0
"""How a process that computes a policy treats threads and memory, unless it is told otherwise.

Threads that wait do not spin: on processors that others use too, spinning takes the time that the
work needs. Large blocks of memory are kept for the next layer instead of given back after each.
Measured by ``benchmarks/policy_environment.py``.
"""

from __future__ import annotations

import ctypes
import os
import sys

# glibc takes no more than 32 MB.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
ENVIRONMENT = {**PASSIVE, **MALLOC}
# Of glibc's mallopt, by the variable that stands for it.
_MALLOPT = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3}


def settle() -> None:
    """Give this process these settings, but for those that its environment has.

    For a process that somebody else started; `own_process` sets the variables for its child. To
    be called before torch is imported.
    """
    for key, value in PASSIVE.items():
        os.environ.setdefault(key, value)
    if not sys.platform.startswith("linux"):
        return
    # glibc reads its variables before the first line of Python.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for key, value in MALLOC.items():
        if mallopt is not None and key not in os.environ:
            mallopt(_MALLOPT[key], int(value))
