# SPDX-License-Identifier: Apache-2.0
"""The whole of the node without ROS: inputs by call, outputs from `Conductor.step`.

A step never blocks but for the few milliseconds that planning takes. `now_ns` is ROS time,
`steady_ns` the clock of the motion: simulated time in a simulation, the steady clock on a robot.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smooth_motion import GripperPlan, MotionError, Plan
from smooth_motion.clocks import ClockWatch, set_by
from vla_contract.contract import REFUSE, STOP_AND_GO, Contract
from vla_contract.observation import ObservationBuffer
from vla_contract.robot import Robot
from vla_policies import Action, Observation, PolicyError, PolicySpec, check_action
from vla_policies.rtc import Committed
from vla_policy_node.core.chunks import (
    BLEND,
    REPLACE,
    Rows,
    Succession,
    UnusableError,
    finite_part,
)
from vla_policy_node.core.inference import Answer
from vla_policy_node.core.pace import Pace
from vla_policy_node.core.permit import MonitorReport, Permit
from vla_policy_node.core.planner import ControllerReport, Event, Planner, RefusalError, Targets
from vla_policy_node.core.plausibility import ChunkCheck
from vla_policy_node.core.session import (
    Ended,
    Session,
    State,
    Statistics,
    Termination,
    same_instruction,
)
from vla_policy_node.params import Parameters

# The shortest time between two observations when the running plan is about to end. Not shorter,
# because a policy that returns nothing usable is asked at this rate.
MIN_REPLAN_NS = 200_000_000
SECOND_NS = 1_000_000_000
# A step of ROS time, against the steady clock, that is more than slewing.
CLOCK_STEP_NS = 10_000_000
# An instruction that is published again within this time is still the same one.
REPEAT_NS = SECOND_NS


class Level(enum.Enum):
    """How much a line of the log matters."""

    INFO = "info"
    WARN = "warn"


@dataclass(frozen=True)
class RawChunk:
    """A chunk as it came, for the record.

    Attributes:
        chunk_id: Counts up from 1.
        stamp_ns: Time of row 0, ROS time.
        dt_s: Time between rows, s.
        joint_names: J columns.
        positions: (T, J) rad; may be anything, NaN too.
        latency_s: From the observation's stamp to the chunk's arrival, s.
        phase: What the policy says it is doing.
        done: The policy regards the instruction as carried out.
    """

    chunk_id: int
    stamp_ns: int
    dt_s: float
    joint_names: tuple[str, ...]
    positions: NDArray[np.float64]
    latency_s: float
    phase: str
    done: bool


@dataclass(frozen=True)
class RawRows:
    """Rows of a chunk that are published as they are, positions only.

    Attributes:
        joint_names: J columns.
        start_ns: Time of the first row.
        times_ns: (T,) from the first row.
        positions: (T, J) rad.
    """

    joint_names: tuple[str, ...]
    start_ns: int
    times_ns: NDArray[np.int64]
    positions: NDArray[np.float64]


@dataclass
class Outputs:
    """What a step wants published, in this order."""

    log: list[tuple[Level, str]] = field(default_factory=list)
    chunk: RawChunk | None = None
    arm: Plan | RawRows | None = None
    gripper: GripperPlan | RawRows | None = None
    ended: list[Ended] = field(default_factory=list)


@dataclass(frozen=True)
class Status:
    """What the node is doing; times in s, NaN where there is none yet."""

    state: State
    instruction: str
    policy_id: str
    phase: str
    waiting_for: tuple[str, ...]
    statistics: Statistics
    elapsed_s: float
    remarks: tuple[str, ...] = ()

    @property
    def digest(self) -> tuple[object, ...]:
        """What is worth a message of its own when it changes."""
        counts = (self.statistics.plans, self.statistics.plans_refused)
        said = (len(self.waiting_for), len(self.remarks))
        return (self.state, self.instruction, self.phase, said, counts)


class Asker(Protocol):
    """What the conductor needs of `vla_policy_node.core.inference.Inference`."""

    @property
    def busy(self) -> bool:
        """Whether the policy is at work."""

    @property
    def continues(self) -> bool:
        """Whether the policy takes what the arm carries out anyway."""

    @property
    def overdue(self) -> bool:
        """Whether the policy has been reported as hanging and has still not returned."""

    def warming_up(self, steady_ns: int) -> str:
        """Say that a first answer takes long, empty where none does."""

    def begin(self) -> None:
        """Begin a new generation."""

    def submit(
        self, observation: Observation, steady_ns: int, committed: Committed | None = None
    ) -> None:
        """Hand an observation to the policy, and what is committed where it continues that."""

    def poll(self, steady_ns: int) -> Answer | None:
        """Return the answer if it has arrived or is overdue."""


class Conductor:
    """Decides, at each step, what to ask of the policy and what to send to the arm.

    Attributes:
        observations: Takes in images and joint states.
        permit: Takes in the monitor's messages.
        raw: Publish the chunks' rows instead of plans, for tests of the monitor.
    """

    def __init__(
        self,
        robot: Robot,
        contract: Contract,
        spec: PolicySpec,
        inference: Asker,
        parameters: Parameters,
        stopwatch_ns: Callable[[], int],
        motion_ns: Callable[[], int] | None = None,
        remarks: tuple[str, ...] = (),
    ) -> None:
        """Begin idle.

        Args:
            robot: Joints and limits.
            contract: Narrowed to the policy's features.
            spec: The policy's.
            inference: Answers observations.
            parameters: Periods, timeouts and counts.
            stopwatch_ns: The host's steady clock, read around planning only: what it costs.
            motion_ns: The clock of the motion, read likewise: whether a plan may be late. It
                stands in a simulation, which waits. None: as `stopwatch_ns`.
            remarks: What its user should know from the start, a line each.
        """
        self._robot = robot
        self._contract = contract
        self._spec = spec
        self._inference = inference
        self._stopwatch_ns = stopwatch_ns
        self._motion_ns = motion_ns or stopwatch_ns
        self._replan_ns = round(parameters.replan_period_s * SECOND_NS)
        gripper = robot.gripper.joint
        self._arm_columns = [contract.action_joints.index(j) for j in robot.limits.joint_names]
        self._gripper_column = (
            contract.action_joints.index(gripper) if gripper in contract.action_joints else None
        )
        shapes = {feature.name: feature.shape for feature in spec.observation}
        self.observations = ObservationBuffer(contract, shapes)
        self.permit = Permit(round(parameters.permit_timeout_s * SECOND_NS))
        self.raw = parameters.planner == "raw"
        self._session = Session(
            parameters.input_timeout_s, parameters.max_failures, parameters.policy_timeout_s
        )
        self._planner = Planner(
            robot,
            overlap_ns=round(parameters.overlap_s * SECOND_NS),
            margin_ns=round(parameters.planning_margin_s * SECOND_NS),
            acknowledge_timeout_ns=round(parameters.acknowledge_timeout_s * SECOND_NS),
            with_gripper=self._gripper_column is not None,
        )
        self._similar_rad = parameters.similar_state_rad
        self._stop_and_go = contract.execution == STOP_AND_GO
        how = REPLACE if self._stop_and_go else parameters.chunks
        self._succession = Succession(how, continues=inference.continues)
        self._pace = Pace()
        self._watch = ClockWatch(CLOCK_STEP_NS)
        self._away = ""
        self._submitted_ns: int | None = None
        self._asked_state: NDArray[np.float64] | None = None
        # What to follow, the chunk that it came from, and the stamp of that chunk's observation.
        self._pending: tuple[Targets, Rows, int] | None = None
        self._chunk_id = 0
        self._complaint = ""
        self._instructed: tuple[str, int] = ("", 0)
        self._stopped = ""
        # What does not stop the arm but matters, by its kind; once a run each.
        self._remarks: dict[str, str] = {}
        self._known = remarks + self._manner(inference.continues)
        self._check = ChunkCheck(contract, spec, robot)
        self._first = True
        self._rejections, self._rejection = 0, ""
        self._outputs = Outputs()
        for remark in self._known:
            self._log(Level.WARN, remark)

    def _manner(self, continues: bool) -> tuple[str, ...]:
        """Say how chunks follow one another, where a user might expect something else."""
        if self._stop_and_go:
            return (f"{STOP_AND_GO}: the arm rests while the policy is at work",)
        if not continues and self._succession.blend_ns(0) > 0:
            return (
                f"chunks: {BLEND}; {self._spec.policy_id} cannot continue what the arm carries "
                "out anyway, so each chunk begins where the arm is led",
            )
        return ()

    # -- inputs -----------------------------------------------------------------------------------

    def begin(self, instruction: str, max_duration_s: float, steady_ns: int) -> int:
        """Begin an instruction. One that is being carried out ends as preempted.

        The same instruction goes on where it is: what the policy is at work on counts.

        Returns:
            The number of the run, as `Ended.run_id` will have it.

        Raises:
            ValueError: The instruction is empty, or the duration is not positive.
        """
        session, pending = self._session, self._pending
        goes_on = session.active and same_instruction(session.instruction, instruction)
        message = "a newer instruction took over"
        if goes_on:
            message = "the same instruction was given again and goes on under the newer one"
        self._end(session.end(Termination.PREEMPTED, message, steady_ns))
        self._stopped = ""
        run_id = session.begin(instruction, max_duration_s, steady_ns)
        if goes_on:
            self._pending = pending
            return run_id
        self._inference.begin()
        self._remarks.clear()
        self._first = True
        self._submitted_ns = None
        self._asked_state = None
        self._succession.begin()
        self._log(Level.INFO, f"instruction: {instruction}")
        return run_id

    def instruct(self, text: str, steady_ns: int) -> None:
        """Take in an instruction without a time limit; an empty one ends what is carried out.

        One that is published again and again is one instruction, also through a stop: a reset of
        the monitor must never move the arm.
        """
        before, self._instructed = self._instructed, (text, steady_ns)
        repeated = same_instruction(before[0], text) and steady_ns - before[1] <= REPEAT_NS
        if not text.strip():
            self._stopped = ""
            self.cancel("an empty instruction was given", steady_ns)
        elif self._session.active and same_instruction(self._session.instruction, text):
            return
        elif repeated and same_instruction(self._stopped, text):
            self.complain(
                f"the instruction is ignored: {text!r} has been published since before the stop; "
                f"pause for {REPEAT_NS / 1e9:g} s and give it again, or give another"
            )
        else:
            self.begin(text, math.inf, steady_ns)

    def cancel(self, message: str, steady_ns: int) -> None:
        """End the instruction, if there is one. The plan that runs ends at rest by itself."""
        self._end(self._session.end(Termination.CANCELED, message, steady_ns))

    def monitor(self, report: MonitorReport, steady_ns: int) -> None:
        """Take in a message of the monitor."""
        self.permit.report(report, steady_ns)
        if report.speed_scaling != self._planner.scaling:
            # What is carried out at another speed from now on is continued at that speed.
            ratio = report.speed_scaling / self._planner.scaling
            self._planner.scaling = report.speed_scaling
            self._succession.rescale(report.stamp_ns, ratio)
            self._pending = None
            percent = 100.0 * report.speed_scaling
            self._log(Level.INFO, f"the monitor lets the arm move at {percent:.0f} % of its speed")
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
        self._succession.observe(event)
        if event is Event.ACKNOWLEDGED:
            self._session.acknowledged()
            return
        text = f"{self._robot.arm_controller}: {event.value}"
        if event is Event.LOST:
            if self._rejection:
                text += f"; the monitor's newest rejection: {self._rejection}"
            self._end(self._session.lost(text, steady_ns))
        if event is not Event.NOTHING:
            self._log(Level.INFO if event is Event.REBASED else Level.WARN, text)

    def look_at_the_time(self, now_ns: int, steady_ns: int) -> None:
        """Find out whether ROS time was set: no plan reaches across that.

        What was observed, asked and planned is of a time that is no more. The run goes on from
        where the controller comes to rest, if the monitor lets it.
        """
        step_ns = self._watch.look(now_ns, steady_ns)
        if not step_ns:
            return
        self._log(Level.WARN, f"{set_by(step_ns)}: nothing planned before counts any more")
        self._pending = None
        self._submitted_ns = None
        self._inference.begin()
        self._planner.forget()
        self._succession.begin()
        self.observations.forget("no message since ROS time was set")

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
            self._log(Level.WARN, text)

    # -- outputs ----------------------------------------------------------------------------------

    def step(self, now_ns: int, steady_ns: int) -> Outputs:
        """Do what is due and return what to publish."""
        self.look_at_the_time(now_ns, steady_ns)
        waiting_for = [str(item) for item in self.observations.problems(now_ns, steady_ns)]
        waiting_for += self._planner.problems(steady_ns)
        if self._inference.overdue:
            waiting_for.append(f"{self._spec.policy_id}: has not returned from its last call")
        permit = self.permit.problem(now_ns, steady_ns)
        latched = self.permit.latched
        warming_up = self._inference.warming_up(steady_ns)
        if warming_up:
            warming_up = f"{self._spec.policy_id}: {warming_up}"
        self._end(
            self._session.update(permit, latched, waiting_for, steady_ns, self._away, warming_up)
        )
        answer = self._inference.poll(steady_ns)
        if answer is not None and self._session.active:
            self._take(answer, now_ns, steady_ns)
        # A policy that is away is asked all the same: by its answer it is known to be back.
        if self._session.active and not permit and not waiting_for:
            planner = self._planner
            if self._pending is not None and not planner.in_flight and not planner.settling:
                self._plan(*self._pending, now_ns, steady_ns)
            if not self._inference.busy and self._due(now_ns, steady_ns):
                self._ask(now_ns, steady_ns)
        outputs, self._outputs = self._outputs, Outputs()
        return outputs

    def status(self, steady_ns: int) -> Status:
        """Return what the node is doing."""
        session = self._session
        return Status(
            state=session.state,
            instruction=session.instruction,
            policy_id=self._spec.policy_id,
            phase=session.phase,
            waiting_for=session.waiting_for,
            statistics=session.statistics,
            elapsed_s=session.elapsed_s(steady_ns),
            remarks=(*self._known, *self._remarks.values()),
        )

    # -- what a step does -------------------------------------------------------------------------

    def _due(self, now_ns: int, steady_ns: int) -> bool:
        if self._stop_and_go and (self._pending or not self._planner.resting(now_ns)):
            return False
        if self._submitted_ns is None:
            return True
        since_ns = steady_ns - self._submitted_ns
        if since_ns >= self._replan_ns:
            return True
        return since_ns >= MIN_REPLAN_NS and self._ending(now_ns)

    def _ending(self, now_ns: int) -> bool:
        """Whether an answer to an observation of now would hardly arrive before the plan's end."""
        lead_ns = self._planner.lead_ns(self._pace.latency.p99_ns)
        return self._planner.remaining_ns(now_ns) <= lead_ns

    def _ask(self, now_ns: int, steady_ns: int) -> None:
        assembled = self.observations.assemble(now_ns, steady_ns, self._session.instruction)
        if isinstance(assembled, tuple):
            raise RuntimeError(f"an observation without problems has some: {assembled}")
        self._submitted_ns = steady_ns
        observation = assembled.observation
        if self._similar_rad > 0.0:
            state = self._state(observation)
            before, self._asked_state = self._asked_state, state
            similar = before is not None and np.all(np.abs(state - before) <= self._similar_rad)
            if similar and not self._ending(now_ns):
                self._asked_state = before
                return
        delay_ns = self._pace.delay.p99_ns
        committed = self._succession.committed(
            observation.stamp_ns, self._spec, delay_ns, self._planner.scaling
        )
        self._inference.submit(observation, steady_ns, committed)

    def _state(self, observation: Observation) -> NDArray[np.float64]:
        """Return all states, in rad and rad/s."""
        parts = [s.unit.to_si(observation.state[s.feature]) for s in self._contract.states]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _take(self, answer: Answer, now_ns: int, steady_ns: int) -> None:
        """Take in the policy's answer: a chunk, good or bad, or a failure."""
        if answer.away:
            if not self._away:
                self._log(Level.WARN, f"waiting for the policy: {answer.failure}")
            self._away = answer.failure
            self._pace.cold()
            return
        if self._away:
            self._log(Level.INFO, "the policy is back")
            self._away = ""
        if answer.action is None:
            message = f"{self._spec.policy_id}: {answer.failure}"
            self._end(self._session.end(Termination.POLICY_FAILED, message, steady_ns))
            return
        action = answer.action
        self._pace.latency.add(answer.received_ns - answer.submitted_ns)
        latency_s = (now_ns - answer.observation_stamp_ns) / SECOND_NS
        self._session.received(str(action.phase), latency_s)
        self._chunk_id += 1
        self._outputs.chunk = self._record(action, answer.observation_stamp_ns, latency_s)
        if action.done:
            message = "the policy reports that it is done"
            self._end(self._session.end(Termination.DONE, message, steady_ns))
        elif self.raw and self._outputs.chunk is not None:
            self._publish_raw(self._outputs.chunk)
        else:
            self._accept(action, answer.observation_stamp_ns, now_ns, steady_ns)

    def _record(self, action: Action, stamp_ns: int, latency_s: float) -> RawChunk | None:
        """Return the chunk for the record, None when its numbers are not a table."""
        try:
            positions = np.asarray(action.positions, dtype=np.float64)
            dt_s = float(action.dt_s)
        except (TypeError, ValueError):
            return None
        if positions.ndim != 2:
            return None
        names = self._contract.action_joints
        if positions.shape[1] != len(names):
            names = tuple(str(name) for name in action.joint_names)
        positions = self._contract.action_unit.to_si(positions)
        return RawChunk(
            chunk_id=self._chunk_id,
            stamp_ns=stamp_ns,
            dt_s=dt_s,
            joint_names=names,
            positions=positions,
            latency_s=latency_s,
            phase=str(action.phase),
            done=bool(action.done),
        )

    def _accept(self, action: Action, stamp_ns: int, now_ns: int, steady_ns: int) -> None:
        """Keep a chunk for planning unless it is not one. It replaces one that still waits."""
        try:
            check_action(action, self._spec, finite=False)
        except PolicyError as error:
            self._refuse(str(error), steady_ns)
            return
        # Carried out more slowly, a chunk takes longer.
        dt_ns = round(action.dt_s * SECOND_NS / self._planner.scaling)
        rows = Rows(stamp_ns, dt_ns, np.asarray(action.positions, np.float64))
        try:
            from_ns = stamp_ns if self._stop_and_go else self._planner.earliest_ns(now_ns)
            rows, cut = finite_part(rows, from_ns, action.joint_names)
        except UnusableError as error:
            self._refuse(str(error), steady_ns)
            return
        if cut:
            self._remark("cut", f"chunk {self._chunk_id}: {cut}")
        doubt = self._doubt(rows, stamp_ns)
        if doubt and self._contract.unit_check == REFUSE:
            self._refuse(doubt, steady_ns)
            return
        if doubt:
            self._remark("units", doubt)
        self._first = False
        positions = self._contract.action_unit.to_si(self._succession.merged(rows))
        column = self._gripper_column
        targets = Targets(
            start_ns=rows.start_ns,
            dt_ns=dt_ns,
            arm=positions[:, self._arm_columns],
            gripper=positions[:, column] if column is not None else None,
            blend_ns=self._succession.blend_ns(self._pace.delay.p99_ns),
            whole=self._stop_and_go,
        )
        self._pending = (targets, rows, stamp_ns)

    def _doubt(self, rows: Rows, stamp_ns: int) -> str:
        """Say why the rows can hardly be this robot's, empty where they can."""
        positions = self._contract.action_unit.to_si(rows.positions)
        doubt = self._check.far_out(positions)
        if doubt or not self._first:
            return doubt
        return self._check.elsewhere(positions[0], self._planner.position(stamp_ns))

    def _plan(
        self, targets: Targets, rows: Rows, stamp_ns: int, now_ns: int, steady_ns: int
    ) -> None:
        self._pending = None
        began_ns, late_from_ns = self._stopwatch_ns(), self._motion_ns()
        try:
            motion = self._planner.plan(targets, now_ns)
        except RefusalError as refusal:
            self._refuse(str(refusal), steady_ns)
            return
        took_ns = self._stopwatch_ns() - began_ns
        late_ns = self._motion_ns() - late_from_ns
        if late_ns > self._planner.budget_ns:
            budget_ms = self._planner.budget_ns / 1e6
            self._refuse(
                f"planning took {late_ns / 1e6:.1f} ms, at most {budget_ms:.0f} ms leave time for "
                "delivery: raise planning_margin_s or relieve the computer",
                steady_ns,
            )
            return
        self._planner.sent(motion, now_ns)
        self._succession.sent(rows)
        self._pace.delay.add(max(0, motion.splice_ns - stamp_ns))
        self._rejection = ""
        self._session.planned(took_ns / SECOND_NS)
        self._outputs.arm, self._outputs.gripper = motion.arm, motion.gripper

    def _publish_raw(self, chunk: RawChunk) -> None:
        """Publish the rows as they are: for tests of the monitor, which must refuse them."""
        rows, columns = chunk.positions.shape
        if rows == 0 or columns != len(self._contract.action_joints):
            return
        dt_ns = round(chunk.dt_s * SECOND_NS) if np.isfinite(chunk.dt_s) else 0
        times_ns = dt_ns * np.arange(rows, dtype=np.int64)
        arm = chunk.positions[:, self._arm_columns]
        names = self._robot.limits.joint_names
        self._outputs.arm = RawRows(names, chunk.stamp_ns, times_ns, arm)
        if self._gripper_column is not None:
            column = chunk.positions[:, [self._gripper_column]]
            joint = (self._robot.gripper.joint,)
            self._outputs.gripper = RawRows(joint, chunk.stamp_ns, times_ns, column)
        self._session.planned(0.0)

    def _refuse(self, reason: str, steady_ns: int) -> None:
        self._log(Level.WARN, f"chunk {self._chunk_id} yields no plan: {reason}")
        self._end(self._session.refused(reason, steady_ns))

    def _end(self, ended: Ended | None) -> None:
        if ended is None:
            return
        # A chunk for the old instruction is of no use to the next one.
        self._pending = None
        if ended.termination is Termination.STOPPED:
            self._stopped = self._instructed[0]
        self._outputs.ended.append(ended)
        good = ended.termination in (Termination.DONE, Termination.CANCELED, Termination.PREEMPTED)
        level = Level.INFO if good else Level.WARN
        self._log(level, f"the instruction ended, {ended.termination.name}: {ended.message}")

    def _remark(self, kind: str, text: str) -> None:
        """Say something in the log and, until the next instruction, in the status."""
        if kind not in self._remarks:
            self._remarks[kind] = text
            self._log(Level.WARN, text)

    def _log(self, level: Level, text: str) -> None:
        self._outputs.log.append((level, text))
