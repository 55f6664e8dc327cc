# SPDX-License-Identifier: Apache-2.0
"""A world as a package of somebody's adds one: a point on a plane, to be brought to a spot.

Small enough for a test, and nothing in it is pretended: it has physics, a camera and an expert.
"""

import numpy as np

from vla_training.errors import TrainingError
from vla_training.worlds.interface import BenchmarkTask, WorldSpec

SPOTS = {"red": (0, (0.8, 0.3)), "blue": (2, (0.2, 0.7))}
REACHED, STEP = 0.06, 0.05  # of the plane's side


class Plane:
    def __init__(self, version="1"):
        self.spec = WorldSpec(
            name="plane", version=f"plane {version}", cameras=("top",), image_size=(64, 64),
            state_names=("x", "y", "z"), action_names=("dx", "dy", "gripper"), dt_s=0.05, rows=4,
            things=("spot",),
        )  # fmt: skip
        tasks = [
            BenchmarkTask(f"to-{name}", f"go to the {name} spot", (f"{name}ish",), 40, True)
            for name in SPOTS
        ]
        tasks.append(BenchmarkTask("to-nowhere", "go nowhere", (), 5, False))
        self.tasks = {task.name: task for task in tasks}

    def begin(self, task, seed):
        rng = np.random.default_rng(seed)
        self.task = task
        self.at = rng.uniform(0.1, 0.9, 2)
        shift = rng.uniform(-0.1, 0.1, 2)
        self.spots = {name: np.add(place, shift) for name, (_, place) in SPOTS.items()}

    def _spot(self):
        return self.spots[self.task.removeprefix("to-")]

    def picture(self, camera, size):
        height, width = size
        rows, columns = np.mgrid[0:height, 0:width]
        x, y = (columns + 0.5) / width, 1.0 - (rows + 0.5) / height
        found = np.full((height, width, 3), 230, np.uint8)
        for name, (channel, _) in SPOTS.items():
            near = np.hypot(x - self.spots[name][0], y - self.spots[name][1]) < REACHED
            found[near] = 0
            found[near, channel] = 255
        found[np.hypot(x - self.at[0], y - self.at[1]) < 0.04] = 0
        return found

    def state(self):
        return np.append(self.at, 0.0)

    def hand(self):
        pose = np.eye(4)
        pose[:2, 3] = self.at
        return pose

    def things(self):
        return np.append(self._spot(), 0.0)[None]

    def seen(self, camera, points):
        return np.column_stack([points[:, 0], 1.0 - points[:, 1]])

    def idle(self):
        return np.zeros(3)

    def expert(self):
        if self.task == "to-nowhere":
            raise TrainingError("there is no expert for to-nowhere")
        return np.append(np.clip((self._spot() - self.at) / STEP, -1.0, 1.0), 0.0)

    def foreseen(self, rows):
        held, found = self.at.copy(), []
        for _ in range(rows):
            found.append(self.expert())
            self.step(found[-1])
        self.at = held
        return np.array(found)

    def step(self, action):
        self.at = np.clip(self.at + STEP * np.clip(action[:2], -1.0, 1.0), 0.0, 1.0)
        if self.task == "to-nowhere":
            return False
        return bool(np.hypot(*(self._spot() - self.at)) < REACHED)

    def close(self):
        pass
