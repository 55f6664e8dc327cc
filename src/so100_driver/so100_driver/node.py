# SPDX-License-Identifier: Apache-2.0
"""The driver as a lifecycle node: one arm on one serial port.

Configured, it reads and publishes, and no servo is told anything. Activated, it holds the arm
where it is and follows commands. Deactivated, it holds. Torque goes off by `~/torque` alone: not
when the node is deactivated, not when it ends.

A thread runs the cycles, by the host's clock. In simulated time a timer does, and the simulation
waits for each: however slow the host is, no cycle is late. The bytes take the host's time then.
"""

from __future__ import annotations

import sys
import time
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from node_kit import qos
from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.log import LogLevel, LogLine, write
from node_kit.messages import to_time
from node_kit.parameters import ParameterError
from node_kit.run import run
from so100_driver import convert
from so100_driver.bus import ServoBus
from so100_driver.connection import DriverError, connect, in_degrees, joints_of
from so100_driver.control_loop import BusReading, ControlLoop
from so100_driver.core.health import HealthLevel
from so100_driver.core.orders import ArmMode
from so100_driver.cycle_thread import CycleThread
from so100_driver.params import DriverParameters
from so100_driver.saying import Saying
from vla_contract.robot import RobotConfigError, load_robot

HEALTH_S = 0.2
SAID_AS = {HealthLevel.OK: LogLevel.INFO, HealthLevel.WARN: LogLevel.WARN}
# Until every servo has answered alike: a busy host takes its time, and nothing moves yet.
FIRST_ANSWERS_S = 10.0
# What leads to an arm that follows commands, or has torque.
FOR_COMMANDS = ("torque_on", "clear_faults", "approach")


class DriverNode(LifecycleNode):
    """Drives one arm.

    Raises:
        ParameterError: A parameter is missing or wrong.
        RobotConfigError: The robot file is.
        DriverError: With `autostart`, the arm cannot be driven.
    """

    def __init__(self) -> None:
        super().__init__("so100_driver")
        self._given = declare(self, DriverParameters)
        self._motion = MotionClock(self)
        robot = load_robot(self._given.robot_file)
        self._ranges, speeds = joints_of(robot)
        accelerations = robot.limits.acceleration.tolist()
        self._limits = self._given.limits(
            speeds, dict(zip(robot.limits.joint_names, accelerations, strict=True))
        )
        self._bus: ServoBus | None = None
        self._loop: ControlLoop | None = None
        self._thread: CycleThread | None = None
        self._saying = Saying()
        self._problem, self._active = "", False
        self._states = self.create_publisher(JointState, "joint_states_raw", qos.EACH)
        self._health = self.create_publisher(DiagnosticArray, "~/servo_health", qos.EACH)
        # Where the monitor, and everybody else, looks for it.
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EACH)
        self.create_subscription(JointState, "joint_commands", self._on_command, qos.COMMANDED)
        for what in ("hold", "clear_faults", "lower", "approach"):
            self.create_service(Trigger, f"~/{what}", partial(self._on_asked, what))
        self.create_service(SetBool, "~/torque", self._on_torque)
        self.create_timer(HEALTH_S, self._on_health, clock=self._motion.timers)
        # In simulated time it begins with the time: what it drives is there then.
        self._begins = self._given.autostart
        if self._motion.simulated:
            period_s = 1.0 / self._given.rate_hz
            self.create_timer(period_s, self._on_simulated_time, clock=self._motion.timers)
        else:
            self._begin()

    def _begin(self) -> None:
        """Configure and activate, where nobody else is to."""
        if not self._begins:
            return
        self._begins = False
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                self.destroy_node()
                raise DriverError(self._problem or "the transition failed")

    def _on_simulated_time(self) -> None:
        self._begin()
        if self._loop is not None:
            self._cycle(self._loop)
        self._motion.acknowledge()

    def _now_s(self) -> float:
        """Return the clock of the motion."""
        return self._motion.elapsed_ns() * 1e-9

    def _await_cycle(self) -> None:
        """Let a cycle pass while a transition waits."""
        if not self._motion.simulated:
            time.sleep(0.01)
        elif self._loop is not None:
            self._cycle(self._loop)

    # -- transitions -----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the port, hold the arm against its calibration, and begin to publish."""
        parameters = self._given
        try:
            self._bus, self._loop = connect(
                parameters.port,
                parameters.calibration_file,
                self._ranges,
                self._limits,
                parameters.answer_timeout_s,
            )
        except DriverError as error:
            return self._failed(str(error))
        if not self._motion.simulated:
            cycle, period_s = partial(self._cycle, self._loop), 1.0 / parameters.rate_hz
            self._thread = CycleThread(period_s, cycle, self._on_failed_cycle)
            self._thread.start()
        ends_s = time.monotonic() + FIRST_ANSWERS_S
        while silent := self._silent():
            if time.monotonic() > ends_s:
                self._disconnect()
                return self._failed(f"{parameters.port}: no answer from {', '.join(silent)}")
            self._await_cycle()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold the arm where it is, and wait for a command near its pose."""
        assert self._loop is not None
        ends_s = time.monotonic() + FIRST_ANSWERS_S
        problem = self._torque_on()
        # The first answers are a few cycles old at most.
        while problem and time.monotonic() < ends_s:
            self._await_cycle()
            problem = self._torque_on()
        with self._loop.lock:
            measured = self._loop.arm.measured_rad
            if not problem and self._loop.arm.mode is ArmMode.HOLDING:
                problem = self._loop.arm.clear_faults(self._now_s())
        if problem:
            return self._failed(problem)
        self._active = True
        self.get_logger().info(f"holding at {in_degrees(measured)} degrees")
        return super().on_activate(state)

    def _torque_on(self) -> str:
        assert self._loop is not None
        with self._loop.lock:
            return self._loop.arm.torque_on(self._now_s())

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold the arm, and take no command."""
        self._active = False
        if self._loop is not None:
            with self._loop.lock:
                self._loop.arm.hold("the driver was deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the port; the servos go on with what they do."""
        self._disconnect()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the port; the servos go on with what they do."""
        self._disconnect()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Release the port and end the node; the servos hold where they are."""
        self._disconnect()
        super().destroy_node()

    def _failed(self, problem: str) -> TransitionCallbackReturn:
        self._problem = problem
        self.get_logger().error(problem)
        return TransitionCallbackReturn.FAILURE

    def _disconnect(self) -> None:
        self._active = False
        if self._thread is not None:
            self._thread.end()
            self._thread = None
        if self._bus is not None:
            self._bus.close()
        self._bus = self._loop = None

    def _silent(self) -> list[str]:
        assert self._loop is not None
        with self._loop.lock:
            return self._loop.arm.silent(self._now_s())

    # -- the cycle --------------------------------------------------------------------------------

    def _on_failed_cycle(self, error: Exception) -> None:
        # Without a reading nobody takes the arm for well, and the next cycle may do.
        if self.context.ok():
            self._say(HealthLevel.ERROR, f"a cycle failed: {type(error).__name__}: {error}")

    def _cycle(self, loop: ControlLoop) -> None:
        # Both clocks at one moment: the servos are read right after it.
        stamp_ns, now_ns = self._motion.now()
        reading = loop.step(now_ns * 1e-9)
        if reading.whole and not (self._thread and self._thread.ends):
            self._publish(stamp_ns, reading)
        with loop.lock:
            events = loop.arm.take_events()
        for event in events:
            self._say(event.level, event.text)

    def _publish(self, stamp_ns: int, reading: BusReading) -> None:
        names = list(self._ranges)
        msg = JointState(name=names)
        msg.header.stamp = to_time(stamp_ns)
        msg.position = [reading.positions_rad[name] for name in names]
        msg.velocity = [reading.velocities_rad_s[name] for name in names]
        self._states.publish(msg)

    def _say(self, level: HealthLevel, text: str) -> None:
        if self._saying.new(text, time.monotonic()):
            write(self.get_logger(), LogLine(SAID_AS.get(level, LogLevel.ERROR), text))

    # -- callbacks -------------------------------------------------------------------------------

    def _on_command(self, msg: JointState) -> None:
        if self._loop is None or not self._active:
            return
        with self._loop.lock:
            refusal = self._loop.arm.command(msg.name, msg.position, self._now_s())
            off = self._loop.arm.mode is ArmMode.OFF
        if refusal and not off:
            self._say(HealthLevel.WARN, f"command refused: {refusal}")

    def _on_asked(
        self, what: str, _: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return self._answered(response, what)

    def _on_torque(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        return self._answered(response, "torque_on" if request.data else "torque_off")

    def _answered(self, response, what: str):  # type: ignore[no-untyped-def]
        """Ask the arm for something, and answer with its reason where it says no."""
        problem = "the driver is not configured"
        if self._loop is not None and what in FOR_COMMANDS and not self._active:
            problem = "the driver is not active: activate it first"
        elif self._loop is not None:
            with self._loop.lock:
                arm = self._loop.arm
                problem = arm.hold() if what == "hold" else getattr(arm, what)(self._now_s())
        response.success, response.message = not problem, problem
        return response

    def _on_health(self) -> None:
        if self._loop is None:
            return
        with self._loop.lock:
            arm = self._loop.arm
            servos, mode = arm.health(self._now_s()), arm.mode
            reason, refused, refusal = arm.reason, arm.refused, arm.last_refusal
        assert self._bus is not None
        msg = convert.health_to(
            self.get_namespace(), servos, self._bus.statistics, mode, reason, refused, refusal
        )
        msg.header.stamp = self.get_clock().now().to_msg()
        self._health.publish(msg)
        self._diagnostics.publish(msg)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 2 when the arm cannot be driven or the configuration is wrong.
    """
    return run("so100_driver", DriverNode, (ParameterError, RobotConfigError, DriverError), args)


if __name__ == "__main__":
    sys.exit(main())
