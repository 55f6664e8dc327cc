# SPDX-License-Identifier: Apache-2.0
"""Small datasets for the tests: what each row holds follows from its place."""

from pathlib import Path

import numpy as np

from vla_recording.dataset import Codec, DatasetWriter, picture, vector

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
JOINTS = ("shoulder.pos", "elbow.pos", "gripper.pos")
H264 = Codec("h264", crf=20)
FPS = 20
FEATURES = {
    FRONT: picture(64, 96, "image"),
    WRIST: picture(64, 64, "video"),
    "observation.state": vector(JOINTS, units="rad"),
    "action": vector(JOINTS, units="rad"),
}
PLAIN = {name: feature for name, feature in FEATURES.items() if name not in (FRONT, WRIST)}


def pixels(height: int, width: int, number: int) -> np.ndarray:
    """Return a smooth picture that differs from that of any other number."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x + 3 * number, y * 2, (x + y) // 2 + 5 * number], -1).astype(np.uint8)


def row(episode: int, index: int, features=FEATURES) -> dict:
    number = 100 * episode + index
    whole = {
        FRONT: pixels(64, 96, number % 40),
        WRIST: pixels(64, 64, number % 40),
        "observation.state": np.array([number, 0.5 * number, 0.1]),
        "action": np.array([number + 1, 0.5 * number + 1, 0.2]),
        "next.done": np.array([index == 2]),
    }
    return {name: whole[name] for name in features}


def write(
    root: Path, lengths=(5, 7), tasks=("pick", "place"), features=FEATURES, first=0, **options
) -> Path:
    """Write a dataset with an episode of each length, or add them to one."""
    with DatasetWriter(root, features, FPS, "arm", codec=H264, **options) as writer:
        for number, length in enumerate(lengths, first):
            for index in range(length):
                writer.add_frame(row(number, index, features))
            writer.save_episode(tasks[number % len(tasks)])
    return root
