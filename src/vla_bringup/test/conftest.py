# SPDX-License-Identifier: Apache-2.0
"""Launch the real graph, with whichever ROS 2 can be imported, and look for its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_directory

# Whoever runs in the background of a script ignores Ctrl-C, and hands that on.
LAUNCH = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = dict(word.split(":=", 1) for word in sys.argv[2:])
service = LaunchService(argv=[])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments.items())]))
sys.exit(service.run())
"""


class LaunchedGraph:
    """A launch file running in its own process."""

    def __init__(self, launch_file: Path, log: Path, **arguments: str) -> None:
        words = [f"{key}:={value}" for key, value in arguments.items()]
        self.log = log
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(launch_file), *words],
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pid_of(self, executable: str, timeout_s: float = 120.0) -> int:
        """Return the process id of a node started by the launch file."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for pid in descendants(self.process.pid):
                words = command_line(pid)
                if any(Path(word).name == executable for word in words) or any(
                    f"__node:={executable}" in word for word in words
                ):
                    return pid
            time.sleep(0.05)
        raise AssertionError(f"no process {executable} in:\n{self.log.read_text()}")

    def stop(self) -> None:
        """End the graph as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


def descendants(root: int) -> list[int]:
    """Return every process below `root`, newest last."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return sorted(found - {root})


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


@pytest.fixture
def share() -> Path:
    return Path(get_package_share_directory("vla_bringup"))


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> int:
    """A domain of its own for each test process, so that graphs do not meet."""
    number = 101 + os.getpid() % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    return number


@pytest.fixture
def graph(
    request: pytest.FixtureRequest, share: Path, domain: int, tmp_path: Path
) -> Iterator[LaunchedGraph]:
    """The simulated SO-101 with the `color_pick` policy, as fast as the host can.

    In arguments, TMP stands for the folder of the test.
    """
    asked = {"seed": "3", "real_time_factor": "0.0", **getattr(request, "param", {})}
    given = {key: word.replace("TMP", str(tmp_path)) for key, word in asked.items()}
    launched = LaunchedGraph(
        share / "launch" / "so101_sim.launch.py",
        tmp_path / "launch.log",
        **given,
    )
    yield launched
    launched.stop()
