# SPDX-License-Identifier: Apache-2.0
"""Physics of the arm on its table, in MuJoCo."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_contract.robot import load_robot
from vla_sim.world import scene as scenes
from vla_sim.world.camera import CameraModel, intrinsics
from vla_sim.world.model import (
    WorldError,
    arm_on_table,
    build,
    is_empty,
    mirrored_joints,
    table_top,
    tip_site,
)

Array = NDArray[np.float64]

_REST_SPEED = 0.02  # m/s, below which an object rests
_REST_SPIN = 0.5  # rad/s, the same for its rotation


@dataclass(frozen=True)
class ObjectState:
    """Where an object is, measured from the physics.

    Attributes:
        name: e.g. red_cube.
        position: (3,) in base_link, m.
        quaternion: (4,) w, x, y, z.
        in_bin: It rests inside the bin and the gripper does not touch it.
    """

    name: str
    position: Array
    quaternion: Array
    in_bin: bool


@dataclass(frozen=True)
class WorldSnapshot:
    """What a picture needs: generalised positions (nq,) and the look of the scene."""

    time_s: float
    positions: Array
    look: scenes.Look


class World:
    """The arm and, where its robot has a task, three cubes and a bin on a table.

    The scene is a function of its seed. One thread owns the world and hands out snapshots.

    Attributes:
        joint_names: Of the arm and the gripper, J of them.
        home: Where they wait, (J,), rad; a joint that slides, here as everywhere, m.
        table: Where things lie.
        object_names: Of the cubes; none on an empty table.
        model: MuJoCo's.
    """

    def __init__(
        self,
        robot_file: Path,
        *,
        seed: int = 0,
        randomise: bool = True,
        timestep_s: float = 0.002,
    ) -> None:
        """Build the world with the arm at the robot file's home.

        Args:
            robot_file: Joint names, position limits, home and encoder resolution.
            seed: Of the first scene.
            randomise: Vary colours, light and camera poses too, not only the layout.
            timestep_s: Physics step, s.

        Raises:
            RobotConfigError: The robot file cannot be read.
            WorldError: There is no model of this arm.
        """
        robot = load_robot(robot_file)
        self.joint_names: tuple[str, ...] = (*robot.limits.joint_names, robot.gripper.joint)
        self.home: Array = np.array([robot.home[name] for name in self.joint_names])
        self._quantum = 2.0 * np.pi / robot.ticks_per_turn
        self._randomise = randomise
        spec = arm_on_table(robot_file, robot)
        # The model has names of its own for the joints; the robot file's are in the same order.
        joints = [actuator.name for actuator in spec.actuators]
        self.table = table_top(spec, robot_file)
        self.object_names: tuple[str, ...] = () if is_empty(spec) else scenes.CUBES
        self.model = build(
            spec,
            self.table,
            np.append(robot.limits.position_lower, robot.gripper.position_lower),
            np.append(robot.limits.position_upper, robot.gripper.position_upper),
            timestep_s,
        )
        self._data = mujoco.MjData(self.model)
        self._qpos = np.array([self.model.joint(name).qposadr[0] for name in joints])
        self._dof = np.array([self.model.joint(name).dofadr[0] for name in joints])
        free = [self.model.joint(f"{name}_free") for name in self.object_names]
        self._object_qpos = [joint.qposadr[0] for joint in free]
        self._object_dof = [joint.dofadr[0] for joint in free]
        self._object_body = [self.model.body(name).id for name in self.object_names]
        jaw = int(self.model.joint(joints[-1]).bodyid[0])
        hand = int(self.model.body_parentid[jaw])
        self._gripper_bodies = {hand, *np.flatnonzero(self.model.body_parentid == hand).tolist()}
        self._mirrored = mirrored_joints(self.model)
        self._tip_frame = tip_site(self.model, robot.tip_frame)
        self._scene = scenes.sample_scene(seed, randomise=randomise, table=self.table)
        self.place_arm(self.home)
        self.reset_scene(seed)

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        return float(self._data.time)

    @property
    def timestep_s(self) -> float:
        """Length of a physics step, s."""
        return float(self.model.opt.timestep)

    def reset_scene(self, seed: int) -> None:
        """Lay out the cubes, light, colours and cameras anew. The arm stays where it is."""
        self.lay_out(scenes.sample_scene(seed, randomise=self._randomise, table=self.table))

    def lay_out(self, scene: scenes.Scene) -> None:
        """Lay out the cubes, light, colours and cameras as a scene says. The arm stays."""
        self._scene = scene
        for row, (at, dof) in enumerate(zip(self._object_qpos, self._object_dof, strict=True)):
            half_yaw = 0.5 * self._scene.yaws[row]
            self._data.qpos[at : at + 3] = self._scene.positions[row]
            self._data.qpos[at + 3 : at + 7] = [np.cos(half_yaw), 0.0, 0.0, np.sin(half_yaw)]
            self._data.qvel[dof : dof + 6] = 0.0
        mujoco.mj_forward(self.model, self._data)

    def restart(self, scene: scenes.Scene) -> None:
        """Begin at time 0 with the arm at home: what follows depends on nothing before."""
        mujoco.mj_resetData(self.model, self._data)
        self.place_arm(self.home)
        # What the solver begins with is no part of the scene.
        self._data.qacc_warmstart[:] = 0.0
        self.lay_out(scene)

    def place_arm(self, position: Array) -> None:
        """Put the arm and its targets at `position` (J,), rad, at rest. For start-up and tests."""
        target = self._checked(position)
        self._data.qpos[self._qpos] = target
        for follower, leader in self._mirrored:
            self._data.qpos[follower] = self._data.qpos[leader]
        self._data.qvel[self._dof] = 0.0
        self._data.qacc_warmstart[:] = 0.0  # what comes next does not depend on what was
        self._data.ctrl[:] = target
        mujoco.mj_forward(self.model, self._data)

    def command(self, position: Array) -> None:
        """Set the servos' position targets (J,), rad."""
        self._data.ctrl[:] = self._checked(position)

    def step(self, n: int) -> None:
        """Advance by n physics steps."""
        mujoco.mj_step(self.model, self._data, n)

    def take_out_servos(self) -> None:
        """Leave the joints to whoever calls `push`: the model's own position servos end."""
        self.model.actuator_gainprm[:] = 0.0
        self.model.actuator_biasprm[:] = 0.0

    def push(self, torque: Array) -> None:
        """Push the joints with torques (J,), N m, from now on. Only without servos."""
        self._data.qfrc_applied[self._dof] = self._checked(torque)

    def joint_readings(self) -> tuple[Array, Array, Array]:
        """Return position (J,) rad on the encoder's grid, velocity (J,) rad/s, effort (J,) N m."""
        position, velocity = self.joint_truth()
        ticks = np.round(position / self._quantum)
        return ticks * self._quantum, velocity, self._data.actuator_force.copy()

    def joint_truth(self) -> tuple[Array, Array]:
        """Return the exact position (J,) rad and velocity (J,) rad/s."""
        return self._data.qpos[self._qpos].copy(), self._data.qvel[self._dof].copy()

    def tip(self) -> Array:
        """Return the pose (4, 4) of the robot's tip frame in its base frame, m."""
        site = self._data.site(self._tip_frame)
        pose = np.eye(4)
        pose[:3, :3] = site.xmat.reshape(3, 3)
        pose[:3, 3] = site.xpos
        return pose

    def tips(self, positions: Array) -> Array:
        """Return the tip frame's poses (N, 4, 4), m, with the joints at positions (N, J)."""
        spare = mujoco.MjData(self.model)
        site = self.model.site(self._tip_frame).id
        poses = np.tile(np.eye(4), (len(positions), 1, 1))
        for row, joints in enumerate(positions):
            spare.qpos[self._qpos] = joints
            mujoco.mj_kinematics(self.model, spare)
            poses[row, :3, :3] = spare.site_xmat[site].reshape(3, 3)
            poses[row, :3, 3] = spare.site_xpos[site]
        return poses

    def arm_addresses(self) -> NDArray[np.intp]:
        """Return where in the generalised positions the arm's joints are, without the gripper."""
        return np.array(self._qpos[:-1], dtype=np.intp)

    def self_touching_model(self) -> mujoco.MjModel:
        """Return a copy of the model in which the arm's parts touch each other too."""
        model = copy.copy(self.model)
        arm = (model.geom_contype & 1).astype(bool)
        model.geom_conaffinity[arm] |= 1
        # MuJoCo asks the bodies first.
        model.body_conaffinity[np.unique(model.geom_bodyid[arm])] |= 1
        return model

    def objects(self) -> list[ObjectState]:
        """Return where the cubes are and which rest in the bin."""
        touched = self._touched_by_gripper()
        states = []
        for name, body, at, dof in zip(
            self.object_names, self._object_body, self._object_qpos, self._object_dof, strict=True
        ):
            position = self._data.qpos[at : at + 3].copy()
            velocity = self._data.qvel[dof : dof + 6]
            inside = (
                float(np.max(np.abs(position[:2] - self.table.bin_centre)))
                < 0.5 * scenes.BIN_INNER
                and position[2] < scenes.BIN_WALL_TOP + 0.5 * scenes.CUBE_SIDE
            )
            at_rest = (
                float(np.linalg.norm(velocity[:3])) < _REST_SPEED
                and float(np.linalg.norm(velocity[3:])) < _REST_SPIN
            )
            states.append(
                ObjectState(
                    name=name,
                    position=position,
                    quaternion=self._data.qpos[at + 3 : at + 7].copy(),
                    in_bin=bool(inside and at_rest and body not in touched),
                )
            )
        return states

    def touched(self) -> frozenset[str]:
        """Return the names of the objects that the gripper touches now."""
        bodies = self._touched_by_gripper()
        return frozenset(
            name
            for name, body in zip(self.object_names, self._object_body, strict=True)
            if body in bodies
        )

    def place_object(self, name: str, position: Array) -> None:
        """Put an object at `position` (3,), m, upright and at rest. For tests and training."""
        if name not in self.object_names:
            known = ", ".join(self.object_names) or "none"
            raise WorldError(f"no object {name!r}: choose one of {known}")
        row = self.object_names.index(name)
        at, dof = self._object_qpos[row], self._object_dof[row]
        self._data.qpos[at : at + 7] = [
            *np.asarray(position, dtype=np.float64),
            1.0,
            0.0,
            0.0,
            0.0,
        ]
        self._data.qvel[dof : dof + 6] = 0.0
        mujoco.mj_forward(self.model, self._data)

    def camera(self, name: str, width: int = 640, height: int = 480) -> CameraModel:
        """Return a camera's nominal model; the wrist camera's pose is that of this moment."""
        if name not in scenes.CAMERAS:
            raise WorldError(f"no camera {name!r}: choose one of {', '.join(scenes.CAMERAS)}")
        camera = self._data.camera(name)
        pose = np.eye(4)
        # MuJoCo's camera looks along -z with y up; the optical frame looks along z with y down.
        pose[:3, :3] = camera.xmat.reshape(3, 3) * np.array([1.0, -1.0, -1.0])
        pose[:3, 3] = camera.xpos
        fovy = float(np.deg2rad(self.model.camera(name).fovy[0]))
        return CameraModel(width, height, intrinsics(width, height, fovy), pose)

    def snapshot(self) -> WorldSnapshot:
        """Copy what a Renderer needs."""
        return WorldSnapshot(self.time_s, self._data.qpos.copy(), self._scene.look)

    def _checked(self, position: Array) -> Array:
        values = np.asarray(position, dtype=np.float64)
        count = len(self.joint_names)
        if values.shape != (count,) or not np.all(np.isfinite(values)):
            raise WorldError(f"joint positions must be {count} finite numbers, got {values}")
        return values

    def _touched_by_gripper(self) -> set[int]:
        touched: set[int] = set()
        body_of = self.model.geom_bodyid
        for geom1, geom2 in self._data.contact.geom[: self._data.ncon]:
            body1, body2 = int(body_of[geom1]), int(body_of[geom2])
            if body1 in self._gripper_bodies:
                touched.add(body2)
            if body2 in self._gripper_bodies:
                touched.add(body1)
        return touched
