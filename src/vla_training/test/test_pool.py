# SPDX-License-Identifier: Apache-2.0
"""Workers live as long as the process that began them, and no longer."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from vla_policies.protocol import PolicyError
from vla_training.errors import TrainingError
from vla_training.pool import in_parallel


class Slate:
    """A state that counts what was done with it."""

    def __init__(self, first):
        if first < 0:
            raise PolicyError(f"first: is {first}; write 0 or more")
        self.process, self.sums, self.closed = os.getpid(), first, False

    def add(self, number):
        if number < 0:
            raise TrainingError(f"number: is {number}; write 0 or more")
        self.sums += number
        return self.process, number

    def close(self):
        self.closed = True


@pytest.mark.parametrize("processes", [1, 2])
def test_answers_come_in_the_order_of_the_work(processes):
    answers = list(in_parallel(Slate.add, [(n,) for n in range(20)], processes, Slate, (3,)))
    assert [number for _, number in answers] == list(range(20))
    here = {process for process, _ in answers} == {os.getpid()}
    assert here == (processes == 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_state_that_cannot_be_had_is_one_line_and_no_traceback(processes, capfd):
    """A worker's traceback, and a hint that memory may be short, told of a missing python."""
    with pytest.raises(PolicyError, match=r"^first: is -1; write 0 or more$"):
        list(in_parallel(Slate.add, [(1,), (2,)], processes, Slate, (-1,)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("processes", [1, 2])
def test_work_that_cannot_be_done_is_one_line(processes, capfd):
    answers = in_parallel(Slate.add, [(1,), (-2,), (3,)], processes, Slate, (0,))
    assert next(answers)[1] == 1
    with pytest.raises(TrainingError, match=r"^number: is -2; write 0 or more$"):
        next(answers)
    assert capfd.readouterr() == ("", "")


def test_workers_end_with_a_process_that_is_killed(tmp_path):
    """A killed `vla-eval` left its worlds and policies behind, with memory and processor time."""
    script = tmp_path / "work.py"
    script.write_text(
        textwrap.dedent("""
        import os, time
        from pathlib import Path
        from vla_training.pool import in_parallel

        def begin(folder):
            Path(folder, f"{os.getpid()}.worker").touch()

        def work(state, seconds):
            time.sleep(seconds)

        if __name__ == "__main__":
            list(in_parallel(work, [(600.0,)] * 2, 2, begin, (os.environ["FOLDER"],)))
        """),
        encoding="utf-8",
    )
    paths = os.pathsep.join(sys.path)
    environment = {**os.environ, "FOLDER": str(tmp_path), "PYTHONPATH": paths}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment)
    try:
        _until(lambda: len(list(tmp_path.glob("*.worker"))) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    workers = [int(path.stem) for path in tmp_path.glob("*.worker")]
    _until(lambda: not any(map(_lives, workers)))


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def _until(true, timeout_s=120.0):
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
