# SPDX-License-Identifier: Apache-2.0
"""Slower along the same path, while the joints move roughly: the answer before the stop.

Whatever runs is carried out at `slow_scale` of its speed, by a plan that follows the same path,
and at its own speed again once the joints have been smooth for a while. Whoever plans is told by
`speed_scaling`. A plan that is slow enough by itself is forwarded as it is, any other is slowed
down too, under the stamp that it came with: nobody undoes the slowdown.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from node_kit.log import LogLevel
from smooth_motion import (
    Limits,
    MotionError,
    Plan,
    Retimed,
    distinct_start,
    kernels,
    part_ns,
    retime,
    splice_ns,
    stretch,
    within_from_ns,
)
from smooth_motion.clocks import Now
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.brakes import START_BACK_NS
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.types import FloatArray, Outbox, nanoseconds
from smoothness_monitor.params import MonitorConfig

# Where no slower motion was found along a path, it is looked for again after this long.
RETRY_NS = 50_000_000
# A plan that was under way when the slowdown began is still forwarded for this long.
UNDER_WAY_NS = 300_000_000
# A plan that speeds up from a slow motion is slowed down in this time, if it can be: the shorter,
# the less of its speed is reached.
HURRIED_NS = 200_000_000
# Plans made here, and plans that others believe to run, that are remembered.
MEMORY = 8


class Roughness:
    """Whether the measured joints move roughly: below what trips, above what a sound arm does.

    Attributes:
        why: What was found, in words; empty while nothing was.
        held: Which joint stays away from its reference although the motion was slowed down, in
            words; empty while none does.
    """

    def __init__(
        self, names: tuple[str, ...], jerk_level: FloatArray, config: MonitorConfig
    ) -> None:
        """Begin smooth.

        Args:
            names: J names.
            jerk_level: (J,) rad/s^3; beyond it a joint is rough.
            config: The rest of the levels.
        """
        self.why = self.held = ""
        self._names, self._jerk_level = names, jerk_level
        self._error_level = config.slow_tracking_error_rad
        self._error_levels = np.full(len(names), self._error_level)
        self._count = config.slow_count
        self._release = config.slow_release
        self._clear_ns = nanoseconds(config.slow_clear_s)
        self._newest: deque[bool] = deque(maxlen=config.slow_of)
        # Whether a further smooth measurement would change nothing.
        self._settled = False
        self._unclear_ns = 0
        self._patience_ns = nanoseconds(config.slow_patience_s)
        self._late_ns: int | None = None

    def update(self, jerk: FloatArray, error: FloatArray | None, own_ns: int) -> None:
        """Take in a measurement.

        Args:
            jerk: (J,) rad/s^3, NaN where there is no estimate.
            error: (J,) rad from the reference, None where that is not known.
            own_ns: The monitor's own clock.
        """
        share = kernels.largest_share(jerk, self._jerk_level)
        error_share = math.nan
        if error is not None:
            error_share = kernels.largest_share(error, self._error_levels)
        # What is not known is not smooth.
        smooth = share <= self._release and error_share <= self._release
        if smooth and self._settled:
            return
        rough = share > 1.0 or error_share > 1.0
        self._newest.append(rough)
        if not smooth:
            self._unclear_ns = own_ns
        self._look_for_a_held_joint(error, error_share, own_ns)
        if self.why:
            if own_ns - self._unclear_ns >= self._clear_ns:
                self.clear()
        elif rough and sum(self._newest) >= self._count:
            self.why = self._words(jerk, error, share, error_share)
        self._settled = not (self.why or self.held or True in self._newest)

    def _look_for_a_held_joint(
        self, error: FloatArray | None, error_share: float, own_ns: int
    ) -> None:
        """Slower, a joint that is late comes closer. One that is held does not."""
        self.held = ""
        if not (self.why and error is not None and error_share > 1.0):
            self._late_ns = None
            return
        if self._late_ns is None:
            self._late_ns = own_ns
        if own_ns - self._late_ns > self._patience_ns:
            joint = int(np.argmax(np.abs(error)))
            self.held = (
                f"{self._names[joint]}: {abs(error[joint]):.5g} rad for "
                f"{self._patience_ns * 1e-9:g} s although the motion is slowed down, level "
                f"{self._error_level:.5g} rad"
            )

    def _words(
        self, jerk: FloatArray, error: FloatArray | None, share: float, error_share: float
    ) -> str:
        if error is not None and not (share > 1.0 and share >= error_share):
            joint = int(np.argmax(np.abs(error)))
            return (
                f"tracking_error: {self._names[joint]}: {abs(error[joint]):.5g} rad, level "
                f"{self._error_level:.5g} rad"
            )
        joint = int(np.argmax(np.abs(jerk) / self._jerk_level))
        return (
            f"measured_jerk: {self._names[joint]}: {abs(jerk[joint]):.5g} rad/s^3, level "
            f"{self._jerk_level[joint]:.5g} rad/s^3"
        )

    def clear(self) -> None:
        """Begin anew."""
        self.why = self.held = ""
        self._late_ns = None
        self._newest.clear()
        self._settled = False


class Slowdown:
    """Retimes what runs while the joints are rough, and judges what may replace it.

    Attributes:
        scaling: The rate at which plans may be carried out now: `slow_scale`, or 1.
        why: Why it is not 1, empty when it is.
        deviation: Largest distance of a joint from the path since the slowdown began, rad.
        believed: Plans that run only in the belief of who sent them: slowed down or refused here.
    """

    def __init__(
        self,
        tracker: ControllerTracker,
        limits: Limits,
        jerk_level: FloatArray,
        config: MonitorConfig,
        outbox: Outbox,
    ) -> None:
        """Begin at full speed."""
        self.scaling = 1.0
        self.deviation = 0.0
        self.believed: deque[Plan] = deque(maxlen=MEMORY)
        self.roughness = Roughness(limits.joint_names, jerk_level, config)
        self._tracker, self._config, self._out = tracker, config, outbox
        self._slow = limits.slowed(config.slow_scale)
        self._overlap_ns = nanoseconds(config.plan_overlap_s)
        self._change_ns = nanoseconds(config.slow_change_s)
        self._made: deque[Retimed] = deque(maxlen=MEMORY)
        # Plans of others that came while the motion was slow, and were slow by themselves.
        self._calm: deque[Plan] = deque(maxlen=MEMORY)
        # What runs, once nothing is left to do about its rate.
        self._settled_for: Plan | None = None
        self._retry_ns = 0
        self._since_ns = 0
        self._failed_for: Plan | None = None

    @property
    def why(self) -> str:
        """Why the motion is slowed down, empty when it is not."""
        return self.roughness.why

    def clear(self) -> None:
        """Begin anew at full speed, after a reset."""
        self.roughness.clear()
        self.scaling, self.deviation = 1.0, 0.0
        self.believed.clear()
        self._made.clear()
        self._calm.clear()
        self._settled_for = self._failed_for = None

    def observe(self, jerk: FloatArray, error: FloatArray | None, own_ns: int) -> bool:
        """Take in a measurement; return whether the scaling changed. Arguments as `Roughness`."""
        self.roughness.update(jerk, error, own_ns)
        scaling = self._config.slow_scale if self.roughness.why else 1.0
        if scaling == self.scaling:
            return False
        self.scaling, self._since_ns = scaling, own_ns
        self._settled_for = None
        if scaling < 1.0:
            self.deviation = 0.0
        return True

    # -- what runs -------------------------------------------------------------------------------

    def advance(self, limits: Limits, now: Now, own_ns: int, lead_ns: int = 0) -> None:
        """Send the plan that changes the rate of what runs, if one is due.

        Args:
            limits: The arm's.
            now: The clocks.
            own_ns: The monitor's own clock.
            lead_ns: For how long what is sent now has to continue what runs, at least.
        """
        tracker = self._tracker
        if tracker.running is None or tracker.cycle is None:
            return
        plan = tracker.running.plan
        if plan is self._settled_for or own_ns < self._retry_ns:
            return
        if tracker.foreign or tracker.pending is not None:
            return
        made = next((item for item in self._made if item.plan is plan), None)
        if made is None and self.scaling == 1.0:
            # Somebody else's: it has the speed that its sender wants.
            self._settled_for = plan
            return
        splice = splice_ns(plan, now.ros_ns + max(self._overlap_ns, lead_ns))
        slow = made.scale == self.scaling if made is not None else plan in self._calm
        if splice >= plan.end_ns or slow:
            self._settled_for = plan
            return
        if made is not None and splice < made.settled_ns:
            return
        here = min(now.ros_ns, tracker.cycle.time_ns)
        cut = max(here - START_BACK_NS, plan.start_ns)
        cut = distinct_start(
            cut, tracker.known, earliest_ns=plan.start_ns, latest_ns=max(here, cut)
        )
        try:
            found = retime(
                made or plan,
                self.scaling,
                limits,
                splice_ns=splice,
                cut_ns=cut,
                change_ns=self._change_ns,
                deviation=self._config.slow_deviation_rad,
            )
        except MotionError as error:
            self._retry_ns = own_ns + RETRY_NS
            if self._failed_for is not plan:
                self._failed_for = plan
                self._out.log(LogLevel.WARN, f"the speed stays as it is for now: {error}")
            return
        self.believed.append(plan)
        self._made.append(found)
        self.deviation = max(self.deviation, found.deviation)
        tracker.sent(found.plan, own_ns, now.ros_ns)
        self._out.arm.append(Trajectory.of(found.plan))
        self._out.made_ns = now.ros_ns

    # -- what may replace it ---------------------------------------------------------------------

    def admit(self, plan: Plan, limits: Limits, now: Now, own_ns: int) -> tuple[Plan | None, str]:
        """Return what to forward for a plan that passed the gate, None and why when nothing.

        Args:
            plan: Sound, and continues what runs or is about to.
            limits: The arm's.
            now: The clocks.
            own_ns: The monitor's own clock.
        """
        if self.scaling == 1.0:
            self.believed.clear()
            return plan, ""
        tracker = self._tracker
        assert tracker.running is not None
        base = tracker.pending or tracker.running.plan
        rests = base.end_ns <= now.ros_ns
        under_way = own_ns - self._since_ns <= UNDER_WAY_NS
        if under_way and not (rests or self._is_slow(base)):
            # It was under way when the slowdown began, and is slowed down once it runs.
            return plan, ""
        part = max(part_ns(plan, base), plan.start_ns)
        if within_from_ns(plan, self._slow) <= part:
            self._calm.append(plan)
            return plan, ""
        state = plan.state(part)
        try:
            if state.velocity.any() or state.acceleration.any():
                found = retime(
                    plan,
                    self.scaling,
                    limits,
                    splice_ns=splice_ns(plan, max(part, now.ros_ns + self._overlap_ns)),
                    cut_ns=plan.start_ns,
                    change_ns=min(self._change_ns, HURRIED_NS),
                    deviation=self._config.slow_deviation_rad,
                )
            else:
                found = stretch(plan, self.scaling, limits, from_ns=part)
        except MotionError as error:
            return None, str(error)
        self.believed.append(plan)
        self._made.append(found)
        self.deviation = max(self.deviation, found.deviation)
        return found.plan, ""

    def _is_slow(self, plan: Plan) -> bool:
        made = any(item.plan is plan and item.scale <= self.scaling for item in self._made)
        return made or plan in self._calm
