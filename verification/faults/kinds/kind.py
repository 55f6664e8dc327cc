# SPDX-License-Identifier: Apache-2.0
"""What a fault is: what goes wrong, who must notice, how soon, how the stop may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smooth_motion import Point
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.types import CallRequest, Rung, ServoStatus, StopState
from verification.faults.bench import Bench
from verification.faults.clock import S
from verification.faults.plant import EmulatedPlant
from vla_sim.faults import operations as op

# Budgets, s. A message, its way and a tick; what a file's threshold of 0.4 s adds.
MESSAGE = 0.13
STALE = 0.47
STRICT = {"joint_states_stale_s": 0.05, "controller_state_stale_s": 0.05}
STRICT_STALE = 0.07
MEASURED = 0.2
FAULT_STEPS = "the fault itself steps the command"
LADDER_STEPS = "the controller does not listen; deactivating it ends the motion at once"


class FaultScene:
    """A bench with a moving arm, at the moment at which something goes wrong."""

    def __init__(self, bench: Bench, plant: EmulatedPlant) -> None:
        """Look at the bench.

        Args:
            bench: The arm moves.
            plant: Its controller.

        `driver` and `servos` say what a driver tells, where one is attached.
        """
        self.bench, self.plant, self.random = bench, plant, bench.random
        self.driver: Callable[[Any], Any] = lambda message: message
        self.servos = (ServoStatus("servo bus: 3", 0, "41 degC"),)

    @property
    def fastest(self) -> str:
        """The joint that moves fastest now."""
        (_, before), (_, now) = self.bench.references[-2:]
        return self.bench.names[int(np.argmax(np.abs(now - before)))]

    def on(self, link: str, operation: op.Operation) -> None:
        """Let an operation act on a link from now on."""
        operation.start(self.bench.now_ns, self.random)
        self.bench.links[link].operations.append(operation)

    def send_past_the_gate(self, trajectory: Trajectory) -> None:
        """Give a trajectory to the controller as another node would."""
        self.plant.receive(trajectory, self.bench.now_ns)

    def elsewhere(self, duration_s: float, *, stamped: bool = False) -> Trajectory:
        """Return what a careless node sends: one point, to be reached in some time."""
        bench = self.bench
        home = bench.robot.home_position
        goal = (home + self.random.uniform(-0.4, 0.4, home.size)).tolist()
        point = Point(round(duration_s * S), goal, [0.0] * home.size, [0.0] * home.size)
        return Trajectory(bench.now_ns if stamped else 0, bench.names, (point,))


Inject = Callable[[FaultScene], None]


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault.

    Attributes:
        name: Stable.
        doc: What goes wrong.
        inject: Makes it go wrong.
        found_by: Detectors of which one must trip first; empty when none may trip.
        within_s: Longest time from the fault to the trip.
        speed: Least speed of the command when it goes wrong, rad/s.
        rung: Highest rung that the stop needs. With the last one the state is FAULT.
        unbounded: Why the jerk of the command cannot be within its limit during the stop; empty
            where it must be.
        config: Thresholds that differ from the file's.
        jitter: Whether messages take random times.
        without: Calls of the stop ladder that nobody answers.
        slows: Quantity for which the motion must be slowed down within `within_s`, to be at full
            speed again in the end; empty where it need not.
    """

    name: str
    doc: str
    inject: Inject
    found_by: tuple[str, ...] = ()
    within_s: float = 0.0
    speed: float = 0.3
    rung: Rung = Rung.BRAKE
    unbounded: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    jitter: bool = True
    without: tuple[CallRequest, ...] = ()
    slows: str = ""

    @property
    def ends(self) -> StopState:
        """The state that it must end in."""
        if self.benign:
            return StopState.READY
        return StopState.FAULT if self.rung is Rung.POWER_CUT else StopState.STOPPED_LATCHED

    @property
    def benign(self) -> bool:
        """Whether nothing may trip."""
        return not self.found_by


def on_link(link: str, make: Callable[[FaultScene], op.Operation]) -> Inject:
    """Let an operation act on a link."""
    return lambda scene: scene.on(link, make(scene))
