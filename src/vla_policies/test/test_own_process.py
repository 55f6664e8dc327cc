# SPDX-License-Identifier: Apache-2.0
"""A policy in a process of its own: it returns when it dies or hangs, and ends with its parent."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from vla_policies import STATE, Observation, PolicyError, PolicyUnavailableError
from vla_policies.own_process import STARTS, Launch, OwnProcessPolicy

POLICY = """
import os, sys, time
from pathlib import Path
import numpy as np
from vla_policies import STATE, Action, FeatureKind, FeatureSpec, PolicySpec, PolicyError

STATE_OF_ONE = FeatureSpec(STATE, FeatureKind.STATE, (1,), "rad")
SPEC = PolicySpec("pid 1", (STATE_OF_ONE,), ("a",), "rad", 0.1, 1)

class Pid:
    spec = SPEC
    asked = 0
    def __init__(self, options):
        self.options = options
    def reset(self): ...
    def close(self): ...
    def infer(self, observation):
        print("policies print")
        self.asked += 1
        if self.asked == 1:
            time.sleep(self.options.get("first_s", 0.0))
        elif "hangs" in self.options:
            time.sleep(60.0)
        if observation.task == "die":
            os._exit(3)
        phase = os.environ.get("COLOUR", "") + os.environ["OMP_WAIT_POLICY"]
        return Action(np.array([[float(os.getpid())]]), 0.1, ("a",), phase)

def make(options):
    if "wrong" in options:
        raise PolicyError("pid: wrong: is wrong")
    return Pid(options)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch) -> Path:
    """Install the policy for processes that this one starts."""
    info = tmp_path / "pid-1.dist-info"
    info.mkdir()
    (tmp_path / "pid_policy.py").write_text(POLICY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pid\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vla_policies]\npid = pid_policy:make\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    return tmp_path


@pytest.fixture
def policy(installed):
    made = OwnProcessPolicy(Launch("pid", {}, environment={"COLOUR": "blue "}), timeout_s=2.0)
    yield made
    made.close()


def observe(task: str = "x") -> Observation:
    return Observation(0, {}, {STATE: np.zeros(1)}, task)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that nobody has waited for is dead all the same.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def until(ready, what: str) -> None:
    deadline = time.monotonic() + 120.0
    while not ready():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.02)


def again(policy) -> float:
    found = []

    def ready() -> bool:
        try:
            found.append(policy.infer(observe()))
        except PolicyUnavailableError:
            return False
        return True

    until(ready, "answer after the restart")
    return found[0].positions[0, 0]


def test_the_policy_runs_elsewhere_with_its_environment(policy):
    action = policy.infer(observe())
    assert action.positions[0, 0] == policy.pid != os.getpid()
    assert action.phase == "blue PASSIVE"
    policy.close()
    assert not alive(int(action.positions[0, 0]))


def test_a_process_that_dies_is_unavailable_and_then_started_again(policy):
    first = policy.infer(observe()).positions[0, 0]
    with pytest.raises(PolicyUnavailableError, match="pid in its own process"):
        policy.infer(observe("die"))
    assert again(policy) != first


def test_a_process_that_is_killed_is_started_again(policy):
    first = policy.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: policy.pid != first, "other process")
    assert again(policy) == policy.pid


def test_a_port_that_says_nonsense_to_the_watch_does_not_end_it(policy, monkeypatch):
    """As another program's, that has the port of a process which ended a moment ago."""
    first = policy.pid

    def talk() -> None:
        with suppress(OSError):
            while True:
                with listener.accept()[0] as heard:
                    heard.recv(4096)
                    heard.sendall(b"nonsense\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=talk, daemon=True).start()
        policy._child._port = listener.getsockname()[1]
        monkeypatch.setattr("vla_policies.own_process.HEALTH_S", 0.0)
        until(lambda: policy.pid != first, "other process in place of one that is not well")
        listener.shutdown(socket.SHUT_RDWR)
    assert again(policy) == policy.pid


def test_a_process_that_hangs_is_killed_and_started_again(policy):
    first = policy.pid
    os.kill(first, signal.SIGSTOP)
    reason = r"gave no answer for 2 s \(inference_timeout_s\) and was killed"
    with pytest.raises(PolicyUnavailableError, match=reason):
        policy.infer(observe())
    assert again(policy) != first
    assert not alive(first)


def test_a_first_answer_that_is_slow_is_waited_for_before_any_question_counts(installed):
    made = OwnProcessPolicy(Launch("pid", {"first_s": 4.0}), timeout_s=2.0)
    first = made.pid
    assert made.infer(observe()).positions[0, 0] == first
    os.kill(first, signal.SIGKILL)
    until(lambda: made.pid != first, "other process")
    reasons = set()

    def back() -> bool:
        try:
            made.infer(observe())
        except PolicyUnavailableError as error:
            reasons.add(str(error))
            return False
        return True

    until(back, "answer after the restart")
    waited = [reason for reason in reasons if "gives its first answer, to warm up" in reason]
    assert waited
    assert all("of 300 s at most (warm_up_timeout_s)" in reason for reason in waited)
    made.close()


def test_a_first_answer_that_never_comes_ends_the_start_and_names_the_parameter(installed):
    launch = Launch("pid", {"first_s": 60.0}, warm_up_timeout_s=0.5)
    with pytest.raises(PolicyError, match=r"no first answer within 0\.5 s \(warm_up_timeout_s\)"):
        OwnProcessPolicy(launch, timeout_s=1.0)


def test_a_process_that_never_answers_is_not_started_for_ever(installed, monkeypatch):
    monkeypatch.setattr("vla_policies.own_process.FIRST_PAUSE_S", 0.05)
    made = OwnProcessPolicy(Launch("pid", {"hangs": 1}), timeout_s=0.2)
    pids, ends = set(), []

    def ended() -> bool:
        pids.add(made.pid)
        try:
            made.infer(observe())
        except PolicyUnavailableError:
            return False
        except PolicyError as error:
            ends.append(str(error))
            return True
        return False

    until(ended, "end of it")
    assert len(pids) == STARTS
    assert f"was started {STARTS} times and has never answered" in ends[0]
    assert "no answer for 0.2 s (inference_timeout_s)" in ends[0]
    assert "a new instruction tries again" in ends[0]
    made.reset()
    last = made.pid
    until(lambda: made.pid != last, "process for the new instruction")
    made.close()


@pytest.mark.parametrize(
    ("launch", "problem"),
    [
        (Launch("pid", {"wrong": 1}), "^pid: wrong: is wrong$"),
        (Launch("nobody", {}), "there is no policy 'nobody'"),
        (Launch("pid", {}, python="/nowhere/python"), "python: /nowhere/python: No such file"),
        (Launch("pid", {}, python="/bin/true"), "ended with code 0 before it served"),
        (Launch("pid", {"x": object()}), "options: cannot be passed on"),
    ],
)
def test_what_cannot_be_started_is_said_in_the_childs_own_words(installed, launch, problem):
    with pytest.raises(PolicyError, match=problem):
        OwnProcessPolicy(launch, timeout_s=1.0)


PARENT = """
import sys, time
from vla_policies.own_process import Launch, OwnProcessPolicy
policy = OwnProcessPolicy(Launch("pid", {}), timeout_s=1.0)
print(policy.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("hung", [False, True])
def test_the_process_ends_with_its_parent_however_that_ends(installed, hung):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        if hung:
            os.kill(child, signal.SIGSTOP)
        parent.kill()
    until(lambda: not alive(child), "end of the orphan")
