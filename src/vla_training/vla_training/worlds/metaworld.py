# SPDX-License-Identifier: Apache-2.0
"""Meta-World: fifty tasks of a simulated Sawyer arm, each with a scripted expert.

What is as in LeRobot's environment (``lerobot/envs/metaworld.py``), so that checkpoints of its
``metaworld_mt50`` see here what they were trained with: camera ``corner2`` moved to (0.75, 0.075,
0.7), its picture turned by half a turn since the camera stands on its head, 480 x 480 pixels; the
state is the hand's position, m, and the gripper's opening, 0 to 1; an action moves the hand's
target by up to 10 mm an axis (-1 to 1) and presses the fingers together (-1 to 1); 80 steps a
second, 500 at most; an episode is a success as soon as ``info["success"]`` says so, and ends.

What differs: pictures have no shadows, reflections or multisampling, which costs 6 ms in place of
140 ms; and a scene is a function of its seed, which LeRobot's is not, for Meta-World's ``reset``
ignores the seed that it is given.
"""

from __future__ import annotations

import ctypes.util
import os
import warnings
from typing import Any

import numpy as np

from vla_training.errors import TrainingError
from vla_training.worlds.interface import (
    Array,
    BenchmarkTask,
    Picture,
    WorldSpec,
    module,
    project,
)
from vla_training.worlds.metaworld_tasks import MT10, TASKS

INSTALL = "make .venv-metaworld, and run the command from .venv-metaworld/bin"
VERSION = "v3"
CAMERA = "corner2"
# Where it is in the data of SmolVLA and of LeRobot, m; source: arXiv 2206.14244.
CAMERA_AT = (0.75, 0.075, 0.7)
ROWS = 8
_OBJECT = slice(4, 7)  # of an observation: the first object's position


class MetaWorld:
    """Meta-World behind the interface of worlds."""

    def __init__(self) -> None:
        """Find the package.

        Raises:
            TrainingError: It is not installed.
        """
        headless()
        # The experts warn of their own gains, once in each process.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"metaworld\.policies")
        # Forgotten by the package; without it an import of gymnasium's fails.
        module("packaging", INSTALL)
        package = module("metaworld", INSTALL)
        self._mujoco = module("mujoco", INSTALL)
        self._classes = module("metaworld.env_dict", INSTALL).ALL_V3_ENVIRONMENTS
        self._experts = module("metaworld.policies", INSTALL).ENV_POLICY_MAP
        version = getattr(package, "__version__", None) or _version("metaworld")
        self._spec = WorldSpec(
            name="metaworld",
            version=f"metaworld {version}, mujoco {self._mujoco.__version__}",
            cameras=(CAMERA,),
            image_size=(480, 480),
            state_names=("x", "y", "z", "gripper"),
            action_names=("dx", "dy", "dz", "gripper"),
            dt_s=0.0125,
            rows=ROWS,
            things=("object", "goal"),
        )
        self._tasks = {
            f"{name}-{VERSION}": BenchmarkTask(
                f"{name}-{VERSION}",
                instruction,
                (difficulty, *(("mt10",) if name in MT10 else ())),
                horizon=500,
                expert=True,
            )
            for name, (instruction, difficulty) in TASKS.items()
        }
        self._env: Any = None
        self._name = ""
        self._renderer: Any = None
        self._size = (0, 0)

    @property
    def spec(self) -> WorldSpec:
        """What all tasks share."""
        return self._spec

    @property
    def tasks(self) -> dict[str, BenchmarkTask]:
        """The fifty tasks by name."""
        return self._tasks

    def begin(self, task: str, seed: int) -> None:
        """Lay out a task's scene."""
        # A new one each time: some tasks leave something of an episode behind. 0.1 s.
        self._drop()
        env = self._classes[task]()
        env.set_task(_freed(task, self._classes[task]))
        env._freeze_rand_vec = False
        env.seeded_rand_vec = True
        camera = env.model.camera(CAMERA)
        camera.pos[:] = CAMERA_AT
        env.model.vis.quality.offsamples = 0
        env.seed(seed)
        self._seen, _ = env.reset()
        # Else the first picture shows the goal where it was before this scene was drawn.
        self._mujoco.mj_forward(env.model, env.data)
        if not abs(env.dt - self._spec.dt_s) < 1e-9:
            raise TrainingError(f"{task}: a step takes {env.dt} s; {self._spec.dt_s} s is known")
        self._env, self._name = env, task
        self._expert = self._experts[task]()

    def picture(self, camera: str, size: tuple[int, int]) -> Picture:
        """Return what the camera sees, upright."""
        if self._renderer is None or self._size != size:
            self._close_renderer()
            self._renderer = self._mujoco.Renderer(self._env.model, *size)
            flags, kinds = self._renderer.scene.flags, self._mujoco.mjtRndFlag
            flags[kinds.mjRND_SHADOW] = flags[kinds.mjRND_REFLECTION] = 0
            self._size = size
        self._renderer.update_scene(self._env.data, camera=camera)
        return np.ascontiguousarray(self._renderer.render()[::-1, ::-1])

    def state(self) -> Array:
        """Return the hand's position, m, and the gripper's opening, 0 to 1."""
        return np.array(self._seen[:4], dtype=np.float64)

    def hand(self) -> Array:
        """Return the hand's pose."""
        body, pose = self._env.data.body("hand"), np.eye(4)
        pose[:3, 3], pose[:3, :3] = body.xpos, body.xmat.reshape(3, 3)
        return pose

    def things(self) -> Array:
        """Return the positions of the task's first object and of its goal, m."""
        return np.array([self._seen[_OBJECT], self._env._target_pos], dtype=np.float64)

    def seen(self, camera: str, points: Array) -> Array:
        """Return where points are in the picture."""
        there = self._env.data.camera(camera)
        fovy = float(np.radians(self._env.model.camera(camera).fovy[0]))
        # Turned by half a turn, as the picture is.
        return 1.0 - project(points, there.xpos, there.xmat.reshape(3, 3), fovy)

    def idle(self) -> Array:
        """Return the action that leaves the hand where it is, with its fingers at ease."""
        return np.zeros(4)

    def expert(self) -> Array:
        """Return what Meta-World's expert does, as the simulation takes it: within -1 to 1."""
        with np.errstate(all="ignore"):
            wanted = self._expert.get_action(self._seen)
        return np.clip(np.asarray(wanted, dtype=np.float64), -1.0, 1.0)

    def foreseen(self, rows: int) -> Array:
        """Return what the expert would do from here, tried in the simulation and taken back."""
        mujoco, env, seen = self._mujoco, self._env, self._seen
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        held = np.empty(mujoco.mj_stateSize(env.model, kind))
        mujoco.mj_getState(env.model, env.data, held, kind)
        attributes = {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in vars(env).items()
        }
        found: list[Array] = []
        while len(found) < rows:
            found.append(self.expert())
            if env.curr_path_length < env.max_path_length:
                self.step(found[-1])
        mujoco.mj_setState(env.model, env.data, held, kind)
        mujoco.mj_forward(env.model, env.data)
        # Again: what the last line leaves to begin the solver with is another.
        mujoco.mj_setState(env.model, env.data, held, kind)
        vars(env).update(attributes)
        self._seen = seen
        return np.array(found)

    def step(self, action: Array) -> bool:
        """Carry out an action."""
        self._seen, _, _, _, info = self._env.step(np.clip(action, -1.0, 1.0).astype(np.float32))
        return bool(info["success"])

    def close(self) -> None:
        """Free the graphics context."""
        self._drop()

    def _drop(self) -> None:
        self._close_renderer()
        if self._env is not None:
            self._env.close()
            self._env = None

    def _close_renderer(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def headless() -> None:
    """Choose what MuJoCo draws with where there is no display; before it is imported."""
    if "MUJOCO_GL" not in os.environ:
        os.environ["MUJOCO_GL"] = "egl" if ctypes.util.find_library("EGL") else "osmesa"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _freed(task: str, kind: Any) -> Any:
    """Return a task of the benchmark that fixes nothing, and shows the goal to the expert."""
    import pickle

    types = module("metaworld.types", INSTALL)
    told = {"env_cls": kind, "rand_vec": None, "partially_observable": False}
    return types.Task(env_name=task, data=pickle.dumps(told))
