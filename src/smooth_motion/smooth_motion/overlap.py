# SPDX-License-Identifier: Apache-2.0
"""Replace a running plan without a step: repeat what runs, then go on differently.

A controller that receives a new trajectory forgets the old one. If the new one equals the old
one until after its arrival, arrival jitter cannot be seen in the command. Equal means the same
knots: resampling them changes what the controller interpolates.
"""

from __future__ import annotations

import numpy as np

from smooth_motion.errors import MotionError
from smooth_motion.plan import Plan

# How far the tail's first knot may lie from the running plan: rounding, nothing else.
SPLICE_TOLERANCE = 1e-13
# How far two plans may lie apart where they are the same motion: rad, rad/s, rad/s^2.
_SAME = 1e-9


def splice_ns(running: Plan, earliest_ns: int) -> int:
    """Return where a new plan should leave the running one.

    That is its first knot at or after `earliest_ns`, so that no knot is added and the intervals of
    the running plan stay whole; or `earliest_ns` itself once it rests.
    """
    if earliest_ns >= running.end_ns:
        return earliest_ns
    index = int(np.searchsorted(running.times_ns, earliest_ns - running.start_ns, side="left"))
    return running.start_ns + int(running.times_ns[index])


def overlap(running: Plan, tail: Plan, *, cut_ns: int) -> Plan:
    """Return the plan that follows `running` from `cut_ns` to the tail's start, then `tail`.

    The running plan's knots are copied bit by bit. Knots are added only at the cut and, where the
    tail starts between two knots, at the splice.

    Args:
        running: The plan that the controller runs.
        tail: What follows. It must start in the running plan's state.
        cut_ns: Any absolute time up to the tail's start; it becomes the new plan's start, which is
            its identity.

    Raises:
        MotionError: Other joints, a cut after the splice or before a running plan that starts in
            motion, or a tail that does not start where the running plan is then.
    """
    if running.joint_names != tail.joint_names:
        raise MotionError(
            f"the tail moves {', '.join(tail.joint_names)}, but {', '.join(running.joint_names)} "
            "run; give both the same joints in the same order"
        )
    splice = tail.start_ns
    if not (cut_ns <= splice):
        raise MotionError(f"the cut ({cut_ns} ns) must not lie after the splice ({splice} ns)")
    starts_moving = running.velocities[0].any() or running.accelerations[0].any()
    if cut_ns < running.start_ns and starts_moving:
        raise MotionError(
            f"the cut ({cut_ns} ns) lies before the running plan's start ({running.start_ns} ns), "
            "where its motion is not known"
        )
    at_cut, at_splice = running.sample(cut_ns), running.sample(splice)
    first = (tail.positions[0], tail.velocities[0], tail.accelerations[0])
    fields = ("position", "velocity", "acceleration")
    for what, ours, theirs in zip(fields, first, at_splice[:3], strict=True):
        difference = np.abs(ours - theirs)
        if not (difference <= SPLICE_TOLERANCE * np.maximum(1.0, np.abs(theirs))).all():
            joint = running.joint_names[int(np.argmax(difference))]
            raise MotionError(
                f"the tail's first {what} of {joint} differs from the running plan's by "
                f"{difference.max():.1e} at the splice; start it from running.state({splice})"
            )
    if cut_ns == splice:
        return tail
    knots_ns = running.knots_ns
    kept = (knots_ns > cut_ns) & (knots_ns < splice)
    times = np.concatenate(([cut_ns], knots_ns[kept], tail.knots_ns)) - cut_ns
    return Plan(
        running.joint_names,
        cut_ns,
        times,
        np.vstack((at_cut.position, running.positions[kept], tail.positions)),
        np.vstack((at_cut.velocity, running.velocities[kept], tail.velocities)),
        np.vstack((at_cut.acceleration, running.accelerations[kept], tail.accelerations)),
    )


def part_ns(new: Plan, old: Plan) -> int:
    """Return the absolute time until which two plans are the same motion.

    Both are cubics between the knots of the two together, so comparing those is enough.
    """
    times = np.union1d(new.knots_ns, old.knots_ns[old.knots_ns >= new.start_ns])
    ours, theirs = new.sample(times), old.sample(times)
    same = np.ones(times.size, dtype=bool)
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        same &= (np.abs(a - b) <= _SAME).all(axis=1)
    if same.all():
        return int(times[-1])
    first = int(np.argmin(same))
    return int(times[max(first - 1, 0)])
