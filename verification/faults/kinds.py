# SPDX-License-Identifier: Apache-2.0
"""The catalogue of faults: what goes wrong, who must notice, how soon, how the stop may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from smooth_motion import Point
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.types import CallRequest, Rung, ServoStatus, StopState
from verification.faults.bench import MS, Bench, S
from verification.faults.plant import EmulatedPlant
from vla_sim.faults import operations as op


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


def _to(link: str, make: Callable[[FaultScene], op.Operation]) -> Inject:
    return lambda scene: scene.on(link, make(scene))


# Budgets, s. A message, its way and a tick; what a file's threshold of 0.4 s adds.
MESSAGE = 0.13
STALE = 0.47
STRICT = {"joint_states_stale_s": 0.05, "controller_state_stale_s": 0.05}
STRICT_STALE = 0.07
MEASURED = 0.2
FAULT_STEPS = "the fault itself steps the command"
LADDER_STEPS = "the controller does not listen; deactivating it ends the motion at once"


def _joint_states() -> list[FaultKind]:
    def to(make: Callable[[FaultScene], op.Operation]) -> Inject:
        return _to("joint_states", make)

    def kind(
        name: str, doc: str, make: Callable[[FaultScene], op.Operation], **more: Any
    ) -> FaultKind:
        return FaultKind(f"joint_states_{name}", doc, to(make), **more)

    wrong = ("measured_jerk", "tracking_error")
    # The arm stops, but nobody sees its joints stand: that is FAULT, by definition.
    unseen: dict[str, Any] = {"rung": Rung.POWER_CUT}
    return [
        kind(
            "silent",
            "no messages any more",
            lambda s: op.Drop(1.0),
            found_by=("stale_joint_states",),
            within_s=STALE,
            **unseen,
        ),
        kind(
            "silent_strict",
            "the same, thresholds of 0.05 s and a quiet host",
            lambda s: op.Drop(1.0),
            found_by=("stale_joint_states",),
            within_s=STRICT_STALE,
            **unseen,
            config=STRICT,
            jitter=False,
        ),
        kind(
            "stuck",
            "one message again and again, stamp and all",
            lambda s: op.Stuck(),
            found_by=("stale_joint_states",),
            within_s=STALE,
            **unseen,
        ),
        kind(
            "frozen",
            "the same positions with fresh stamps",
            lambda s: op.Freeze(),
            found_by=("frozen_joint_states", *wrong),
            within_s=0.6,
        ),
        kind(
            "nan",
            "NaN in a position",
            lambda s: op.NotANumber(s.fastest, float("nan")),
            found_by=("non_finite",),
            within_s=MESSAGE,
            **unseen,
        ),
        kind(
            "infinite",
            "infinity in a position",
            lambda s: op.NotANumber(s.fastest, float("inf")),
            found_by=("non_finite",),
            within_s=MESSAGE,
            **unseen,
        ),
        kind(
            "joint_missing",
            "a joint is missing",
            lambda s: op.OmitJoint(s.fastest),
            found_by=("non_finite",),
            within_s=MESSAGE,
            **unseen,
        ),
        kind(
            "value_missing",
            "a value fewer than names",
            lambda s: op.Shorten(),
            found_by=("non_finite",),
            within_s=MESSAGE,
            **unseen,
        ),
        kind(
            "clock_back",
            "stamps 1 s in the past",
            lambda s: op.StampShift(-1.0),
            found_by=("backwards_stamp",),
            within_s=MESSAGE,
        ),
        kind(
            "clock_ahead",
            "stamps 2 s in the future",
            lambda s: op.StampShift(2.0),
            found_by=("clock_skew",),
            within_s=MESSAGE,
        ),
        kind(
            "out_of_order",
            "neighbouring messages swapped",
            lambda s: op.Swap(),
            found_by=("backwards_stamp",),
            within_s=MESSAGE,
        ),
        kind(
            "collision",
            "the fastest joint stops dead from 1.2 rad/s or more, the command goes on",
            lambda s: op.JointStuck(s.fastest),
            found_by=wrong,
            within_s=MEASURED,
            speed=1.2,
        ),
        kind(
            "slow_collision",
            "the same from 0.3 rad/s or more: slowed down first, then found once the command is "
            "far enough",
            lambda s: op.JointStuck(s.fastest),
            found_by=wrong,
            within_s=4.5,
        ),
        kind(
            "slipped",
            "a joint is off by 0.5 rad",
            lambda s: op.Offset(s.fastest, 0.5),
            found_by=wrong,
            within_s=MEASURED,
        ),
        kind(
            "drifts",
            "a joint drifts away by 0.5 rad/s",
            lambda s: op.Drift(s.fastest, 0.5),
            found_by=wrong,
            within_s=0.85,
            **unseen,
        ),
        kind(
            "spikes",
            "0.3 rad in every fourth message",
            lambda s: op.Spike(s.fastest, 0.3, 4),
            found_by=wrong,
            within_s=MEASURED,
            **unseen,
        ),
        kind(
            "noise",
            "white noise of 0.02 rad",
            lambda s: op.Noise(0.02),
            found_by=wrong,
            within_s=0.3,
            **unseen,
        ),
        kind(
            "degrees",
            "positions in degrees",
            lambda s: op.Scale(57.29578),
            found_by=wrong,
            within_s=MEASURED,
        ),
        kind(
            "swapped",
            "the values of two joints exchanged",
            lambda s: op.SwapJoints(),
            found_by=wrong,
            within_s=MEASURED,
        ),
        kind(
            "rattle",
            "the fastest joint becomes loose and vibrates for 4 s, by up to 6 mrad at 6 Hz",
            lambda s: op.Rattle(s.fastest, 0.006, 6.0, 4.0),
            slows="measured_jerk",
            within_s=1.5,
        ),
        kind(
            "weak",
            "the fastest joint lags behind by up to 0.13 s for 15 s",
            lambda s: op.Lag(s.fastest, 0.13, 15.0),
            slows="tracking_error",
            within_s=14.0,
        ),
        kind("duplicated", "every message three times", lambda s: op.Duplicate(3, 0.0)),
        kind("thinned", "half of the messages lost", lambda s: op.Drop(0.5)),
        kind("late", "every message 0.1 s late", lambda s: op.Delay(0.1, 0.0)),
        kind("in_bursts", "held back and released every 0.25 s", lambda s: op.Hold(0.25)),
    ]


def _controller_state() -> list[FaultKind]:
    def to(make: Callable[[FaultScene], op.Operation]) -> Inject:
        return _to("controller_state", make)

    def kind(
        name: str, doc: str, make: Callable[[FaultScene], op.Operation], **more: Any
    ) -> FaultKind:
        return FaultKind(f"controller_state_{name}", doc, to(make), **more)

    blind = {"rung": Rung.CONTROLLER_OFF}
    return [
        kind(
            "silent",
            "no messages any more; the controller goes on",
            lambda s: op.Drop(1.0),
            found_by=("stale_controller_state",),
            within_s=STALE,
            **blind,
        ),
        kind(
            "silent_strict",
            "the same, thresholds of 0.05 s and a quiet host",
            lambda s: op.Drop(1.0),
            found_by=("stale_controller_state",),
            within_s=STRICT_STALE,
            config=STRICT,
            jitter=False,
            **blind,
        ),
        kind(
            "stuck",
            "one message again and again",
            lambda s: op.Stuck(),
            found_by=("stale_controller_state",),
            within_s=STALE,
            **blind,
        ),
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
            "nan",
            "NaN in the reference",
            lambda s: op.NotANumber(s.fastest, float("nan")),
            found_by=("non_finite",),
            within_s=MESSAGE,
            **blind,
        ),
        kind(
            "joint_missing",
            "a joint is missing",
            lambda s: op.OmitJoint(s.fastest),
            found_by=("non_finite",),
            within_s=MESSAGE,
            **blind,
        ),
        kind(
            "value_missing",
            "a value fewer than names",
            lambda s: op.Shorten(),
            found_by=("non_finite",),
            within_s=MESSAGE,
            **blind,
        ),
        kind(
            "clock_back",
            "stamps 1 s in the past",
            lambda s: op.StampShift(-1.0),
            found_by=("backwards_stamp",),
            within_s=MESSAGE,
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
            "out_of_order",
            "neighbouring messages swapped",
            lambda s: op.Swap(),
            found_by=("backwards_stamp",),
            within_s=MESSAGE,
        ),
        kind(
            "spikes",
            "0.01 rad in every tenth message",
            lambda s: op.Spike(s.fastest, 0.01, 10),
            found_by=("command_velocity", "command_acceleration", "command_jerk"),
            within_s=MESSAGE,
        ),
        kind("duplicated", "every message three times", lambda s: op.Duplicate(3, 0.0)),
        kind("thinned", "three in ten messages lost", lambda s: op.Drop(0.3)),
        # Every 0.25 s, and one message 0.12 s late on top, the joints could not be compared with
        # the reference for joint_states_stale_s, and that stops the arm.
        kind("in_bursts", "held back and released every 0.2 s", lambda s: op.Hold(0.2)),
    ]


def _commands() -> list[FaultKind]:
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
            _to("commands", lambda s: op.Delay(0.35, 0.0)),
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
            _to("commands", lambda s: op.Duplicate(2, 0.5)),
            found_by=("command_velocity", "command_acceleration", "command_jerk", "foreign_plan"),
            within_s=1.5,
            rung=Rung.CONTROLLER_OFF,
            unbounded=FAULT_STEPS,
        ),
        FaultKind(
            "commands_thinned",
            "every fourth trajectory to the controller is lost",
            _to("commands", lambda s: _LoseEvery(4)),
        ),
        FaultKind(
            "commands_held_back",
            "trajectories are held back for 5 s and then arrive at once",
            _to("commands", lambda s: op.Hold(5.0)),
            found_by=("plan_not_adopted",),
            within_s=2.0,
            rung=Rung.BRAKE_AS_GOAL,
        ),
        FaultKind(
            "commands_slow",
            "trajectories reach the controller 0.1 s late",
            _to("commands", lambda s: op.Delay(0.1, 0.0)),
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


def _controller() -> list[FaultKind]:
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


def _plans() -> list[FaultKind]:
    """From the policy node to the monitor. A plan comes every 0.2 s."""

    def to(make: Callable[[FaultScene], op.Operation]) -> Inject:
        return _to("plans", make)

    next_plan = 0.2 + MESSAGE

    def kind(
        name: str, doc: str, make: Callable[[FaultScene], op.Operation], cause: str
    ) -> FaultKind:
        found_by, within_s = ((cause,), next_plan) if cause else ((), 0.0)
        return FaultKind(f"plan_{name}", doc, to(make), found_by, within_s)

    def first(scene: FaultScene) -> str:
        return scene.bench.names[0]

    rejected = "plan_rejected"
    return [
        kind(
            "nan",
            "NaN in a plan",
            lambda s: op.NotANumber(first(s), float("nan")),
            "non_finite",
        ),
        kind(
            "infinite",
            "infinity in a plan",
            lambda s: op.NotANumber(first(s), float("-inf")),
            "non_finite",
        ),
        kind("steps", "a plan 0.01 rad off", lambda s: op.Offset(first(s), 0.01), rejected),
        kind("too_fast", "a plan at five times its speed", lambda s: op.TimeScale(0.2), rejected),
        kind("ends_in_motion", "a plan cut off", lambda s: op.Truncate(20), rejected),
        kind("positions_only", "a plan of positions", lambda s: op.PositionsOnly(), rejected),
        kind("joint_missing", "a joint missing", lambda s: op.OmitJoint(first(s)), rejected),
        kind("value_missing", "a value fewer than names", lambda s: op.Shorten(), rejected),
        kind("noise", "noise of 1e-6 rad", lambda s: op.Noise(1e-6), rejected),
        kind("degrees", "positions in degrees", lambda s: op.Scale(57.29578), rejected),
        kind("joints_swapped", "two joints exchanged", lambda s: op.SwapJoints(), rejected),
        kind("late", "plans 0.3 s late", lambda s: op.Delay(0.3, 0.0), ""),
        kind("repeated", "every plan three times", lambda s: op.Duplicate(3, 0.004), ""),
        kind("ahead", "stamped 10 s ahead", lambda s: op.StampShift(10.0), rejected),
        kind("silent", "no plans any more", lambda s: op.Drop(1.0), ""),
        kind("thinned", "half of the plans lost", lambda s: op.Drop(0.5), ""),
    ]


DRIVEN = {"driver_states_topic": "driver/joint_states", "servo_status": "servo bus"}


def _driver() -> list[FaultKind]:
    """The driver and its bus, where it tells of itself."""

    def change(name: str, value: Any) -> Inject:
        return lambda scene: setattr(scene, name, value)

    return [
        FaultKind(
            "driver_silent",
            "a bus error: the driver says nothing, joint_states go on",
            change("driver", lambda message: None),
            found_by=("stale_driver_states",),
            within_s=STALE,
            config=DRIVEN,
        ),
        FaultKind(
            "driver_frozen",
            "the driver repeats itself, joint_states go on",
            change("driver", _repeat()),
            found_by=("frozen_driver_states",),
            within_s=0.6,
            config=DRIVEN,
        ),
        FaultKind(
            "driver_nan",
            "NaN from the driver",
            change(
                "driver",
                lambda m: replace(m, position=(float("nan"), *m.position[1:])),
            ),
            found_by=("non_finite",),
            within_s=MESSAGE,
            config=DRIVEN,
        ),
        FaultKind(
            "servo_overheated",
            "a servo reports an error",
            change("servos", (ServoStatus("servo bus: 3", 2, "overheated: 74 degC"),)),
            found_by=("servo_health",),
            within_s=0.55,
            config=DRIVEN,
        ),
        FaultKind(
            "servos_silent",
            "nobody tells the servos' health any more",
            change("servos", ()),
            found_by=("stale_servo_status",),
            within_s=3.6,
            config=DRIVEN,
        ),
    ]


def _repeat() -> Callable[[Any], Any]:
    kept: dict[int, Any] = {}

    def driver(message: Any) -> Any:
        first = kept.get(0)
        if first is None or message.stamp_ns < first.stamp_ns:
            first = kept[0] = message
        return replace(first, stamp_ns=message.stamp_ns)

    return driver


def _host() -> list[FaultKind]:
    """The monitor's own host, and people."""

    def set_clock(seconds: float) -> Inject:
        def inject(scene: FaultScene) -> None:
            scene.bench.clock_off_ns = round(seconds * S)

        return inject

    def stall_once(scene: FaultScene) -> None:
        scene.bench.monitor_stalled_until_ns = scene.bench.now_ns + 300 * MS

    def stall_often(scene: FaultScene) -> None:
        bench = scene.bench

        def again() -> None:
            bench.monitor_stalled_until_ns = bench.now_ns + 150 * MS
            bench.after(160 * MS, again)

        again()

    return [
        FaultKind(
            "operator",
            "a person calls ~/stop",
            lambda s: s.bench.stop("a person asks"),
            found_by=("operator",),
            within_s=MESSAGE,
        ),
        FaultKind(
            "clock_set_ahead",
            "the monitor's ROS clock jumps an hour ahead",
            set_clock(3600.0),
            found_by=("clock_step", "clock_skew"),
            within_s=MESSAGE,
        ),
        FaultKind(
            "clock_set_back",
            "the monitor's ROS clock jumps an hour back",
            set_clock(-3600.0),
            found_by=("clock_step", "clock_skew"),
            within_s=MESSAGE,
        ),
        FaultKind(
            "monitor_overloaded",
            "the monitor stalls 0.15 s again and again",
            stall_often,
            found_by=("overrun",),
            within_s=2.0,
        ),
        FaultKind("monitor_stalls", "the monitor stalls 0.3 s once", stall_once),
    ]


KINDS: tuple[FaultKind, ...] = (
    *_joint_states(),
    *_controller_state(),
    *_commands(),
    *_controller(),
    *_plans(),
    *_driver(),
    *_host(),
)
