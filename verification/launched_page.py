# SPDX-License-Identifier: Apache-2.0
"""A launch file or a command that serves the operator's page, in processes of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_PAGE = re.compile(r"the operator's page: (http://localhost:\d+)")
_HANGS_S = 300.0
_LAUNCH = """
import sys
from pathlib import Path
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path = Path(get_package_share_directory("vla_bringup"), "launch", sys.argv[1])
arguments = dict(word.split(":=", 1) for word in sys.argv[2:])
service = LaunchService(argv=[])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(str(path)), launch_arguments=arguments.items())]))
sys.exit(service.run())
"""


class Launched:
    """What was started.

    Attributes:
        process: Its process.
        log: File with what it says.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Begin."""
        self.process, self.log = process, log

    def address(self) -> str:
        """Return where the page is, once it says so."""
        end_s = time.monotonic() + _HANGS_S
        while time.monotonic() < end_s and self.process.poll() is None:
            told = _PAGE.search(self.log.read_text(errors="replace"))
            if told:
                return told.group(1)
            time.sleep(0.1)
        raise RuntimeError(f"no page:\n{self.log.read_text(errors='replace')[-4000:]}")


@contextlib.contextmanager
def launched(file: str, **arguments: str) -> Iterator[Launched]:
    """Run a launch file of vla_bringup, and end it."""
    words = [f"{name}:={value}" for name, value in arguments.items()]
    with started([sys.executable, "-c", _LAUNCH, file, *words]) as found:
        yield found


@contextlib.contextmanager
def started(words: Sequence[str]) -> Iterator[Launched]:
    """Run a command, and end it as Ctrl-C does."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                words,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Whoever runs in the background of a script ignores Ctrl-C, and hands that on.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        try:
            yield Launched(process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(60.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
