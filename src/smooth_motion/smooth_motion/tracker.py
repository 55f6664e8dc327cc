# SPDX-License-Identifier: Apache-2.0
"""Turn a chunk of joint targets into a plan.

A motion with constant jerk on intervals of one length h is a cubic B-spline with uniform knots,
and its coefficients c are the whole description of a joint's problem:

    position at knot k       (c[k-1] + 4 c[k] + c[k+1]) / 6
    velocity, twice a knot   (c[k+1] - c[k]) / h          the polygon of the quadratic velocity
    acceleration at knot k   (c[k-1] - 2 c[k] + c[k+1]) / h^2
    jerk of interval k       (c[k+2] - 3 c[k+1] + 3 c[k] - c[k-1]) / h^3

A spline lies in the hull of its coefficients, and its velocity in the hull of its polygon. So
bounds on c and on their first differences hold between the knots too, are met exactly at
rest and in steady motion, and are as loose as the motion is smooth. The state at the start
fixes the first three coefficients, rest at the end makes the last three equal, and what is left
is a quadratic program without equations whose matrices are banded and the same for every
joint: only its vectors change. The remainder of an earlier plan on the same grid satisfies it.

The cost is the squared position error at the knots plus tau^6 times the squared jerk. Without
limits that is a filter of gain 1 / (1 + (f / cutoff)^6) and no phase, tau = 1 / (2 pi cutoff):
the plan does not lag behind the chunk, it leaves out what is faster than the cutoff.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import piqp
from scipy import sparse

from smooth_motion.brake import brake
from smooth_motion.check import LIMIT_TOLERANCE, limit_violations
from smooth_motion.errors import MotionError, NoPlanError
from smooth_motion.limits import FloatArray, IntArray, Limits, State, frozen_array, frozen_names
from smooth_motion.overlap import overlap
from smooth_motion.plan import Plan

# A plan that this module returns holds its limits twice as closely as `check` asks for.
_TOLERANCE = LIMIT_TOLERANCE / 2.0
# Share of each limit kept back at first. The remainder of a plan made with it is strictly inside
# the limits without it, which is where the second attempt finds its way.
_RESERVE = 1e-5
# How far the solver's end may be from rest, as a share of the jerk that removes the difference.
_END_RESIDUAL = 1e-6
# Knots are counted in steps of this many, so that few problem sizes occur.
_SIZE_STEP = 4


@dataclass(frozen=True, eq=False)
class Chunk:
    """Joint targets at a fixed rate.

    Attributes:
        joint_names: J names.
        start_ns: Absolute time of row 0.
        dt_ns: Time between rows, positive.
        positions: (T, J) float64, rad, T >= 1; row i is for `start_ns + i * dt_ns`.

    Raises:
        MotionError: A shape is wrong, a value is not finite or a time is not positive.
    """

    joint_names: tuple[str, ...]
    start_ns: int
    dt_ns: int
    positions: FloatArray

    def __post_init__(self) -> None:
        names = frozen_names(self.joint_names)
        rows = np.shape(self.positions)[0] if np.ndim(self.positions) == 2 else 0
        if rows == 0:
            shape = np.shape(self.positions)
            raise MotionError(
                f"a chunk's positions must have shape (T, {len(names)}), T >= 1, but have {shape}"
            )
        positions = frozen_array(self.positions, "chunk.positions", (rows, len(names)))
        if not (self.dt_ns > 0):
            raise MotionError(f"a chunk's dt_ns must be positive, but is {self.dt_ns}")
        object.__setattr__(self, "joint_names", names)
        object.__setattr__(self, "start_ns", int(self.start_ns))
        object.__setattr__(self, "dt_ns", int(self.dt_ns))
        object.__setattr__(self, "positions", positions)

    @property
    def end_ns(self) -> int:
        """Absolute time of the last row."""
        return self.start_ns + (len(self.positions) - 1) * self.dt_ns

    @property
    def times_ns(self) -> IntArray:
        """Absolute time of each row, (T,)."""
        return self.start_ns + self.dt_ns * np.arange(len(self.positions), dtype=np.int64)

    def at(self, times_ns: IntArray) -> FloatArray:
        """Return the positions (N, J) at times (N,) within the chunk, linear between rows."""
        own_s = (self.times_ns - self.start_ns) * 1e-9
        wanted_s = (times_ns - self.start_ns) * 1e-9
        return np.column_stack([np.interp(wanted_s, own_s, column) for column in self.positions.T])


@dataclass(frozen=True)
class TrackerConfig:
    """How a chunk is followed.

    Attributes:
        knot_dt_ns: Interval between knots. Splices on knots of the running plan keep one grid.
        cutoff_hz: Motion in the chunk well below this frequency is followed, well above it is left
            out; half of an oscillation at it remains.
        max_knots: Rows of the chunk beyond this many knots are ignored.

    Raises:
        MotionError: A value is not positive.
    """

    knot_dt_ns: int = 33_333_333
    cutoff_hz: float = 2.0
    max_knots: int = 240

    def __post_init__(self) -> None:
        for field in ("knot_dt_ns", "cutoff_hz", "max_knots"):
            if not (getattr(self, field) > 0):
                raise MotionError(f"{field} must be positive, but is {getattr(self, field)}")


def track(
    chunk: Chunk,
    state: State,
    limits: Limits,
    *,
    start_ns: int,
    config: TrackerConfig | None = None,
) -> Plan:
    """Return a plan that follows a chunk from a state and ends at rest.

    Targets outside the position limits are clipped to them, rows before `start_ns` are skipped,
    and after its last row the chunk is held. Every limit is verified at and between the knots
    of the result. If the first problem has no such solution the limits are used up to the
    last; if that has none either (a state that no plan on this grid leads through), the
    plan stops first and follows the rest of the chunk from there.

    Args:
        chunk: Targets of the joints of `limits`, in their order.
        state: Commanded state at `start_ns`. A position outside the limits may move inwards.
        limits: Limits of J joints.
        start_ns: Absolute time of the plan's first knot: the splice.
        config: How to follow.

    Raises:
        MotionError: The chunk or the state has other joints than the limits.
        NoPlanError: No plan within the limits exists from this state.
    """
    config = config or TrackerConfig()
    if chunk.joint_names != limits.joint_names:
        raise MotionError(
            f"the chunk moves [{', '.join(chunk.joint_names)}], "
            f"the limits are for [{', '.join(limits.joint_names)}]"
        )
    if state.position.shape != limits.jerk.shape:
        raise MotionError(
            f"the state has {state.position.size} joints, the limits are for {limits.jerk.size}"
        )
    allowed = limits.widened_to(state.position)
    for reserve in (_RESERVE, 0.0):
        plan = _follow(chunk, state, limits, allowed, start_ns, config, reserve)
        if plan is not None:
            return plan
    stop = brake(state, allowed, start_ns=start_ns)
    broken = limit_violations(stop, allowed, tolerance=_TOLERANCE)
    if broken:
        raise NoPlanError(f"the arm cannot even stop within its limits: {broken[0].detail}")
    rest = stop.state(stop.end_ns)
    plan = _follow(chunk, rest, limits, allowed, stop.end_ns, config, _RESERVE)
    return stop if plan is None else overlap(stop, plan, cut_ns=start_ns)


def _follow(
    chunk: Chunk,
    state: State,
    limits: Limits,
    allowed: Limits,
    start_ns: int,
    config: TrackerConfig,
    reserve: float,
) -> Plan | None:
    """Return the plan on a uniform grid, or None if there is none that keeps the limits."""
    knots = _knot_count(chunk, limits, start_ns, config)
    times = np.arange(knots + 1, dtype=np.int64) * config.knot_dt_ns
    reference = _reference(chunk, limits, start_ns + times)
    h = config.knot_dt_ns * 1e-9
    problem = _problem(knots, (2.0 * np.pi * config.cutoff_hz * h) ** -6)
    jerk = np.empty((knots, limits.jerk.size))
    for j in range(limits.jerk.size):
        # In this unit every bound of the problem is 1 or more, whatever the robot.
        bounds = (1.0 - reserve) * np.array(
            [limits.jerk[j] * h**3, limits.acceleration[j] * h**2, limits.velocity[j] * h]
        )
        unit = float(bounds.min())
        p = state.position[j]
        v, a = state.velocity[j] * h / unit, state.acceleration[j] * h**2 / unit
        solution = problem.solve(
            np.array([a / 3.0 - v, -a / 6.0, v + a / 3.0]),
            (reference[:, j] - p) / unit,
            bounds / unit,
            (allowed.position_lower[j] - p) / unit,
            (allowed.position_upper[j] - p) / unit,
        )
        if solution is None:
            return None
        jerk[:, j] = solution * (unit / h**3)
    return _integrate(jerk, state, allowed, start_ns, config.knot_dt_ns)


def _knot_count(chunk: Chunk, limits: Limits, start_ns: int, config: TrackerConfig) -> int:
    """Return how many intervals hold the chunk and a tail that is long enough to stop in."""
    a, j, v = limits.acceleration, limits.jerk, limits.velocity
    # From full acceleration to none, then from full velocity to rest.
    stop_s = a / j + np.where(v >= a * a / j, v / a + a / j, 2.0 * np.sqrt(v / j))
    # The grid costs each of the up to four switches of such a stop an interval.
    tail = -int(-float(stop_s.max()) * 1e9 // config.knot_dt_ns) + 4
    rows = max(0, -((start_ns - chunk.end_ns) // config.knot_dt_ns))
    count = min(rows, config.max_knots) + tail
    return -(-count // _SIZE_STEP) * _SIZE_STEP


def _reference(chunk: Chunk, limits: Limits, times_ns: np.ndarray) -> FloatArray:
    """Return the chunk within the position limits, interpolated at the knots, (K, J)."""
    targets = np.clip(chunk.positions, limits.position_lower, limits.position_upper)
    rows = (times_ns - chunk.start_ns) / chunk.dt_ns
    index = np.arange(len(targets))
    return np.stack([np.interp(rows, index, column) for column in targets.T], axis=1)


def _integrate(
    jerk: FloatArray, state: State, allowed: Limits, start_ns: int, knot_dt_ns: int
) -> Plan | None:
    """Return the plan with these jerks (N, J), brought exactly to rest, or None if it is bad."""
    h = knot_dt_ns * 1e-9
    p, v, a = _states(jerk[:-2], state, h)
    # Two intervals are left, and two conditions: no velocity and no acceleration at the end.
    first = -(v[-1] + 1.5 * h * a[-1]) / h**2
    second = (v[-1] + 0.5 * h * a[-1]) / h**2
    last = np.stack((first, second))
    if not (np.abs(last - jerk[-2:]) <= _END_RESIDUAL * allowed.jerk).all():
        return None
    end_p, end_v, end_a = _states(last, State(p[-1], v[-1], a[-1]), h)
    end_v[-1] = end_a[-1] = 0.0
    times = np.arange(len(jerk) + 1, dtype=np.int64) * knot_dt_ns
    plan = Plan(
        allowed.joint_names,
        start_ns,
        times,
        np.vstack((p, end_p[1:])),
        np.vstack((v, end_v[1:])),
        np.vstack((a, end_a[1:])),
    )
    return None if limit_violations(plan, allowed, tolerance=_TOLERANCE) else plan


def _states(jerk: FloatArray, state: State, h: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Integrate the jerks (N, J) from a state; (N + 1, J) each."""
    a = np.cumsum(np.concatenate((state.acceleration[None], jerk * h)), axis=0)
    v = np.cumsum(np.concatenate((state.velocity[None], h * (a[:-1] + h * jerk / 2.0))), axis=0)
    step = h * (v[:-1] + h * (a[:-1] / 2.0 + h * jerk / 6.0))
    p = np.cumsum(np.concatenate((state.position[None], step)), axis=0)
    return p, v, a


class _Problem:
    """The quadratic program of one joint over a number of intervals, with its solver.

    Everything is in a unit of length of the caller's choice and in knot intervals, relative to
    the position at the start.
    """

    def __init__(self, intervals: int, weight: float) -> None:
        """Set up the matrices for at least 6 intervals; `weight` is that of the jerk."""
        n = intervals
        self._lock = threading.Lock()
        self._ready = False
        # All coefficients c[-1..n+1] from the free ones c[2..n-1]; the last is there three times.
        rows = np.arange(3, n + 3)
        free = sparse.csc_matrix(
            (np.ones(n), (rows, np.minimum(rows - 3, n - 3))), shape=(n + 3, n - 2)
        )
        at_knots = _differences([1 / 6, 4 / 6, 1 / 6], n + 3)
        velocity = _differences([-1.0, 1.0], n + 3)[2:n]
        acceleration = _differences([1.0, -2.0, 1.0], n + 3)[1:n]
        jerk = _differences([-1.0, 3.0, -3.0, 1.0], n + 3)
        bounded = sparse.vstack((jerk, acceleration, velocity)).tocsc()
        self._jerk = jerk.tocsr()
        self._bound_rows = [m.shape[0] for m in (jerk, acceleration, velocity)]
        self._hessian = (free.T @ (at_knots.T @ at_knots + weight * jerk.T @ jerk) @ free).tocsc()
        self._bounded = (bounded @ free).tocsc()
        self._bounded_fixed = bounded[:, :3].toarray()
        self._cost_reference = -(free.T @ at_knots.T).tocsr()
        fixed_cost = free.T @ (at_knots.T @ at_knots + weight * jerk.T @ jerk)
        self._cost_fixed = fixed_cost.tocsc()[:, :3].toarray()
        self._free = n - 2
        self._solver = piqp.SparseSolver()
        self._solver.settings.kkt_solver = piqp.KKTSolver.sparse_ldlt_ineq_cond
        self._solver.settings.max_iter = 60
        # In units of the smallest bound: closer than the verification asks, wider than what is
        # lost where the remainder of the plan before is nearly the only solution.
        self._solver.settings.eps_abs = 1e-7
        self._solver.settings.eps_duality_gap_rel = 1e-6

    def solve(
        self,
        fixed: FloatArray,
        reference: FloatArray,
        bounds: FloatArray,
        low: float,
        high: float,
    ) -> FloatArray | None:
        """Solve for the jerks of all intervals.

        Args:
            fixed: The first three coefficients, (3,).
            reference: Target positions at the knots, (intervals + 1,).
            bounds: Largest jerk, acceleration and velocity, (3,).
            low: Lowest position.
            high: Highest position.

        Returns:
            (intervals,) jerks, or None if the solver found none.
        """
        cost = self._cost_reference @ reference + self._cost_fixed @ fixed
        bound = np.repeat(bounds, self._bound_rows)
        offset = self._bounded_fixed @ fixed
        vectors = {
            "c": cost,
            "h_l": -bound - offset,
            "h_u": bound - offset,
            "x_l": np.full(self._free, low),
            "x_u": np.full(self._free, high),
        }
        with self._lock:
            if self._ready:
                # The matrices too, though they stay the same: the solver scales its own copy in
                # place, and an answer must not depend on the questions before it.
                self._solver.update(P=self._hessian, G=self._bounded, **vectors)
            else:
                self._solver.setup(P=self._hessian, G=self._bounded, **vectors)
                self._ready = True
            if self._solver.solve() != piqp.PIQP_SOLVED:
                return None
            x = np.array(self._solver.result.x)
        if not np.isfinite(x).all():
            return None
        return np.asarray(self._jerk @ np.concatenate((fixed, x, x[-1:], x[-1:])))


def _differences(stencil: list[float], columns: int) -> sparse.csc_matrix:
    """Return the banded matrix that applies a stencil along a vector of `columns`."""
    rows = columns - len(stencil) + 1
    diagonals = [np.full(rows, value) for value in stencil]
    return sparse.diags(diagonals, range(len(stencil)), shape=(rows, columns), format="csc")


@lru_cache(maxsize=32)
def _problem(intervals: int, weight: float) -> _Problem:
    return _Problem(intervals, weight)
