# SPDX-License-Identifier: Apache-2.0
"""A thread around a policy, so that neither a slow nor a hanging one holds up the node.

The thread works on one observation at a time. `Inference.poll` returns its answer as a value, a
failure too; an answer to a question that no longer matters is dropped by its generation number.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vla_policies import Action, Observation, Policy, PolicyUnavailableError
from vla_policies.rtc import Committed, continuing


@dataclass(frozen=True)
class InferenceResult:
    """What became of one observation.

    Attributes:
        observation_stamp_ns: Stamp of the observation, ROS time.
        submitted_ns: When it was submitted, by the clock of the motion.
        received_ns: When the answer was noticed, likewise.
        action: What the policy returned, or None when it failed.
        failure: Why there is no action, empty when there is one.
        away: The failure is that the policy cannot be reached now, but may be later.
    """

    observation_stamp_ns: int
    submitted_ns: int
    received_ns: int
    action: Action | None
    failure: str
    away: bool = False


@dataclass(frozen=True)
class _Question:
    generation: int
    observation: Observation
    committed: Committed | None
    submitted_ns: int


@dataclass(frozen=True)
class _Reply:
    question: _Question
    action: Action | None
    failure: str = ""
    away: bool = False


class Asker(Protocol):
    """What the policy runner needs of `Inference`."""

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

    def poll(self, steady_ns: int) -> InferenceResult | None:
        """Return the answer if it has arrived or is overdue."""


# A first answer that takes no longer than this is nobody's concern.
WORTH_SAYING_NS = 1_000_000_000


class Inference:
    """Asks a policy in a thread of its own.

    A new generation begins with every instruction: the policy is reset before its first
    observation, and answers to older generations are dropped when they arrive.

    Attributes:
        continues: The policy can continue what the arm carries out anyway.
    """

    def __init__(
        self,
        policy: Policy,
        timeout_ns: int,
        stopwatch_ns: Callable[[], int] | None = None,
        latency_ns: int = 0,
        warm_up_ns: int = 0,
    ) -> None:
        """Start the thread.

        Args:
            policy: Used by this thread alone from now on.
            timeout_ns: A policy that takes longer is reported as hanging.
            stopwatch_ns: The host's steady clock, by which the timeout counts: whether a policy
                lives is no matter of simulated time. None: the times that are passed in.
            warm_up_ns: The same of its first answer, where that may take longer: the first one
                after the start, and after the policy was away.
            latency_ns: An answer does not count earlier after its question than this.
        """
        self._stopwatch_ns, self._latency_ns = stopwatch_ns, latency_ns
        self._asked_at_ns = 0
        self._policy = policy
        self._continuing = continuing(policy)
        self.continues = self._continuing is not None
        self._timeout_ns, self._warm_up_ns = timeout_ns, max(warm_up_ns, timeout_ns)
        self._warm = False
        self._generation = 0
        self._questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[_Reply] = queue.SimpleQueue()
        self._asked: _Question | None = None
        self._overdue = False
        # A daemon, because a policy that never returns must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether the policy is still at work, be it on a question that no longer matters."""
        return self._asked is not None

    def holds(self, steady_ns: int) -> bool:
        """Return whether simulated time must wait: the answer is due, and not there yet."""
        asked = self._asked
        if asked is None or self._overdue:
            return False
        return steady_ns - asked.submitted_ns >= self._latency_ns and self._replies.empty()

    @property
    def limit_ns(self) -> int:
        """How long the answer that is waited for may take."""
        return self._timeout_ns if self._warm else self._warm_up_ns

    def warming_up(self, steady_ns: int) -> str:
        """Say that a first answer takes longer than others may, empty where none does."""
        if self._asked is None or self._warm or self._overdue:
            return ""
        waited_ns = self._waited_ns(steady_ns)
        if waited_ns < WORTH_SAYING_NS:
            return ""
        return (
            f"warms up: its first answer has taken {waited_ns / 1e9:.0f} s, at most "
            f"{self._warm_up_ns / 1e9:g} s are allowed (warm_up_timeout_s)"
        )

    @property
    def overdue(self) -> bool:
        """Whether the policy has been reported as hanging and has still not returned."""
        return self._overdue

    def begin(self) -> None:
        """Begin a new generation: a new instruction, or none."""
        self._generation += 1

    def submit(
        self, observation: Observation, steady_ns: int, committed: Committed | None = None
    ) -> None:
        """Hand an observation to the policy, and what is committed if the policy continues that.

        Raises:
            RuntimeError: The policy is busy.
        """
        if self.busy:
            raise RuntimeError("the policy is busy; submit when it is not")
        self._asked = _Question(self._generation, observation, committed, steady_ns)
        self._asked_at_ns = self._stopwatch(steady_ns)
        self._questions.put(self._asked)

    def poll(self, steady_ns: int) -> InferenceResult | None:
        """Return the answer if it has arrived or is overdue. Does not block.

        A hanging policy is reported once; `busy` stays true until it returns.
        """
        asked = self._asked
        if asked is None:
            return None
        if steady_ns - asked.submitted_ns < self._latency_ns:
            return None
        stamp_ns = asked.observation.stamp_ns
        try:
            reply = self._replies.get_nowait()
        except queue.Empty:
            waited_ns = self._waited_ns(steady_ns)
            if self._overdue or waited_ns <= self.limit_ns:
                return None
            self._overdue = True
            if asked.generation != self._generation:
                return None
            name = "inference_timeout_s" if self._warm else "warm_up_timeout_s"
            failure = (
                f"has not answered for {waited_ns / 1e9:.2f} s; where it may take longer, raise "
                f"{name} ({self.limit_ns / 1e9:g} s)"
            )
            return InferenceResult(stamp_ns, asked.submitted_ns, steady_ns, None, failure)
        reported, self._overdue, self._asked = self._overdue, False, None
        self._warm = not reply.away
        if reported or asked.generation != self._generation:
            return None
        return InferenceResult(
            stamp_ns, asked.submitted_ns, steady_ns, reply.action, reply.failure, reply.away
        )

    def _waited_ns(self, steady_ns: int) -> int:
        return self._stopwatch(steady_ns) - self._asked_at_ns

    def _stopwatch(self, steady_ns: int) -> int:
        return steady_ns if self._stopwatch_ns is None else self._stopwatch_ns()

    def close(self, timeout_s: float) -> bool:
        """End the thread and close the policy.

        Returns:
            Whether the thread ended in time. If not, it is left behind with its policy.
        """
        self._questions.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._policy.close()
        return True

    def _work(self) -> None:
        generation = -1
        while (question := self._questions.get()) is not None:
            try:
                if question.generation != generation:
                    self._policy.reset()
                    generation = question.generation
                seen, committed = question.observation, question.committed
                if self._continuing is None or committed is None:
                    action = self._policy.infer(seen)
                else:
                    action = self._continuing.continue_chunk(seen, committed)
            except PolicyUnavailableError as error:
                failure = " ".join(str(error).split())
                self._replies.put(_Reply(question, None, failure, away=True))
            # Whatever a policy raises is an answer here: it ends the run, not the node.
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
                self._replies.put(_Reply(question, None, " ".join(failure.split())))
            else:
                self._replies.put(_Reply(question, action))
