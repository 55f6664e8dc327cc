# SPDX-License-Identifier: Apache-2.0
"""The same table, bin, cubes and front camera for Gazebo: a world in SDF, without the arm.

It is written out of MuJoCo's model, so the two cannot disagree on where things are, how large and
of which colour. The arm comes from its own description.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_sim.world.world import World

Array = NDArray[np.float64]

CAMERA = "front"
SIZE, RATE_HZ = (640, 480), 30.0
# What Gazebo has to load for a world with cameras and things that move.
_SYSTEMS = {
    "gz-sim-physics-system": "gz::sim::systems::Physics",
    "gz-sim-user-commands-system": "gz::sim::systems::UserCommands",
    "gz-sim-scene-broadcaster-system": "gz::sim::systems::SceneBroadcaster",
    "gz-sim-sensors-system": "gz::sim::systems::Sensors",
}
# From MuJoCo's camera (-z into the scene, y up) to SDF's (x into the scene, z up).
_TO_SDF = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])


def world_sdf(world: World, *, name: str = "tabletop", step_s: float = 0.001) -> str:
    """Return the world, SDF 1.9, with its things where they are in `world`.

    Args:
        world: Its table, and on it what the robot's task has. Nothing of the arm is taken.
        name: Of the world.
        step_s: Physics step, s.
    """
    root = Element("sdf", version="1.9")
    scene = SubElement(root, "world", name=name)
    physics = SubElement(scene, "physics", name="steps", type="ignored")
    _text(physics, "max_step_size", f"{step_s:g}")
    _text(physics, "real_time_factor", "1")
    for file, system in _SYSTEMS.items():
        plugin = SubElement(scene, "plugin", filename=file, name=system)
        if file == "gz-sim-sensors-system":
            _text(plugin, "render_engine", "ogre2")
    _light(scene)
    model, data = world.model, mujoco.MjData(world.model)
    data.qpos[:] = world.snapshot().positions
    mujoco.mj_forward(model, data)
    for body in range(model.nbody):
        geoms = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] == body]
        if geoms and (body == 0 or model.body(body).name in ("bin", *world.object_names)):
            moves = model.body_jntnum[body] > 0
            _body(scene, model, data, body, geoms, moves=moves)
    _camera(scene, model, data)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _body(
    scene: Element,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    body: int,
    geoms: list[int],
    *,
    moves: bool,
) -> None:
    """Add a body: what is fixed stands at the origin of its frame, what moves has its mass."""
    said = model.body(body).name if body else "table"
    thing = SubElement(scene, "model", name=said)
    _text(thing, "static", "false" if moves else "true")
    _text(thing, "pose", _pose(data.xpos[body], data.xmat[body].reshape(3, 3)))
    link = SubElement(thing, "link", name="link")
    if moves:
        inertial = SubElement(link, "inertial")
        _text(inertial, "mass", f"{model.body_mass[body]:.9g}")
        inertia = SubElement(inertial, "inertia")
        for key, value in zip(("ixx", "iyy", "izz"), model.body_inertia[body], strict=True):
            _text(inertia, key, f"{value:.9g}")
    for number, geom in enumerate(geoms):
        if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_BOX:
            raise ValueError(f"{said} has a shape that is no box")
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
        place = _pose(model.geom_pos[geom], turn.reshape(3, 3))
        for kind in ("collision", "visual"):
            shape = SubElement(link, kind, name=f"{kind}_{number}")
            _text(shape, "pose", place)
            box = SubElement(SubElement(shape, "geometry"), "box")
            _text(box, "size", " ".join(f"{2.0 * half:.9g}" for half in model.geom_size[geom]))
            if kind == "collision":
                ode = SubElement(SubElement(SubElement(shape, "surface"), "friction"), "ode")
                for key in ("mu", "mu2"):
                    _text(ode, key, f"{model.geom_friction[geom][0]:.9g}")
            else:
                colour = " ".join(f"{value:.4g}" for value in _colour(model, geom))
                material = SubElement(shape, "material")
                _text(material, "ambient", colour)
                _text(material, "diffuse", colour)


def _colour(model: mujoco.MjModel, geom: int) -> Array:
    material = int(model.geom_matid[geom])
    found = model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]
    return np.asarray(found, dtype=np.float64)


def _light(scene: Element) -> None:
    light = SubElement(scene, "light", type="directional", name="key")
    _text(light, "pose", "0.35 -0.45 1.1 0 0 0")
    _text(light, "diffuse", "0.8 0.8 0.8 1")
    _text(light, "direction", "-0.18 0.42 -1")


def _camera(scene: Element, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Add the front camera, with the picture that MuJoCo's has."""
    number = model.camera(CAMERA).id
    stand = SubElement(scene, "model", name=f"{CAMERA}_camera")
    _text(stand, "static", "true")
    turn = data.cam_xmat[number].reshape(3, 3) @ _TO_SDF
    _text(stand, "pose", _pose(data.cam_xpos[number], turn))
    link = SubElement(stand, "link", name="link")
    sensor = SubElement(link, "sensor", name=CAMERA, type="camera")
    _text(sensor, "topic", f"{CAMERA}_camera/image_raw")
    _text(sensor, "update_rate", f"{RATE_HZ:g}")
    _text(sensor, "always_on", "true")
    camera = SubElement(sensor, "camera")
    half = np.tan(np.deg2rad(float(model.cam_fovy[number])) / 2.0) * SIZE[0] / SIZE[1]
    _text(camera, "horizontal_fov", f"{2.0 * float(np.arctan(half)):.9g}")
    image = SubElement(camera, "image")
    for key, value in zip(("width", "height", "format"), (*SIZE, "R8G8B8"), strict=True):
        _text(image, key, str(value))
    clip = SubElement(camera, "clip")
    _text(clip, "near", "0.02")
    _text(clip, "far", "6")


def _pose(place: Array, turn: Array) -> str:
    """Return x y z roll pitch yaw."""
    pitch = float(np.arcsin(np.clip(-turn[2, 0], -1.0, 1.0)))
    if abs(turn[2, 0]) > 1.0 - 1e-12:
        roll, yaw = float(np.arctan2(-turn[1, 2], turn[1, 1])), 0.0
    else:
        roll = float(np.arctan2(turn[2, 1], turn[2, 2]))
        yaw = float(np.arctan2(turn[1, 0], turn[0, 0]))
    return " ".join(f"{value + 0.0:.9g}" for value in (*place.tolist(), roll, pitch, yaw))


def _text(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = text
