# SPDX-License-Identifier: Apache-2.0
"""Workers live as long as the process that began them, and no longer."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path


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

        def work(seconds):
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
