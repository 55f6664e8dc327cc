# SPDX-License-Identifier: Apache-2.0
"""The policy as a source of chunks: instructions and observations in, chunks out.

A step never blocks but for the few milliseconds that planning takes. `now_ns` is ROS time,
`steady_ns` the clock of the motion: simulated time in a simulation, the steady clock on a robot.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from node_kit.log import LogLevel
from vla_contract.contract import REFUSE, STOP_AND_GO, Contract
from vla_contract.observation import ObservationBuffer
from vla_contract.robot import Robot
from vla_policies import Action, Observation, PolicyError, PolicySpec, check_action
from vla_policy_node.core.arm_lease import REPEAT_NS, ChunkSource, End, Lease
from vla_policy_node.core.chunk_blending import BLEND, REPLACE, effective
from vla_policy_node.core.chunk_check import ChunkCheck
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.inference import Asker, InferenceResult
from vla_policy_node.core.latency import DurationPercentile
from vla_policy_node.core.outputs import Status, StepOutputs
from vla_policy_node.core.plausibility import REMEDY
from vla_policy_node.core.received_chunk import SECOND_NS, ReceivedChunk
from vla_policy_node.core.session import (
    Ended,
    Session,
    Termination,
    same_instruction,
)
from vla_policy_node.params import PolicyNodeParameters

# The shortest time between two observations when the running plan is about to end. Not shorter,
# because a policy that returns nothing usable is asked at this rate.
MIN_REPLAN_NS = 200_000_000


class PolicyRunner:
    """Decides, at each step, what to ask of the policy, and sends its chunks to the executor.

    Attributes:
        observations: Takes in images and joint states.
    """

    def __init__(
        self,
        executor: ChunkExecutor,
        robot: Robot,
        contract: Contract,
        spec: PolicySpec,
        inference: Asker,
        parameters: PolicyNodeParameters,
        remarks: tuple[str, ...] = (),
    ) -> None:
        """Begin idle.

        Args:
            executor: Carries the chunks out.
            robot: Joints and limits.
            contract: Narrowed to the policy's features.
            spec: The policy's.
            inference: Answers observations.
            parameters: Periods, timeouts and counts.
            remarks: What its user should know from the start, a line each.
        """
        self._executor, self._contract, self._spec = executor, contract, spec
        self._inference = inference
        self._replan_ns = round(parameters.replan_period_s * SECOND_NS)
        shapes = {feature.name: feature.shape for feature in spec.observation}
        self.observations = ObservationBuffer(contract, shapes)
        self._session = Session(parameters.input_timeout_s, parameters.policy_timeout_s)
        self._similar_rad = parameters.similar_state_rad
        self._stop_and_go = contract.execution == STOP_AND_GO
        how = REPLACE if self._stop_and_go else contract.chunks or parameters.chunks
        self._source = ChunkSource(
            spec.policy_id,
            blending=effective(how, continues=inference.continues),
            whole=self._stop_and_go,
            check=ChunkCheck(
                contract.action_joints, robot, contract.action_unit.si, spec.span, REMEDY
            ),
            refuses=contract.unit_check == REFUSE,
        )
        self._lease: Lease | None = None
        # From an observation's submission to its answer.
        self._latency = DurationPercentile()
        self._times_set = executor.times_set
        self._away = ""
        self._submitted_ns: int | None = None
        self._asked_state: NDArray[np.float64] | None = None
        self._chunk_id = 0
        # A run was begun before simulated time was, which says 0 until then.
        self._before_time = False
        self._instructed: tuple[str, int] = ("", 0)
        # An instruction that a stop or a take-over ended. Its repetition does not undo that.
        self._stopped = ""
        self._known = remarks + self._manner(inference.continues)
        for remark in self._known:
            self._say(LogLevel.WARN, remark)

    def _manner(self, continues: bool) -> tuple[str, ...]:
        """Say how chunks follow one another, where a user might expect something else."""
        if self._stop_and_go:
            return (f"{STOP_AND_GO}: the arm rests while the policy is at work",)
        if not continues and self._source.blending == BLEND:
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
        session = self._session
        goes_on = session.active and same_instruction(session.instruction, instruction)
        lease = self._lease if goes_on else None
        message = "a newer instruction took over"
        if goes_on:
            message = "the same instruction was given again and goes on under the newer one"
        if goes_on:
            self._lease = None
        self._end(session.end(Termination.PREEMPTED, message, steady_ns))
        self._stopped = ""
        run_id = session.begin(instruction, max_duration_s, steady_ns)
        self._before_time = steady_ns == 0
        if lease is not None:
            self._lease, lease.statistics, lease.failures = lease, session.statistics, 0
            return run_id
        self._inference.begin()
        self._submitted_ns = None
        self._asked_state = None
        self._say(LogLevel.INFO, f"instruction: {instruction}")
        executor = self._executor
        grant = executor.grant(self._source, session.statistics, False, steady_ns)
        self._lease = grant.lease
        if grant.lease is None:
            latched = executor.permit.latched
            termination = Termination.STOPPED if latched else Termination.ARM_TAKEN
            self._end(session.end(termination, grant.message, steady_ns))
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
            self._executor.complain(
                f"the instruction is ignored: {text!r} has been published since before the stop "
                f"or the take-over; pause for {REPEAT_NS / 1e9:g} s and give it again, or give "
                "another"
            )
        else:
            self.begin(text, math.inf, steady_ns)

    def cancel(self, message: str, steady_ns: int) -> None:
        """End the instruction, if there is one. The plan that runs ends at rest by itself."""
        self._end(self._session.end(Termination.CANCELED, message, steady_ns))

    # -- outputs ----------------------------------------------------------------------------------

    def step(self, now_ns: int, steady_ns: int) -> StepOutputs:
        """Do what is due, the executor's part too, and return what to publish."""
        executor = self._executor
        executor.look_at_the_time(now_ns, steady_ns)
        if self._before_time and steady_ns:
            self._before_time = False
            self._session.count_from(steady_ns)
        self._follow_the_time()
        self._follow_the_lease(steady_ns)
        waiting_for = [str(item) for item in self.observations.problems(now_ns, steady_ns)]
        waiting_for += executor.problems(steady_ns)
        if self._inference.overdue:
            waiting_for.append(f"{self._spec.policy_id}: has not returned from its last call")
        permit = executor.permit.problem(now_ns, steady_ns)
        warming_up = self._inference.warming_up(steady_ns)
        if warming_up:
            warming_up = f"{self._spec.policy_id}: {warming_up}"
        self._end(
            self._session.update(
                permit, executor.permit.latched, waiting_for, steady_ns, self._away, warming_up
            )
        )
        answer = self._inference.poll(steady_ns)
        if answer is not None and self._session.active:
            self._take(answer, now_ns, steady_ns)
        # Another source's chunks wait for nothing that the policy lacks.
        executor.step(now_ns, steady_ns, ready=self._lease is None or not waiting_for)
        self._follow_the_lease(steady_ns)
        # A policy that is away is asked all the same: by its answer it is known to be back.
        able = self._session.active and not permit and not waiting_for
        if able and not self._inference.busy and self._due(now_ns, steady_ns):
            self._ask(now_ns, steady_ns)
        return executor.flush()

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
            remarks=(*self._known, *self._remarks()),
        )

    # -- what a step does -------------------------------------------------------------------------

    def _follow_the_time(self) -> None:
        """Forget what was observed and asked before ROS time was set. The run goes on."""
        if self._times_set == self._executor.times_set:
            return
        self._times_set = self._executor.times_set
        self._submitted_ns = None
        self._inference.begin()
        self.observations.forget("no message since ROS time was set")

    def _follow_the_lease(self, steady_ns: int) -> None:
        """End the run where the executor took the arm away from it."""
        lease = self._lease
        if lease is not None and lease.end is not None:
            failed = lease.end is End.FAILED
            termination = Termination.POLICY_FAILED if failed else Termination.ARM_TAKEN
            self._end(self._session.end(termination, lease.message, steady_ns))

    def _remarks(self) -> tuple[str, ...]:
        return () if self._lease is None else tuple(self._lease.remarks.values())

    def _due(self, now_ns: int, steady_ns: int) -> bool:
        if self._stop_and_go and not self._executor.resting(now_ns):
            return False
        if self._submitted_ns is None:
            return True
        since_ns = steady_ns - self._submitted_ns
        if since_ns >= self._replan_ns:
            return True
        return since_ns >= MIN_REPLAN_NS and self._ending(now_ns)

    def _ending(self, now_ns: int) -> bool:
        """Whether an answer to an observation of now would hardly arrive before the plan's end."""
        return self._executor.ending(now_ns, self._latency.p99_ns)

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
        spec, contract = self._spec, self._contract
        committed = self._executor.committed(
            self._source,
            observation.stamp_ns,
            spec.chunk_size,
            spec.dt_s,
            contract.action_joints,
        )
        if committed is not None:
            own = contract.action_unit.from_si(committed.positions)
            committed = replace(committed, positions=own)
        self._inference.submit(observation, steady_ns, committed)

    def _state(self, observation: Observation) -> NDArray[np.float64]:
        """Return all states, in rad and rad/s."""
        parts = [s.unit.to_si(observation.state[s.feature]) for s in self._contract.states]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _take(self, answer: InferenceResult, now_ns: int, steady_ns: int) -> None:
        """Take in the policy's answer: a chunk, good or bad, or a failure."""
        if answer.away:
            if not self._away:
                self._say(LogLevel.WARN, f"waiting for the policy: {answer.failure}")
            self._away = answer.failure
            self._latency.cold()
            self._source.delay.cold()
            return
        if self._away:
            self._say(LogLevel.INFO, "the policy is back")
            self._away = ""
        if answer.action is None:
            message = f"{self._spec.policy_id}: {answer.failure}"
            self._end(self._session.end(Termination.POLICY_FAILED, message, steady_ns))
            return
        action = answer.action
        self._latency.add(answer.received_ns - answer.submitted_ns)
        latency_s = (now_ns - answer.observation_stamp_ns) / SECOND_NS
        self._session.phase = str(action.phase)
        self._session.statistics.received(latency_s)
        self._chunk_id += 1
        executor, lease = self._executor, self._lease
        chunk = executor.outputs.chunk = self._received(
            action, answer.observation_stamp_ns, latency_s
        )
        if action.done:
            message = "the policy reports that it is done"
            self._end(self._session.end(Termination.DONE, message, steady_ns))
        elif lease is not None:
            problem = "" if executor.raw and chunk is not None else self._problem(action)
            if problem or chunk is None:
                executor.arbiter.refuse(
                    lease, self._chunk_id, problem or "its numbers are no table"
                )
            else:
                executor.take(lease, chunk, now_ns, steady_ns)
            self._follow_the_lease(steady_ns)

    def _problem(self, action: Action) -> str:
        """Say why the action is not what the policy promises, empty where it is."""
        try:
            check_action(action, self._spec, finite=False)
        except PolicyError as error:
            return str(error)
        return ""

    def _received(self, action: Action, stamp_ns: int, latency_s: float) -> ReceivedChunk | None:
        """Return the chunk in the robot's words, None when its numbers are not a table."""
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
        return ReceivedChunk(
            source=self._spec.policy_id,
            lease=0 if self._lease is None else self._lease.number,
            chunk_id=self._chunk_id,
            stamp_ns=stamp_ns,
            dt_s=dt_s,
            joint_names=names,
            positions=self._contract.action_unit.to_si(positions),
            latency_s=latency_s,
            phase=str(action.phase),
            done=bool(action.done),
        )

    def _end(self, ended: Ended | None) -> None:
        if ended is None:
            return
        lease, self._lease = self._lease, None
        if lease is not None:
            self._executor.arbiter.end(lease, End.GIVEN_BACK)
        if ended.termination in (Termination.STOPPED, Termination.ARM_TAKEN):
            self._stopped = self._instructed[0]
        self._executor.outputs.ended.append(ended)
        good = ended.termination in (Termination.DONE, Termination.CANCELED, Termination.PREEMPTED)
        level = LogLevel.INFO if good else LogLevel.WARN
        self._say(level, f"the instruction ended, {ended.termination.name}: {ended.message}")

    def _say(self, level: LogLevel, text: str) -> None:
        self._executor.outputs.say(level, text)
