# SPDX-License-Identifier: Apache-2.0
"""How far an SO-101 rests from where it is sent, with each of the driver's corrections."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import numpy as np

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "src" / "so100_driver" / "test"))

from arm_rig import GRIPPER, PERIOD_S, Rig  # noqa: E402

from so100_driver.core.calibration import JOINTS  # noqa: E402
from so100_driver.core.orders import ArmLimits, ArmMode  # noqa: E402

POSES, TRAVEL_S, REST_S = 20, 1.5, 2.5
# Of each joint, rad: clear of its ends.
LOWEST = np.array([-1.0, -0.9, -0.4, -0.8, -1.0, 0.5])
HIGHEST = np.array([1.0, 0.7, 0.9, 0.8, 1.0, 0.5])
SAG, PLAY, TRIM = 0.056, math.radians(0.5), 0.02
CHOICES = {
    "none": ArmLimits(),
    "sag": ArmLimits(sag_rad_nm=SAG),
    "sag and play": ArmLimits(sag_rad_nm=SAG, play_rad=PLAY),
    "friction": ArmLimits(trim_rad=TRIM),
    "all three": ArmLimits(sag_rad_nm=SAG, play_rad=PLAY, trim_rad=TRIM),
    "all three, half of the true sag": ArmLimits(sag_rad_nm=SAG / 2, play_rad=PLAY, trim_rad=TRIM),
}


def _rests(limits: ArmLimits, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Send an arm to each pose; return how far links and encoders rest from it, `(N, J)`, rad."""
    generator = np.random.default_rng(seed)
    rig = Rig(limits=limits).held()
    at = rig.angles
    links, encoders = [], []
    for goal in generator.uniform(LOWEST, HIGHEST, (POSES, len(JOINTS))):
        for way in np.linspace(0.0, 1.0, round(TRAVEL_S / PERIOD_S) + 1)[1:]:
            eased = way**3 * (10.0 - 15.0 * way + 6.0 * way * way)
            _command(rig, at + (goal - at) * eased)
        for _ in range(round(REST_S / PERIOD_S)):
            _command(rig, goal)
        if rig.arm.mode is not ArmMode.FOLLOWING:
            raise RuntimeError(rig.words)
        links.append(np.abs(rig.plant.link - goal)[:GRIPPER])
        encoders.append(np.abs(rig.angles - goal)[:GRIPPER])
        at = goal
    return np.array(links), np.array(encoders)


def _command(rig: Rig, positions: np.ndarray) -> None:
    refusal = rig.arm.command(list(JOINTS), positions.tolist(), rig.now_s)
    if refusal:
        raise RuntimeError(refusal)
    rig.step()


def corrections(folder: Path, seed: int) -> None:
    """Try each choice at the same poses."""
    path = folder / "so101_corrections.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ("corrected", "links: mean, rad", "largest", "encoders: mean, rad", "largest")
        )
        for name, limits in CHOICES.items():
            links, encoders = _rests(limits, seed)
            figures = (links.mean(), links.max(), encoders.mean(), encoders.max())
            row = (name, *(f"{figure:.4f}" for figure in figures))
            writer.writerow(row)
            print(row, flush=True)
    print(f"written: {path}")
