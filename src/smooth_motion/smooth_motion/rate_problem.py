# SPDX-License-Identifier: Apache-2.0
"""The program that a change of rate solves, joint by joint (`retime.py`)."""

from __future__ import annotations

import numpy as np
import piqp

from smooth_motion.limits import FloatArray, Limits, State

# Share of the jerk limit kept back for the corrections that make the ends exact.
_RESERVE = 1e-5
# Above this frequency the change of rate is not followed to the last microradian.
_CUTOFF_HZ = 8.0


class RateProblem:
    """The quadratic program of one joint during a change of rate.

    The unknowns are the jerks of the intervals. Velocity and position are bounded by the control
    points of the spline that they make, so the bounds hold between the knots too and are met
    exactly in steady motion. Time is in units of the mean interval, length in that of a full jerk
    over it.
    """

    def __init__(self, intervals: FloatArray) -> None:
        """Set up the matrices for intervals (N,), s."""
        n = intervals.size
        self._h = float(intervals.mean())
        h = intervals / self._h
        t = np.concatenate(([0.0], np.cumsum(h)))
        self._t = t
        since, until = (np.clip(t[:, None] - edge, 0.0, None) for edge in (t[:-1], t[1:]))
        # Position, velocity and acceleration at each knot by a unit of jerk in each interval.
        self._p = (since**3 - until**3) / 6.0
        self._v = (since**2 - until**2) / 2.0
        self._a = since - until
        weight = (2.0 * np.pi * _CUTOFF_HZ * self._h) ** -6 * h
        self._weight = weight
        self._hessian = 2.0 * (self._p.T @ self._p + np.diag(weight))
        self._left, self._right = h[: n - 1, None], h[1:, None]
        self._bounded = self._control(self._p, self._v, self._a)
        self._sizes = [n - 3, n - 2, n - 1]
        self._ends = np.array([t[-1] ** 3, t[-1] ** 2, t[-1]])
        self._end = np.stack((self._p[-1], self._v[-1], self._a[-1])) / self._ends[:, None]

    def _control(self, p: FloatArray, v: FloatArray, a: FloatArray) -> FloatArray:
        """Return the control points of position and of velocity, and the accelerations.

        Without those that the states at the two ends fix.
        """
        left, right = self._left, self._right
        inner_p, inner_v, inner_a = p[1:-1], v[1:-1], a[1:-1]
        points = inner_p + inner_v * (right - left) / 3.0 - inner_a * left * right / 6.0
        return np.vstack((points[1:-1], (inner_v + inner_a * right / 2.0)[:-1], inner_a))

    def solve(
        self,
        joint: int,
        state: State,
        end: State,
        path: FloatArray,
        nominal: FloatArray,
        limits: Limits,
    ) -> FloatArray | None:
        """Return the jerks (N,) of a joint, None if the solver found none.

        Args:
            joint: Its index.
            state: Where it starts.
            end: Where it must arrive.
            path: Positions to keep at the knots, (N + 1,).
            nominal: Jerks that would keep them, (N,).
            limits: Of all joints.
        """
        h, t = self._h, self._t
        most = float(limits.jerk[joint]) * (1.0 - _RESERVE)
        unit = most * h**3
        sizes = (1.0 / unit, h / unit, h * h / unit)
        p0, v0, a0 = (
            state.position[joint],
            *(
                values[joint] * size
                for values, size in zip(
                    (state.velocity, state.acceleration), sizes[1:], strict=True
                )
            ),
        )
        free = (v0 * t + a0 * t * t / 2.0, v0 + a0 * t, np.full(t.size, a0))
        offset = self._control(*(column[:, None] for column in free))[:, 0]
        velocity, acceleration = limits.velocity[joint] * h, limits.acceleration[joint] * h * h
        lower, upper = (
            np.repeat(
                np.array([at - p0, sign * velocity, sign * acceleration]) / unit, self._sizes
            )
            for at, sign in (
                (limits.position_lower[joint], -1.0),
                (limits.position_upper[joint], 1.0),
            )
        )
        ends = (end.position[joint] - p0, end.velocity[joint], end.acceleration[joint])
        target = np.array(
            [at * size - by[-1] for at, size, by in zip(ends, sizes, free, strict=True)]
        )
        solver = piqp.DenseSolver()
        solver.settings.eps_abs = solver.settings.eps_rel = 1e-8
        wanted = (path - p0) / unit - free[0]
        nominal = np.clip(nominal / most, -1.0, 1.0)
        solver.setup(
            P=self._hessian,
            c=-2.0 * (self._p.T @ wanted + self._weight * nominal),
            A=self._end,
            b=target / self._ends,
            G=self._bounded,
            h_l=lower - offset,
            h_u=upper - offset,
            x_l=np.full(nominal.size, -1.0),
            x_u=np.full(nominal.size, 1.0),
        )
        if solver.solve() != piqp.PIQP_SOLVED:
            return None
        x = np.array(solver.result.x)
        return x * most if np.isfinite(x).all() else None
