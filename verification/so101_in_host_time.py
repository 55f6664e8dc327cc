# SPDX-License-Identifier: Apache-2.0
"""An SO-101 in the host's time: a simulated arm at a port, and a policy that plays a motion."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from so100_driver.core.calibration import JOINTS
from vla_bringup.resting import resting_contract

TOP = Path(__file__).resolve().parents[1]
# Above the table and clear of the bin, rad.
MIDDLE = np.array([0.0, -0.9, 0.7, 1.1, 0.0, 0.6])
# What the policy plays in the host's time, and how it swings; for a run of any length.
MOTION_S, ROW_S = 3600.0, 0.1
POLICY_SWING = np.array([0.4, 0.2, 0.2, 0.2, 0.4, 0.2])
SAG = "sag_rad_nm:=0.056"
# A host that is busy must not look like a dead arm.
PATIENT = ("answer_timeout_s:=0.1", "stale_s:=1.0", "command_timeout_s:=2.0")


def moving_policy(folder: Path) -> Path:
    """Write a contract whose policy plays a motion, seen by nothing but its joints."""
    contract: Path = resting_contract(TOP / "config" / "robots" / "so101" / "robot.yaml", folder)
    content = json.loads(contract.read_text(encoding="utf-8"))
    times_s = ROW_S * np.arange(round(MOTION_S / ROW_S))
    periods_s = 2.5 + 0.3 * np.arange(len(JOINTS))
    # It begins gently, where the arm can be from anywhere.
    grown = np.minimum(times_s / 2.0, 1.0).reshape(-1, 1)
    swing = np.sin(math.tau * times_s.reshape(-1, 1) / periods_s)
    motion = folder / "motion.npz"
    np.savez(
        motion,
        joint_names=np.array(JOINTS),
        dt_s=ROW_S,
        positions=MIDDLE + POLICY_SWING * grown * swing,
    )
    content["policy"]["options"] = {"file": str(motion), "rows": 20}
    contract.write_text(json.dumps(content), encoding="utf-8")
    return contract


def simulated_arm(folder: Path, stack: contextlib.ExitStack) -> tuple[str, ...]:
    """Simulate an arm at a port until the end; return what a launch is told of it."""
    link, file = folder / "follower", folder / "follower.json"
    simulate = [sys.executable, "-m", "so100_driver.cli", "simulate"]
    simulate += ["--link", str(link), "--calibration", str(file)]
    arm = subprocess.Popen(
        simulate, stdout=subprocess.PIPE, text=True, preexec_fn=_before_all_others
    )
    stack.callback(arm.wait)
    stack.callback(arm.terminate)
    assert arm.stdout is not None
    arm.stdout.readline()
    return f"port:={link}", f"calibration_file:={file}", SAG


def _before_all_others() -> None:
    # A servo answers when it is asked, however busy the host is.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))
