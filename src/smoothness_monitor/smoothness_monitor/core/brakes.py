# SPDX-License-Identifier: Apache-2.0
"""The trajectories that bring the arm and the gripper to rest.

The controller is never cancelled or deactivated in motion: that steps its command. Instead it gets
a trajectory that first repeats what it runs and then brakes within the limits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smooth_motion import (
    GripperPlan,
    Limits,
    Plan,
    State,
    brake,
    distinct_start,
    overlap,
)
from smooth_motion.acknowledge import DISTINCT_NS
from smooth_motion.plan import cubic_position, cubic_velocity
from smoothness_monitor.core.types import FloatArray

# How far back a trajectory of ours starts, so that the controller enters it in the middle.
START_BACK_NS = 20_000_000
# A brake out of an unknown motion continues it for this long, which covers delivery.
PREDICTION_NS = 20_000_000
# How long a hold's last point lies ahead: a trajectory that has ended is refused by a controller.
HOLD_NS = 100_000_000


def brake_in_plan(
    base: Plan,
    limits: Limits,
    *,
    now_ns: int,
    controller_ns: int,
    overlap_ns: int,
    sent: Sequence[Plan],
) -> Plan:
    """Return the trajectory that repeats `base` until `overlap_ns` from now, then brakes.

    Args:
        base: The plan that the controller runs when the trajectory arrives.
        limits: The arm's limits.
        now_ns: ROS time.
        controller_ns: Trajectory time of the controller's newest cycle. A controller that lags is
            met where it is.
        overlap_ns: How long the running plan goes on.
        sent: Plans from whose starts this one's must be told.

    Raises:
        MotionError: No stop within the limits exists from there.
    """
    splice = now_ns + overlap_ns
    here = min(now_ns, controller_ns)
    cut = max(here - START_BACK_NS, base.start_ns)
    # The controller would draw a line of its own to a start that it has not reached.
    start = distinct_start(cut, sent, earliest_ns=base.start_ns, latest_ns=max(here, cut))
    tail = brake(base.state(splice), limits, start_ns=splice)
    return overlap(base, tail, cut_ns=min(start, splice))


def brake_from_state(
    state: State, limits: Limits, *, state_ns: int, now_ns: int, foreign_start_ns: int
) -> Plan:
    """Return a trajectory that brakes out of a motion of which only the newest state is known.

    The state is continued without jerk until shortly after now. That is exact for a motion of
    constant acceleration and the best guess for any other, so the entry may step a little.

    Args:
        state: The controller's reference.
        limits: The arm's limits.
        state_ns: Trajectory time of `state`.
        now_ns: ROS time.
        foreign_start_ns: Start of the trajectory that runs; this one must be told from it.

    Raises:
        MotionError: No stop within the limits exists from there.
    """
    start = state_ns - DISTINCT_NS
    if abs(start - foreign_start_ns) <= DISTINCT_NS:
        start = foreign_start_ns - 2 * DISTINCT_NS
    splice = max(now_ns, state_ns) + PREDICTION_NS
    first = _continued(state, start - state_ns)
    # Out of the first knot, not out of the state, so that the two knots agree to the last bit.
    ahead = _continued(first, splice - start)
    tail = brake(ahead, limits, start_ns=splice)
    return Plan(
        limits.joint_names,
        start,
        np.concatenate(([start], tail.knots_ns)) - start,
        np.vstack((first.position, tail.positions)),
        np.vstack((first.velocity, tail.velocities)),
        np.vstack((first.acceleration, tail.accelerations)),
    )


def _continued(state: State, by_ns: int) -> State:
    zero = np.zeros_like(state.position)
    dt = zero + by_ns * 1e-9
    p, v, a = state.position, state.velocity, state.acceleration
    return State(cubic_position(p, v, a, zero, dt), cubic_velocity(v, a, zero, dt), a)


def hold(
    joint_names: tuple[str, ...], position: FloatArray, *, now_ns: int, sent: Sequence[Plan]
) -> Plan:
    """Return the trajectory that holds a position from now on. It steps an arm that moves.

    Args:
        joint_names: J names.
        position: (J,) rad.
        now_ns: ROS time.
        sent: Plans from whose starts this one's must be told.
    """
    rows = np.vstack((position, position))
    zero = np.zeros_like(rows)
    start = distinct_start(now_ns - START_BACK_NS, sent)
    times = np.array([0, START_BACK_NS + HOLD_NS], dtype=np.int64)
    return Plan(joint_names, start, times, rows, zero, zero)


def hold_gripper(
    running: GripperPlan, *, now_ns: int, controller_ns: int, overlap_ns: int
) -> GripperPlan:
    """Return the gripper trajectory that goes on for the overlap and then stays.

    It keeps the command, not the measured position: a grasp holds by the difference.

    Args:
        running: What its controller runs when the trajectory arrives.
        now_ns: ROS time.
        controller_ns: Stamp of its controller's newest cycle. One that lags is met where it is.
        overlap_ns: How long the running motion goes on.
    """
    cut, splice = min(now_ns, controller_ns) - START_BACK_NS, now_ns + overlap_ns
    knots = running.start_ns + running.times_ns
    kept = knots[(knots > cut) & (knots < splice)].tolist()
    times = [cut, *kept, splice]
    return GripperPlan(
        running.joint,
        cut,
        np.array(times, dtype=np.int64) - cut,
        np.array([running.position(t) for t in times]),
    )
