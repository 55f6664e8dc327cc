# SPDX-License-Identifier: Apache-2.0
"""What the SmolVLA benchmarks show a policy: random scenes of an SO-101, without torch."""

from __future__ import annotations

import cv2
import numpy as np

from vla_policies.protocol import IMAGES

TASK = "pick up the red cube and put it in the box"
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
# Degrees and 0..100, as an SO-101's data has them.
MEAN = np.array([0.0, -40.0, 35.0, 60.0, 0.0, 20.0], np.float32)
STD = np.array([25.0, 30.0, 30.0, 20.0, 30.0, 15.0], np.float32)


def random_scene(
    random: np.random.Generator, cameras: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return images (480, 640, 3) with structure at every scale, and a state (6,)."""
    images = {}
    for index in range(cameras):
        layers = [
            cv2.resize(
                random.random((480 // grain, 640 // grain, 3), dtype=np.float32),
                (640, 480),
                interpolation=cv2.INTER_CUBIC,
            )
            for grain in (120, 40, 10, 2)
        ]
        mixed = sum(layers) / len(layers)
        mixed = (mixed - mixed.min()) / (mixed.max() - mixed.min())
        images[f"{IMAGES}camera{index + 1}"] = (mixed * 255).astype(np.uint8)
    return images, MEAN + STD * random.standard_normal(6).astype(np.float32)
