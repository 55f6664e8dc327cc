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
from smooth_motion.messages import Trajectory
from smoothness_monitor.core import gripper
from smoothness_monitor.core.gripper import GripperTracker


class Refusal(enum.Enum):
    """Why the gate refuses what the checks alone would pass. Values go into `last_rejection`."""

    NOT_READY = "not_ready"
    SUPERSEDED = "superseded"
    NOT_DISTINCT = "not_distinct"
    SLOWED = "slowed"
    GRIPPER = "gripper"
    WORKSPACE = "workspace"


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
    ViolationKind.SIZE: Reaction("plan_rejected", _FAULT),
    ViolationKind.STAMP: Reaction("plan_rejected", _FAULT),
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
        "", "it starts within 2 ms of another plan: nobody could tell which of them runs"
    ),
    Refusal.SLOWED: Reaction(
        "", "what it continues is carried out more slowly; the plan that runs goes on"
    ),
    Refusal.GRIPPER: Reaction(
        "", "a gripper trajectory beyond its range or rate, or that steps; what runs goes on"
    ),
    Refusal.WORKSPACE: Reaction(
        "", "it leads the arm too near to something; what runs was clear and ends at rest"
    ),
    Refusal.NOT_READY: Reaction("", "there is no permit; a policy may not have heard of it yet"),
}


class GateVerdict(enum.Enum):
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

    verdict: GateVerdict
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
        may_run: The plan that it ran when it was last heard, and those sent since that it may
            have turned to or may still turn to, oldest first.
        recent: Plans that ran or were forwarded before these.
        known: Every plan that it may know: none may be taken for another.
        since_ns: When plans began to be forwarded, at the start or after a reset.
        believed: Plans that somebody may continue without knowing that they run no more, or at
            another speed.
        controller_ns: Stamp of the controller's newest cycle: it has got so far at least.
    """

    may_run: Sequence[Plan]
    recent: Sequence[Plan] = ()
    known: Sequence[Plan] = ()
    since_ns: int = 0
    believed: Sequence[Plan] = ()
    controller_ns: int = 2**62


def refuse(refusal: Refusal, detail: str) -> Decision:
    """Return the decision for a refusal of the gate's own."""
    reason = f"{refusal.value}: {detail}"
    return Decision(GateVerdict.REJECT, reason=reason, trips=REACTIONS[refusal].trips)


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
    size = size_fault(trajectory, len(limits.joint_names), config)
    if size:
        kind = ViolationKind.SIZE
        return Decision(GateVerdict.REJECT, None, f"{kind.value}: {size}", REACTIONS[kind].trips)
    try:
        knots = trajectory.knots()
    except (MotionError, OverflowError) as error:
        kind = ViolationKind.SHAPE
        return Decision(GateVerdict.REJECT, None, f"{kind.value}: {error}", REACTIONS[kind].trips)

    # Finite but absurd numbers may overflow in a check, which then fails as it should.
    with np.errstate(all="ignore"):
        found = [
            check(knots, plan, limits, now_ns=now_ns, config=config) for plan in expected.may_run
        ]
        if all(found):
            return _settle(knots, min(found, key=_severity), expected, limits, now_ns, config)
        if any(found) or knots.start_ns > expected.controller_ns:
            # It continues some of the plans that may run on its arrival and not all of them, or
            # begins where the controller has not been heard to be: it would approach the first
            # knot from where the joints are. What it says next decides.
            return Decision(GateVerdict.WAIT)
        return _settle(knots, [], expected, limits, now_ns, config)


def size_fault(trajectory: Trajectory, joints: int, config: CheckConfig) -> str:
    """Return what is too large about a trajectory to look at it further, empty when nothing is."""
    if not (len(trajectory.points) <= config.max_knots):
        return f"it has {len(trajectory.points)} knots, {config.max_knots} are allowed"
    named = len(trajectory.joint_names)
    if not (named <= 2 * joints + 8):
        return f"it names {named} joints, the arm has {joints}"
    for index, point in enumerate(trajectory.points):
        most = max(map(len, (point.positions, point.velocities, point.accelerations)))
        if not (most <= max(named, joints)):
            return f"knot {index} has {most} values for {named} joints"
    return ""


def _settle(
    knots: Knots,
    faults: list[Violation],
    expected: Expected,
    limits: Limits,
    now_ns: int,
    config: CheckConfig,
) -> Decision:
    if not faults:
        apart_ns = min(
            (abs(knots.start_ns - plan.start_ns) for plan in expected.known), default=DISTINCT_NS
        )
        if apart_ns < DISTINCT_NS:
            detail = f"its start is {apart_ns * 1e-6:.1f} ms from that of another plan"
            return refuse(Refusal.NOT_DISTINCT, detail)
        return Decision(GateVerdict.FORWARD, Plan.of(knots))
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
    return Decision(GateVerdict.REJECT, None, str(worst), REACTIONS[worst.kind].trips)


_TIMING = {kind for kind in ViolationKind if not REACTIONS[kind].trips}


def _severity(faults: list[Violation]) -> int:
    return sum(bool(REACTIONS[fault.kind].trips) for fault in faults)


def decide_gripper(
    trajectory: Trajectory,
    limits: GripperLimits,
    tracker: GripperTracker,
    *,
    now_ns: int,
    overlap_ns: int,
    step: float,
) -> GripperDecision:
    """Judge a trajectory for the gripper.

    Args:
        trajectory: As received.
        limits: The gripper's limits.
        tracker: What its controller runs.
        now_ns: ROS time.
        overlap_ns: How long from now it must be where the running one is.
        step: By how much the two may differ.
    """
    plan, problem = gripper.plan_of(trajectory, limits.joint)
    if plan is None:
        values = [
            p for point in trajectory.points[: gripper.MAX_POINTS] for p in point.positions[:8]
        ]
        if not np.isfinite(values).all():
            kind = ViolationKind.NOT_FINITE
            reason = f"{kind.value}: a value of {limits.joint} is not finite"
            return GripperDecision(None, reason, REACTIONS[kind].trips)
        return _no_gripper(problem)
    if tracker.running is None:
        return _no_gripper(f"nothing was heard of {limits.controller}/controller_state yet")
    problem = gripper.fault_of(
        plan, limits, tracker, now_ns=now_ns, overlap_ns=overlap_ns, step=step
    )
    return _no_gripper(problem) if problem else GripperDecision(plan)


def _no_gripper(detail: str) -> GripperDecision:
    reason = f"{Refusal.GRIPPER.value}: {detail}"
    return GripperDecision(None, reason, REACTIONS[Refusal.GRIPPER].trips)
