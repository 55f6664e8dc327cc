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
from vla_contract.contract import ContractError
from vla_contract.robot import RobotConfigError
from vla_policy_node.params import ParameterError


def run(make: Callable[[], Any]) -> int:
    """Run the node until it is shut down.

    Args:
        make: Makes the node, which has a `close`, once there is a context.

    Returns:
        0 after an orderly end, 2 if the configuration cannot be used.
    """
    with never_waiting():
        return _run(make)


def _run(make: Callable[[], Any]) -> int:
    # Ctrl-C counts once and not during the clean-up: a launch system passes it on a second time.
    interrupts = iter([signal.default_int_handler])
    signal.signal(signal.SIGINT, lambda *which: [handle(*which) for handle in interrupts])
    try:
        rclpy.init()
    except RuntimeError as error:
        # An impossible ROS_DOMAIN_ID, above all.
        _say(f"ROS cannot be started: {error}")
        return 2
    node: Any = None
    try:
        node = make()
        rclpy.spin(node)
    except (
        ContractError,
        ParameterError,
        ParameterException,
        RobotConfigError,
    ) as error:
        _say(str(error))
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except Exception:  # Told to end while it starts, or within rclpy, it trips over what is gone.
        if rclpy.ok() and length_hint(interrupts):
            raise
    finally:
        list(interrupts)
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
        # The interpreter's own end is deaf to it too.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return 0


def _say(words: str) -> None:
    print(f"vla_policy_node: {' '.join(words.split())}", file=sys.stderr, flush=True)
