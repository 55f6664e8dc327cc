# SPDX-License-Identifier: Apache-2.0
"""The simulated table with the arm: physics, scene, cameras and rendering. No ROS in here."""

from vla_sim.world.camera import CameraModel
from vla_sim.world.model import WorldError
from vla_sim.world.render import Renderer, RenderError
from vla_sim.world.scene import CAMERAS, CUBES, Look, Scene, sample_scene
from vla_sim.world.world import ObjectState, World, WorldSnapshot

__all__ = [
    "CAMERAS",
    "CUBES",
    "CameraModel",
    "Look",
    "ObjectState",
    "RenderError",
    "Renderer",
    "Scene",
    "World",
    "WorldError",
    "WorldSnapshot",
    "sample_scene",
]
