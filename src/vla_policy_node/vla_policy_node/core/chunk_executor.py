# SPDX-License-Identifier: Apache-2.0
"""From chunks to what the controllers run: who may send them, blending, plans, the permit.

Every chunk comes this way, whoever made it. Nothing is planned without a lease of the arm and the
monitor's permit. Whatever goes wrong, nothing is sent and the running plan ends at rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node_kit.log import LogLevel
from smooth_motion import Chunk, MotionError, Plan
from smooth_motion.clocks import ClockWatch, set_by
from vla_contract.robot import Robot
from vla_policies.rtc import Committed
from vla_policy_node.core.arm_lease import Arbiter, ChunkSource, End, Grant, Lease
from vla_policy_node.core.chunk_blending import ChunkBlending
from vla_policy_node.core.chunk_columns import ChunkColumns
from vla_policy_node.core.controller_reports import ControllerReport, Event
from vla_policy_node.core.outputs import Execution, StepOutputs
from vla_policy_node.core.permit import MonitorReport, Permit
from vla_policy_node.core.planner import Planner, RefusalError
from vla_policy_node.core.received_chunk import (
    SECOND_NS,
    ReceivedChunk,
    UnusableError,
    finite_part,
    stamp_problem,
    table_problem,
)
from vla_policy_node.core.session import RunStatistics
from vla_policy_node.params import PolicyNodeParameters

# A step of ROS time, against the steady clock, that is more than slewing.
CLOCK_STEP_NS = 10_000_000
MIN_PLAN_PERIOD_NS = 50_000_000


@dataclass(frozen=True)
class _Pending:
    """A chunk as it was checked, what is followed for it, its number, its stamp and its lease."""

    chunk: Chunk
    followed: Chunk
    chunk_id: int
    stamp_ns: int
    lease: Lease


class ChunkExecutor:
    """Carries out the chunks of whoever holds the arm.

    Attributes:
        permit: Takes in the monitor's messages.
        arbiter: Who holds the arm. It is granted by `acquire` and `grant` here.
        raw: Publish the chunks' rows instead of plans, for tests of the monitor.
        outputs: What is to be published; `flush` takes it away.
        times_set: How often ROS time was set, so far.
    """

    def __init__(
        self,
        robot: Robot,
        joints: Sequence[str],
        parameters: PolicyNodeParameters,
        stopwatch_ns: Callable[[], int],
        motion_ns: Callable[[], int] | None = None,
        lease_base: int = 0,
    ) -> None:
        """Begin with nobody holding the arm.

        Args:
            robot: Joints and limits.
            joints: What chunks may command: the arm's joints, and the gripper's or not.
            parameters: Overlap, timeouts and counts.
            stopwatch_ns: The host's steady clock, read around planning only: what it costs.
            motion_ns: The clock of the motion, read likewise: whether a plan may be late. It
                stands in a simulation, which waits. None: as `stopwatch_ns`.
            lease_base: See `Arbiter`.
        """
        self._robot, self._stopwatch_ns = robot, stopwatch_ns
        self._motion_ns = motion_ns or stopwatch_ns
        self._columns = ChunkColumns(robot, joints)
        self.permit = Permit(round(parameters.permit_timeout_s * SECOND_NS))
        self.raw = parameters.planner == "raw"
        self._planner = Planner(
            robot,
            overlap_ns=round(parameters.overlap_s * SECOND_NS),
            margin_ns=round(parameters.planning_margin_s * SECOND_NS),
            acknowledge_timeout_ns=round(parameters.acknowledge_timeout_s * SECOND_NS),
            with_gripper=bool(self._columns.gripper),
        )
        self._timeout_ns = round(parameters.source_timeout_s * SECOND_NS)
        self.arbiter = Arbiter(self._say, parameters.max_failures, lease_base)
        self._blending = ChunkBlending()
        self._watch = ClockWatch(CLOCK_STEP_NS)
        # A chunk that waits for its plan, while its sender holds the arm.
        self._pending: _Pending | None = None
        self._planned_ns = -MIN_PLAN_PERIOD_NS
        self._complaint = ""
        self._rejections, self._rejection = 0, ""
        self.times_set = 0
        self.outputs = StepOutputs()

    # -- who holds the arm ------------------------------------------------------------------------

    def acquire(self, name: str, take_over: bool, now_ns: int, steady_ns: int) -> Grant:
        """Answer a source that asks for the arm. Without a permit it is granted to nobody.

        Who asks again and again through a stop is not answered by its reset: that must never move
        the arm.
        """
        permit = self.permit.problem(now_ns, steady_ns)
        problem = self.arbiter.problem(name, permit, self.permit.latched, steady_ns)
        if problem:
            return Grant(None, problem, self.arbiter.held)
        source = ChunkSource(name, timeout_ns=self._timeout_ns)
        return self.grant(source, RunStatistics(), take_over, steady_ns)

    def grant(
        self, source: ChunkSource, statistics: RunStatistics, take_over: bool, steady_ns: int
    ) -> Grant:
        """Grant the arm unless another holds it; what was sent before is followed no further."""
        if self.permit.latched:
            problem = f"{self.permit.state}: the monitor has stopped the arm"
            return Grant(None, problem, self.arbiter.held)
        grant = self.arbiter.acquire(source, statistics, take_over, steady_ns)
        if grant.lease is not None:
            self._blending.begin(source.blending)
        return grant

    # -- inputs -----------------------------------------------------------------------------------

    def monitor(self, report: MonitorReport, steady_ns: int) -> None:
        """Take in a message of the monitor."""
        self.permit.report(report, steady_ns)
        if report.speed_scaling != self._planner.scaling:
            # What is carried out at another speed from now on is continued at that speed.
            ratio = report.speed_scaling / self._planner.scaling
            self._planner.scaling = report.speed_scaling
            self._blending.rescale(report.stamp_ns, ratio)
            self._pending = None
            percent = 100.0 * report.speed_scaling
            self._say(
                LogLevel.INFO, f"the monitor lets the arm move at {percent:.0f} % of its speed"
            )
        if report.rejections != self._rejections:
            self._rejections, self._rejection = report.rejections, report.rejection

    def arm(self, report: ControllerReport, now_ns: int, steady_ns: int) -> None:
        """Take in a message of the arm's controller."""
        self.look_at_the_time(now_ns, steady_ns)
        try:
            event = self._planner.observe_arm(report, now_ns, steady_ns)
        except MotionError as error:
            self.complain(f"{self._robot.arm_controller}/controller_state: {error}")
            return
        self._blending.observe(event)
        lease = self.arbiter.holder
        if event is Event.ACKNOWLEDGED:
            if lease is not None:
                lease.statistics.plans_acknowledged += 1
                lease.failures = 0
            return
        text = f"{self._robot.arm_controller}: {event.value}"
        if event is Event.LOST:
            if self._rejection:
                text += f"; the monitor's newest rejection: {self._rejection}"
            if lease is not None:
                self.arbiter.failed(lease, text)
        if event is not Event.NOTHING:
            self._say(LogLevel.INFO if event is Event.REBASED else LogLevel.WARN, text)

    def look_at_the_time(self, now_ns: int, steady_ns: int) -> None:
        """Find out whether ROS time was set: no plan reaches across that.

        What was planned is of a time that is no more. It goes on from where the controller comes
        to rest, if the monitor lets it.
        """
        step_ns = self._watch.look(now_ns, steady_ns)
        if not step_ns:
            return
        self._say(LogLevel.WARN, f"{set_by(step_ns)}: nothing planned before counts any more")
        self.times_set += 1
        self._pending = None
        self._planned_ns = min(self._planned_ns, steady_ns)
        if self.arbiter.holder is not None:
            self.arbiter.holder.usable_ns = steady_ns
        self._planner.forget()
        self._blending.forget()

    def heard(self, plan: Plan, now_ns: int) -> None:
        """Take in a plan on its way to the arm's controller."""
        self._planner.heard(plan, now_ns)

    def gripper(self, report: ControllerReport, steady_ns: int) -> None:
        """Take in a message of the gripper's controller."""
        try:
            self._planner.observe_gripper(report, steady_ns)
        except MotionError as error:
            self.complain(f"{self._robot.gripper.controller}/controller_state: {error}")

    def complain(self, text: str) -> None:
        """Log what comes with every message of a controller once, not a hundred times a second."""
        if text != self._complaint:
            self._complaint = text
            self._say(LogLevel.WARN, text)

    def offer(self, chunk: ReceivedChunk, now_ns: int, steady_ns: int, problem: str = "") -> None:
        """Take in a chunk that came as a message, from whomever.

        Args:
            chunk: As it came.
            now_ns: ROS time.
            steady_ns: Clock of the motion.
            problem: Why it could not be read, empty where it could.
        """
        lease = self.arbiter.find(chunk.lease)
        # The policy's chunks come by no message: its lease is nobody else's.
        if lease is None or lease.source.timeout_ns is None:
            self.arbiter.refuse_stranger(chunk.source, chunk.lease)
            return
        lease.statistics.received(chunk.latency_s)
        problem = problem or self._columns.problem(chunk) or stamp_problem(chunk, now_ns)
        if problem:
            self.arbiter.refuse(lease, chunk.chunk_id, problem)
            return
        self.take(lease, self._columns.in_order(chunk), now_ns, steady_ns)

    def take(self, lease: Lease, chunk: ReceivedChunk, now_ns: int, steady_ns: int) -> None:
        """Keep a holder's chunk for planning unless it is not one. It replaces one that waits."""
        if self.raw:
            self._publish_raw(lease, chunk)
            return
        problem = table_problem(chunk)
        if problem:
            self.arbiter.refuse(lease, chunk.chunk_id, problem)
            return
        source = lease.source
        # Carried out more slowly, a chunk takes longer.
        dt_ns = round(chunk.dt_s * SECOND_NS / self._planner.scaling)
        from_ns = chunk.stamp_ns if source.whole else self._planner.earliest_ns(now_ns)
        try:
            usable, cut = finite_part(chunk, dt_ns, from_ns)
        except UnusableError as error:
            self.arbiter.refuse(lease, chunk.chunk_id, str(error))
            return
        if cut:
            self.arbiter.remark(lease, "cut", f"chunk {chunk.chunk_id}: {cut}")
        doubt = self._columns.doubt(lease, usable, lambda: self._planner.position(chunk.stamp_ns))
        if doubt and source.refuses:
            self.arbiter.refuse(lease, chunk.chunk_id, doubt)
            return
        if doubt:
            self.arbiter.remark(lease, "units", doubt)
        lease.first, lease.usable_ns = False, steady_ns
        followed = self._blending.merged(usable)
        self._pending = _Pending(usable, followed, chunk.chunk_id, chunk.stamp_ns, lease)

    # -- outputs ----------------------------------------------------------------------------------

    def step(self, now_ns: int, steady_ns: int, ready: bool = True) -> None:
        """Do what is due.

        Args:
            now_ns: ROS time.
            steady_ns: Clock of the motion.
            ready: False where the holder knows of a reason against a plan.
        """
        self.look_at_the_time(now_ns, steady_ns)
        lease, permit = self.arbiter.holder, self.permit.problem(now_ns, steady_ns)
        self.permit.seen()
        if lease is None:
            return
        timeout_ns = lease.source.timeout_ns
        if timeout_ns is not None and permit:
            self.arbiter.end(lease, End.STOPPED, permit)
        elif timeout_ns is not None and steady_ns - lease.usable_ns > timeout_ns:
            text = f"no usable chunk for {timeout_ns / 1e9:g} s (source_timeout_s)"
            self.arbiter.end(lease, End.SILENT, text)
        elif ready and not permit and not self._planner.problems(steady_ns):
            planner = self._planner
            waits = planner.in_flight or planner.settling
            # A source may send a hundred chunks a second; so many plans would be of no use.
            soon = timeout_ns is not None and steady_ns - self._planned_ns < MIN_PLAN_PERIOD_NS
            pending = self._waiting()
            if pending is not None and not waits and not soon:
                self._planned_ns = steady_ns
                self._plan(lease, pending, now_ns)

    def flush(self) -> StepOutputs:
        """Return what is to be published, and begin with nothing."""
        outputs, self.outputs = self.outputs, StepOutputs()
        return outputs

    def status(self, now_ns: int, steady_ns: int) -> Execution:
        """Return who holds the arm, and what becomes of chunks."""
        holder, last = self.arbiter.holder, self.arbiter.last
        shown = holder or last
        permit = self.permit.problem(now_ns, steady_ns)
        return Execution(
            holder=self.arbiter.held,
            lease=0 if holder is None else holder.number,
            statistics=RunStatistics() if shown is None else shown.statistics,
            last_end="" if last is None else f"{last.source.name}: {last.message}",
            waiting_for=tuple(filter(None, (permit, *self._planner.problems(steady_ns)))),
            strangers=self.arbiter.strangers,
            stranger=self.arbiter.stranger,
        )

    # -- what a source may want to know -----------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether a chunk waits for its plan."""
        return self._waiting() is not None

    @property
    def scaling(self) -> float:
        """Share of its speed at which a motion is carried out."""
        return self._planner.scaling

    def problems(self, steady_ns: int) -> tuple[str, ...]:
        """List why the controllers allow no plan now."""
        return self._planner.problems(steady_ns)

    def resting(self, now_ns: int) -> bool:
        """Whether everything that was sent has been carried out, and nothing waits."""
        return not self.waits and self._planner.resting(now_ns)

    def ending(self, now_ns: int, latency_ns: int) -> bool:
        """Whether a chunk that is asked for now would hardly arrive before the plan's end.

        Args:
            now_ns: ROS time.
            latency_ns: How long an answer takes, in all but the rarest cases.
        """
        return self._planner.remaining_ns(now_ns) <= self._planner.lead_ns(latency_ns)

    def committed(
        self, source: ChunkSource, stamp_ns: int, rows: int, dt_s: float, joints: Sequence[str]
    ) -> Committed | None:
        """Return what the arm carries out anyway, rad, None where a chunk is to begin anew.

        Args:
            source: Who asks.
            stamp_ns: Of the chunk to come.
            rows: Of it.
            dt_s: Between these.
            joints: Its columns.
        """
        dt_ns = round(dt_s * SECOND_NS / self._planner.scaling)
        return self._blending.committed(stamp_ns, rows, dt_ns, source.delay.p99_ns, joints)

    # -- what a step does -------------------------------------------------------------------------

    def _waiting(self) -> _Pending | None:
        """Return the chunk that waits for its plan. Who has lost the arm has none."""
        pending = self._pending
        return pending if pending is not None and pending.lease is self.arbiter.holder else None

    def _plan(self, lease: Lease, pending: _Pending, now_ns: int) -> None:
        self._pending = None
        source = lease.source
        began_ns, late_from_ns = self._stopwatch_ns(), self._motion_ns()
        blend_ns = self._blending.blend_ns(source.delay.p99_ns)
        try:
            motion = self._planner.plan(
                pending.followed, now_ns, blend_ns=blend_ns, whole=source.whole
            )
        except RefusalError as refusal:
            self.arbiter.refuse(lease, pending.chunk_id, str(refusal))
            return
        took_ns = self._stopwatch_ns() - began_ns
        late_ns = self._motion_ns() - late_from_ns
        if late_ns > self._planner.budget_ns:
            budget_ms = self._planner.budget_ns / 1e6
            self.arbiter.refuse(
                lease,
                pending.chunk_id,
                f"planning took {late_ns / 1e6:.1f} ms, at most {budget_ms:.0f} ms leave time for "
                "delivery: raise planning_margin_s or relieve the computer",
            )
            return
        self._planner.sent(motion, now_ns)
        self._blending.sent(pending.chunk)
        source.delay.add(max(0, motion.splice_ns - pending.stamp_ns))
        self._rejection = ""
        lease.statistics.planned(took_ns / SECOND_NS)
        self.outputs.arm, self.outputs.gripper = motion.arm, motion.gripper

    def _publish_raw(self, lease: Lease, chunk: ReceivedChunk) -> None:
        """Publish the rows as they are: for tests of the monitor, which must refuse them."""
        arm, gripper = self._columns.raw(chunk)
        if arm is None:
            return
        self.outputs.arm, self.outputs.gripper = arm, gripper or self.outputs.gripper
        lease.statistics.planned(0.0)

    def _say(self, level: LogLevel, text: str) -> None:
        self.outputs.say(level, text)
