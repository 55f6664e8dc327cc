# SPDX-License-Identifier: Apache-2.0
"""The part of rclpy that nodes use, over Zenoh, where the real rclpy is absent.

What is not offered raises NotImplementedError with the feature's name.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rclpy.context import Context
from rclpy.signals import (
    SignalHandlerOptions,
    install_signal_handlers,
    uninstall_signal_handlers,
)
from rclpy.task import Future
from rclpy.utilities import get_default_context, get_rmw_implementation_identifier, ok
from rclpy.utilities import shutdown as _shutdown
from rclpy.utilities import try_shutdown as _try_shutdown

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.parameter import Parameter

__all__ = [
    "InitContextManager",
    "create_node",
    "get_default_context",
    "get_global_executor",
    "get_rmw_implementation_identifier",
    "init",
    "ok",
    "shutdown",
    "spin",
    "spin_once",
    "spin_until_future_complete",
    "try_shutdown",
]

_executor: Executor | None = None


class InitContextManager:
    """What `init` returns: `with rclpy.init():` shuts down at the end of the block."""

    def __init__(
        self,
        args: list[str] | None,
        context: Context | None,
        domain_id: int | None,
        signal_handler_options: SignalHandlerOptions | None,
    ) -> None:
        is_default = context is None or context is get_default_context()
        self.context = get_default_context() if context is None else context
        if signal_handler_options is None:
            signal_handler_options = (
                SignalHandlerOptions.ALL if is_default else SignalHandlerOptions.NO
            )
        self.installed_signal_handlers = signal_handler_options != SignalHandlerOptions.NO
        self.context.init(args, domain_id=domain_id)
        install_signal_handlers(signal_handler_options)

    def __enter__(self) -> InitContextManager:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        # A context can be initialized once; only without one is the default replaced.
        is_default = self.context is get_default_context()
        try_shutdown(
            context=None if is_default else self.context,
            uninstall_handlers=self.installed_signal_handlers,
        )


def init(
    *,
    args: list[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> InitContextManager:
    """Initialize a context, the default one unless told otherwise.

    Args:
        args: The command line; `sys.argv` by default.
        context: The context.
        domain_id: The ROS domain; `ROS_DOMAIN_ID` by default.
        signal_handler_options: The signals that shut the context down; by default both for the
            default context and none for others.

    Returns:
        A context manager that shuts the context down.
    """
    return InitContextManager(args, context, domain_id, signal_handler_options)


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """Shut a context down, the default one unless told otherwise."""
    is_default = context is None or context is get_default_context()
    try:
        _shutdown(context=context)
    finally:
        if uninstall_handlers or (uninstall_handlers is None and is_default):
            uninstall_signal_handlers()


def try_shutdown(
    *, context: Context | None = None, uninstall_handlers: bool | None = None
) -> None:
    """Shut a context down, the default one unless told otherwise, if it is not yet."""
    is_default = context is None or context is get_default_context()
    _try_shutdown(context=context)
    if uninstall_handlers or (uninstall_handlers is None and is_default):
        uninstall_signal_handlers()


def get_global_executor() -> Executor:
    """Return the executor that the functions below use where none is given."""
    global _executor
    executor = _executor
    if executor is None:
        from rclpy.executors import SingleThreadedExecutor

        executor = _executor = SingleThreadedExecutor()
        # A context that a signal has shut down already calls this at once.
        get_default_context().on_shutdown(_reset_executor)
    return executor


def _reset_executor() -> None:
    global _executor
    if _executor is not None:
        _executor.shutdown(timeout_sec=0)
        _executor = None


def create_node(
    node_name: str,
    *,
    context: Context | None = None,
    cli_args: list[str] | None = None,
    namespace: str | None = None,
    use_global_arguments: bool = True,
    enable_rosout: bool = True,
    start_parameter_services: bool = True,
    parameter_overrides: list[Parameter] | None = None,
    allow_undeclared_parameters: bool = False,
    automatically_declare_parameters_from_overrides: bool = False,
    enable_logger_service: bool = False,
) -> Node:
    """Create a node; see `rclpy.node.Node`."""
    from rclpy.node import Node

    return Node(
        node_name,
        context=context,
        cli_args=cli_args,
        namespace=namespace,
        use_global_arguments=use_global_arguments,
        enable_rosout=enable_rosout,
        start_parameter_services=start_parameter_services,
        parameter_overrides=parameter_overrides,
        allow_undeclared_parameters=allow_undeclared_parameters,
        automatically_declare_parameters_from_overrides=(
            automatically_declare_parameters_from_overrides
        ),
        enable_logger_service=enable_logger_service,
    )


def spin_once(
    node: Node, *, executor: Executor | None = None, timeout_sec: float | None = None
) -> None:
    """Do one piece of work, or wait for one until the timeout."""
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        executor.spin_once(timeout_sec=timeout_sec)
    finally:
        executor.remove_node(node)


def spin(node: Node, executor: Executor | None = None) -> None:
    """Work until the context is shut down.

    Raises:
        ExternalShutdownException: If a signal or another thread shut it down.
    """
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        while executor.context.ok():
            executor.spin_once()
    finally:
        executor.remove_node(node)


def spin_until_future_complete(
    node: Node,
    future: Future,
    executor: Executor | None = None,
    timeout_sec: float | None = None,
) -> None:
    """Work until the future is done, the timeout passes or the context is shut down."""
    executor = get_global_executor() if executor is None else executor
    added = False
    try:
        added = executor.add_node(node)
        executor.spin_until_future_complete(future, timeout_sec)
    finally:
        if added:
            executor.remove_node(node)
