# SPDX-License-Identifier: Apache-2.0
"""From the start of the node's process to its end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from operator import length_hint
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException

from node_kit.output import never_waiting
from vla_contract.robot import RobotConfigError
from vla_sim.params import ParameterError
from vla_sim.world import RenderError, WorldError

CONFIGURATION_ERRORS = (
    ParameterError,
    ParameterException,
    RobotConfigError,
    WorldError,
    RenderError,
)


def run(make: Callable[[], Any], args: list[str] | None = None) -> int:
    """Run the simulation's node until it is told to end.

    Args:
        make: Makes the node, once there is a context.
        args: The command line, that of the process by default.

    Returns:
        0 after a shutdown, 1 after a failure, 2 when the configuration is wrong.
    """
    with never_waiting():
        return _run(make, args)


def _run(make: Callable[[], Any], args: list[str] | None) -> int:
    # Ctrl-C counts once and not during the clean-up: a launch system passes it on a second time.
    interrupts = iter([signal.default_int_handler])
    signal.signal(signal.SIGINT, lambda *which: [handle(*which) for handle in interrupts])
    try:
        rclpy.init(args=args)
    except RuntimeError as error:
        # An impossible ROS_DOMAIN_ID, above all.
        print(f"vla_sim: ROS cannot be started: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    node: Any = None
    try:
        node = make()
        for controller in node.controllers:
            rclpy.get_global_executor().add_node(controller)
        rclpy.spin(node)
    except CONFIGURATION_ERRORS as error:
        print(f"vla_sim: {error}", file=sys.stderr, flush=True)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # Told to end while it starts, or within rclpy, a node trips over what is gone.
        if rclpy.ok() and length_hint(interrupts):
            raise
    finally:
        list(interrupts)
        if node is not None:
            node.close()
        rclpy.try_shutdown()
        # The interpreter's own end is deaf to it too.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return 1 if node is not None and node.failed else 0
