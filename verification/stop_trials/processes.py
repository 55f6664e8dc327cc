# SPDX-License-Identifier: Apache-2.0
"""The processes of a trial."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import SetRemap
words = [word.split(":=", 1) for word in sys.argv[2:]]
remaps = [SetRemap(*word[1].split("=>")) for word in words if word[0] == "remap"]
arguments = [(name, value) for name, value in words if name != "remap"]
service = LaunchService(argv=[])
service.include_launch_description(LaunchDescription([*remaps, IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)]))
sys.exit(service.run())
"""


class TrialError(RuntimeError):
    """The trial could not be carried out."""


@contextmanager
def running(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process, and end it as Ctrl-C does."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], within_s: float = 20.0) -> None:
    """End a process and all that it started, as Ctrl-C does, or by force."""
    # A node that was stopped must go on to hear that it should end.
    for step in (signal.SIGCONT, signal.SIGINT):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, step)
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def child(parent: int, program: str) -> int:
    """Return the process id of a child that runs a program."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            stat = (entry / "stat").read_text(errors="replace") if entry.name.isdigit() else ""
            if not stat or int(stat.rpartition(")")[2].split()[1]) != parent:
                continue
            if program in (entry / "cmdline").read_text(errors="replace").split("\0")[0]:
                return int(entry.name)
    raise TrialError(f"no process {program} was started")


def prefer(process: int) -> None:
    """Let a process's threads go first, where that is allowed: they are the arm.

    On a loaded host a controller drops states while its publishing thread waits for a processor,
    and a driver reads its joints at odd times.
    """
    with suppress(PermissionError, ProcessLookupError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -15)
