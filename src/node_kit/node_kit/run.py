# SPDX-License-Identifier: Apache-2.0
"""From the start of a node's process to its end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from node_kit.clock import spare_from_impossible_times
from node_kit.output import never_waiting

# How long after Ctrl-C the callback in hand may take, s; a launch system waits for five.
_LAST_CALLBACK_S = 1.0


class _Interrupts:
    """Ctrl-C counts once and not during the clean-up: a launch system passes it on a second time.

    It ends at once what a node does before it runs callbacks. From then on rclpy has its context
    shut down, and spinning ends by that once the callback in hand is through: an exception in the
    midst of rclpy leaves things of its own half made, which then tell of it. Only a callback that
    takes too long is broken off, or a wait that was woken before the context was shut down.
    """

    def __init__(self) -> None:
        self.came = False
        self.spinning = False
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGALRM, self._break_off)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            return
        self.came = True
        if not self.spinning:
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, _LAST_CALLBACK_S)

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        if self.spinning:
            raise KeyboardInterrupt

    def end(self) -> None:
        """From here on nothing is interrupted any more."""
        self.came, self.spinning = True, False
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _refused_by_ros(error: Exception, node: Node | None) -> bool:
    """Return whether ROS did not let a node begin, for an impossible ROS_DOMAIN_ID above all.

    DDS finds out when the first node is made. The error's class is in no public module of rclpy.
    """
    return node is None and any(kind.__name__ == "RCLError" for kind in type(error).__mro__)


def _spin(executor: SingleThreadedExecutor, node: Node, interrupts: _Interrupts) -> None:
    """Run callbacks until the end; a node that has `survive` gets what escapes from one."""
    interrupts.spinning = True
    while True:
        try:
            executor.spin()
            return
        except (KeyboardInterrupt, ExternalShutdownException):
            raise
        except Exception as error:
            survive = getattr(node, "survive", None)
            if survive is None or not rclpy.ok() or interrupts.came:
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
    interrupts = _Interrupts()
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
        _spin(executor, node, interrupts)
    except configuration_errors as error:
        _say(name, str(error))
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        # Nothing to do: every trajectory that was sent ends at rest.
        pass
    except Exception as error:
        # Told to end while it starts, or within a callback, a node trips over what is gone.
        if rclpy.ok() and not interrupts.came:
            if not _refused_by_ros(error, node):
                raise
            _say(name, f"ROS cannot be started: {error}")
            return 2
    finally:
        interrupts.end()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # The interpreter's own end is deaf to it too.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return int(getattr(node, "failed", False))


def _say(name: str, words: str) -> None:
    print(f"{name}: {' '.join(words.split())}", file=sys.stderr, flush=True)
