# SPDX-License-Identifier: Apache-2.0
"""The server that `vla_policies.own_process` starts: ``python -m vla_policies.wire.child``.

Its first line on standard input is a JSON map of ``name``, ``options`` and ``token``. On standard
output it writes a map of ``loaded`` when the policy is made, and one of ``port`` when it is warm
and served, or one of ``error``. It ends when standard input does.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

from vla_policies.protocol import PolicyError
from vla_policies.registry import load_policy
from vla_policies.wire.process import serve
from vla_policies.wire.server import PolicyServer, ServerConfig

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve a policy to the parent alone."""
    # What a policy prints must not be taken for our answer.
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = json.loads(sys.stdin.buffer.readline())
    die_with_parent()

    def say(**message: Any) -> None:
        print(json.dumps(message), file=answer, flush=True)

    def ready(server: PolicyServer, port: int) -> None:
        say(port=port)

    config = ServerConfig(port=0, token=asked["token"], clients=2, warm_up=True)
    try:
        return serve(
            lambda: load_policy(asked["name"], asked["options"]),
            config,
            ready,
            sys.stdin.buffer,
            lambda: say(loaded=True),
        )
    except (PolicyError, OSError) as error:
        say(error=str(error))
        return 2


def die_with_parent() -> None:
    """Ask the kernel, where it can, to end this process with its parent, even while it hangs."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
