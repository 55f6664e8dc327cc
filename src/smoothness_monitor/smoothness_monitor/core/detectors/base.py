# SPDX-License-Identifier: Apache-2.0
"""What every detector is, and what it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from smooth_motion import Acknowledgement
from smoothness_monitor.core.types import FloatArray


class Cycle(NamedTuple):
    """One cycle of the controller: finite, in the robot's joint order.

    Attributes:
        stamp_ns: Of the message.
        time_ns: Trajectory time, on which the reference is a smooth function.
        position: Reference, (J,) rad.
        velocity: Reference, (J,) rad/s.
        acceleration: Reference, (J,) rad/s^2.
        verdict: Which plan the controller runs.
        reference: The three of them, (3, J).
    """

    stamp_ns: int
    time_ns: int
    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    verdict: Acknowledgement
    reference: FloatArray


class Measurement(NamedTuple):
    """One message of joint_states or of the driver: finite, in the robot's joint order.

    Attributes:
        stamp_ns: Of the message.
        position: (J,) rad.
        everything: All positions of the message, of whatever joints.
        reference: The arm's reference at that time, (J,) rad; None when it is not known.
        error: The position minus the reference, (J,) rad; None when it is not known.
    """

    stamp_ns: int
    position: FloatArray
    everything: Sequence[float]
    reference: FloatArray | None
    error: FloatArray | None


@dataclass(frozen=True)
class Ages:
    """Time since the newest message of each input arrived, s; infinite when none has.

    `cycle_s` is the time since the monitor's last cycle by the clock that durations are measured
    with, stalls included.
    `skew_s` is how far each input's clock is behind this node's ROS time, by its newest stamp and
    age; it includes the time that messages take. It is empty while a stall is caught up with.
    `uncompared_s` is for how long joint_states could not be compared with the reference.
    """

    joint_states_s: float
    controller_state_s: float
    driver_states_s: float
    servo_status_s: float
    policy_s: float
    cycle_s: float
    skew_s: Mapping[str, float]
    uncompared_s: float = 0.0


class Detector:
    """One way in which something can be wrong.

    Attributes:
        name: Stable; what `first_cause` reports.
        watches: The input, for the table.
        trips_when: The condition and its threshold, for the table.
        unit: Of the threshold, empty where there is none.
        latency: From the fault to the trip, for the table.
        doc: What it means and what to look at.
        trips: Whether a finding stops the arm, or is reported only.
        waits_at_rest: A finding says only that the arm is not seen well. While nothing moves,
            plans wait for it to pass, and nothing is stopped.
        compiled: One compiled pass judges each event for it, so that it is asked only where that
            found something wrong, or did at the event before. Every other detector is asked at
            each event that it has a method for.
        present: What is wrong now, empty when nothing is. Blocks a reset.
        value: Newest value in words, for the diagnostics.
    """

    name: ClassVar[str]
    watches: ClassVar[str]
    trips_when: ClassVar[str]
    unit: ClassVar[str] = ""
    latency: ClassVar[str]
    doc: ClassVar[str]
    trips: ClassVar[bool] = True
    waits_at_rest: ClassVar[bool] = False
    compiled: ClassVar[bool] = False
    value: str = ""

    def __init__(self) -> None:
        self.present = ""

    def on_cycle(self, cycle: Cycle) -> str:
        """Judge a cycle of the controller; return what is wrong, empty when nothing is."""
        return ""

    def on_measurement(self, measurement: Measurement) -> str:
        """Judge a message of joint_states; return what is wrong, empty when nothing is."""
        return ""

    def on_driver(self, measurement: Measurement) -> str:
        """Judge a message of the driver; return what is wrong, empty when nothing is."""
        return ""

    def on_tick(self, ages: Ages) -> str:
        """Judge the ages of the inputs; return what is wrong, empty when nothing is."""
        return ""

    def report(self, detail: str) -> str:
        """Take in a finding that was made elsewhere, or its absence."""
        self.present = detail
        return detail

    def clear(self) -> None:
        """Forget what belongs to before a reset."""


class Bound(Detector):
    """A detector that compares the magnitude of a quantity with a threshold, joint by joint."""

    def __init__(self, names: Sequence[str], threshold: FloatArray, size: FloatArray) -> None:
        """Begin with nothing judged.

        Args:
            names: J joints.
            threshold: (J,).
            size: Where the pass leaves the magnitudes that it judged, (J,).
        """
        super().__init__()
        self._names = tuple(names)
        self.threshold = threshold
        self._size = size

    def _words(self) -> str:
        """Name the joint that is nearest to its threshold, or beyond it by most."""
        size = self._size
        excess = np.where(np.isfinite(size), size / self.threshold, np.inf)
        worst = int(np.argmax(excess))
        return (
            f"{self._names[worst]}: {size[worst]:.5g} {self.unit}, threshold "
            f"{self.threshold[worst]:.5g} {self.unit}"
        )
