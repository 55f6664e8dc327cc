# SPDX-License-Identifier: Apache-2.0
"""What is changed about a scene or an instruction, beyond what a policy was shown in training.

The kinds are those that SmoothVLA (arXiv 2603.13925) and LIBERO-PRO disturb: words, light,
background, layout and camera.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vla_sim.world import CUBES, Scene
from vla_sim.world.scene import BEARING, BIN_CENTRE, BIN_INNER, CUBE_SIDE, MATERIALS, PAN_AXIS
from vla_training.instructions import SPOKEN, UNHEARD

# m from the pan axis: nearer and farther than any cube of training, within the hand's reach.
NEARER, FARTHER = (0.130, 0.148), (0.247, 0.262)
UNNAMED = "put the cube in the bin"  # an empty instruction is refused before a policy is asked
APART = 0.062  # m between two cubes, as in training
CAMERA_SHIFT, CAMERA_TURN = 0.015, math.radians(1.5)  # ten times what training varies


def _light(scene: Scene, rng: np.random.Generator) -> Scene:
    """From another side, and darker or brighter than in training."""
    look = scene.look
    aside = np.append(rng.uniform(-0.9, 0.9, 2), 0.0)
    brightness = rng.choice([rng.uniform(0.5, 0.75), rng.uniform(1.25, 1.5)])
    return replace(
        scene,
        look=replace(
            look,
            key_direction=look.key_direction + aside,
            key_diffuse=look.key_diffuse * brightness,
            ambient=look.ambient * rng.uniform(0.7, 1.3),
        ),
    )


def _background(scene: Scene, rng: np.random.Generator) -> Scene:
    """Table and bin of any colour."""
    colours = scene.look.colours.copy()
    names = list(MATERIALS)
    table = rng.uniform(), rng.uniform(0.1, 0.45), rng.uniform(0.35, 0.9)
    box = rng.uniform(), rng.uniform(0.1, 0.45), rng.uniform(0.2, 0.8)
    colours[names.index("table")] = colorsys.hsv_to_rgb(*table)
    colours[names.index("bin")] = colorsys.hsv_to_rgb(*box)
    return replace(scene, look=replace(scene.look, colours=colours))


def _layout(scene: Scene, rng: np.random.Generator) -> Scene:
    """Every cube nearer or farther than any in training."""
    placed: list[NDArray[np.float64]] = []
    while len(placed) < len(CUBES):
        near = bool(rng.integers(2))
        radius, bearing = rng.uniform(*(NEARER if near else FARTHER)), rng.uniform(*BEARING)
        spot = np.array(
            [
                PAN_AXIS[0] + radius * math.cos(bearing),
                PAN_AXIS[1] + radius * math.sin(bearing),
                0.5 * CUBE_SIDE,
            ]
        )
        by_bin = float(np.max(np.abs(spot[:2] - BIN_CENTRE))) < 0.5 * BIN_INNER + 0.05
        if not by_bin and all(np.linalg.norm(spot - other) >= APART for other in placed):
            placed.append(spot)
    return replace(scene, positions=np.array(placed))


def _camera(scene: Scene, rng: np.random.Generator) -> Scene:
    """Both cameras moved and turned."""
    look = scene.look
    return replace(
        scene,
        look=replace(
            look,
            camera_shift=look.camera_shift + rng.uniform(-CAMERA_SHIFT, CAMERA_SHIFT, (2, 3)),
            camera_turn=look.camera_turn + rng.uniform(-CAMERA_TURN, CAMERA_TURN, (2, 3)),
        ),
    )


SCENES: dict[str, Callable[[Scene, np.random.Generator], Scene]] = {
    "light": _light,
    "background": _background,
    "layout": _layout,
    "camera": _camera,
}
PERTURBATIONS = ("none", "language", *SCENES, "shuffled", "missing", "sequence")
MEANINGS = {
    "none": "scenes as in training, of seeds that it did not have",
    "language": "words that were not in training",
    "light": "from another side, darker or brighter",
    "background": "table and bin of any colour",
    "layout": "cubes nearer or farther than any in training",
    "camera": "both cameras moved by up to 15 mm and turned by up to 1.5 degrees an axis",
    "shuffled": "the instruction names a cube by chance: one that reads falls to a third",
    "missing": "the instruction names no cube: one that reads falls to a third",
    "sequence": "three instructions in a row, one for each cube, and each has to be carried out",
}


def perturbed(scene: Scene, name: str, seed: int) -> Scene:
    """Return a scene as a perturbation changes it; a function of its seed.

    Args:
        scene: Of the seed.
        name: One of `PERTURBATIONS`.
        seed: Of the scene.
    """
    if name not in SCENES:
        return scene
    return SCENES[name](scene, np.random.default_rng([seed, 7, PERTURBATIONS.index(name)]))


def named(name: str, colour: str, colours: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """Return the cubes that are asked for, one after the other.

    Args:
        name: One of `PERTURBATIONS`.
        colour: Of the first.
        colours: Of all cubes.
        seed: Of the scene.
    """
    if name != "sequence":
        return (colour,)
    rng = np.random.default_rng([seed, 9, colours.index(colour)])
    others = [each for each in colours if each != colour]
    return (colour, *(others[int(at)] for at in rng.permutation(len(others))))


def instruction(name: str, colour: str, colours: tuple[str, ...], seed: int) -> str:
    """Return what the policy is told.

    Args:
        name: One of `PERTURBATIONS`.
        colour: Of the cube that is meant.
        colours: Of all cubes.
        seed: Of the scene.
    """
    rng = np.random.default_rng([seed, 5, colours.index(colour)])
    if name == "missing":
        return UNNAMED
    if name == "shuffled":
        colour = colours[int(rng.integers(len(colours)))]
    words = UNHEARD if name == "language" else SPOKEN[:1]
    return words[int(rng.integers(len(words)))].format(colour)
