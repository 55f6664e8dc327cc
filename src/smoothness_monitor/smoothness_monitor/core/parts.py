# SPDX-License-Identifier: Apache-2.0
"""What the monitor is made of, and what it remembers.

Its trades are the layers above this one: `view`, `readout`, `trips`, `reception`, `plans` and, on
top, `monitor`. Each uses only itself and those below it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smooth_motion import CheckConfig
from smooth_motion.clocks import ClockWatch
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.detectors import (
    Detector,
    Detectors,
)
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.inputs import (
    InputStream,
    Order,
    OwnClock,
    Standstill,
)
from smoothness_monitor.core.link_delay import LinkDelay
from smoothness_monitor.core.slowdown import Slowdown
from smoothness_monitor.core.smoothness_meter import SmoothnessMeter
from smoothness_monitor.core.stop import Stop
from smoothness_monitor.core.types import (
    FloatArray,
    Outbox,
    StopState,
    nanoseconds,
)
from smoothness_monitor.params import MonitorConfig
from vla_contract.robot import Robot


class MonitorParts:
    """The parts of a monitor and its memory, without any behaviour."""

    def __init__(
        self, robot: Robot, config: MonitorConfig, detectors: Sequence[Detector] = ()
    ) -> None:
        """Begin in STARTUP.

        Args:
            robot: The robot.
            config: The thresholds.
            detectors: Of other packages, besides those of the table.
        """
        self.robot = robot
        self.config = config
        self.names = robot.limits.joint_names
        self.detectors = Detectors(robot, config, detectors)
        self.tracker = ControllerTracker(self.names, nanoseconds(config.acknowledge_s))
        self.gripper = GripperTracker(robot.gripper.joint)
        self.state = StopState.STARTUP
        self._limits = robot.limits
        self._check = CheckConfig(
            min_overlap_ns=nanoseconds(config.plan_overlap_s), max_start_ahead_ns=0
        )
        self._clock = OwnClock(config.tick_credit_s)
        self._watch = ClockWatch(nanoseconds(config.clock_step_s))
        self._link = LinkDelay()
        self._uncompared_ns: int | None = None
        # That the clock was set, in words, and until when that waits for the controller's word.
        self._step = "", 0
        self._policy_behind_s = 0.0
        self._newest_skews: dict[str, float] = {}
        self._controller, self._joints, self._driver = InputStream(), InputStream(), InputStream()
        self._servos, self._policy = InputStream(), InputStream()
        inputs = ("controller_state", "joint_states", "driver_states")
        self._orders = {source: Order(self.names) for source in inputs}
        window = (config.standstill_velocity_rad_s, config.standstill_window_s)
        self._standstill, self._driver_standstill = Standstill(*window), Standstill(*window)
        self._waiting: Trajectory | None = None
        self._measured: FloatArray | None = None
        self._cycle_ns: int | None = None
        self._lost = False
        self._causes: dict[str, str] = {}
        self._trip_ns = 0
        self._ready_ns = 0
        self._reset_deadline_ns: int | None = None
        self._forwarded = self._rejected = 0
        # Start of the plan that was forwarded last.
        self._forwarded_ns = 0
        self._last_rejection = ""
        self._errors = 0
        self._restored = False
        # Why plans wait while nothing moves, in words, and until when.
        self._put_off = "", 0
        # Why an input that comes cannot be used, by what the graph and by what its messages say.
        self._graph_says: Mapping[str, str] = {}
        self._names_say: dict[str, str] = {}
        self._out = Outbox()
        self._stop = Stop(self.tracker, self.gripper, config, self._out)
        # What is wrong with each controller's parameters.
        unknown = "its parameters were not read yet"
        self._parameters = {robot.arm_controller: unknown}
        self.detectors.controller_parameters.report(f"{robot.arm_controller}: {unknown}")
        self._slowdown = Slowdown(
            self.tracker,
            robot.limits,
            self.detectors.measured_jerk.level(config.slow_jerk_factor),
            config,
            self._out,
        )
        self._meter = SmoothnessMeter(self.names, config.smoothness_window_s)
