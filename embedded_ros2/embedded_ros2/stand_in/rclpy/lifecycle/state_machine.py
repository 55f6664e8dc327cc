# SPDX-License-Identifier: Apache-2.0
"""The states of a managed node and the transitions between them.

Source: https://design.ros2.org/articles/node_lifecycle.html
"""

from __future__ import annotations

from typing import NamedTuple

from lifecycle_msgs.msg import State, Transition


class Step(NamedTuple):
    """A transition from one state to another."""

    id: int
    label: str
    start: int
    goal: int


LABELS = {
    State.PRIMARY_STATE_UNKNOWN: "unknown",
    State.PRIMARY_STATE_UNCONFIGURED: "unconfigured",
    State.PRIMARY_STATE_INACTIVE: "inactive",
    State.PRIMARY_STATE_ACTIVE: "active",
    State.PRIMARY_STATE_FINALIZED: "finalized",
    State.TRANSITION_STATE_CONFIGURING: "configuring",
    State.TRANSITION_STATE_CLEANINGUP: "cleaningup",
    State.TRANSITION_STATE_SHUTTINGDOWN: "shuttingdown",
    State.TRANSITION_STATE_ACTIVATING: "activating",
    State.TRANSITION_STATE_DEACTIVATING: "deactivating",
    State.TRANSITION_STATE_ERRORPROCESSING: "errorprocessing",
}
SUCCESS, FAILURE, ERROR = "transition_success", "transition_failure", "transition_error"

# For each requested transition: id, label, start, state on the way.
_REQUESTS = (
    (Transition.TRANSITION_CONFIGURE, "configure", 1, State.TRANSITION_STATE_CONFIGURING),
    (Transition.TRANSITION_CLEANUP, "cleanup", 2, State.TRANSITION_STATE_CLEANINGUP),
    (Transition.TRANSITION_ACTIVATE, "activate", 2, State.TRANSITION_STATE_ACTIVATING),
    (Transition.TRANSITION_DEACTIVATE, "deactivate", 3, State.TRANSITION_STATE_DEACTIVATING),
    (
        Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        "shutdown",
        1,
        State.TRANSITION_STATE_SHUTTINGDOWN,
    ),
    (Transition.TRANSITION_INACTIVE_SHUTDOWN, "shutdown", 2, State.TRANSITION_STATE_SHUTTINGDOWN),
    (Transition.TRANSITION_ACTIVE_SHUTDOWN, "shutdown", 3, State.TRANSITION_STATE_SHUTTINGDOWN),
)
# For each state on the way: the first id, and the states after success, failure and error.
_OUTCOMES = (
    (10, State.TRANSITION_STATE_CONFIGURING, 2, 1, 15),
    (20, State.TRANSITION_STATE_CLEANINGUP, 1, 2, 15),
    (30, State.TRANSITION_STATE_ACTIVATING, 3, 2, 15),
    (40, State.TRANSITION_STATE_DEACTIVATING, 2, 3, 15),
    (50, State.TRANSITION_STATE_SHUTTINGDOWN, 4, 4, 15),
    (60, State.TRANSITION_STATE_ERRORPROCESSING, 1, 4, 4),
)

STEPS = tuple(Step(*request) for request in _REQUESTS) + tuple(
    Step(first + offset, label, state, goal)
    for first, state, *goals in _OUTCOMES
    for offset, (label, goal) in enumerate(zip((SUCCESS, FAILURE, ERROR), goals, strict=True))
)
_BY_START: dict[int, list[Step]] = {}
for _step in STEPS:
    _BY_START.setdefault(_step.start, []).append(_step)


class InvalidTransition(ValueError):  # noqa: N818  (it names the transition, not the error)
    """A transition that does not start in the present state."""


class StateMachine:
    """Where a node is."""

    def __init__(self) -> None:
        self.state = State.PRIMARY_STATE_UNCONFIGURED

    @property
    def available(self) -> list[Step]:
        """The transitions that start in the present state."""
        return list(_BY_START.get(self.state, ()))

    def step(self, transition: int | str) -> Step:
        """Take a transition, by its id or label, and return it.

        Raises:
            InvalidTransition: If it does not start here.
        """
        for step in self.available:
            if transition in (step.id, step.label):
                self.state = step.goal
                return step
        raise InvalidTransition(
            f"there is no transition '{transition}' from state '{LABELS[self.state]}'"
        )
