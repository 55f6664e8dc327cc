# SPDX-License-Identifier: Apache-2.0
"""What travels between planner, gate, controller and joints, free of ROS types.

Nothing about it has been checked yet: a wire carries anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smooth_motion.gripper import GripperPlan
from smooth_motion.plan import Knots, Plan, Point


@dataclass(frozen=True)
class Trajectory:
    """A trajectory as it is on the wire: nothing about it has been checked yet.

    Attributes:
        stamp_ns: Time of the first knot, and the trajectory's identity.
        joint_names: J names.
        points: One entry a knot. Velocities and accelerations are empty where the wire has none.
    """

    stamp_ns: int
    joint_names: tuple[str, ...]
    points: tuple[Point, ...]

    @classmethod
    def of(cls, knots: Knots) -> Trajectory:
        """Return the trajectory that carries `knots`."""
        return cls(knots.start_ns, knots.joint_names, tuple(knots.points()))

    def knots(self) -> Knots:
        """Return its numbers, of which nothing is promised.

        Raises:
            MotionError: There is no point, or a field of a point does not have J values.
        """
        return Knots.from_points(self.joint_names, self.stamp_ns, self.points)

    def plan(self) -> Plan:
        """Return the plan that it is.

        Raises:
            MotionError: It is none.
        """
        return Plan.from_points(self.joint_names, self.stamp_ns, self.points)

    @classmethod
    def of_gripper(cls, plan: GripperPlan) -> Trajectory:
        """Return the trajectory that carries a gripper's plan: positions only."""
        points = tuple(
            Point(int(t), [float(position)], [], [])
            for t, position in zip(plan.times_ns, plan.positions, strict=True)
        )
        return cls(plan.start_ns, (plan.joint,), points)


@dataclass(frozen=True)
class ControllerState:
    """One controller_state message.

    Attributes:
        stamp_ns: Time of the control cycle.
        time_from_start_ns: Of the reference, in the trajectory that the controller runs.
        joint_names: Order of the arrays.
        position: Reference, rad.
        velocity: Reference, rad/s; empty when the controller gives none.
        acceleration: Reference, rad/s^2; empty when the controller gives none.
    """

    stamp_ns: int
    time_from_start_ns: int
    joint_names: tuple[str, ...]
    position: Sequence[float]
    velocity: Sequence[float]
    acceleration: Sequence[float]


@dataclass(frozen=True)
class JointStates:
    """One joint_states message. It may hold joints of other mechanisms as well."""

    stamp_ns: int
    joint_names: tuple[str, ...]
    position: Sequence[float]
