# SPDX-License-Identifier: Apache-2.0
"""The gate: may this trajectory go to the controller?

It forwards what is finite, within the limits, continuous with whatever the controller runs when it
arrives, and at rest in the end. `REACTIONS` says what becomes of everything else.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smooth_motion import (
    CheckConfig,
    GripperLimits,
    GripperPlan,
    Knots,
    Limits,
    MotionError,
    Plan,
    Violation,
    ViolationKind,
    check,
)
from smooth_motion.acknowledge import DISTINCT_NS
from smoothness_monitor.core.types import Trajectory


class Refusal(enum.Enum):
    """Why the gate refuses what the checks alone would pass. Values go into `last_rejection`."""

    NOT_READY = "not_ready"
    SUPERSEDED = "superseded"
    NOT_DISTINCT = "not_distinct"
    SLOWED = "slowed"
    GRIPPER = "gripper"


@dataclass(frozen=True)
class Reaction:
    """What a refusal entails.

    Attributes:
        trips: Name of the detector that trips, empty when the refusal is only counted.
        why: The reason, for the README.
    """

    trips: str
    why: str


_FAULT = "a correct policy node never sends it, so nothing from there is to be trusted"
_LATE = "transport or load made it late; the running plan ends at rest by itself"

# The one place that says which refusals stop the arm. Nothing refused is ever forwarded.
REACTIONS: dict[ViolationKind | Refusal, Reaction] = {
    ViolationKind.NOT_FINITE: Reaction("non_finite", _FAULT),
    ViolationKind.SHAPE: Reaction("plan_rejected", _FAULT),
    ViolationKind.JOINTS: Reaction("plan_rejected", _FAULT),
    ViolationKind.TIMES: Reaction("plan_rejected", _FAULT),
    ViolationKind.NOT_AT_REST: Reaction("plan_rejected", _FAULT),
    ViolationKind.JERK_NOT_CONSTANT: Reaction("plan_rejected", _FAULT),
    ViolationKind.POSITION: Reaction("plan_rejected", _FAULT),
    ViolationKind.VELOCITY: Reaction("plan_rejected", _FAULT),
    ViolationKind.ACCELERATION: Reaction("plan_rejected", _FAULT),
    ViolationKind.JERK: Reaction("plan_rejected", _FAULT),
    ViolationKind.STEP: Reaction("plan_rejected", _FAULT),
    ViolationKind.SPLICE_TOO_EARLY: Reaction("", _LATE),
    ViolationKind.ENDED: Reaction("", _LATE),
    ViolationKind.STARTS_LATER: Reaction(
        "", "its sender's clock is ahead of this one; it would start with a step, but does not run"
    ),
    Refusal.SUPERSEDED: Reaction(
        "", "it continues a plan that ran just before the one that runs now, or before a reset"
    ),
    Refusal.NOT_DISTINCT: Reaction(
        "", "it starts within 2 ms of the plan before it: nobody could tell which of them runs"
    ),
    Refusal.SLOWED: Reaction(
        "", "what it continues is carried out more slowly; the plan that runs goes on"
    ),
    Refusal.GRIPPER: Reaction(
        "", "a gripper trajectory beyond its range or rate; the one before it goes on"
    ),
    Refusal.NOT_READY: Reaction("", "there is no permit; a policy may not have heard of it yet"),
}


class Verdict(enum.Enum):
    """What the gate says."""

    FORWARD = "forward"
    WAIT = "wait"
    REJECT = "reject"


@dataclass(frozen=True)
class Decision:
    """The gate's answer.

    Attributes:
        verdict: What becomes of the trajectory. WAIT: the next message of the controller decides
            which plan it has to continue.
        plan: The plan, when it is forwarded.
        reason: Why not, when it is not.
        trips: Name of the detector that trips, empty when none does.
    """

    verdict: Verdict
    plan: Plan | None = None
    reason: str = ""
    trips: str = ""


@dataclass(frozen=True)
class GripperDecision:
    """The gate's answer to a gripper trajectory; fields as in `Decision`."""

    plan: GripperPlan | None
    reason: str = ""
    trips: str = ""


@dataclass(frozen=True)
class Expected:
    """What the controller may be running.

    Attributes:
        running: The plan that it ran when it was last heard.
        pending: The plan that was forwarded last, while the controller may still turn to it.
        recent: Plans that ran or were forwarded before these.
        newest: The plan that was forwarded last, whatever became of it; None when none was.
        since_ns: When plans began to be forwarded, at the start or after a reset.
        believed: Plans that somebody may continue without knowing that they run no more, or at
            another speed.
    """

    running: Plan
    pending: Plan | None = None
    recent: Sequence[Plan] = ()
    newest: Plan | None = None
    since_ns: int = 0
    believed: Sequence[Plan] = ()


def refuse(refusal: Refusal, detail: str) -> Decision:
    """Return the decision for a refusal of the gate's own."""
    reason = f"{refusal.value}: {detail}"
    return Decision(Verdict.REJECT, reason=reason, trips=REACTIONS[refusal].trips)


def decide(
    trajectory: Trajectory,
    expected: Expected,
    limits: Limits,
    *,
    now_ns: int,
    config: CheckConfig,
) -> Decision:
    """Judge a trajectory for the arm.

    Args:
        trajectory: As received.
        expected: What the controller may be running.
        limits: The arm's limits.
        now_ns: ROS time.
        config: How strict.
    """
    try:
        knots = Knots.from_points(trajectory.joint_names, trajectory.stamp_ns, trajectory.points)
    except (MotionError, OverflowError) as error:
        kind = ViolationKind.SHAPE
        return Decision(Verdict.REJECT, None, f"{kind.value}: {error}", REACTIONS[kind].trips)

    # Finite but absurd numbers may overflow in a check, which then fails as it should.
    with np.errstate(all="ignore"):
        faults = check(knots, expected.running, limits, now_ns=now_ns, config=config)
        if expected.pending is None:
            return _settle(knots, faults, expected, limits, now_ns, config)
        others = check(knots, expected.pending, limits, now_ns=now_ns, config=config)
        if not faults and not others:
            return _settle(knots, [], expected, limits, now_ns, config)
        if not faults or not others:
            # It continues one of the two plans that may run on its arrival, not both.
            return Decision(Verdict.WAIT)
        return _settle(knots, min(faults, others, key=_severity), expected, limits, now_ns, config)


def _settle(
    knots: Knots,
    faults: list[Violation],
    expected: Expected,
    limits: Limits,
    now_ns: int,
    config: CheckConfig,
) -> Decision:
    if not faults:
        before = expected.newest
        apart_ns = DISTINCT_NS if before is None else abs(knots.start_ns - before.start_ns)
        if apart_ns < DISTINCT_NS:
            detail = f"its start is {apart_ns * 1e-6:.1f} ms from that of the last plan"
            return refuse(Refusal.NOT_DISTINCT, detail)
        return Decision(Verdict.FORWARD, _as_plan(knots))
    kinds = {fault.kind for fault in faults}
    if kinds <= _TIMING | {ViolationKind.STEP} and knots.start_ns < expected.since_ns:
        return refuse(Refusal.SUPERSEDED, "it was made before the state became READY")
    if ViolationKind.STEP in kinds and kinds <= _TIMING | {ViolationKind.STEP}:

        def continues(plan: Plan) -> bool:
            old = check(knots, plan, limits, now_ns=now_ns, config=config)
            return {fault.kind for fault in old} <= _TIMING

        if any(continues(plan) for plan in reversed(expected.believed)):
            return refuse(Refusal.SLOWED, "what it continues is carried out more slowly")
        if any(continues(plan) for plan in expected.recent):
            return refuse(Refusal.SUPERSEDED, "it continues a plan that no longer runs")
    worst = max(faults, key=lambda fault: bool(REACTIONS[fault.kind].trips))
    return Decision(Verdict.REJECT, None, str(worst), REACTIONS[worst.kind].trips)


_TIMING = {kind for kind in ViolationKind if not REACTIONS[kind].trips}


def _severity(faults: list[Violation]) -> int:
    return sum(bool(REACTIONS[fault.kind].trips) for fault in faults)


def plan_of(trajectory: Trajectory) -> Plan:
    """Return the plan that a trajectory is.

    Raises:
        MotionError: It is none.
    """
    return Plan.from_points(trajectory.joint_names, trajectory.stamp_ns, trajectory.points)


def _as_plan(knots: Knots) -> Plan:
    return Plan(
        knots.joint_names,
        knots.start_ns,
        knots.times_ns,
        knots.positions,
        knots.velocities,
        knots.accelerations,
    )


def decide_gripper(
    trajectory: Trajectory,
    limits: GripperLimits,
    present: float | None,
    *,
    now_ns: int,
    step: float,
) -> GripperDecision:
    """Judge a trajectory for the gripper.

    Args:
        trajectory: As received.
        limits: The gripper's limits.
        present: The gripper's present command, None before the first.
        now_ns: ROS time.
        step: Distance allowed between the trajectory and `present`.
    """
    if tuple(trajectory.joint_names) != (limits.joint,):
        names = ", ".join(trajectory.joint_names)
        return _no_gripper(f"joints are [{names}], not [{limits.joint}]")
    values = [
        value
        for point in trajectory.points
        for value in (*point.positions, *point.velocities, *point.accelerations)
    ]
    if not np.isfinite(values).all():
        kind = ViolationKind.NOT_FINITE
        reason = f"{kind.value}: a value of {limits.joint} is not finite"
        return GripperDecision(None, reason, REACTIONS[kind].trips)
    for index, point in enumerate(trajectory.points):
        if len(point.positions) != 1 or point.velocities or point.accelerations:
            return _no_gripper(f"point {index} must have one position and nothing else")
    try:
        plan = GripperPlan(
            limits.joint,
            trajectory.stamp_ns,
            np.array([point.time_from_start_ns for point in trajectory.points], dtype=np.int64),
            np.array([point.positions[0] for point in trajectory.points], dtype=np.float64),
        )
    except (MotionError, OverflowError) as error:
        return _no_gripper(str(error))
    return _gripper_motion(plan, limits, present, now_ns, step)


def _gripper_motion(
    plan: GripperPlan, limits: GripperLimits, present: float | None, now_ns: int, step: float
) -> GripperDecision:
    slack = 1e-6 * (limits.position_upper - limits.position_lower)
    low, high = float(plan.positions.min()), float(plan.positions.max())
    if not (limits.position_lower - slack <= low and high <= limits.position_upper + slack):
        return _no_gripper(
            f"{limits.joint} would go from {low:.4f} to {high:.4f} rad, its limits are "
            f"{limits.position_lower:.4f} to {limits.position_upper:.4f} rad"
        )
    rates = np.abs(np.diff(plan.positions)) / (np.diff(plan.times_ns) * 1e-9)
    rate = float(rates.max(initial=0.0))
    if not (rate <= limits.velocity * (1.0 + 1e-6)):
        return _no_gripper(
            f"{limits.joint} would move at {rate:.3f} rad/s, its limit is {limits.velocity:.3f}"
        )
    if not (plan.start_ns <= now_ns):
        return _no_gripper("its first point lies in the future; stamp it in the past")
    if not (plan.start_ns + int(plan.times_ns[-1]) > now_ns):
        return _no_gripper("it has already ended")
    if present is not None and not (abs(plan.position(now_ns) - present) <= step):
        return _no_gripper(
            f"{limits.joint} would step from {present:.3f} to {plan.position(now_ns):.3f} rad"
        )
    return GripperDecision(plan)


def _no_gripper(detail: str) -> GripperDecision:
    reason = f"{Refusal.GRIPPER.value}: {detail}"
    return GripperDecision(None, reason, REACTIONS[Refusal.GRIPPER].trips)
