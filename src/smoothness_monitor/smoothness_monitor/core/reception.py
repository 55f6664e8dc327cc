# SPDX-License-Identifier: Apache-2.0
"""Messages on their way in: names, values, stamps and clocks are judged before they are used."""

from __future__ import annotations

import math
from collections.abc import Mapping

from smooth_motion.clocks import ClockWatch, Now, set_by
from smooth_motion.messages import ControllerState, JointStates
from smoothness_monitor.core.detectors import Detectors
from smoothness_monitor.core.detectors.silence import Stale
from smoothness_monitor.core.inputs import InputStream, Order, compared_names, stamp_problem
from smoothness_monitor.core.robot_view import RobotView
from smoothness_monitor.core.state_machine import StateMachine
from smoothness_monitor.core.types import FloatArray, nanoseconds

# For so long a step of the clock waits for the controller's next cycle.
STEP_SEEN_NS = 50_000_000
_STALE = ("joint_states", "controller_state", "driver_states", "servo_status", "policy")
_REFERENCE = ("positions", "velocities", "accelerations")


class Reception:
    """Judges whether a message can be used, and whether the clocks still run alike."""

    def __init__(
        self,
        names: tuple[str, ...],
        clock_step_s: float,
        detectors: Detectors,
        view: RobotView,
        machine: StateMachine,
    ) -> None:
        """Begin without a message.

        Args:
            names: The robot's J joints.
            clock_step_s: By which ROS time must be set to count as set.
            detectors: Are told what is wrong.
            view: Whose streams the messages belong to.
            machine: Stops the arm.
        """
        self._names = names
        self._detectors, self._view, self._machine = detectors, view, machine
        inputs = ("controller_state", "joint_states", "driver_states")
        self._orders = {source: Order(names) for source in inputs}
        self._watch = ClockWatch(nanoseconds(clock_step_s))
        # That the clock was set, in words, and until when that waits for the controller's word.
        self._step = "", 0
        # Why an input that comes cannot be used, by what the graph and by what its messages say.
        self._graph_says: Mapping[str, str] = {}
        self._names_say: dict[str, str] = {}

    def reference(self, message: ControllerState, now: Now) -> FloatArray | None:
        """Return position, velocity and acceleration, (3, J); None when it cannot be used."""
        columns = (message.position, message.velocity, message.acceleration)
        order = self._orders["controller_state"]
        reference, problem = order(message.joint_names, _REFERENCE, columns)
        problem = problem or stamp_problem(message.stamp_ns, message.time_from_start_ns)
        stream = self._view.controller
        usable = self._usable("controller_state", stream, message.stamp_ns, problem, now)
        return reference if usable else None

    def positions(
        self, source: str, stream: InputStream, message: JointStates, now: Now
    ) -> FloatArray | None:
        """Return the arm's positions, None when the message cannot be used."""
        order = self._orders[source]
        if not order.concerns(message.joint_names):
            unheard = not math.isfinite(stream.age_s(self._view.clock.now_ns))
            if unheard and not self._names_say.get(source):
                text = compared_names(message.joint_names, self._names)
                self._explain(source, f"a message came, but it {text}")
            return None
        columns, problem = order(message.joint_names, ("positions",), (message.position,))
        problem = problem or stamp_problem(message.stamp_ns)
        if not self._usable(source, stream, message.stamp_ns, problem, now):
            return None
        position: FloatArray = columns[0]
        return position

    def on_graph(self, notes: Mapping[str, str]) -> None:
        """Take in why inputs may be silent, by who publishes on their topics and how."""
        self._graph_says = notes
        for source in _STALE:
            self._explain(source, self._names_say.get(source, ""))

    def look_at_the_time(self, now: Now, *, tick: bool = False) -> None:
        """Find out whether the clock was set or this process was held up, before all else.

        What comes after either looks wrong for reasons of its own.
        """
        own_ns = self._view.clock.now_ns
        step_ns = self._watch.look(now.ros_ns, now.steady_ns)
        if step_ns:
            # Whether the controller's clock is the one that was set is known from its next cycle,
            # and a brake has to go by that.
            self._step = set_by(step_ns), own_ns + STEP_SEEN_NS
            self._forget_clocks()
        elif tick and own_ns >= self._step[1]:
            self._trip_for_a_step(now)
        overrun = self._detectors.overrun
        stalled = overrun.stalled(self._view.clock.since_tick_s(now.steady_ns))
        self._machine.trip_one(overrun.name, stalled, now)

    def controller_heard(self, now: Now) -> None:
        """Note that the controller was heard: a step of the clock waits no longer for it."""
        if self._step[0]:
            self._trip_for_a_step(now)

    def _usable(
        self, source: str, stream: InputStream, stamp_ns: int, problem: str, now: Now
    ) -> bool:
        """Judge whether a message can be used and is new; trip if it is wrong."""
        if problem:
            self._explain(source, f"messages come, but {problem}")
        finite, order = self._detectors.non_finite, self._detectors.stamp_order
        own_ns = self._view.clock.now_ns
        if stream.follows(stamp_ns) and not (problem or finite.present or order.present):
            stream.arrived(stamp_ns, own_ns)
            return True
        if not self._machine.trip_one(finite.name, finite.report_input(source, problem), now):
            return False
        back_s = stream.backwards_s(stamp_ns)
        if back_s:
            self._forget_clocks()
        if back_s and (self._watch.suspected or self._step[0]):
            self._step = f"ROS time was set: {source} went back by {back_s:.3f} s with it", 0
            self._trip_for_a_step(now)
        text = f"stamp went back by {back_s:.6f} s" if back_s else ""
        if not self._machine.trip_one(order.name, order.report_input(source, text), now):
            return False
        if not stream.is_new(stamp_ns):
            return False
        stream.arrived(stamp_ns, own_ns)
        return True

    def _explain(self, source: str, why: str) -> None:
        """Note why an input that nothing was received of cannot be used."""
        if why:
            self._names_say[source] = why
        name = "lost_policy" if source == "policy" else f"stale_{source}"
        detector = self._detectors.by_name[name]
        assert isinstance(detector, Stale)
        detector.explain(why or self._graph_says.get(source, ""))

    def _forget_clocks(self) -> None:
        """Forget what was found about other clocks: one of them was set."""
        self._detectors.clock_skew.begin_anew()
        self._view.link.clear()

    def _trip_for_a_step(self, now: Now) -> None:
        """Stop the arm, if the clock was set."""
        detector = self._detectors.clock_step
        if self._step[0] or detector.present:
            self._machine.trip_one(detector.name, detector.report(self._step[0]), now)
            self._step = "", 0
