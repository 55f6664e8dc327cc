# SPDX-License-Identifier: Apache-2.0
"""Every node ends in good order on Ctrl-C, which a launch system passes on a second time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy

TOP = Path(__file__).resolve().parents[3]
CONFIG = TOP / "config"
ROBOT = f"robot_file:={CONFIG}/robots/so101/robot.yaml"
NODES = {
    "vla_sim": ("vla_sim.node", [ROBOT]),
    "smoothness_monitor": (
        "smoothness_monitor.node",
        [ROBOT, f"monitor_file:={CONFIG}/robots/so101/monitor.yaml"],
    ),
    "vla_policy_node": (
        "vla_policy_node.node",
        [ROBOT, f"contract_file:={CONFIG}/policies/so101_color_pick.yaml"],
    ),
    "black_box": ("vla_recording.black_box.node", []),
    "faults": ("vla_sim.faults.node", [ROBOT]),
    "episode_runner": ("vla_bringup.episode_runner", [ROBOT]),
    "vla_operator": ("vla_operator.node", [ROBOT]),
}
# What is told to end before it was through has not done what it was asked for.
UNFINISHED = {"episode_runner": 1}
# What it makes last of all.
LAST = "/vla_policy_node/set_parameters"


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("apart_s", [0.0, 0.01, 0.1])
def test_two_interrupts_end_a_node_without_a_traceback(domain, tmp_path, name, apart_s):
    module, parameters = NODES[name]
    faults = tmp_path / "faults.yaml"
    faults.write_text("[{at_s: 1.0, for_s: 1.0, intrude_every_s: 0.1}]")
    more = {
        "black_box": [f"directory:={tmp_path}"],
        "episode_runner": [f"output_dir:={tmp_path}"],
        "faults": [f"faults_file:={faults}"],
    }
    words = [word for each in [*parameters, *more.get(name, [])] for word in ("-p", each)]
    timing = CONFIG / "policies" / "vla_policy_node.yaml"
    if name == "vla_policy_node":
        words += ["--params-file", str(timing)]
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; from {module} import main; sys.exit(main())",
            "--ros-args",
            *words,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(name, process)
        process.send_signal(signal.SIGINT)
        time.sleep(apart_s)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == UNFINISHED.get(name, 0), told
    assert "Traceback" not in told, told


def there(watcher: rclpy.node.Node, name: str) -> bool:
    if name not in watcher.get_node_names():
        return False
    # This one loads compiled code once it is known; an interrupt in the midst of that is lost.
    clients = watcher.get_client_names_and_types_by_node(name, "/") if name in UNFINISHED else []
    return name not in UNFINISHED or LAST in dict(clients)


def wait_for(name: str, process: subprocess.Popen[str]) -> None:
    rclpy.init()
    watcher = rclpy.create_node("watcher")
    try:
        deadline = time.monotonic() + 120.0
        while not there(watcher, name):
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # It is known before it is complete.
        time.sleep(1.0)
    finally:
        watcher.destroy_node()
        rclpy.try_shutdown()
