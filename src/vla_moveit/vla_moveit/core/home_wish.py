# SPDX-License-Identifier: Apache-2.0
"""Home after the policy: its word that it is done is a wish, carried out once the arm is free."""

from __future__ import annotations

from vla_moveit.core.arm_view import ArmView
from vla_moveit.core.goal import HOME, MoveRequest

# The policy's last plan ends within this, or something else has happened since.
PATIENCE_NS = 10_000_000_000


class HomeWish:
    """Nothing is taken from anybody for it, and nothing is asked for after a stop."""

    def __init__(self) -> None:
        """Begin without a wish."""
        self._since_ns: int | None = None
        self._carried_out = False

    def hear(self, done: bool, now_ns: int) -> None:
        """Take in a chunk of the policy: is it done? At a time by the clock of the motion."""
        # One that goes on has taken its word back.
        self._since_ns = now_ns if done else None

    def due(self, now_ns: int, arm: ArmView) -> MoveRequest | None:
        """Return the request once, when it is time for it."""
        if self._since_ns is None or self._carried_out:
            return None
        if not arm.permit or now_ns - self._since_ns > PATIENCE_NS:
            self._since_ns = None
            return None
        if arm.holder:
            return None
        self._since_ns, self._carried_out = None, True
        return MoveRequest(named=HOME)

    def busy(self) -> str:
        """Say that it is being carried out, empty where it is not."""
        return "the arm is on its way home after the policy; wait for it" * self._carried_out

    def ended(self) -> bool:
        """Note that a move is over; return whether it was this one."""
        ours, self._carried_out = self._carried_out, False
        return ours
