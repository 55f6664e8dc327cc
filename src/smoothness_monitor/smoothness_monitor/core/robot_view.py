# SPDX-License-Identifier: Apache-2.0
"""What is seen of the robot: its clocks, the link to its controller, freshness and rest.

Nothing here changes anything that is sent or published.
"""

from __future__ import annotations

from smooth_motion import Limits
from smooth_motion.clocks import Now
from smooth_motion.messages import JointStates
from smoothness_monitor.core.brake_sender import StopInputs
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.detectors import Ages, Measurement
from smoothness_monitor.core.detectors.clocks import ClockSkew
from smoothness_monitor.core.gripper import GripperTracker
from smoothness_monitor.core.inputs import InputStream, OwnClock, Standstill
from smoothness_monitor.core.link_delay import LONGEST_LEAD_NS, MARGIN_NS, LinkDelay
from smoothness_monitor.core.stop import Lock, Stop
from smoothness_monitor.core.types import FloatArray, nanoseconds
from smoothness_monitor.params import MonitorConfig

# After a stall an input counts as caught up with when its newest stamp is no older.
CAUGHT_UP_NS = 50_000_000
# Stamps that are off by more are named where a plan is refused for its time.
HINT_S = 0.05
# A stop waits no longer for the controller's word because that is heard late.
LATEST_WORD_S = 1.0


class RobotView:
    """The inputs' arrival and what follows from it.

    Attributes:
        limits: Of the arm, in force now: the robot's, widened to where it woke up.
        clock: The monitor's own.
        link: To the controller.
        controller: controller_state.
        joints: joint_states.
        driver: What the driver read from the servos.
        servos: The diagnostic statuses about them.
        policy: The policy node's heartbeat.
        policy_behind_s: By how much the stamp of the heartbeat was behind this node's clock.
        standstill: Of the measured joints.
        measured: (J,) rad by joint_states, None before the first.
        uncompared_ns: Since when joint_states could not be compared with the reference, None where
            they can.
        newest_skews: By how much each input's clock was behind this node's, s.
        min_overlap_ns: For how long a plan has to continue what may run where the link is fast.
    """

    def __init__(
        self,
        limits: Limits,
        config: MonitorConfig,
        tracker: ControllerTracker,
        gripper: GripperTracker,
        skew: ClockSkew,
        stop: Stop,
    ) -> None:
        """Begin without an input."""
        self.limits = limits
        self._config, self._tracker, self._gripper = config, tracker, gripper
        self._skew, self._stop = skew, stop
        self.clock = OwnClock(config.tick_credit_s)
        self.link = LinkDelay()
        self.controller, self.joints, self.driver = InputStream(), InputStream(), InputStream()
        self.servos, self.policy = InputStream(), InputStream()
        self.policy_behind_s = 0.0
        window = (config.standstill_velocity_rad_s, config.standstill_window_s)
        self.standstill, self._driver_standstill = Standstill(*window), Standstill(*window)
        self.measured: FloatArray | None = None
        self.uncompared_ns: int | None = None
        self.newest_skews: dict[str, float] = {}
        self.min_overlap_ns = nanoseconds(config.plan_overlap_s)

    # -- measurements ----------------------------------------------------------------------------

    def on_joint_states(self, message: JointStates, position: FloatArray) -> Measurement:
        """Take in where the joints are, (J,) rad."""
        self.measured = position
        self.standstill.update(message.stamp_ns, position)
        measurement = self._compared(message, position)
        if measurement.reference is not None or self._tracker.cycle is None:
            self.uncompared_ns = None
        elif self.uncompared_ns is None:
            self.uncompared_ns = self.clock.now_ns
        return measurement

    def on_driver_states(self, message: JointStates, position: FloatArray) -> Measurement:
        """Take in where the driver says that they are, (J,) rad."""
        self._driver_standstill.update(message.stamp_ns, position)
        return self._compared(message, position)

    def _compared(self, message: JointStates, position: FloatArray) -> Measurement:
        compared = self._tracker.compare(message.stamp_ns, position)
        return Measurement(message.stamp_ns, position, message.position, *compared)

    # -- freshness and rest ----------------------------------------------------------------------

    @property
    def controller_fresh(self) -> bool:
        """Whether controller_state is not stale."""
        return self.controller.age_s(self.clock.now_ns) <= self._config.controller_state_stale_s

    @property
    def joints_fresh(self) -> bool:
        """Whether joint_states is not stale."""
        return self.joints.age_s(self.clock.now_ns) <= self._config.joint_states_stale_s

    @property
    def nothing_runs(self) -> bool:
        """Whether all that was forwarded was heard to have ended, and nothing else runs."""
        running, cycle = self._tracker.running, self._tracker.cycle
        return (
            running is not None
            and cycle is not None
            and self._tracker.rests
            and not self._tracker.foreign
            and self._tracker.pending is None
            and cycle.time_ns >= running.plan.end_ns
            and self._gripper.rests
        )

    @property
    def seen_moving(self) -> bool:
        """Whether the joints move although the controller, silent, was last heard at rest."""
        return not self.controller_fresh and self.joints_fresh and not self.standstill.stands

    @property
    def joints_rest(self) -> bool:
        """Whether the joints are seen to stand, by joint_states or by the driver."""
        seen = [self.standstill.stands] if self.joints_fresh else []
        if self.driver.age_s(self.clock.now_ns) <= self._config.driver_states_stale_s:
            seen.append(self._driver_standstill.stands)
        return bool(seen) and all(seen)

    def caught_up(self, now: Now) -> bool:
        """Return whether the inputs' newest stamps are about those of now."""
        streams = [self.joints]
        if self._stop.lock is Lock.OPEN:
            streams.append(self.controller)
        return all(
            each.stamp_ns is not None and now.ros_ns - each.stamp_ns <= CAUGHT_UP_NS
            for each in streams
        )

    def ages(self, now: Now, cycle_ns: int) -> Ages:
        """Return the ages of the inputs; `cycle_ns` is the time since the tick before."""
        own_ns = self.clock.now_ns
        # A controller that is locked out says nothing, and need not.
        open_ = self._stop.lock is Lock.OPEN
        uncompared_ns = None if not (open_ and self.controller_fresh) else self.uncompared_ns
        return Ages(
            joint_states_s=self.joints.age_s(own_ns),
            controller_state_s=self.controller.age_s(own_ns) if open_ else 0.0,
            driver_states_s=self.driver.age_s(own_ns),
            servo_status_s=self.servos.age_s(own_ns),
            policy_s=self.policy.age_s(own_ns),
            cycle_s=cycle_ns * 1e-9,
            skew_s={} if self.clock.catching_up else self.skews(now),
            uncompared_s=0.0 if uncompared_ns is None else (own_ns - uncompared_ns) * 1e-9,
        )

    # -- clocks and the link ---------------------------------------------------------------------

    def stop_inputs(self, now: Now, *, stepped: bool) -> StopInputs:
        """Return what the stop goes by.

        Args:
            now: The clocks.
            stepped: The clock was set since the last reset.
        """
        own_ns = self.clock.now_ns
        controllers_ns = self.controller.expected_stamp_ns(own_ns)
        late_s = 0.0
        link_ns = self.link.delay_ns(own_ns)
        # The controller runs a trajectory by its own clock, so the stop goes by that one. But a
        # clock that seems a little behind may be one that is heard late. So it counts as this
        # node's then: a brake for a time that is past would step, one for now only begins later.
        if stepped and controllers_ns is not None:
            # What was seen of the link was seen on another clock.
            now, link_ns = Now(controllers_ns, now.steady_ns), 0
        elif self._skew.present:
            behind_s = self._skew.behind_s("controller_state")
            late_s = min(self._skew.late_s("controller_state"), LATEST_WORD_S)
            if not (0.0 <= behind_s <= self._config.clock_skew_s):
                now = Now(now.ros_ns - nanoseconds(behind_s), now.steady_ns)
                link_ns = nanoseconds(late_s)
        lead_ns = nanoseconds(self._config.stop_overlap_s)
        if link_ns + MARGIN_NS > lead_ns:
            late_s = max(late_s, min(link_ns * 1e-9, LATEST_WORD_S))
            lead_ns = min(link_ns + MARGIN_NS, LONGEST_LEAD_NS)
        return StopInputs(
            now=now,
            own_ns=own_ns,
            late_ns=nanoseconds(late_s),
            link_ns=link_ns,
            lead_ns=lead_ns,
            limits=self.limits,
            controller_fresh=self.controller_fresh,
            joints_fresh=self.joints_fresh,
            joints_rest=self.joints_rest,
            measured=self.measured,
        )

    def blind(self, now: Now) -> StopInputs:
        """Return the inputs of a stop that cannot rely on anything that is computed here."""
        lead_ns = nanoseconds(self._config.stop_overlap_s)
        own_ns = self.clock.now_ns
        return StopInputs(now, own_ns, 0, 0, lead_ns, self.limits, False, False, False, None)

    @property
    def lead_ns(self) -> int:
        """For how long a plan that comes now has to continue what may run."""
        return self.link.lead_ns(self.min_overlap_ns, self.clock.now_ns)

    def skews(self, now: Now) -> dict[str, float]:
        """Return by how much each input's clock is behind this node's, s."""
        streams = {"controller_state": self.controller, "joint_states": self.joints}
        if self._stop.lock is not Lock.OPEN:
            del streams["controller_state"]
        expected = {
            name: stream.expected_stamp_ns(self.clock.now_ns) for name, stream in streams.items()
        }
        self.newest_skews = {
            name: (now.ros_ns - stamp_ns) * 1e-9
            for name, stamp_ns in expected.items()
            if stamp_ns is not None
        }
        return self.newest_skews

    def link_hint(self) -> str:
        """Say why a plan must leave what runs later than usual, empty when it need not."""
        if self.lead_ns <= self.min_overlap_ns:
            return ""
        delay_s = self.link.delay_ns(self.clock.now_ns) * 1e-9
        return f"; the link to the controller is seen to take {delay_s:.2f} s"

    def clock_hint(self, now: Now) -> str:
        """Say whose clock may be why a plan came at the wrong time, empty when none seems to."""
        skews = {**self.skews(now), "vla_policy_node/status": self.policy_behind_s}
        source, skew_s = max(skews.items(), key=lambda item: abs(item[1]))
        if abs(skew_s) <= HINT_S:
            return ""
        if self._skew.late_s(source) > 0.5 * abs(skew_s):
            return (
                f"; {source} is heard {skew_s:.2f} s late: this host or network does not keep up"
            )
        way = "behind" if skew_s > 0.0 else "ahead of"
        return (
            f"; {source} is stamped {abs(skew_s):.2f} s {way} this node's clock: synchronise the "
            "clocks of the hosts, or check use_sim_time"
        )
