# SPDX-License-Identifier: Apache-2.0
"""The node of an emulated controller: it offers the parameters of a joint_trajectory_controller.

Only those are its own; the controller's topics are the simulation's. In ros2_control each
controller is a node of its own name, and whoever wants to know how it is set asks that node.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from control_msgs.msg import JointTrajectoryControllerState
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from node_kit import qos
from vla_sim import convert
from vla_sim.core.trajectory_controller import CycleOutcome, TrajectoryController

# Those that can be set while it runs, as on the original, and change what it does.
DYNAMIC = ("allow_trajectory_replacement", "allow_nonzero_velocity_at_trajectory_end")


def state_publisher(
    node: Node, name: str, controller: TrajectoryController, warn: Callable[[str], None]
) -> Callable[[CycleOutcome], None]:
    """Return what publishes a controller's state.

    It fills one message again and again, because making one takes longer than a control cycle.

    Args:
        node: Whose publisher it is.
        name: The controller's.
        controller: The controller.
        warn: Is told what a cycle warns of.
    """
    publisher = node.create_publisher(
        JointTrajectoryControllerState, f"{name}/controller_state", qos.EACH
    )
    state = JointTrajectoryControllerState(
        joint_names=list(controller.config.joint_names), speed_scaling_factor=1.0
    )

    def publish(cycle: CycleOutcome) -> None:
        convert.fill_controller_state(state, cycle.state)
        publisher.publish(state)
        if cycle.warning:
            warn(f"{name}: {cycle.warning}")

    return publish


class ControllerNode(Node):
    """Offers one controller's parameters."""

    def __init__(
        self,
        name: str,
        namespace: str,
        controller: TrajectoryController,
        lock: threading.Lock,
    ) -> None:
        """Declare the parameters.

        Args:
            name: The controller's, which may begin with a namespace.
            namespace: Of the simulation's node.
            controller: The controller.
            lock: Held for every use of it.
        """
        inner, _, own = name.strip("/").rpartition("/")
        whole = "/".join(part for part in (namespace.strip("/"), inner) if part)
        # The process's arguments, its name among them, are those of the simulation's node.
        super().__init__(own, namespace=f"/{whole}", use_global_arguments=False)
        self._controller, self._lock = controller, lock
        config = controller.config
        values: dict[str, object] = {
            "joints": list(config.joint_names),
            "command_interfaces": ["position"],
            "state_interfaces": ["position", "velocity"],
            "interpolation_method": config.interpolation_method,
            "interpolate_from_desired_state": config.interpolate_from_desired_state,
            "allow_trajectory_replacement": config.allow_trajectory_replacement,
            "allow_nonzero_velocity_at_trajectory_end": (
                config.allow_nonzero_velocity_at_trajectory_end
            ),
            "allow_partial_joints_goal": False,
            "allow_integration_in_goal_trajectories": False,
            "positions_upsampling.enable": False,
            "cmd_timeout": 0.0,
            "constraints.goal_time": 0.0,
            "constraints.stopped_velocity_tolerance": 0.0,
            "constraints.decelerate_on_cancel": False,
            "speed_scaling.initial_scaling_factor": 1.0,
            "speed_scaling.state_interface": "",
            "set_last_command_interface_value_as_state_on_activation": True,
        }
        for joint in config.joint_names:
            values[f"constraints.{joint}.trajectory"] = 0.0
            values[f"constraints.{joint}.goal"] = 0.0
        for parameter, value in values.items():
            descriptor = ParameterDescriptor(read_only=parameter not in DYNAMIC)
            self.declare_parameter(parameter, value, descriptor)
        self.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, changes: list[Parameter]) -> SetParametersResult:
        changed = {change.name: bool(change.value) for change in changes if change.name in DYNAMIC}
        with self._lock:
            self._controller.config = replace(self._controller.config, **changed)
        return SetParametersResult(successful=True)
