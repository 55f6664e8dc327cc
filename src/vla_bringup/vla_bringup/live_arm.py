# SPDX-License-Identifier: Apache-2.0
"""The arm of `vla-eval --live`: a launched graph with the policies that are compared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from vla_bringup.live_graph import ANSWER_S, GraphArm
from vla_contract.robot import RobotConfigError, load_robot
from vla_training.errors import TrainingError
from vla_training.evaluation.live.command import GraphChoice

# For nodes to be found, of the host's time, and until it is said what is waited for.
FOUND_S, SAID_S = 120.0, 3.0
ASKED = ("robot_file", "contract_file", "use_sim_time")


@contextmanager
def open_arm(choice: GraphChoice) -> Iterator[GraphArm]:
    """Give the arm that is launched.

    Raises:
        TrainingError: What the comparison needs is not there.
    """
    # Ctrl-C is the operator's: the run has to be cancelled before ROS ends.
    try:
        rclpy.init(args=["vla-eval", *choice.ros], signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise TrainingError(f"ROS cannot be started: {error}") from None
    node = None
    executor = SingleThreadedExecutor()
    try:
        told = {name: _asked(name) for name in dict.fromkeys(choice.nodes)}
        first = told[choice.nodes[0]]
        robot = load_robot(first["robot_file"])
        contracts = {name: each["contract_file"] for name, each in told.items()}
        node = GraphArm(choice, robot, contracts, first["use_sim_time"])
        executor.add_node(node)
        spinning = threading.Thread(target=_spin, args=(executor,), name="graph", daemon=True)
        spinning.start()
        node.await_all()
        yield node
    except RobotConfigError as error:
        raise TrainingError(str(error)) from None
    finally:
        if node is not None:
            node.leave()
            executor.shutdown()
            node.destroy_node()
        rclpy.try_shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


def _asked(name: str) -> dict[str, Any]:
    """Return what a policy node was started with.

    Raises:
        TrainingError: It is not there.
    """
    node = Node("vla_eval_finder")
    try:
        client = node.create_client(GetParameters, f"{name}/get_parameters")
        if not client.wait_for_service(SAID_S):
            print(f"waiting for {node.resolve_topic_name(name)}", flush=True)
        if not client.wait_for_service(FOUND_S):
            raise TrainingError(
                f"there is no policy node {node.resolve_topic_name(name)}; launch the arm with "
                "both policies (second_contract_file:=...), or name the nodes with --a and --b"
            )
        future = client.call_async(GetParameters.Request(names=list(ASKED)))
        rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_S)
        values = future.result().values if future.done() else []
        if len(values) != len(ASKED):
            raise TrainingError(f"{name} does not say what it was started with; is it a policy?")
        robot, contract, simulated = values
        return {
            "robot_file": robot.string_value,
            "contract_file": contract.string_value,
            "use_sim_time": simulated.bool_value,
        }
    finally:
        node.destroy_node()
