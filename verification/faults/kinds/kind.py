# SPDX-License-Identifier: Apache-2.0
"""What a fault is: what goes wrong, who must notice, how soon, how the stop may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
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


def kind_on(
    link: str, name: str, doc: str, make: Callable[[FaultScene], op.Operation], **more: Any
) -> FaultKind:
    """Return the kind `<link>_<name>`, which is an operation on that link."""
    return FaultKind(f"{link}_{name}", doc, on_link(link, make), **more)


BACK = "stamps 1 s in the past", lambda scene: op.StampShift(-1.0)


def on_any_state(link: str, value: str, though: str = "", **lost: Any) -> list[FaultKind]:
    """Return what goes wrong alike with every stream of states.

    Args:
        link: `joint_states` or `controller_state`; its detector is `stale_<link>`.
        value: What its positions are called.
        though: Added to the words of its silence.
        **lost: How the stop differs where the stream is of no use any more.
    """
    kind = partial(kind_on, link)
    stale: dict[str, Any] = {"found_by": (f"stale_{link}",), "within_s": STALE, **lost}
    strict = {**stale, "within_s": STRICT_STALE, "config": STRICT, "jitter": False}
    useless: dict[str, Any] = {"found_by": ("non_finite",), "within_s": MESSAGE, **lost}
    quiet = "the same, thresholds of 0.05 s and a quiet host"
    again = "one message again and again, stamp and all"
    nan = float("nan")
    return [
        kind("silent", f"no messages any more{though}", lambda s: op.Drop(1.0), **stale),
        kind("silent_strict", quiet, lambda s: op.Drop(1.0), **strict),
        kind("stuck", again, lambda s: op.Stuck(), **stale),
        kind("nan", f"NaN in a {value}", lambda s: op.NotANumber(s.fastest, nan), **useless),
        kind("joint_missing", "a joint is missing", lambda s: op.OmitJoint(s.fastest), **useless),
        kind("value_missing", "a value fewer than names", lambda s: op.Shorten(), **useless),
        kind(
            "out_of_order",
            "neighbouring messages swapped",
            lambda s: op.Swap(),
            found_by=("backwards_stamp",),
            within_s=MESSAGE,
        ),
        kind("duplicated", "every message three times", lambda s: op.Duplicate(3, 0.0)),
    ]
