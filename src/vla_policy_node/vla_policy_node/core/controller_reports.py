# SPDX-License-Identifier: Apache-2.0
"""What the controllers report: the arm's reference, what it changes, the gripper's trajectory."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from smooth_motion import GripperPlan

# A controller publishes its state each cycle, 100 times a second or more often.
CONTROLLER_STATE_AGE_NS = 200_000_000
# The controller adds up its periods, so the start that it reports wanders by a fraction of this.
SAME_START_NS = 1_000_000
# A gripper's trajectory that runs is one of the last few sent.
GRIPPER_HISTORY = 8


@dataclass(frozen=True)
class ControllerReport:
    """One message of a joint_trajectory_controller's state: its reference.

    Attributes:
        stamp_ns: ROS time.
        time_from_start_ns: Since the start of the trajectory that runs.
        position: (J,) rad, the joints in the robot file's order.
        velocity: (J,) rad/s.
        acceleration: (J,) rad/s^2.
    """

    stamp_ns: int
    time_from_start_ns: int
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    acceleration: NDArray[np.float64]

    @property
    def start_ns(self) -> int:
        """Start of the trajectory that runs, which is its identity."""
        return self.stamp_ns - self.time_from_start_ns

    @property
    def at_rest(self) -> bool:
        """Whether the reference stands still, exactly."""
        return not (self.velocity.any() or self.acceleration.any())


class Event(Enum):
    """What a message of the arm's controller changed."""

    NOTHING = ""
    ACKNOWLEDGED = "the controller runs the plan"
    LOST = "the controller did not take the plan; going on from the one that runs"
    FOREIGN = "the controller runs a trajectory that was not sent from here; waiting for its rest"
    REBASED = "going on from where the controller rests"


class GripperInForce:
    """Which gripper trajectory runs."""

    def __init__(self, joint: str) -> None:
        """Begin without knowledge of the joint of that name."""
        self._joint = joint
        self._sent: deque[GripperPlan] = deque(maxlen=GRIPPER_HISTORY)
        self.running = GripperPlan.hold(joint, 0.0, 0)
        self.arrival_ns: int | None = None

    def sent(self, plan: GripperPlan) -> None:
        """Note that a plan is published."""
        self._sent.append(plan)

    def observe(self, report: ControllerReport, steady_ns: int) -> None:
        """Take in a message of the gripper's controller."""
        for plan in reversed(self._sent):
            if abs(plan.start_ns - report.start_ns) <= SAME_START_NS:
                self.running = plan
                break
        else:
            self.running = GripperPlan.hold(
                self._joint, float(report.position[0]), report.start_ns
            )
        self.arrival_ns = steady_ns


def stale(controller: str, age_ns: int) -> Sequence[str]:
    """Return in words that a controller has been silent for too long, nothing if it has not."""
    if age_ns <= CONTROLLER_STATE_AGE_NS:
        return ()
    return (f"{controller}/controller_state: stale: {age_ns / 1e9:.3f} s old",)
