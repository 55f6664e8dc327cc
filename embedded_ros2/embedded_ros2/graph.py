# SPDX-License-Identifier: Apache-2.0
"""The ROS graph as one session sees it: the sum of all liveliness tokens of its domain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import zenoh

from embedded_ros2 import threads
from embedded_ros2.wire import tokens
from embedded_ros2.wire.tokens import Token

_FIRST_LOOK_S = 2.0
_LOOK_S = 0.2


class Graph:
    """Nodes and endpoints that are alive, kept up to date by Zenoh's threads."""

    def __init__(self, session: zenoh.Session, domain_id: int) -> None:
        self._changed = threading.Condition()
        self._tokens: dict[str, Token] = {}
        self._listeners: list[Callable[[], None]] = []
        self.malformed = 0
        key = f"{tokens.ADMIN_SPACE}/{domain_id}/**"
        liveliness = session.liveliness()
        self._subscriber = liveliness.declare_subscriber(
            key, zenoh.handlers.Callback(self._on_sample, indirect=False), history=True
        )
        # The history above arrives whenever it arrives; a first look is complete when it returns.
        for reply in liveliness.get(key, timeout=_FIRST_LOOK_S):
            if reply.ok is not None:
                self._on_sample(reply.ok)

    def close(self) -> None:
        """Stop listening and release everyone who waits."""
        self._subscriber.undeclare()
        with self._changed:
            self._changed.notify_all()

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` (on Zenoh's thread, so it must only enqueue) after each change."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """Undo `add_listener`."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    @threads.called_back
    def _on_sample(self, sample: zenoh.Sample) -> None:
        key = str(sample.key_expr)
        with self._changed:
            if sample.kind == zenoh.SampleKind.DELETE:
                if self._tokens.pop(key, None) is None:
                    return
            elif key in self._tokens:
                return
            else:
                try:
                    self._tokens[key] = tokens.parse(key)
                except ValueError:
                    self.malformed += 1
                    return
            self._changed.notify_all()
        for listener in tuple(self._listeners):
            listener()

    def snapshot(self) -> list[Token]:
        """Return all tokens, nodes included."""
        with self._changed:
            return list(self._tokens.values())

    def nodes(self) -> list[Token]:
        """Return the tokens of all nodes."""
        return [token for token in self.snapshot() if token.kind == tokens.NODE]

    def endpoints(self, kind: str, name: str | None = None) -> list[Token]:
        """Return the endpoints of one kind, those on `name` only where it is given."""
        return [
            token
            for token in self.snapshot()
            if token.kind == kind and (name is None or token.name == name)
        ]

    def wait_for(
        self,
        predicate: Callable[[], Any],
        timeout_s: float | None,
        while_: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Wait until `predicate` holds; it is asked again after each change.

        Args:
            predicate: What to wait for.
            timeout_s: How long; None waits without limit.
            while_: Waiting ends also when this no longer holds. Nothing announces that, so it
                is asked every now and then.

        Returns:
            Whether `predicate` holds.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not predicate():
                left_s = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
                if left_s <= 0 or not while_():
                    return False
                self._changed.wait(left_s)
            return True
