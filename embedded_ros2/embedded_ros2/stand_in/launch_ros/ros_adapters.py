# SPDX-License-Identifier: Apache-2.0
"""The node of a launch itself, for actions that use services and topics."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from launch.event_handlers import OnShutdown

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class ROSAdapter:
    """A node whose callbacks run in a thread of their own."""

    def __init__(self, *, argv: list[str] | None = None, autostart: bool = True) -> None:
        self._argv = argv or []
        self._thread: threading.Thread | None = None
        self.ros_context: Any = None
        self.ros_node: Any = None
        self.ros_executor: Any = None
        if autostart:
            self.start()

    def start(self) -> None:
        """Make the node and run its callbacks."""
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        self.ros_context = Context()
        # The signals are the launch service's.
        rclpy.init(
            args=self._argv,
            context=self.ros_context,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self.ros_node = rclpy.create_node(
            f"launch_ros_{os.getpid()}", context=self.ros_context, start_parameter_services=False
        )
        self.ros_executor = SingleThreadedExecutor(context=self.ros_context)
        self.ros_executor.add_node(self.ros_node)
        self._thread = threading.Thread(target=self._run, name="launch_ros", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        from rclpy.executors import ExternalShutdownException

        try:
            while self.ros_context.ok():
                self.ros_executor.spin_once(timeout_sec=0.2)
        except ExternalShutdownException:
            pass

    def shutdown(self) -> None:
        """End the callbacks and the node; nothing happens the second time."""
        if self._thread is None:
            return
        import rclpy

        thread, self._thread = self._thread, None
        rclpy.shutdown(context=self.ros_context)
        thread.join()
        self.ros_node.destroy_node()


def get_ros_adapter(context: LaunchContext) -> ROSAdapter:
    """Return the adapter of a launch, made when first asked for."""
    if "ros_adapter" not in context.get_locals_as_dict():
        adapter = ROSAdapter()
        context.extend_globals({"ros_adapter": adapter})
        context.register_event_handler(
            OnShutdown(on_shutdown=lambda event, context: adapter.shutdown())
        )
    existing: ROSAdapter = context.locals.ros_adapter
    return existing


def get_ros_node(context: LaunchContext) -> Any:
    """Return the node of a launch."""
    return get_ros_adapter(context).ros_node
