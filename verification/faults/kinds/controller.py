# SPDX-License-Identifier: Apache-2.0
"""What goes wrong at the controller: with its state, on the way to it, by others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from smoothness_monitor.core.types import CallRequest, Rung
from verification.faults.clock import MS, S
from verification.faults.kinds.kind import (
    BACK,
    FAULT_STEPS,
    LADDER_STEPS,
    MESSAGE,
    STALE,
    FaultKind,
    FaultScene,
    Inject,
    kind_on,
    on_any_state,
    on_link,
)
from vla_sim.faults import operations as op


def controller_state() -> list[FaultKind]:
    """What the controller tells."""
    kind = partial(kind_on, "controller_state")
    blind: dict[str, Any] = {"rung": Rung.CONTROLLER_OFF}
    return [
        *on_any_state("controller_state", "reference", "; the controller goes on", **blind),
        kind("clock_back", *BACK, found_by=("backwards_stamp",), within_s=MESSAGE, **blind),
        kind(
            "lies",
            "the same reference with fresh times",
            lambda s: op.Freeze(),
            found_by=("foreign_plan", "command_velocity", "command_acceleration", "command_jerk"),
            within_s=MESSAGE,
            unbounded="the brake starts from what the controller reports, which is wrong",
            **blind,
        ),
        kind(
            "clock_ahead",
            "stamps 2 s in the future",
            lambda s: op.StampShift(2.0),
            found_by=("foreign_plan", "clock_skew"),
            within_s=MESSAGE,
            unbounded="all that is known of the motion is its newest state",
            **blind,
        ),
        kind(
            "spikes",
            "0.01 rad in every tenth message",
            lambda s: op.Spike(s.fastest, 0.01, 10),
            found_by=("command_velocity", "command_acceleration", "command_jerk"),
            within_s=MESSAGE,
        ),
        kind("thinned", "three in ten messages lost", lambda s: op.Drop(0.3)),
        # Every 0.25 s, and one message 0.12 s late on top, the joints could not be compared with
        # the reference for joint_states_stale_s, and that stops the arm.
        kind("in_bursts", "held back and released every 0.2 s", lambda s: op.Hold(0.2)),
    ]


def commands() -> list[FaultKind]:
    """Between the monitor and the controller."""

    def stop_with(make: Callable[[FaultScene], op.Operation]) -> Inject:
        def inject(scene: FaultScene) -> None:
            scene.on("commands", make(scene))
            scene.bench.stop("a person asks")

        return inject

    return [
        FaultKind(
            "brake_lost",
            "the brake's first copy is lost",
            stop_with(lambda s: _LoseFirst()),
            found_by=("operator",),
            within_s=MESSAGE,
        ),
        FaultKind(
            "commands_lost",
            "the topic loses everything while a person stops the arm",
            stop_with(lambda s: op.Drop(1.0)),
            found_by=("operator",),
            within_s=MESSAGE,
            rung=Rung.BRAKE_AS_GOAL,
        ),
        FaultKind(
            "commands_and_goals_lost",
            "the controller takes nothing while a person stops the arm",
            _deafen,
            found_by=("operator",),
            within_s=MESSAGE,
            rung=Rung.CONTROLLER_OFF,
            unbounded=LADDER_STEPS,
        ),
        FaultKind(
            "commands_goals_and_manager_lost",
            "nor does the controller manager answer",
            _deafen,
            found_by=("operator",),
            within_s=MESSAGE,
            rung=Rung.DRIVER_HOLD,
            unbounded=LADDER_STEPS,
            without=(CallRequest.DEACTIVATE,),
        ),
        FaultKind(
            "commands_late",
            "trajectories reach the controller 0.35 s late",
            on_link("commands", lambda s: op.Delay(0.35, 0.0)),
            found_by=(
                "plan_not_adopted",
                "command_velocity",
                "command_acceleration",
                "command_jerk",
                "foreign_plan",
            ),
            within_s=1.5,
            rung=Rung.CONTROLLER_OFF,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "commands_repeated",
            "each trajectory comes once more 0.5 s later",
            on_link("commands", lambda s: op.Duplicate(2, 0.5)),
            found_by=("command_velocity", "command_acceleration", "command_jerk", "foreign_plan"),
            within_s=1.5,
            rung=Rung.CONTROLLER_OFF,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "commands_thinned",
            "every fourth trajectory to the controller is lost",
            on_link("commands", lambda s: _LoseEvery(4)),
        ),
        FaultKind(
            "commands_held_back",
            "trajectories are held back for 5 s and then arrive at once",
            on_link("commands", lambda s: op.Hold(5.0)),
            found_by=("plan_not_adopted",),
            within_s=2.0,
            rung=Rung.BRAKE_AS_GOAL,
        ),
        FaultKind(
            "commands_slow",
            "trajectories reach the controller 0.1 s late",
            on_link("commands", lambda s: op.Delay(0.1, 0.0)),
        ),
    ]


@dataclass
class _LoseEvery(op.Operation):
    """Lose one message in so many."""

    name = "lose_every"
    doc = "loses one message in so many"
    count: int
    seen: int = 0

    def apply(self, message: Any, now_ns: int) -> op.Passed:
        """Lose it or not."""
        self.seen += 1
        return [] if self.seen % self.count == 0 else [(0, message)]


@dataclass
class _LoseFirst(op.Operation):
    """Lose the first message."""

    name = "lose_first"
    doc = "loses one message"

    def start(self, now_ns: int, random: np.random.Generator) -> None:
        super().start(now_ns, random)
        self._lost = False

    def apply(self, message: Any, now_ns: int) -> op.Passed:
        lost, self._lost = self._lost, True
        return [(0, message)] if lost else []


def _deafen(scene: FaultScene) -> None:
    scene.plant.deaf = True
    scene.bench.stop("a person asks")


def controller() -> list[FaultKind]:
    """The controller, and others who command it."""

    def foreign_once(scene: FaultScene) -> None:
        scene.send_past_the_gate(scene.elsewhere(1.0))

    def foreign_stream(scene: FaultScene) -> None:
        def again() -> None:
            scene.send_past_the_gate(scene.elsewhere(0.5, stamped=True))
            scene.bench.after(33 * MS, again)

        again()

    def foreign_goal(scene: FaultScene) -> None:
        scene.plant.goal(scene.elsewhere(1.0), scene.bench.now_ns)

    def scaled(scene: FaultScene) -> None:
        scene.plant.speed = 0.5

    def deactivated(scene: FaultScene) -> None:
        bench = scene.bench
        scene.plant.deactivate()
        bench.after(5 * MS, lambda: bench.take(bench.monitor.on_activity("inactive", bench.now)))

    def silently_deactivated(scene: FaultScene) -> None:
        scene.plant.deactivate()

    def publisher(scene: FaultScene) -> None:
        bench = scene.bench
        others = ("/teleop publishes on /arm_controller/joint_trajectory",)

        def look() -> None:
            bench.take(bench.monitor.on_publishers(others, bench.now))
            bench.after(S, look)

        # The graph is looked at once a second.
        bench.after(round(scene.random.uniform(0.0, 1.0) * S), look)

    moved = (
        "foreign_plan",
        "command_velocity",
        "command_acceleration",
        "command_jerk",
        "command_position",
    )
    return [
        FaultKind(
            "foreign_trajectory",
            "another node sends the controller one trajectory",
            foreign_once,
            found_by=moved,
            within_s=MESSAGE,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "foreign_stream",
            "another node sends the controller 30 a second",
            foreign_stream,
            found_by=moved,
            within_s=MESSAGE,
            rung=Rung.CONTROLLER_OFF,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "foreign_goal",
            "another node sends the controller an action goal",
            foreign_goal,
            found_by=moved,
            within_s=MESSAGE,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "foreign_publisher",
            "another node announces a publisher on the controller's topic",
            publisher,
            found_by=("foreign_publisher",),
            within_s=1.05,
        ),
        FaultKind(
            "speed_scaled",
            "the controller runs at half speed",
            scaled,
            found_by=moved,
            within_s=MESSAGE,
            rung=Rung.CONTROLLER_OFF,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "controller_deactivated",
            "somebody deactivates the controller in motion",
            deactivated,
            found_by=("controller_inactive",),
            within_s=MESSAGE,
            rung=Rung.CONTROLLER_OFF,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "controller_dead",
            "the controller runs no more, and nobody tells",
            silently_deactivated,
            found_by=("stale_controller_state", "measured_jerk", "tracking_error"),
            within_s=STALE,
            rung=Rung.CONTROLLER_OFF,
            unbounded=FAULT_STEPS,
        ),
    ]
