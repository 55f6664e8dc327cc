# SPDX-License-Identifier: Apache-2.0
"""Messages on their way in: names, values, stamps and clocks are judged before they are used."""

from __future__ import annotations

import math

from smooth_motion.clocks import Now, set_by
from smooth_motion.messages import JointStates
from smoothness_monitor.core.detectors import (
    Measurement,
)
from smoothness_monitor.core.detectors.inputs import Stale
from smoothness_monitor.core.inputs import (
    InputStream,
    compared_names,
    stamp_problem,
)
from smoothness_monitor.core.trips import Trips
from smoothness_monitor.core.types import (
    FloatArray,
)

# For so long a step of the clock waits for the controller's next cycle.
STEP_SEEN_NS = 50_000_000
_MEASURED = ("positions",)
_POLICY = "lost_policy"


class Reception(Trips):
    """Judges whether a message can be used, and whether the clocks still run alike."""

    def _usable(
        self, source: str, stream: InputStream, stamp_ns: int, problem: str, now: Now
    ) -> bool:
        """Judge whether a message can be used and is new; trip if it is wrong."""
        finite, order = self.detectors.non_finite, self.detectors.stamp_order
        if stream.follows(stamp_ns) and not (problem or finite.present or order.present):
            stream.arrived(stamp_ns, self._clock.now_ns)
            return True
        if not self._trip_one(finite.name, finite.report_input(source, problem), now):
            return False
        back_s = stream.backwards_s(stamp_ns)
        if back_s:
            self.detectors.clock_skew.begin_anew()
            self._link.clear()
        if back_s and (self._watch.suspected or self._step[0]):
            self._step = f"ROS time was set: {source} went back by {back_s:.3f} s with it", 0
            self._trip_for_a_step(now)
        text = f"stamp went back by {back_s:.6f} s" if back_s else ""
        if not self._trip_one(order.name, order.report_input(source, text), now):
            return False
        if not stream.is_new(stamp_ns):
            return False
        stream.arrived(stamp_ns, self._clock.now_ns)
        return True

    def _positions(
        self, source: str, stream: InputStream, message: JointStates, now: Now
    ) -> FloatArray | None:
        """Return the arm's positions, None when the message cannot be used."""
        order = self._orders[source]
        if not order.concerns(message.joint_names):
            if not math.isfinite(stream.age_s(self._clock.now_ns)) and not self._explained(source):
                text = compared_names(message.joint_names, self.names)
                self._explain(source, f"a message came, but it {text}")
            return None
        columns, problem = order(message.joint_names, _MEASURED, (message.position,))
        problem = problem or stamp_problem(message.stamp_ns)
        if problem:
            self._explain(source, f"messages come, but {problem}")
        if not self._usable(source, stream, message.stamp_ns, problem, now):
            return None
        position: FloatArray = columns[0]
        return position

    def _explained(self, source: str) -> bool:
        return bool(self._names_say.get(source))

    def _explain(self, source: str, why: str) -> None:
        """Note why an input that nothing was received of cannot be used."""
        if why:
            self._names_say[source] = why
        detector = self.detectors.by_name[f"stale_{source}" if source != "policy" else _POLICY]
        assert isinstance(detector, Stale)
        detector.explain(why or self._graph_says.get(source, ""))

    def _measurement(self, message: JointStates, position: FloatArray) -> Measurement:
        compared = self.tracker.compare(message.stamp_ns, position)
        return Measurement(message.stamp_ns, position, message.position, *compared)

    def _look_at_the_time(self, now: Now, *, tick: bool = False) -> None:
        """Find out whether the clock was set or this process was held up, before all else.

        What comes after either looks wrong for reasons of its own.
        """
        step_ns = self._watch.look(now.ros_ns, now.steady_ns)
        if step_ns:
            # Whether the controller's clock is the one that was set is known from its next cycle,
            # and a brake has to go by that.
            self._step = set_by(step_ns), self._clock.now_ns + STEP_SEEN_NS
            self.detectors.clock_skew.begin_anew()
            self._link.clear()
        elif tick and self._clock.now_ns >= self._step[1]:
            self._trip_for_a_step(now)
        overrun = self.detectors.overrun
        stalled = overrun.stalled(self._clock.since_tick_s(now.steady_ns))
        self._trip_one(overrun.name, stalled, now)

    def _trip_for_a_step(self, now: Now) -> None:
        """Stop the arm, if the clock was set."""
        detector = self.detectors.clock_step
        if self._step[0] or detector.present:
            self._trip_one(detector.name, detector.report(self._step[0]), now)
            self._step = "", 0
