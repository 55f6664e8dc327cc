# SPDX-License-Identifier: Apache-2.0
"""The capsules of an SO-101 enclose the shapes of the simulated one: none of it is outside."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from vla_sim.world import World

FOLDER = Path(__file__).resolve().parents[2] / "config" / "robots" / "so101"
LINKS = yaml.safe_load((FOLDER / "workspace_tabletop.yaml").read_text())["links"]
POINTS = 4000


@pytest.fixture(scope="module")
def model():
    return World(FOLDER / "robot.yaml", randomise=False).model


def surface(model, geom, random):
    """Return points on a shape's surface (POINTS, 3), m, in its link's frame; its corners too."""
    size = model.geom_size[geom]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        points = random.uniform(-1.0, 1.0, (POINTS, 3))
        rows, side = np.arange(POINTS), random.integers(0, 3, POINTS)
        points[rows, side] = np.sign(points[rows, side])
        points[:8] = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
        points *= size
    else:
        assert model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER
        angle = random.uniform(0.0, 2.0 * np.pi, POINTS)
        # Half of them on the rims, which are what stands out most.
        far = np.where(random.random(POINTS) < 0.5, 1.0, np.sqrt(random.random(POINTS)))
        flat = size[0] * far[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        points = np.column_stack([flat, size[1] * np.sign(random.uniform(-1.0, 1.0, POINTS))])
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
    return points @ turn.reshape(3, 3).T + model.geom_pos[geom]


def outside(points, capsule):
    """Return how far points are outside a capsule (POINTS,), m; negative inside."""
    begin, end, radius = np.array(capsule[:3]), np.array(capsule[3:6]), capsule[6]
    along = end - begin
    square = float(along @ along)
    share = np.clip((points - begin) @ along / square, 0.0, 1.0) if square else np.zeros(POINTS)
    return np.linalg.norm(points - begin - share[:, None] * along, axis=1) - radius


@pytest.mark.parametrize("link", LINKS)
def test_no_shape_of_a_link_stands_out_of_its_capsules(model, link):
    random = np.random.default_rng(0)
    body = model.body(link).id
    touching = (model.geom_contype | model.geom_conaffinity).astype(bool)
    geoms = np.flatnonzero((model.geom_bodyid == body) & touching)
    assert geoms.size
    for geom in geoms:
        points = surface(model, geom, random)
        away = np.min([outside(points, each) for each in LINKS[link]["capsules"]], axis=0)
        assert away.max() <= 1e-6, f"the shape at {model.geom_pos[geom]}"
