# SPDX-License-Identifier: Apache-2.0
"""Throw trajectories at the whole monitor and judge what the controllers behind it do.

    python -m verification.fuzz.gate [--trajectories 10000] [--seed 0] [--results FILE]

The monitor's core stands between an attacker and two emulated joint_trajectory_controllers, of arm
and gripper, with all of a real one's pitfalls (a stamp of 0 starts now, what is past is entered in
its middle, a first point ahead is approached from the measured joints). Messages take their time:
states come late, in bursts or not at all, controllers stall and catch up, trajectories to them
come late or never, on the topic or as action goals. The attacker knows everything and sends what
is nearly right: see `ATTACKS`. In between the arm is stopped, reset, slowed down.

The arm's reference must keep position, velocity, acceleration and jerk, by divided differences,
to 1.001 of the limits; the gripper's its rate. No detector of the controller's command may trip,
and nothing may raise.

A long run is made of runs of 10,000 trajectories with the seeds S, S + 1 and so on. With
`--results` each adds a line to the file, and those that the file has are passed over. `--write`
puts the sum of the file into docs/measurements. `--seed S --episode E` runs a failure again.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import smooth_motion
import smoothness_monitor.core
from verification.fuzz.gate_attacks import ATTACKS
from verification.fuzz.gate_episode import GateEpisode
from verification.fuzz.runs import DERIVATIVES, FuzzCampaign

COUNTS = (
    *("trajectories", "gripper trajectories", "forwarded", "forwarded to the gripper"),
    *("episodes", "cycles", "stops", "lost on the way to a controller", "dropped as too old"),
    *("refused by a controller", "brakes as goals", "given up", "slowed down", "without a plan"),
)
NAMES = tuple(dict.fromkeys(attack.__name__ for attack in ATTACKS))

FUZZER = FuzzCampaign(
    unit="trajectories",
    episode=GateEpisode,
    an_episode=200,
    a_run=10_000,
    counts=(*COUNTS, *(part for name in NAMES for part in (name, f"{name}: forwarded"))),
    kinds=("position", *DERIVATIVES, "gripper"),
    page="fuzz_gate",
    code=[
        path
        for package in (smooth_motion, smoothness_monitor.core)
        for path in sorted(Path(inspect.getfile(package)).parent.rglob("*.py"))
    ],
)

if __name__ == "__main__":
    sys.exit(FUZZER.main(__doc__))
