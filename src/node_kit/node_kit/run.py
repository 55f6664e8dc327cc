# SPDX-License-Identifier: Apache-2.0
"""From the start of a node's process to its end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from operator import length_hint

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from node_kit.clock import spare_from_impossible_times
from node_kit.output import never_waiting


def _refused_by_ros(error: Exception, node: Node | None) -> bool:
    """Return whether ROS did not let a node begin, for an impossible ROS_DOMAIN_ID above all.

    DDS finds out when the first node is made. The error's class is in no public module of rclpy.
    """
    return node is None and any(kind.__name__ == "RCLError" for kind in type(error).__mro__)


def _spin(executor: SingleThreadedExecutor, node: Node, told_to_end: Callable[[], bool]) -> None:
    """Run callbacks until the end; a node that has `survive` gets what escapes from one.

    Where rclpy takes a message just when an interrupt comes, that is another exception.
    """
    while True:
        try:
            executor.spin()
            return
        except (KeyboardInterrupt, ExternalShutdownException):
            raise
        except Exception as error:
            survive = getattr(node, "survive", None)
            if survive is None or not rclpy.ok() or told_to_end():
                raise
            survive(error)
            # Should it be the same at once, again and again, the rest gets its turn.
            time.sleep(0.001)


def run(
    name: str,
    make: Callable[[], Node],
    configuration_errors: tuple[type[Exception], ...],
    args: Sequence[str] | None = None,
) -> int:
    """Run a node until it is told to end.

    Beside what every node has, this one may have `companions`, nodes that are run with it, and
    `failed`, whether it ended by itself. What it has to end first is in its `destroy_node`.

    Args:
        name: Of the executable, for words about its configuration.
        make: Makes the node, once there is a context.
        configuration_errors: What it raises where it cannot start so; each is said in one line.
        args: The command line, that of the process by default.

    Returns:
        0 after an orderly end, 1 after one of its own, 2 after a configuration error.
    """
    with never_waiting():
        return _run(name, make, (*configuration_errors, ParameterException), args)


def _run(
    name: str,
    make: Callable[[], Node],
    configuration_errors: tuple[type[Exception], ...],
    args: Sequence[str] | None,
) -> int:
    # Ctrl-C counts once and not during the clean-up: a launch system passes it on a second time.
    interrupts = iter([signal.default_int_handler])
    signal.signal(signal.SIGINT, lambda *which: [handle(*which) for handle in interrupts])
    try:
        rclpy.init(args=args)
    except RuntimeError as error:
        # An impossible ROS_DOMAIN_ID, above all.
        _say(name, f"ROS cannot be started: {error}")
        return 2
    node: Node | None = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        for each in (node, *getattr(node, "companions", ())):
            spare_from_impossible_times(each)
            executor.add_node(each)
        _spin(executor, node, lambda: not length_hint(interrupts))
    except configuration_errors as error:
        _say(name, str(error))
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        # Nothing to do: every trajectory that was sent ends at rest.
        pass
    except Exception as error:
        # Told to end while it starts, or within a callback, a node trips over what is gone.
        if rclpy.ok() and length_hint(interrupts):
            if not _refused_by_ros(error, node):
                raise
            _say(name, f"ROS cannot be started: {error}")
            return 2
    finally:
        list(interrupts)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # The interpreter's own end is deaf to it too.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return int(getattr(node, "failed", False))


def _say(name: str, words: str) -> None:
    print(f"{name}: {' '.join(words.split())}", file=sys.stderr, flush=True)
