# SPDX-License-Identifier: Apache-2.0
"""The smoothness of the motion while it goes on: what `~/smoothness` says.

Nothing here stops or slows anything; the meters are those of smooth_motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smooth_motion import (
    BoundaryJerk,
    BoundaryMeter,
    InterventionMeter,
    Interventions,
    JerkStatistics,
    Movement,
    MovementMeter,
    RecentJerk,
)
from smoothness_monitor.core.detectors.base import Cycle
from smoothness_monitor.core.types import FloatArray


@dataclass(frozen=True)
class Smoothness:
    """What is known of the smoothness at one moment.

    Attributes:
        joint_names: J names, order of every array in here.
        jerk_limit: (J,) rad/s^3.
        noise_floor: (J,) rad/s^3, of the measured jerk.
        delay_s: Of the measured jerk.
        command: RMS and peak jerk of the reference, None before there is any.
        measured: The same of the joints.
        movements: Movements finished since the start, from rest to rest without a gap.
        movement: The newest of them, None before the first.
        boundaries: Jerk of the reference near the times at which a plan left the one before it.
        speed_scaling: Share of the speed at which plans are carried out now.
        interventions: Slowdowns and stops since the first permit.
    """

    joint_names: tuple[str, ...]
    jerk_limit: FloatArray
    noise_floor: FloatArray
    delay_s: float
    command: JerkStatistics | None
    measured: JerkStatistics | None
    movements: int
    movement: Movement | None
    boundaries: BoundaryJerk
    speed_scaling: float
    interventions: Interventions


# The meters take in this many samples at a time, or what there is when somebody asks: at 1 kHz
# that costs a fraction of one by one.
_BATCH = 200


class SmoothnessMeter:
    """Feeds the meters with what the monitor sees anyway, a little later.

    Nothing that it is fed with makes it raise: it only tells, and the stop goes on without it.

    Attributes:
        problem: Why it began anew last, empty when it never did.
    """

    def __init__(self, names: tuple[str, ...], window_s: float) -> None:
        """Begin without data.

        Args:
            names: J names.
            window_s: How far back RMS and peak look.
        """
        self.problem = ""
        self._names, self._window_s = names, window_s
        self._begin()

    def _begin(self) -> None:
        names, window_s = self._names, self._window_s
        self._command, self._measured = RecentJerk(names, window_s), RecentJerk(names, window_s)
        self._movements, self._finished = MovementMeter(names), 0
        self._movement: Movement | None = None
        self._boundaries = BoundaryMeter(names)
        self._boundary_ns = 0
        self._reference_ns: int | None = None
        self._interventions: InterventionMeter | None = None
        # Seen, and not in the meters yet: time, velocity and jerk; stamp and jerk.
        self._cycles: list[tuple[int, FloatArray, FloatArray | None]] = []
        self._estimates: list[tuple[int, FloatArray]] = []

    def on_cycle(self, cycle: Cycle, jerk: FloatArray | None) -> None:
        """Take in a cycle of the controller, and the jerk of its reference if there is one."""
        if self._reference_ns is not None and cycle.time_ns <= self._reference_ns:
            return
        self._reference_ns = cycle.time_ns
        self._cycles.append((cycle.time_ns, cycle.velocity, jerk))
        if len(self._cycles) >= _BATCH:
            self._take_in()

    def on_measured(self, stamp_ns: int, jerk: FloatArray) -> None:
        """Take in an estimate of the joints' jerk; NaN starts anew."""
        self._estimates.append((stamp_ns, jerk))
        if len(self._estimates) >= _BATCH:
            self._take_in()

    def _take_in(self) -> None:
        try:
            self._feed()
        except Exception as error:
            self._begin_anew(error)

    def _begin_anew(self, error: Exception) -> None:
        """Forget what was measured; the interventions are counted on."""
        counted, finished = self._interventions, self._finished
        self._begin()
        self._interventions, self._finished = counted, finished
        self.problem = f"the meters began anew: {type(error).__name__}: {str(error)[:200]}"

    def _feed(self) -> None:
        cycles, self._cycles = self._cycles, []
        if cycles:
            times, velocities, _ = zip(*cycles, strict=True)
            for ended in self._movements.extend(times, velocities):
                if not ended.undefined:
                    self._finished += 1
                    self._movement = ended
            known = [(t, jerk) for t, _, jerk in cycles if jerk is not None]
            if known:
                times, rows = zip(*known, strict=True)
                jerks = np.array(rows)
                self._command.extend(times, jerks)
                self._boundaries.extend(times, jerks)
        estimates, self._estimates = self._estimates, []
        if estimates:
            stamps, rows = zip(*estimates, strict=True)
            jerks = np.array(rows)
            missing = np.flatnonzero(~np.isfinite(jerks).all(axis=1))
            first = 0
            if missing.size:
                self._measured.clear()
                first = int(missing[-1]) + 1
            self._measured.extend(stamps[first:], jerks[first:])

    def on_boundary(self, t_ns: int) -> None:
        """Note when a plan leaves the one before it. One that never runs counts too."""
        if t_ns > self._boundary_ns:
            self._boundary_ns = t_ns
            try:
                self._boundaries.boundary(t_ns)
            except Exception as error:
                self._begin_anew(error)

    def permitted(self, own_ns: int) -> None:
        """Begin to count interventions, if that has not begun."""
        if self._interventions is None:
            self._interventions = InterventionMeter(own_ns)

    def intervenes(self, own_ns: int, reason: str) -> None:
        """Note that a slowdown or a stop began; `own_ns` is of the monitor's own clock."""
        self.permitted(own_ns)
        assert self._interventions is not None
        self._interventions.begin(own_ns, reason)

    def ends(self, own_ns: int, deviation: float) -> None:
        """Note that what was begun is over.

        Args:
            own_ns: The monitor's own clock.
            deviation: Largest distance from the path meanwhile, rad.
        """
        if self._interventions is not None and self._interventions.active:
            self._interventions.end(own_ns, path_deviation=deviation)

    def report(
        self,
        own_ns: int,
        *,
        limit: FloatArray,
        noise_floor: float,
        delay_s: float,
        speed_scaling: float,
        deviation: float,
    ) -> Smoothness:
        """Return what is known now.

        Args:
            own_ns: The monitor's own clock.
            limit: (J,) rad/s^3.
            noise_floor: Of the measured jerk, rad/s^3.
            delay_s: Of the measured jerk.
            speed_scaling: In force.
            deviation: Of an intervention that is in force, rad.
        """
        self._take_in()
        statistics: list[JerkStatistics | None] = []
        for meter in (self._command, self._measured):
            try:
                statistics.append(meter.statistics())
            except Exception as error:
                self._begin_anew(error)
                statistics.append(None)
        names = self._command.joint_names
        counted = (self._interventions or InterventionMeter(own_ns)).summary(own_ns)
        return Smoothness(
            joint_names=names,
            jerk_limit=limit,
            noise_floor=np.full(len(names), noise_floor),
            delay_s=delay_s,
            command=statistics[0],
            measured=statistics[1],
            movements=self._finished,
            movement=self._movement,
            boundaries=self._boundaries.result(),
            speed_scaling=speed_scaling,
            interventions=Interventions(
                counted.by_reason,
                counted.elapsed_s,
                counted.active_s,
                counted.longest_s,
                max(counted.path_deviation, deviation),
            ),
        )
