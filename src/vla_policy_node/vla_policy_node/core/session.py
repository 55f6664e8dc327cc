# SPDX-License-Identifier: Apache-2.0
"""The run of an instruction: its state, its end and its figures."""

import enum
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace


class RunState(enum.IntEnum):
    """What the node is doing. The values are those of ``vla_msgs/msg/PolicyStatus``."""

    IDLE = 0
    WAITING = 1
    RUNNING = 2
    NO_PERMIT = 3


class Termination(enum.IntEnum):
    """Why a run ended. The values are those of ``vla_msgs/action/RunPolicy``."""

    DONE = 0
    TIMED_OUT = 1
    CANCELED = 2
    STOPPED = 3
    PREEMPTED = 4
    POLICY_FAILED = 5
    INPUT_LOST = 6
    ARM_TAKEN = 7


# Percentiles are of at most this many newest values, so that a run without end keeps its memory.
WINDOW = 4096


@dataclass
class RunStatistics:
    """Counts and durations of one run."""

    chunks: int = 0
    plans: int = 0
    plans_acknowledged: int = 0
    plans_refused: int = 0
    last_refusal: str = ""
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    plan_times_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def received(self, latency_s: float) -> None:
        """Count a chunk."""
        self.chunks += 1
        self.latencies_s.append(latency_s)

    def planned(self, plan_time_s: float) -> None:
        """Count a plan that was published."""
        self.plans += 1
        self.plan_times_s.append(plan_time_s)


@dataclass(frozen=True)
class Ended:
    """A run that is over.

    Attributes:
        run_id: The run, as `Session.begin` numbered it.
        termination: Why it ended.
        message: The same in words.
        duration_s: From its beginning, s.
        statistics: Its counts and durations.
    """

    run_id: int
    termination: Termination
    message: str
    duration_s: float
    statistics: RunStatistics


@dataclass(frozen=True)
class _Run:
    run_id: int
    instruction: str
    begun_ns: int
    max_duration_s: float


class Session:
    """At most one instruction, from its beginning to the reason for its end.

    All times are of the steady clock.
    """

    def __init__(self, input_timeout_s: float, policy_timeout_s: float = math.inf) -> None:
        """Begin without an instruction.

        Args:
            input_timeout_s: A run ends when an input stays unusable for longer, s.
            policy_timeout_s: A run ends when the policy stays away for longer, s.
        """
        self._input_timeout_s = input_timeout_s
        self._policy_timeout_s = policy_timeout_s
        self._run: _Run | None = None
        self._runs = 0
        self._permitted = False
        self._input_ok_ns = 0
        self._policy_ok_ns = 0
        self.state = RunState.IDLE
        self.statistics = RunStatistics()
        self.phase = ""
        self.waiting_for: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        """Whether there is an instruction."""
        return self._run is not None

    @property
    def instruction(self) -> str:
        """The instruction, empty when there is none."""
        return self._run.instruction if self._run is not None else ""

    def elapsed_s(self, now_ns: int) -> float:
        """Return the time since the run began, 0 when there is none."""
        return (now_ns - self._run.begun_ns) / 1e9 if self._run is not None else 0.0

    def begin(self, instruction: str, max_duration_s: float, now_ns: int) -> int:
        """Begin a run. The one before must have ended.

        Args:
            instruction: What to do, not empty.
            max_duration_s: s, above 0; infinite for a run without a limit.
            now_ns: Steady clock.

        Returns:
            The number of the run.

        Raises:
            ValueError: The instruction is empty, or the duration is not positive.
            RuntimeError: Another run is active.
        """
        problem = goal_problem(instruction, max_duration_s)
        if problem:
            raise ValueError(problem)
        if self._run is not None:
            raise RuntimeError("end the run before another begins")
        self._runs += 1
        self._run = _Run(self._runs, instruction, now_ns, max_duration_s)
        self._permitted = False
        self._input_ok_ns = now_ns
        self._policy_ok_ns = now_ns
        self.statistics = RunStatistics()
        self.phase = ""
        self.state = RunState.WAITING
        return self._runs

    def count_from(self, now_ns: int) -> None:
        """Count all durations of the run from now: it was begun before simulated time was."""
        if self._run is not None:
            self._run = replace(self._run, begun_ns=now_ns)
            self._input_ok_ns = self._policy_ok_ns = now_ns

    def end(self, termination: Termination, message: str, now_ns: int) -> Ended | None:
        """End the run, and return None when there is none."""
        run, self._run = self._run, None
        self.state, self.waiting_for = RunState.IDLE, ()
        if run is None:
            return None
        elapsed_s = (now_ns - run.begun_ns) / 1e9
        return Ended(run.run_id, termination, message, elapsed_s, self.statistics)

    def update(
        self,
        permit: str,
        latched: bool,
        waiting_for: Sequence[str],
        now_ns: int,
        away: str = "",
        warming_up: str = "",
    ) -> Ended | None:
        """Move on with the newest inputs, and return the run if it ends by them.

        A run may begin before the monitor is ready, and waits. It ends when a permit that it had
        is lost, and when the stop is latched: a reset of the monitor must never move the arm.

        Args:
            permit: Why nothing may be planned, empty when it may.
            latched: Whether the monitor has stopped, or is stopping, the arm.
            waiting_for: What is missing, stale or frozen.
            now_ns: Steady clock.
            away: Why the policy cannot be reached, empty when it can.
            warming_up: How far the policy's first answer is, which has a time limit of its own.
        """
        run = self._run
        everything = tuple(each for each in (permit, *waiting_for, away, warming_up) if each)
        if run is None:
            self.waiting_for = everything
            return None
        if permit and (self._permitted or latched):
            return self.end(Termination.STOPPED, permit, now_ns)
        if self.elapsed_s(now_ns) >= run.max_duration_s:
            message = f"{run.max_duration_s:g} s have passed"
            if self.state is not RunState.RUNNING:
                message += f", the last of them waiting for {'; '.join(self.waiting_for)}"
            return self.end(Termination.TIMED_OUT, message, now_ns)
        self._permitted = not permit
        self.waiting_for = everything
        # While there is no permit, nobody waits for the inputs or the policy.
        if permit or not waiting_for:
            self._input_ok_ns = now_ns
        if permit or not away:
            self._policy_ok_ns = now_ns
        lost_s = (now_ns - self._input_ok_ns) / 1e9
        if lost_s > self._input_timeout_s:
            message = f"for {lost_s:.1f} s: {'; '.join(waiting_for)}"
            return self.end(Termination.INPUT_LOST, message, now_ns)
        lost_s = (now_ns - self._policy_ok_ns) / 1e9
        if lost_s > self._policy_timeout_s:
            return self.end(Termination.INPUT_LOST, f"for {lost_s:.1f} s: {away}", now_ns)
        if permit:
            self.state = RunState.NO_PERMIT
        else:
            self.state = RunState.WAITING if everything else RunState.RUNNING
        return None


def same_instruction(one: str, other: str) -> bool:
    """Whether two texts are one instruction."""
    return one.strip() == other.strip()


def goal_problem(instruction: str, max_duration_s: float) -> str:
    """Say why a run cannot be begun with these, empty when it can."""
    if not instruction.strip():
        return "the instruction is empty"
    if not max_duration_s > 0.0:
        return f"max_duration is {max_duration_s:g} s; it must be above 0"
    return ""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile, NaN when there are no values.

    Args:
        values: In any order.
        share: Between 0 and 1.
    """
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
