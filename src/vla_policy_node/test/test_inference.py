# SPDX-License-Identifier: Apache-2.0
"""The thread around the policy: failures are values, late answers are dropped, nothing blocks."""

import threading
import time

import numpy as np
import pytest

from vla_policies import Action, Observation, PolicyError, PolicyUnavailableError
from vla_policies.rtc import Committed
from vla_policy_node.core.inference import Inference

SECOND = 1_000_000_000


class GatedPolicy:
    """Answers when the test opens the gate."""

    def __init__(self, spec) -> None:
        self.spec = spec
        self.gate = threading.Semaphore(0)
        self.calls: list[str] = []
        self.error: Exception | None = None

    def reset(self) -> None:
        self.calls.append("reset")

    def infer(self, observation: Observation) -> Action:
        self.calls.append(observation.task)
        self.gate.acquire()
        if self.error is not None:
            raise self.error
        return Action(np.zeros((2, 4)), 0.1, self.spec.joint_names, observation.task)

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def policy(spec):
    return GatedPolicy(spec)


@pytest.fixture
def inference(policy):
    worker = Inference(policy, 2 * SECOND)
    worker.begin()
    yield worker
    for _ in range(9):
        policy.gate.release()
    assert worker.close(60.0)
    assert policy.calls[-1] == "close"


def observe(task: str, stamp_ns: int = 7) -> Observation:
    return Observation(stamp_ns, {}, {}, task)


def answer(inference, now_ns: int):
    """Poll until the thread has answered and is free again."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        found = inference.poll(now_ns)
        if found is not None or not inference.busy:
            return found
        time.sleep(0.001)
    raise AssertionError("the policy's thread did not answer")


def test_an_answer_carries_its_latency_and_the_stamp_of_its_observation(inference, policy):
    inference.submit(observe("one"), 100)
    assert inference.poll(200) is None
    policy.gate.release()
    found = answer(inference, 300)
    assert (found.observation_stamp_ns, found.submitted_ns, found.received_ns) == (7, 100, 300)
    assert found.action.phase == "one"
    assert found.failure == ""
    assert not inference.busy


def test_what_a_policy_raises_is_a_value(inference, policy):
    policy.error = ValueError("no cube\nin sight")
    inference.submit(observe("one"), 100)
    policy.gate.release()
    found = answer(inference, 300)
    assert found.action is None
    assert found.failure == "ValueError: no cube in sight"
    policy.error = None
    inference.submit(observe("two"), 400)
    policy.gate.release()
    assert answer(inference, 500).action.phase == "two"


def test_an_answer_to_an_older_instruction_is_dropped(inference, policy):
    inference.submit(observe("old"), 100)
    inference.begin()
    policy.gate.release()
    assert answer(inference, 300) is None
    inference.submit(observe("new"), 400)
    policy.gate.release()
    assert answer(inference, 500).action.phase == "new"


def test_the_policy_is_reset_once_before_each_instruction(inference, policy):
    for task in ("a", "b"):
        inference.submit(observe(task), 100)
        policy.gate.release()
        answer(inference, 200)
    inference.begin()
    inference.submit(observe("c"), 100)
    policy.gate.release()
    answer(inference, 200)
    assert policy.calls == ["reset", "a", "b", "reset", "c"]


def test_a_hanging_policy_is_reported_once_and_stays_busy_until_it_returns(inference, policy):
    inference.submit(observe("one"), 0)
    assert inference.poll(2 * SECOND) is None
    found = inference.poll(2 * SECOND + 1)
    assert found.action is None
    assert found.failure.startswith("has not answered for 2.00 s; ")
    assert inference.overdue
    assert inference.poll(3 * SECOND) is None
    assert inference.busy
    with pytest.raises(RuntimeError, match="busy"):
        inference.submit(observe("two"), 3 * SECOND)
    policy.gate.release()
    assert answer(inference, 4 * SECOND) is None, "it has been reported as a failure"
    assert not inference.busy
    assert not inference.overdue


def test_a_question_that_no_longer_matters_is_not_reported_as_hanging(inference, policy):
    inference.submit(observe("old"), 0)
    inference.begin()
    assert inference.poll(3 * SECOND) is None
    assert inference.overdue


def test_closing_does_not_wait_for_a_policy_that_never_returns(policy):
    worker = Inference(policy, SECOND)
    worker.submit(observe("one"), 0)
    assert not worker.close(0.05)
    assert "close" not in policy.calls
    policy.gate.release()


def test_a_policy_that_is_away_is_told_from_one_that_fails(inference, policy):
    for error, away in ((PolicyUnavailableError("gone"), True), (PolicyError("bad"), False)):
        policy.error = error
        inference.submit(observe("one"), 100)
        policy.gate.release()
        assert answer(inference, 300).away is away


def test_what_is_committed_is_handed_to_a_policy_that_takes_it(spec):
    class Continuing(GatedPolicy):
        def infer(self, observation):
            return self.continue_chunk(observation, None)

        def continue_chunk(self, observation, committed):
            self.calls.append(committed)
            return Action(np.zeros((2, 4)), 0.1, self.spec.joint_names)

    policy = Continuing(spec)
    worker = Inference(policy, SECOND)
    assert worker.continues
    for committed in (None, Committed(np.zeros((1, 4)), 1)):
        worker.submit(observe("one"), 0, committed)
        answer(worker, 1)
        assert policy.calls[-1] is committed
    assert worker.close(60.0)


def test_a_policy_that_does_not_take_it_says_so(inference):
    assert not inference.continues


def test_an_answer_in_simulated_time_counts_after_the_latency_and_time_waits_for_it(policy):
    host_ns = [0]
    worker = Inference(policy, 2 * SECOND, lambda: host_ns[0], latency_ns=50)
    worker.begin()
    worker.submit(observe("one"), 100)
    assert not worker.holds(149)
    assert worker.holds(150)
    policy.gate.release()
    while worker.holds(150):
        time.sleep(0.001)
    assert worker.poll(149) is None
    assert worker.poll(150).action.phase == "one"
    assert not worker.holds(200)
    assert worker.close(60.0)


def test_a_policy_that_hangs_is_told_by_the_hosts_clock_and_holds_time_no_longer(policy):
    host_ns = [0]
    worker = Inference(policy, 2 * SECOND, lambda: host_ns[0], latency_ns=50)
    worker.begin()
    worker.submit(observe("one"), 100)
    assert worker.poll(100 + 90 * SECOND) is None
    assert worker.holds(100 + 90 * SECOND)
    host_ns[0] = 2 * SECOND + 1
    assert "has not answered" in worker.poll(150).failure
    assert not worker.holds(150)
    policy.gate.release()
    assert worker.close(60.0)


def test_a_first_answer_has_a_time_limit_of_its_own_and_says_so(policy):
    worker = Inference(policy, 2 * SECOND, warm_up_ns=60 * SECOND)
    worker.begin()
    worker.submit(observe("slow"), 0)
    assert worker.warming_up(SECOND // 2) == ""
    assert worker.poll(30 * SECOND) is None
    said = worker.warming_up(30 * SECOND)
    assert said == (
        "warms up: its first answer has taken 30 s, at most 60 s are allowed (warm_up_timeout_s)"
    )
    policy.gate.release()
    assert answer(worker, 31 * SECOND).action is not None
    worker.submit(observe("quick"), 40 * SECOND)
    assert worker.warming_up(41 * SECOND) == ""
    late = worker.poll(42 * SECOND + 1)
    assert "raise inference_timeout_s (2 s)" in late.failure
    policy.gate.release()
    assert worker.close(60.0)


def test_a_first_answer_that_takes_longer_than_that_names_its_parameter(policy):
    worker = Inference(policy, 2 * SECOND, warm_up_ns=60 * SECOND)
    worker.begin()
    worker.submit(observe("never"), 0)
    assert "raise warm_up_timeout_s (60 s)" in worker.poll(61 * SECOND).failure
    assert worker.warming_up(62 * SECOND) == ""
    policy.gate.release()
    assert worker.close(60.0)


def test_after_it_was_away_the_next_answer_is_a_first_one_again(policy):
    worker = Inference(policy, 2 * SECOND, warm_up_ns=60 * SECOND)
    worker.begin()
    for error, first in ((None, False), (PolicyUnavailableError("no server"), True)):
        policy.error = error
        worker.submit(observe("x"), 0)
        policy.gate.release()
        answer(worker, SECOND)
        assert (worker.limit_ns == 60 * SECOND) is first
    assert worker.close(60.0)
