# SPDX-License-Identifier: Apache-2.0
"""One move: ask for the arm, bring it to rest, plan, and lead it along the path by chunks.

Everything that moves the arm is a chunk under a lease. The arm is held at rest while a path is
planned, so the path begins where it is. On the way the chunk's time follows the path as the arm is
seen to be led along it: an arm that was held up goes on from where it is, not from where it would
have been by now, for the line between the two was planned by nobody.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from smooth_motion import NoPlanError, State, brake
from smooth_motion.clocks import Now
from smooth_motion.limits import FloatArray, Limits
from vla_moveit.core.arm_view import ArmView
from vla_moveit.core.goal import GoalError, MoveRequest, ToolGoal
from vla_moveit.core.outcome import (
    MoveEnd,
    MovePhase,
    MoveResult,
    MoveSettings,
    MoveStep,
    StampedRows,
)
from vla_moveit.core.planning import CheckPath, FindPath, NoPathError, PathPlanner, sound
from vla_moveit.core.schedule import ROW_NS, Schedule, looks, schedule

# What moves call themselves where they ask for the arm.
SOURCE = "motion_planner"
MS = 1_000_000
# How often chunks are sent; each replaces the one before.
SEND_NS = 400 * MS
# Rows of one: more than the time between two, and so few that planning them takes no time.
ROWS = 120
# A chunk is followed from this long after it is sent at the earliest.
LEAD_NS = 400 * MS
# The arm counts as resting after this long in one place: a plan under way would be seen by then.
REST_NS = 400 * MS
# Who gives no answer for so long gives none.
ANSWER_NS = 5_000 * MS
# The arm is held by the move before this one for no longer than this.
RELEASE_NS = 2_000 * MS
# And a controller that was not heard yet may be heard within this.
HEARING_NS = 2_000 * MS
# An arm that does not get on for so long does not follow. At a tenth of its speed it has ten times
# as long, at the least speed that counts too.
STALL_NS, _LEAST_SCALING = 3_000 * MS, 0.1
# How long it takes from a stand to full speed when the monitor allows it again, and from there to
# a stand: what changes faster than that each joint follows by itself.
_FASTER_NS, _SLOWER_NS = 2_000 * MS, 800 * MS
# By so much of the path's time the arm may be elsewhere before the chunks go by where it is.
_APART_NS = 300 * MS
# Before its end, within which an arm at the goal has passed a path.
_FLAT_NS = 1_500 * MS
# How far before and after where it is due the arm is looked for on its path, in the path's time.
_LOOK_NS = 600 * MS
# A move that is cancelled slows down along its path over this long.
_SLOWING_NS = 800 * MS
# How far from the goal a joint may rest, and how far off the path it may be beyond its deviation:
# while the monitor changes the arm's speed, each joint follows by itself. The gate looks at every
# plan, so this is for what has gone wrong altogether.
GOAL_RAD, OFF_PATH_RAD = 2e-3, 0.08
# How far from where it was asked for the arm may have moved while its path was planned.
_MOVED_RAD = 1e-3


class Move:
    """One move, from its request to its result.

    Attributes:
        request: What is asked for.
        phase: What it is doing.
    """

    def __init__(
        self,
        request: MoveRequest,
        goal: Callable[[FloatArray], FloatArray | ToolGoal],
        limits: Limits,
        planner: PathPlanner,
        settings: MoveSettings,
        now: Now,
    ) -> None:
        """Begin.

        Args:
            request: What is asked for.
            goal: Returns where to go, from where the arm is; raises GoalError.
            limits: Of the arm's joints.
            planner: Finds the path.
            settings: How moves are made.
            now: The time.
        """
        self.phase = MovePhase.PLANNING if request.plan_only else MovePhase.ASKING
        self.request, self._goal, self._limits = request, goal, limits
        self._planner, self._settings = planner, settings
        self._begun_ns = self._since_ns = now.steady_ns
        self._asked = False
        self._lease = 0
        self._granted_ns = 0
        self._hold: FloatArray | None = None
        self._sent_ns = now.steady_ns - SEND_NS
        self._start: FloatArray | None = None
        self._asked_planner_ns, self._planning_ns = 0, 0
        self._find: FindPath | None = None
        # Paths of which the motion was not clear, and what was in the way of the last one.
        self._tried, self._unclear = 0, ""
        self._schedule: Schedule | None = None
        # The path's time, and the time at which it was that; to where the arm got on, and for how
        # long it has not since, at full speed.
        self._path_ns, self._path_at_ns, self._got_to_ns, self._stalled_ns = 0, 0, 0, 0.0
        # How fast the path's time passes.
        self._rate = 1.0
        # Why the move is to end once the arm rests, and from which path time on it slows down.
        self._ending: tuple[MoveEnd, str] | None = None
        self._slow_from_ns: int | None = None
        # Plans that the monitor had refused before.
        self._rejections: int | None = None
        self._result: MoveResult | None = None

    # -- what happens ----------------------------------------------------------------------------

    def granted(self, lease: int, message: str, holder: str, now: Now) -> MoveStep:
        """Take in the answer to the question for the arm; a lease of 0 is a refusal."""
        if self._result is not None or self.phase is not MovePhase.ASKING:
            return MoveStep(release=lease)
        if not lease and holder == SOURCE and now.steady_ns - self._since_ns <= RELEASE_NS:
            # The move before gave it back, and that has not arrived yet.
            self._asked = False
            return MoveStep()
        if not lease:
            held = f" ({holder} holds it)" if holder and holder not in message else ""
            return self._end(MoveEnd.NOT_GRANTED, f"the arm is not granted: {message}{held}")
        self._lease, self._granted_ns = lease, now.ros_ns
        self._begin(MovePhase.STOPPING, now)
        return MoveStep()

    def cancel(self, reason: MoveEnd, message: str) -> None:
        """Bring the arm to rest on its way, give it back, and end."""
        if self._ending is None:
            self._ending = (reason, message)

    def progress(self) -> float:
        """Return the share of the motion's time that has passed."""
        if self._schedule is None or self.phase is not MovePhase.MOVING:
            return 0.0
        # Before the arm is led along it, the path's time is negative.
        return min(1.0, max(0, self._path_ns) / max(1, self._schedule.end_ns))

    def step(self, now: Now, host_ns: int, arm: ArmView) -> MoveStep:
        """Do what is due.

        Args:
            now: ROS time, and the clock of the motion.
            host_ns: The host's steady clock, for whoever is no part of the motion.
            arm: What is heard of the arm.
        """
        if self._result is not None:
            return MoveStep()
        if self._rejections is None:
            self._rejections = arm.rejections
        if arm.led is None and now.steady_ns - self._begun_ns < HEARING_NS:
            return MoveStep()
        lost = self._lost(now, arm)
        if lost is not None:
            return self._end(*lost)
        if self._ending is not None and not self._lease:
            return self._end(*self._ending)
        if self._ending is not None:
            return self._come_to_rest(now, arm)
        if self.phase is MovePhase.ASKING:
            return self._ask(now)
        if self.phase is MovePhase.STOPPING:
            return self._stop(now, host_ns, arm)
        if self.phase is MovePhase.PLANNING:
            return self._plan(now, host_ns, arm)
        return self._lead(now, arm)

    # -- the phases ------------------------------------------------------------------------------

    def _lost(self, now: Now, arm: ArmView) -> tuple[MoveEnd, str] | None:
        stale = arm.stale(now.steady_ns)
        if stale:
            return MoveEnd.INPUT_LOST, stale
        # What was said before the grant knows nothing of it.
        if not self._lease or arm.status_ns <= self._granted_ns or arm.lease == self._lease:
            return None
        self._lease = 0
        if not arm.permit:
            return MoveEnd.STOPPED, f"the monitor has withdrawn its permit: {arm.cause}"
        return MoveEnd.ARM_TAKEN, f"the arm is lost: {arm.last_end or arm.holder}"

    def _ask(self, now: Now) -> MoveStep:
        if now.steady_ns - self._since_ns > ANSWER_NS:
            return self._end(
                MoveEnd.INPUT_LOST, "nobody answers arm/acquire: is the policy node there?"
            )
        ask, self._asked = not self._asked, True
        return MoveStep(ask=ask)

    def _stop(self, now: Now, host_ns: int, arm: ArmView) -> MoveStep:
        """Bring whatever moved the arm before to rest."""
        if not self._rests(now, arm):
            if now.steady_ns - self._since_ns > ANSWER_NS + STALL_NS:
                return self._end(MoveEnd.NOT_FOLLOWED, f"the arm does not rest{self._why(arm)}")
            return self._holding(now, arm)
        self._begin(MovePhase.PLANNING, now)
        return self._plan(now, host_ns, arm)

    def _plan(self, now: Now, host_ns: int, arm: ArmView) -> MoveStep:
        assert arm.led is not None
        hold = self._holding(now, arm) if self._lease else MoveStep()
        if self._start is None:
            self._start, self._asked_planner_ns = arm.led.position, host_ns
            try:
                self._find = FindPath(self._start, self._goal(self._start))
            except GoalError as error:
                return self._end(MoveEnd.REFUSED, str(error))
            self._planner.begin(self._find)
        answer = self._planner.poll()
        self._planning_ns = host_ns - self._asked_planner_ns
        if answer is None:
            if self._planning_ns > self._settings.planning_s * 1e9:
                longest = f"{self._settings.planning_s:g} s (planning_time_s)"
                return self._end(
                    MoveEnd.NO_PATH,
                    self._unclear or f"the planner found no path within {longest}",
                )
            return hold
        try:
            if self._schedule is None:
                limits = self._limits
                lower, upper = limits.position_lower, limits.position_upper
                points = sound(answer, self._start, lower, upper)
                speed = self.request.speed or self._settings.speed
                most = self._settings.deviation_rad
                self._schedule = schedule(points, limits, speed=speed, deviation_rad=most)
                self._planner.begin(CheckPath(looks(self._schedule.motion)))
                return hold
        except NoPathError as error:
            return self._end(MoveEnd.NO_PATH, str(error))
        if answer.problem:
            self._tried += 1
            tried = f" (path {self._tried})" if self._tried > 1 else ""
            self._unclear = f"the motion along the path is not clear: {answer.problem}{tried}"
            if self._planner.varies and self._planning_ns <= self._settings.planning_s * 1e9:
                # A path may graze what it goes around, and the motion cuts its corners.
                assert self._find is not None
                self._schedule = None
                self._planner.begin(self._find)
                return hold
            return self._end(MoveEnd.NO_PATH, self._unclear)
        if self.request.plan_only:
            return self._end(MoveEnd.REACHED, "there is a path")
        moved = float(np.abs(arm.led.position - self._start).max())
        if not moved <= _MOVED_RAD:
            return self._end(
                MoveEnd.NOT_FOLLOWED,
                f"the arm moved by {moved:.4f} rad while it was planned for",
            )
        self._begin(MovePhase.MOVING, now)
        self._path_ns, self._path_at_ns, self._rate = -LEAD_NS, now.steady_ns, arm.scaling
        self._got_to_ns, self._stalled_ns = 0, 0.0
        self._sent_ns = now.steady_ns - SEND_NS
        return self._lead(now, arm)

    def _lead(self, now: Now, arm: ArmView) -> MoveStep:
        path = self._schedule
        assert path is not None
        assert arm.led is not None
        self._stalled_ns += (now.steady_ns - self._path_at_ns) * max(arm.scaling, _LEAST_SCALING)
        self._pass(now, arm)
        due_ns = min(max(self._path_ns, 0), path.end_ns)
        there_ns, away = path.nearest(
            arm.led.position, self._got_to_ns - _LOOK_NS, self._path_ns + _LOOK_NS, due_ns
        )
        allowed = path.deviation + OFF_PATH_RAD
        if not away <= allowed:
            self._ending = (
                MoveEnd.NOT_FOLLOWED,
                f"the arm is {away:.4f} rad off the path, {allowed:.4f} are allowed"
                + self._why(arm),
            )
            self._begin(MovePhase.STOPPING, now)
            return self._come_to_rest(now, arm)
        if there_ns > self._got_to_ns:
            self._got_to_ns, self._stalled_ns = there_ns, 0.0
        short = float(np.abs(arm.led.position - path.rows[-1]).max())
        # The end of a slow path is so flat that no time of it is nearer than another.
        there = short <= GOAL_RAD and self._got_to_ns >= path.end_ns - _FLAT_NS
        if there and arm.resting(now.steady_ns, REST_NS):
            return self._end(MoveEnd.REACHED, "the arm rests at the goal")
        if self._stalled_ns > STALL_NS:
            self.cancel(
                MoveEnd.NOT_FOLLOWED,
                f"the arm does not get on, {short:.4f} rad from the goal{self._why(arm)}",
            )
            return self._come_to_rest(now, arm)
        if not there and abs(due_ns - there_ns) > _APART_NS:
            # Held up, or not slowed down yet. The rows go on from where it is, as fast as it is.
            self._path_ns = there_ns
            self._rate = path.rate(there_ns, arm.led.velocity, self._rate)
        return self._chunk(now, lambda times: path.at(self._passing(times / arm.scaling, arm)))

    def _come_to_rest(self, now: Now, arm: ArmView) -> MoveStep:
        """End for a reason that was found before, once the arm rests."""
        assert self._ending is not None
        if self.phase is MovePhase.MOVING:
            self._pass(now, arm)
            self._slow_from_ns = self._path_ns + LEAD_NS
            self._sent_ns = now.steady_ns - SEND_NS
            self._begin(MovePhase.STOPPING, now)
        late = now.steady_ns - self._since_ns > STALL_NS
        if late or self._rests(now, arm):
            return self._end(*self._ending)
        if self._slow_from_ns is None:
            return self._holding(now, arm)
        self._pass(now, arm)
        return self._chunk(now, lambda times: self._slowing(times / arm.scaling, arm))

    def _slowing(self, times_ns: FloatArray, arm: ArmView) -> FloatArray:
        """Return the rows of a path whose time comes to a stand."""
        path, from_ns = self._schedule, self._slow_from_ns
        assert path is not None
        assert from_ns is not None
        on_ns = self._passing(times_ns, arm)
        beyond = np.clip(on_ns - from_ns, 0.0, _SLOWING_NS)
        return path.at(np.minimum(on_ns, from_ns) + beyond - beyond**2 / (2.0 * _SLOWING_NS))

    def _pass(self, now: Now, arm: ArmView) -> None:
        """Let the path's time pass, as fast as the arm is carried along it."""
        passed_ns = now.steady_ns - self._path_at_ns
        self._path_ns = round(float(self._passing(np.array(passed_ns), arm)))
        up, down = passed_ns / _FASTER_NS, passed_ns / _SLOWER_NS
        self._rate = float(np.clip(arm.scaling, self._rate - down, self._rate + up))
        self._path_at_ns = now.steady_ns

    def _passing(self, times_ns: FloatArray, arm: ArmView) -> FloatArray:
        """Return the path's time at times from now on, ns.

        It comes to pass as fast as the monitor allows by and by: each joint would catch up, or
        slow down, by itself.
        """
        more = self._rate - arm.scaling
        changing_ns = abs(more) * (_SLOWER_NS if more > 0.0 else _FASTER_NS)
        during = np.minimum(times_ns, changing_ns)
        gained = more * (during - during**2 / (2.0 * max(changing_ns, 1.0)))
        return np.asarray(self._path_ns + arm.scaling * times_ns + gained)

    def _rests(self, now: Now, arm: ArmView) -> bool:
        """Whether the arm rests, and for long enough in this phase: a plan may be under way."""
        since_ns = now.steady_ns - self._since_ns
        return since_ns >= REST_NS and arm.resting(now.steady_ns, REST_NS)

    def _holding(self, now: Now, arm: ArmView) -> MoveStep:
        """Hold the arm where it rests, or where it can come to rest soonest."""
        if self._hold is None:
            self._hold = self._stopping_place(arm)
        hold = self._hold
        return self._chunk(now, lambda times: np.tile(hold, (len(times), 1)))

    def _stopping_place(self, arm: ArmView) -> FloatArray:
        led = arm.led
        assert led is not None
        # No chunk is followed at once: until then what runs goes on.
        on = led.position + led.velocity * (LEAD_NS / 1e9)
        by_then = State(on, led.velocity, np.zeros_like(on))
        try:
            allowed = self._limits.widened_to(led.position).widened_to(on)
            place = brake(by_then, allowed, start_ns=0).positions[-1]
        except NoPlanError:
            place = led.position
        return np.asarray(np.clip(place, self._limits.position_lower, self._limits.position_upper))

    def _chunk(self, now: Now, rows: Callable[[FloatArray], FloatArray]) -> MoveStep:
        if now.steady_ns - self._sent_ns < SEND_NS:
            return MoveStep()
        self._sent_ns = now.steady_ns
        times = np.arange(ROWS, dtype=np.float64) * ROW_NS
        return MoveStep(rows=StampedRows(now.ros_ns, rows(times)))

    def _begin(self, phase: MovePhase, now: Now) -> None:
        self.phase, self._since_ns = phase, now.steady_ns

    def _end(self, reason: MoveEnd, message: str) -> MoveStep:
        lease, self._lease = self._lease, 0
        self._result = MoveResult(reason, message, self._planning_ns / 1e9, self._schedule)
        return MoveStep(release=lease, result=self._result)

    def _why(self, arm: ArmView) -> str:
        """Return what was refused last, for the end of a sentence."""
        said = []
        if arm.last_refusal:
            said.append(f"; the executor refused a chunk: {arm.last_refusal}")
        if arm.rejections != self._rejections:
            said.append(f"; the monitor refused a plan: {arm.rejection}")
        return "".join(said)
