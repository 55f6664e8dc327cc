# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with the joints: on `joint_states`, in the driver and on its bus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from smoothness_monitor.core.types import Rung, ServoStatus
from verification.faults.kinds.kind import (
    BACK,
    MEASURED,
    MESSAGE,
    STALE,
    FaultKind,
    Inject,
    kind_on,
    on_any_state,
)
from vla_sim.faults import operations as op


def joint_states() -> list[FaultKind]:
    """What is told of the joints."""
    kind = partial(kind_on, "joint_states")
    wrong = ("measured_jerk", "tracking_error")
    # The arm stops, but nobody sees its joints stand: that is FAULT, by definition.
    unseen: dict[str, Any] = {"rung": Rung.POWER_CUT}
    return [
        *on_any_state("joint_states", "position", **unseen),
        kind("clock_back", *BACK, found_by=("backwards_stamp",), within_s=MESSAGE),
        kind(
            "frozen",
            "the same positions with fresh stamps",
            lambda s: op.Freeze(),
            found_by=("frozen_joint_states", *wrong),
            within_s=0.6,
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
            "clock_ahead",
            "stamps 2 s in the future",
            lambda s: op.StampShift(2.0),
            found_by=("clock_skew",),
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
        kind("thinned", "half of the messages lost", lambda s: op.Drop(0.5)),
        kind("late", "every message 0.1 s late", lambda s: op.Delay(0.1, 0.0)),
        kind("in_bursts", "held back and released every 0.25 s", lambda s: op.Hold(0.25)),
    ]


DRIVEN = {"driver_states_topic": "driver/joint_states", "servo_status": "servo bus"}


def driver() -> list[FaultKind]:
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
