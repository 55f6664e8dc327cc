# SPDX-License-Identifier: Apache-2.0
"""`allow_trajectory_replacement` and the other parameters that change what the controller does.

The values are those that the source of ros2_controllers 6.9 gives (blend_with_active_trajectory).
"""

import numpy as np
import pytest

from vla_sim.core.command_age import CommandAge
from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import ControllerConfig, TrajectoryController
from vla_sim.core.validation import Reason

S = 1_000_000_000
MS = 1_000_000
PERIOD_NS = 10 * MS
T0 = 50 * S


class SimulatedJoints:
    """A controller and a joint that follows it perfectly."""

    def __init__(self, **config):
        self.controller = TrajectoryController(
            ControllerConfig(("a",), PERIOD_NS, **config), np.zeros(1), np.zeros(1)
        )
        self.time_ns = T0
        self.position = np.zeros(1)
        self.cycle()

    def cycle(self):
        self.time_ns += PERIOD_NS
        cycle = self.controller.update(self.time_ns, PERIOD_NS, self.position, np.zeros(1))
        self.position = self.controller.command
        return cycle.state

    def at(self):
        state = self.cycle()
        return state.reference.positions[0], state.reference.time_from_start_ns


def ramp(stamp_ns, *knots):
    points = tuple(TrajectoryPoint(round(t * S), np.array([float(q)])) for t, q in knots)
    return JointTrajectory(stamp_ns, ("a",), points)


def running(**config):
    """From 0 to 1 rad in a second, stamped; 0.3 s of it have passed."""
    plant = SimulatedJoints(**config)
    plant.controller.receive(ramp(plant.time_ns, (0.0, 0.0), (1.0, 1.0)), plant.time_ns)
    for _ in range(30):
        plant.cycle()
    return plant


def test_without_it_a_trajectory_of_the_past_is_entered_in_its_middle():
    plant = running()
    plant.controller.receive(ramp(plant.time_ns - S, (0.0, 5.0), (2.0, 7.0)), plant.time_ns)
    position, elapsed_ns = plant.at()
    assert position == pytest.approx(6.01)
    assert elapsed_ns == S + PERIOD_NS


def test_with_it_a_trajectory_of_the_past_begins_on_its_arrival():
    """At its first point, and its stamp is forgotten: nobody can tell which one runs."""
    plant = running(allow_trajectory_replacement=True)
    plant.controller.receive(ramp(plant.time_ns - S, (0.0, 5.0), (2.0, 7.0)), plant.time_ns)
    position, elapsed_ns = plant.at()
    assert position == pytest.approx(5.0)
    assert elapsed_ns == 0
    assert plant.at()[0] == pytest.approx(5.01)


def test_with_it_a_trajectory_of_the_future_is_led_over_to():
    """What runs goes on up to its stamp, and the two are joined there."""
    plant = running(allow_trajectory_replacement=True)
    stamp_ns = plant.time_ns + 200 * MS
    plant.controller.receive(ramp(stamp_ns, (0.2, 0.9), (0.4, 0.9)), plant.time_ns)
    seen = [plant.at()[0] for _ in range(45)]
    # The first cycle stands where the last one was: the time line is laid anew at the cursor.
    assert seen[0] == pytest.approx(0.3, abs=0.011)
    assert np.abs(np.diff(seen)).max() < 0.03
    assert seen[-1] == pytest.approx(0.9)


def test_with_it_a_hold_is_replaced_as_without():
    plant = SimulatedJoints(allow_trajectory_replacement=True)
    plant.controller.receive(ramp(plant.time_ns - S, (0.0, 5.0), (2.0, 7.0)), plant.time_ns)
    assert plant.at()[0] == pytest.approx(6.01)


def test_without_interpolation_it_jumps_from_point_to_point():
    plant = running(interpolation_method="none")
    assert plant.at()[0] == 1.0
    later = ramp(plant.time_ns + 100 * MS, (0.0, 3.0), (1.0, 4.0))
    plant.controller.receive(later, plant.time_ns)
    assert plant.at()[0] == 1.0
    for _ in range(15):
        position, _ = plant.at()
    assert position == 4.0


def test_a_trajectory_may_end_in_motion_where_that_is_allowed():
    moving = JointTrajectory(T0, ("a",), (TrajectoryPoint(S, np.ones(1), np.ones(1)),))
    rejection = SimulatedJoints().controller.check(moving, T0)
    assert rejection is not None
    assert rejection.reason is Reason.MOVING_AT_THE_END
    allowed = SimulatedJoints(allow_nonzero_velocity_at_trajectory_end=True)
    assert allowed.controller.check(moving, T0) is None


def test_an_age_is_told_in_the_time_of_the_ticks():
    age = CommandAge()
    assert age.age_ns(5) == 0
    for i in range(100):
        # At a tenth of the host's speed.
        age.ticked(T0 + i * 100 * MS, i * PERIOD_NS)
    assert age.age_ns(T0 + 99 * 100 * MS) == 0
    assert age.age_ns(T0 + 89 * 100 * MS) == 9 * PERIOD_NS
    assert age.age_ns(T0 + 98 * 100 * MS + MS) == 0
    assert age.age_ns(T0 - 1000 * S) == 99 * PERIOD_NS


def test_a_pause_of_the_ticks_makes_nothing_old():
    age = CommandAge()
    age.ticked(T0, 0)
    age.ticked(T0 + 10 * MS, 10 * MS)
    age.ticked(T0 + 10 * S, 20 * MS)
    assert age.age_ns(T0 + 5 * S) == 0
    assert age.age_ns(T0 + 5 * MS) == 10 * MS


def test_a_host_clock_that_is_set_back_makes_nothing_old():
    age = CommandAge()
    for i in range(10):
        age.ticked(T0 + i * PERIOD_NS, i * PERIOD_NS)
    age.ticked(T0 - 100 * S, 100 * MS)
    assert age.age_ns(T0) == 0
