# SPDX-License-Identifier: Apache-2.0
"""Motion whose jerk is bounded by construction. Needs no ROS and reads no clock."""

from smooth_motion.acknowledge import (
    Acknowledged,
    Acknowledgement,
    RunningPlan,
    distinct_start,
)
from smooth_motion.blend import blend_ns, blended
from smooth_motion.brake import brake
from smooth_motion.check import (
    CheckConfig,
    Violation,
    ViolationKind,
    check,
    limit_violations,
)
from smooth_motion.errors import MotionError, NoPlanError
from smooth_motion.estimators import CommandJerk, SavitzkyGolayJerk, command_jerk
from smooth_motion.gripper import GripperLimits, GripperPlan, track_gripper
from smooth_motion.kalman import KalmanJerk
from smooth_motion.limits import Limits, State
from smooth_motion.meters import (
    BoundaryMeter,
    InterventionMeter,
    Interventions,
    RecentJerk,
)
from smooth_motion.metrics import (
    BoundaryJerk,
    JerkStatistics,
    boundary_jerk,
    jerk_statistics,
    ldlj,
    sparc,
)
from smooth_motion.movement_meter import (
    Movement,
    MovementMeter,
    Segmentation,
    movements,
)
from smooth_motion.overlap import overlap, part_ns, splice_ns
from smooth_motion.plan import Knots, Plan, PlanSample, Point
from smooth_motion.retime import Retimed, retime, stretch, within_from_ns
from smooth_motion.tracker import Chunk, TrackerConfig, track

__all__ = [
    "Acknowledged",
    "Acknowledgement",
    "BoundaryJerk",
    "BoundaryMeter",
    "CheckConfig",
    "Chunk",
    "CommandJerk",
    "GripperLimits",
    "GripperPlan",
    "InterventionMeter",
    "Interventions",
    "JerkStatistics",
    "KalmanJerk",
    "Knots",
    "Limits",
    "MotionError",
    "Movement",
    "MovementMeter",
    "NoPlanError",
    "Plan",
    "PlanSample",
    "Point",
    "RecentJerk",
    "Retimed",
    "RunningPlan",
    "SavitzkyGolayJerk",
    "Segmentation",
    "State",
    "TrackerConfig",
    "Violation",
    "ViolationKind",
    "blend_ns",
    "blended",
    "boundary_jerk",
    "brake",
    "check",
    "command_jerk",
    "distinct_start",
    "jerk_statistics",
    "ldlj",
    "limit_violations",
    "movements",
    "overlap",
    "part_ns",
    "retime",
    "sparc",
    "splice_ns",
    "stretch",
    "track",
    "track_gripper",
    "within_from_ns",
]
