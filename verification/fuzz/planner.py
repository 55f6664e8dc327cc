# SPDX-License-Identifier: Apache-2.0
"""Throw adversarial chunks at planner, gate and controller, and look for one that gets through.

    python -m verification.fuzz.planner [--ticks 100000] [--seed 0] [--jobs 1] [--results FILE]

One tick is a chunk, absurd in one of many ways, a brake, or a change of the rate at which the
running plan is carried out: planned from the running plan, overlapped, checked, delivered late
within the overlap, and run by an emulated joint_trajectory_controller at 100 Hz or 1 kHz. In some
ticks the plan is altered on its way, from the last bit to a NaN; what the gate lets through is run
too. The reference's position and its divided differences over trajectory time must keep every
limit: the largest ratio allowed is 1.001. Every plan of the planner must pass the gate. Nothing
may raise but MotionError and NoPlanError, and those where documented.

A long run is made of runs of 100,000 ticks with the seeds S, S + 1 and so on. With `--results`
each adds a line to the file, and those that the file has are passed over: a run that was
interrupted goes on, and several add up. `--write` puts the sum of the file into docs/measurements.

A failure prints the seed and the episode; `--seed S --episode E` runs that one again.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import smooth_motion
from verification.fuzz.planner_episode import PlannerEpisode
from verification.fuzz.runs import DERIVATIVES, FuzzCampaign

MODULES = ("brake", "check", "errors", "limits", "overlap", "plan", "retime", "tracker")

FUZZER = FuzzCampaign(
    unit="ticks",
    episode=PlannerEpisode,
    an_episode=100,
    a_run=100_000,
    counts=(
        *("ticks", "episodes", "cycles", "cycles compared", "chunks planned", "chunks refused"),
        *("chunks without a plan", "brakes", "altered", "altered, but let through"),
        *("changes of rate", "changes of rate refused", "changes of rate without a plan"),
        *("refused on the way in", "arrived after their end"),
    ),
    kinds=("position", *DERIVATIVES),
    page="fuzz_planner",
    code=[Path(inspect.getfile(smooth_motion)).with_name(f"{name}.py") for name in MODULES],
)

if __name__ == "__main__":
    sys.exit(FUZZER.main(__doc__))
