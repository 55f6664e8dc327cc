# SPDX-License-Identifier: Apache-2.0
"""A process that computes a policy treats threads and memory as measured to be best."""

import os
import subprocess
import sys

import pytest

from vla_policies import environment


def in_a_process(code, **variables):
    clean = {k: v for k, v in os.environ.items() if k not in environment.ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | variables, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.split()


WAIT = "import os; from vla_policies.environment import settle; settle(); "


def test_threads_sleep_unless_the_environment_says_otherwise():
    code = WAIT + "print(os.environ['OMP_WAIT_POLICY'])"
    assert in_a_process(code) == ["PASSIVE"]
    assert in_a_process(code, OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_blocks_of_a_layer_come_from_memory_that_is_kept():
    # What is mapped for one block alone goes back with it, and costs a page fault each time.
    code = (
        "import ctypes; libc = ctypes.CDLL(None)\n"
        "names = 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'\n"
        "class Info(ctypes.Structure): _fields_ = [(n, ctypes.c_size_t) for n in names.split()]\n"
        "libc.mallinfo2.restype = Info\n"
        "libc.malloc.restype = ctypes.c_void_p\n"
        "before = libc.mallinfo2().hblks\n"
        "libc.malloc(ctypes.c_size_t(20 << 20))\n"
        "print(libc.mallinfo2().hblks - before)"
    )
    settle = "from vla_policies.environment import settle; settle()\n"
    assert in_a_process(code) == ["1"]
    assert in_a_process(settle + code) == ["0"]
    # What the environment says stands.
    assert in_a_process(settle + code, MALLOC_MMAP_THRESHOLD_="1048576") == ["1"]
