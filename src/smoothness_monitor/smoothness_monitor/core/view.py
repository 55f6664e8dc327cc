# SPDX-License-Identifier: Apache-2.0
"""What the monitor sees: clocks, the link, freshness and rest, as the stop and the gate need them.

Nothing here changes anything that is sent or published.
"""

from __future__ import annotations

from smooth_motion.clocks import Now
from smoothness_monitor.core.link_delay import LONGEST_LEAD_NS, MARGIN_NS
from smoothness_monitor.core.parts import MonitorParts
from smoothness_monitor.core.stop import Lock, StopInputs
from smoothness_monitor.core.types import (
    StopState,
    nanoseconds,
)

# After a stall an input counts as caught up with when its newest stamp is no older.
CAUGHT_UP_NS = 50_000_000
# Stamps that are off by more are named where a plan is refused for its time.
HINT_S = 0.05
# A stop waits no longer for the controller's word because that is heard late.
LATEST_WORD_S = 1.0


class View(MonitorParts):
    """What is seen of the robot, its clocks and the link to its controller."""

    def _first_cause(self) -> str:
        return next(iter(self._causes), "")

    @property
    def _nothing_moves(self) -> bool:
        """Whether all that was forwarded was heard to have ended, and nothing else runs."""
        tracker = self.tracker
        running, cycle = tracker.running, tracker.cycle
        return (
            self.state is StopState.READY
            and running is not None
            and cycle is not None
            and tracker.rests
            and not tracker.foreign
            and tracker.pending is None
            and cycle.time_ns >= running.plan.end_ns
            and self.gripper.rests
        )

    @property
    def _seen_moving(self) -> bool:
        """Whether the joints move although the controller, silent, was last heard at rest."""
        own_ns = self._clock.now_ns
        return (
            not (self._controller.age_s(own_ns) <= self.config.controller_state_stale_s)
            and self._joints.age_s(own_ns) <= self.config.joint_states_stale_s
            and not self._standstill.stands
        )

    def _stop_inputs(self, now: Now) -> StopInputs:
        own_ns = self._clock.now_ns
        fresh = self._joints.age_s(own_ns) <= self.config.joint_states_stale_s
        controllers_ns = self._controller.expected_stamp_ns(own_ns)
        stepped = "clock_step" in self._causes
        clocks = self.detectors.clock_skew
        late_s = 0.0
        link_ns = self._link.delay_ns(own_ns)
        # A trajectory is run by the controller's clock, so the stop goes by that one. But one that
        # seems to be a little behind may as well be heard late: a brake for its past would step,
        # and one for now goes on for a little longer.
        if stepped and controllers_ns is not None:
            # What was seen of the link was seen on another clock.
            now, link_ns = Now(controllers_ns, now.steady_ns), 0
        elif clocks.present:
            behind_s = clocks.behind_s("controller_state")
            late_s = min(clocks.late_s("controller_state"), LATEST_WORD_S)
            if not (0.0 <= behind_s <= self.config.clock_skew_s):
                now = Now(now.ros_ns - nanoseconds(behind_s), now.steady_ns)
                link_ns = nanoseconds(late_s)
        lead_ns = nanoseconds(self.config.stop_overlap_s)
        if link_ns + MARGIN_NS > lead_ns:
            late_s = max(late_s, min(link_ns * 1e-9, LATEST_WORD_S))
            lead_ns = min(link_ns + MARGIN_NS, LONGEST_LEAD_NS)
        return StopInputs(
            now=now,
            own_ns=own_ns,
            late_ns=nanoseconds(late_s),
            link_ns=link_ns,
            lead_ns=lead_ns,
            limits=self._limits,
            controller_fresh=(
                self._controller.age_s(own_ns) <= self.config.controller_state_stale_s
            ),
            joints_fresh=fresh,
            joints_rest=self._joints_rest(own_ns),
            measured=self._measured,
        )

    def _blind(self, now: Now) -> StopInputs:
        """Return the inputs of a monitor that cannot rely on anything it computes."""
        lead_ns = nanoseconds(self.config.stop_overlap_s)
        own_ns = self._clock.now_ns
        return StopInputs(now, own_ns, 0, 0, lead_ns, self._limits, False, False, False, None)

    def _joints_rest(self, own_ns: int) -> bool:
        """Return whether the joints are seen to stand, by joint_states or by the driver."""
        seen = [
            standstill.stands
            for stream, standstill, stale_s in (
                (self._joints, self._standstill, self.config.joint_states_stale_s),
                (self._driver, self._driver_standstill, self.config.driver_states_stale_s),
            )
            if stream.age_s(own_ns) <= stale_s
        ]
        return bool(seen) and all(seen)

    @property
    def _lead_ns(self) -> int:
        """For how long a plan that comes now has to continue what may run."""
        return self._link.lead_ns(self._check.min_overlap_ns, self._clock.now_ns)

    def _hint_at_the_link(self) -> str:
        """Say why a plan must leave what runs later than usual, empty when it need not."""
        if self._lead_ns <= self._check.min_overlap_ns:
            return ""
        delay_s = self._link.delay_ns(self._clock.now_ns) * 1e-9
        return f"; the link to the controller is seen to take {delay_s:.2f} s"

    def _skews(self, now: Now) -> dict[str, float]:
        """Return by how much each input's clock is behind this node's, s."""
        streams = {"controller_state": self._controller, "joint_states": self._joints}
        if self._stop.lock is not Lock.OPEN:
            del streams["controller_state"]
        expected = {
            name: stream.expected_stamp_ns(self._clock.now_ns) for name, stream in streams.items()
        }
        self._newest_skews = {
            name: (now.ros_ns - stamp_ns) * 1e-9
            for name, stamp_ns in expected.items()
            if stamp_ns is not None
        }
        return self._newest_skews

    def _hint_at_clocks(self, now: Now) -> str:
        """Say whose clock may be why a plan came at the wrong time, empty when none seems to."""
        skews = {**self._skews(now), "vla_policy_node/status": self._policy_behind_s}
        source, skew_s = max(skews.items(), key=lambda item: abs(item[1]))
        if abs(skew_s) <= HINT_S:
            return ""
        if self.detectors.clock_skew.late_s(source) > 0.5 * abs(skew_s):
            return (
                f"; {source} is heard {skew_s:.2f} s late: this host or network does not keep up"
            )
        way = "behind" if skew_s > 0.0 else "ahead of"
        return (
            f"; {source} is stamped {abs(skew_s):.2f} s {way} this node's clock: synchronise the "
            "clocks of the hosts, or check use_sim_time"
        )

    @property
    def _uncompared_s(self) -> float:
        """For how long joint_states could not be compared with the reference, s."""
        now_ns = self._clock.now_ns
        heard = self._controller.age_s(now_ns) <= self.config.controller_state_stale_s
        if self._uncompared_ns is None or not heard:
            return 0.0
        return (now_ns - self._uncompared_ns) * 1e-9

    def _inputs_are_of(self, now: Now) -> bool:
        """Return whether the inputs' newest stamps are about those of now."""
        streams = [self._joints]
        if self._stop.lock is Lock.OPEN:
            streams.append(self._controller)
        return all(
            each.stamp_ns is not None and now.ros_ns - each.stamp_ns <= CAUGHT_UP_NS
            for each in streams
        )
