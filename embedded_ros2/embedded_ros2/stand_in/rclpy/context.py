# SPDX-License-Identifier: Apache-2.0
"""A context: the arguments, the domain and the network that its nodes share."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable
from inspect import ismethod
from types import TracebackType
from typing import Any

from embedded_ros2 import arguments
from embedded_ros2.network import Network
from rclpy._rclpy_pybind11 import RCLError, RCLInvalidROSArgsError, UnknownROSArgsError

# Contexts that were initialized: signals shut them down, and exit closes their networks.
_living: weakref.WeakSet[Context] = weakref.WeakSet()


class Context:
    """The span between `init` and `shutdown`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[], Callable[[], None] | None]] = []
        self._wakers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._initialized = False
        self._valid = False
        self._network: Network | None = None
        self._domain_id = 0
        self._arguments = arguments.Arguments()

    def init(
        self,
        args: list[str] | None = None,
        *,
        initialize_logging: bool = True,
        domain_id: int | None = None,
    ) -> None:
        """Take the arguments and become valid.

        Raises:
            RuntimeError: If the context was initialized before, or the domain id is invalid.
            UnknownROSArgsError: If an argument after `--ros-args` is unknown.
            RCLInvalidROSArgsError: If one is malformed.
        """
        with self._lock:
            if domain_id is not None and domain_id < 0:
                raise RuntimeError(f"Domain id ({domain_id}) should not be lower than zero.")
            if self._initialized:
                raise RuntimeError("Context.init() must only be called once")
            try:
                self._arguments = arguments.parse(sys.argv if args is None else args)
            except arguments.ArgumentError as error:
                if str(error).startswith("unknown"):
                    raise UnknownROSArgsError(str(error)) from error
                raise RCLInvalidROSArgsError(str(error)) from error
            self._domain_id = _domain_id() if domain_id is None else domain_id
            if initialize_logging:
                from rclpy import logging

                logging._configure(self._arguments)
            self._initialized = self._valid = True
            _living.add(self)

    def ok(self) -> bool:
        """Return whether the context is initialized and not shut down."""
        return self._valid

    def _get_network(self) -> Network:
        """Return the network; the first node opens it."""
        with self._lock:
            if not self._valid:
                raise RCLError(
                    "the context is not valid: rclpy.init() is missing, or it is shut down"
                )
            if self._network is None:
                self._network = Network(self._domain_id)
            return self._network

    def _invalidate(self) -> bool:
        """Become invalid and wake everybody who waits; usable in a signal handler.

        As in rclpy, a signal does not call the `on_shutdown` callbacks.

        Returns:
            Whether the context was valid.
        """
        if not self._valid:
            return False
        self._valid = False
        for waker in list(self._wakers):
            waker.wake()
        return True

    def _call_callbacks(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for reference in callbacks:
            callback = reference()
            if callback is not None:
                callback()

    def _close_network(self) -> None:
        with self._lock:
            if self._network is not None:
                self._network.close()

    def shutdown(self) -> None:
        """Become invalid and leave the network.

        Raises:
            RuntimeError: If the context was never initialized.
            RCLError: If it was shut down before.
        """
        if not self._initialized:
            raise RuntimeError("Context must be initialized before it can be shutdown")
        was_valid = self._invalidate()
        if was_valid:
            self._call_callbacks()
        self._close_network()
        if not was_valid:
            raise RCLError("failed to shutdown: rcl_shutdown already called on the given context")

    def try_shutdown(self) -> None:
        """Become invalid and leave the network, unless that has happened already."""
        if self._initialized:
            if self._invalidate():
                self._call_callbacks()
            self._close_network()

    def destroy(self) -> None:
        """Release what the context holds."""
        self.try_shutdown()

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        """Call `callback` on shutdown; at once if that has happened."""
        if not callable(callback):
            raise TypeError(f"callback should be a callable, got {type(callback)}")
        if self._initialized and not self._valid:
            callback()
        elif ismethod(callback):
            self._callbacks.append(weakref.WeakMethod(callback))
        else:
            self._callbacks.append(lambda: callback)

    def get_domain_id(self) -> int:
        """Return the domain's number."""
        if not self._initialized:
            raise RuntimeError("Context must be initialized before it can have a domain id")
        return self._domain_id

    def __enter__(self) -> Context:
        self.init()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.try_shutdown()


class DomainIdError(RuntimeError):
    """`ROS_DOMAIN_ID` is no domain. A RuntimeError, as where rcl refuses it."""


def _domain_id() -> int:
    text = os.environ.get("ROS_DOMAIN_ID", "")
    try:
        value = int(text or 0)
        if not 0 <= value <= 232:
            raise ValueError
    except ValueError:
        raise DomainIdError(
            f"ROS_DOMAIN_ID is '{text}'; a number from 0 to 232 is needed"
        ) from None
    return value


@atexit.register
def _leave(*_: Any) -> None:
    # A session that is still open keeps Zenoh's threads calling into a dying interpreter.
    for context in list(_living):
        context.try_shutdown()
