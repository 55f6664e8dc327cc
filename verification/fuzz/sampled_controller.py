# SPDX-License-Identifier: Apache-2.0
"""The references of many cycles of an emulated joint_trajectory_controller at once.

`vla_sim.core.trajectory_controller` computes one cycle at a time, with all a controller keeps and
reports. Here only the reference of trajectories with velocities and accelerations, in the
controller's own order of joints, on its own clock. `verification.fuzz.planner` runs both side by
side in some episodes and tells any difference.
"""

from __future__ import annotations

import numpy as np

from smooth_motion import Plan
from smooth_motion.limits import FloatArray, IntArray

_FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


class SampledController:
    """Follows the newest plan that it was given."""

    def __init__(
        self, position: FloatArray, period_ns: int, *, interpolate_from_desired_state: bool
    ) -> None:
        """Rest at a position (J,), rad."""
        self._period_ns = period_ns
        self._from_desired = interpolate_from_desired_state
        rest = (position[None], np.zeros((1, position.size)), np.zeros((1, position.size)))
        self._times = np.zeros(1, dtype=np.int64)
        self._knots: tuple[FloatArray, ...] = rest
        self._next: Plan | None = None
        self._position = position
        self._cycle_ns: int | None = None

    def receive(self, plan: Plan, now_ns: int) -> str:
        """Take a plan; return why it is rejected, "" if it is not."""
        if np.abs(plan.velocities[-1]).max() > _FLOAT32_EPSILON:
            return "moving at the end"
        if plan.start_ns != 0 and plan.end_ns < now_ns:
            return "ends in the past"
        self._next = plan
        return ""

    def references(self, cycles_ns: IntArray) -> FloatArray:
        """Return the references (C, J) of the next C cycles, C >= 1."""
        if self._next is not None:
            self._begin(self._next, int(cycles_ns[0]))
            self._next = None
        table = self._sample(cycles_ns)[0]
        self._cycle_ns, self._position = int(cycles_ns[-1]), table[-1]
        return table

    def _begin(self, plan: Plan, cycle_ns: int) -> None:
        times = plan.knots_ns
        knots = (plan.positions, plan.velocities, plan.accelerations)
        if cycle_ns < times[0]:
            # The approach to a first knot that still lies ahead: from the state last commanded,
            # which is that of one period later, or from where the ideal joints are.
            before_ns, zero = cycle_ns, np.zeros_like(self._position)
            state: tuple[FloatArray, ...] = (self._position, zero, zero)
            if self._from_desired and self._cycle_ns is not None:
                before_ns = self._cycle_ns
                ahead = np.array([self._cycle_ns + self._period_ns])
                state = tuple(values[0] for values in self._sample(ahead))
            times = np.concatenate(([before_ns], times))
            knots = (
                np.vstack((state[0], knots[0])),
                np.vstack((state[1], knots[1])),
                np.vstack((state[2], knots[2])),
            )
        self._times, self._knots = times, knots

    def _sample(self, t_ns: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Evaluate the quintics, position, velocity and acceleration, each (C, J)."""
        times, (p, v, a) = self._times, self._knots
        last = times.size - 1
        left = np.searchsorted(times, t_ns, side="right") - 1
        if left[0] >= last:
            rows = np.full(left.size, last)
            return p[rows], v[rows], a[rows]
        at_end = left >= last
        left = np.minimum(left, last - 1)
        right = left + 1
        t = ((t_ns - times[left]) / 1e9)[:, None]
        duration = ((times[right] - times[left]) / 1e9)[:, None]
        p0, v0, a0 = p[left], v[left], a[left]
        dp = (p[right] - p0) - v0 * duration - 0.5 * a0 * duration**2
        dv = (v[right] - v0 - a0 * duration) * duration
        da = (a[right] - a0) * duration**2
        c2 = 0.5 * a0
        c3 = (10.0 * dp - 4.0 * dv + 0.5 * da) / duration**3
        c4 = (-15.0 * dp + 7.0 * dv - da) / duration**4
        c5 = (6.0 * dp - 3.0 * dv + 0.5 * da) / duration**5
        position = p0 + t * (v0 + t * (c2 + t * (c3 + t * (c4 + t * c5))))
        velocity = v0 + t * (2.0 * c2 + t * (3.0 * c3 + t * (4.0 * c4 + t * (5.0 * c5))))
        acceleration = 2.0 * c2 + t * (6.0 * c3 + t * (12.0 * c4 + t * (20.0 * c5)))
        position[at_end], velocity[at_end], acceleration[at_end] = p[last], v[last], a[last]
        return position, velocity, acceleration
