# SPDX-License-Identifier: Apache-2.0
"""Run the main function of a node: ``python -m embedded_ros2.cli.entry name=module:function``.

What `ps` shows is this command line with the arguments of the node behind it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from pathlib import Path

from embedded_ros2 import fallback


def main() -> None:
    """Import the module and call the function, with ``sys.argv`` as a script would have it."""
    arguments = sys.argv[1:]
    # `python -m` puts the working folder in front, where any folder would pass for a package.
    with contextlib.suppress(ValueError):
        sys.path.remove(os.getcwd())
    if arguments[:1] == ["--path"]:
        sys.path.insert(0, arguments[1])
        arguments = arguments[2:]
    if not arguments or "=" not in arguments[0]:
        sys.exit("usage: python -m embedded_ros2.cli.entry [--path DIR] name=module:function ...")
    name, _, target = arguments[0].partition("=")
    module, _, attribute = target.partition(":")
    sys.argv = [name, *arguments[1:]]
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)  # for top and pkill; Linux only
    fallback.install()
    # A Ctrl-C while modules are imported ends the process without a traceback; rclpy.init and
    # the node find Python's own handler.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    function = importlib.import_module(module)
    for part in (attribute or "main").split("."):
        function = getattr(function, part)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(function())  # type: ignore[operator]


if __name__ == "__main__":
    main()
