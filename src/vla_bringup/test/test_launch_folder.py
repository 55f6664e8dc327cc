# SPDX-License-Identifier: Apache-2.0
"""What launch files write for themselves is gone when the launch has ended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
LAUNCH = """
import sys
from pathlib import Path
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import OpaqueFunction
from vla_bringup import launch_parts as parts

def write(context):
    context.launch_configurations["robot_file"] = sys.argv[1]
    resting, latch = parts.resting(context), parts.new_latch_folder()
    print(f"resting {Path(resting).is_file()}")
    print(f"another {parts.resting(context) != resting and parts.new_latch_folder() != latch}")
    print(f"latch {Path(latch)}")
    Path(latch, "latch.json").touch()

service = LaunchService(argv=[])
service.include_launch_description(LaunchDescription([OpaqueFunction(function=write)]))
sys.exit(service.run())
"""


def test_what_a_launch_writes_for_itself_is_removed_when_it_ends(tmp_path):
    robot_file = TOP / "config" / "robots" / "so101" / "robot.yaml"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "ROS_LOG_DIR": str(tmp_path / "log")}
    command = [sys.executable, "-c", LAUNCH, str(robot_file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "resting True\n" in done.stdout
    assert "another True\n" in done.stdout
    assert f"latch {temporary}/" in done.stdout
    assert list(temporary.iterdir()) == []


def test_no_launch_file_makes_a_folder_that_nobody_removes():
    sources = [*(TOP / "launch").glob("*.py"), *(TOP / "src/vla_bringup/vla_bringup").glob("*.py")]
    makers = {path.name for path in sources if re.search(r"mkdtemp|gettempdir", path.read_text())}
    assert len(sources) > 20
    assert makers == {"launch_folder.py"}
