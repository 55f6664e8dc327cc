# SPDX-License-Identifier: Apache-2.0
"""The command line: ``embedded-ros2 launch``, ``run``, ``topic`` and so on, as in ``ros2``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

_COMMANDS = {
    "action": "Various action related sub-commands",
    "bag": "Record, play and inspect bags",
    "doctor": "Show what there is: versions, router, shared memory, domain",
    "interface": "Show information about ROS interfaces",
    "launch": "Run a launch file",
    "lifecycle": "Various lifecycle related sub-commands",
    "node": "Various node related sub-commands",
    "param": "Various param related sub-commands",
    "pkg": "Various package related sub-commands",
    "run": "Run a package specific executable",
    "service": "Various service related sub-commands",
    "topic": "Various topic related sub-commands",
}
_ALIASES = {"wtf": "doctor"}
# Commands of ros2 that are not here, and why.
_REFUSED = {
    "component": "there are no C++ components; start each node by itself with run or launch",
    "control": "there is no ros2_control; call a controller_manager's services with service call",
    "daemon": "there is no daemon, and nothing to start or stop",
    "extension_points": "the command line takes no extensions",
    "extensions": "the command line takes no extensions",
    "multicast": "processes meet through a router on this machine, without multicast",
    "security": "see docs/how-to/secure_transport.md: TLS with certificates takes its place",
    "test": "start the processes with subprocess or launch, and test with pytest",
    "trace": "there is no tracing; RUST_LOG=zenoh=debug shows what Zenoh does",
}
_INTERRUPTED = 2
_TERMINATED = 143


class CommandError(Exception):
    """A command cannot be carried out; the message is all that the user sees."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments, without the name of the program.

    Returns:
        The exit code.
    """
    from embedded_ros2 import __version__, fallback

    fallback.install()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _REFUSED:
        print(f"embedded_ros2 does not offer '{arguments[0]}': {_REFUSED[arguments[0]]}")
        # Scripts stop the daemon first, or ask for its state.
        return int(arguments[0] != "daemon")
    arguments[:1] = [_ALIASES.get(one, one) for one in arguments[:1]]
    name = arguments[0] if arguments and arguments[0] in _COMMANDS else None
    parser = argparse.ArgumentParser(
        prog="embedded-ros2", description="The ros2 command line where no ROS 2 is installed."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command")
    for command, text in _COMMANDS.items():
        # Only the module of the command at hand is imported: nodes and launches start quickly.
        if name is None or command == name:
            sub = commands.add_parser(command, help=text, description=text)
            if command == name:
                module = importlib.import_module(f"embedded_ros2.cli.{command}")
                module.add_arguments(sub)
    args = parser.parse_args(arguments)
    if name is None:
        parser.print_help()
        return 0
    return _run(module.main, args)


def _run(function: object, args: argparse.Namespace) -> int:
    try:
        return int(function(args) or 0)  # type: ignore[operator]
    except CommandError as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # else the interpreter complains that it cannot flush
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        # By name: importing rclpy for the sake of its exception would slow down every command.
        if type(error).__name__ == "ExternalShutdownException":
            return _TERMINATED
        if type(error).__name__ == "DomainIdError":
            sys.stdout.flush()
            print(error, file=sys.stderr)
            return 1
        raise


def add_verbs(parser: argparse.ArgumentParser, verbs: dict[str, tuple[object, object]]) -> None:
    """Add sub-commands.

    Args:
        parser: The parser of the command.
        verbs: Name to (function that adds arguments, function that does the work); the first
            line of the latter's docstring is the help.
    """
    subparsers = parser.add_subparsers(metavar="verb", required=True)
    for name, (add, work) in verbs.items():
        text = str(work.__doc__).splitlines()[0].rstrip(".")
        sub = subparsers.add_parser(name, help=text, description=text)
        if add is not None:
            add(sub)  # type: ignore[operator]
        sub.set_defaults(verb=work)
