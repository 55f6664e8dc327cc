# SPDX-License-Identifier: Apache-2.0
"""What one would put in front of an arm instead of this suite: each bounds or smooths something.

All but `UpsampledPoints` follow the newest chunk's row for now, as `Naive` does, and smooth what
results; the gripper follows the rows as they are.
"""

from __future__ import annotations

import numpy as np
from ruckig import InputParameter, OutputParameter, Result, Ruckig, RuckigError
from scipy.interpolate import CubicSpline

from executors.base import Array, ChunkRows, Setup
from executors.baselines import Naive
from executors.controllers import EmulatedController
from vla_sim.core.trajectory import TrajectoryPoint

BUTTERWORTH = 1.5  # the filter's coefficient, as MoveIt Servo has it
# What Ruckig is given of the limits: of the very limit, rounding would make aborts of Franka's
# interface; and it refuses a target's velocity that is as high as the limit.
OF_LIMITS, OF_VELOCITY = 0.999, 0.99
ARRIVED = 1e-6  # rad


class _Filtered:
    """Follows the newest chunk's row for now through a filter of the arm's joints."""

    def __init__(self, setup: Setup) -> None:
        self.refused = 0
        self._target = Naive(setup)
        self._joints = setup.joints
        self._period_s = setup.period_ns * 1e-9

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        self._target.accept(rows, now_ns)

    def command(self, now_ns: int) -> Array:
        target = self._target.command(now_ns)
        return np.append(self.filter(target[: self._joints], now_ns), target[self._joints :])

    def filter(self, target: Array, now_ns: int) -> Array:
        """Return the command of the arm (J,), rad."""
        raise NotImplementedError


class Butterworth(_Filtered):
    """MoveIt Servo's default smoothing: a low-pass of the first order.

    Source: online_signal_smoothing::ButterworthFilter of moveit_core.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._last = self._command = setup.position[: setup.joints]

    def filter(self, target: Array, now_ns: int) -> Array:
        fed_back = (1.0 - BUTTERWORTH) * self._command
        self._command = (target + self._last - fed_back) / (1.0 + BUTTERWORTH)
        self._last = target
        return self._command


class AccelerationLimited(_Filtered):
    """MoveIt Servo's other smoothing: as far towards the target as the acceleration's limit lets.

    The next command lies on the line to the target; where no point of it is allowed, the arm
    brakes.

    Source: online_signal_smoothing::AccelerationLimitedPlugin of moveit_core; its program in one
    unknown is solved in closed form here.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._limit = setup.limits.acceleration
        self._position = setup.position[: setup.joints]
        self._velocity = np.zeros(setup.joints)

    def filter(self, target: Array, now_ns: int) -> Array:
        dt = self._period_s
        # The share `stay` of the way that is not gone: lower <= stay * way <= upper.
        way = self._position - target
        free = self._position + self._velocity * dt - target
        lower, upper = free - self._limit * dt**2, free + self._limit * dt**2
        moving = np.abs(way) > 1e-12
        ends = np.sort((np.array([lower, upper])[:, moving] / way[moving]), axis=0)
        stay = max(0.0, *ends[0]) if moving.any() else 0.0
        still = (lower[~moving] <= 0.0) & (upper[~moving] >= 0.0)
        if stay <= min(1.0, *ends[1], 1.0) and still.all():
            position = stay * self._position + (1.0 - stay) * target
            velocity = (position - self._position) / dt
        else:
            braking = -self._velocity / dt
            share = np.abs(braking) / self._limit
            velocity = self._velocity + braking / max(1.0, float(share.max())) * dt
            position = self._position + velocity * dt
        self._position, self._velocity = position, velocity
        return position


class Online(_Filtered):
    """Ruckig, asked anew every tick for the fastest way to the row for now and its velocity.

    Source: Berscheid and Kroeger, "Jerk-limited real-time trajectory generation with arbitrary
    target states", RSS 2021.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        joints, limits = setup.joints, setup.limits
        self._ruckig = Ruckig(joints, self._period_s)
        self._in, self._out = InputParameter(joints), OutputParameter(joints)
        self._in.current_position = setup.position[:joints].tolist()
        self._in.max_velocity = (OF_LIMITS * limits.velocity).tolist()
        self._in.max_acceleration = (OF_LIMITS * limits.acceleration).tolist()
        self._in.max_jerk = (OF_LIMITS * limits.jerk).tolist()
        self._fastest = OF_VELOCITY * limits.velocity

    def filter(self, target: Array, now_ns: int) -> Array:
        before = self._target.command(now_ns - round(self._period_s * 1e9))[: self._joints]
        velocity = np.clip((target - before) / self._period_s, -self._fastest, self._fastest)
        self._in.target_position = target.tolist()
        self._in.target_velocity = velocity.tolist()
        try:
            result = self._ruckig.update(self._in, self._out)
        except RuckigError:
            # It cannot solve for differences of a nanoradian: then it has arrived.
            if not (np.abs(target - self._in.current_position) <= ARRIVED).all():
                raise
            return np.array(self._in.current_position)
        if result not in (Result.Working, Result.Finished):
            raise RuntimeError(f"Ruckig: {result}")
        self._out.pass_to_input(self._in)
        return np.array(self._out.new_position)


class UpsampledPoints:
    """The rest of each chunk as positions, of which the controller makes a cubic spline.

    The spline rests at its first and last point: `positions_upsampling` of ros2_controllers'
    joint_trajectory_controller, as it is in review (pull request 2491).
    """

    continued = False

    def __init__(self, setup: Setup) -> None:
        self.refused = 0
        names = tuple(f"joint{i}" for i in range(setup.position.size))
        self._controller = EmulatedController(names, setup.position, setup.period_ns)

    def accept(self, rows: ChunkRows, now_ns: int) -> None:
        times = rows.stamp_ns + rows.dt_ns * np.arange(len(rows.positions))
        ahead = times > now_ns
        if not ahead.any():
            self.refused += 1
            return
        times, positions = times[ahead] - now_ns, rows.positions[ahead]
        velocities = np.zeros_like(positions)
        if len(times) > 1:
            first = self._controller.velocity if self.continued else np.zeros(positions.shape[1])
            ends = ((1, first), (1, np.zeros_like(first)))
            seconds = times * 1e-9
            velocities = CubicSpline(seconds, positions, bc_type=ends)(seconds, 1)
        points = [
            TrajectoryPoint(int(t), p, v)
            for t, p, v in zip(times, positions, velocities, strict=True)
        ]
        self._controller.send(now_ns, points, now_ns)

    def command(self, now_ns: int) -> Array:
        return self._controller.command(now_ns)


class ContinuedPoints(UpsampledPoints):
    """The same with the velocity commanded last at the first point, as its author proposes."""

    continued = True
