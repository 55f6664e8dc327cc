# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around: with the plans, the host, and people."""

from __future__ import annotations

from collections.abc import Callable

from verification.faults.clock import MS, S
from verification.faults.kinds.kind import (
    MESSAGE,
    FaultKind,
    FaultScene,
    Inject,
    on_link,
)
from vla_sim.faults import operations as op


def plans() -> list[FaultKind]:
    """From the policy node to the monitor. A plan comes every 0.2 s."""
    next_plan = 0.2 + MESSAGE

    def kind(
        name: str, doc: str, make: Callable[[FaultScene], op.Operation], cause: str
    ) -> FaultKind:
        found_by, within_s = ((cause,), next_plan) if cause else ((), 0.0)
        return FaultKind(f"plan_{name}", doc, on_link("plans", make), found_by, within_s)

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


def host() -> list[FaultKind]:
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
