# SPDX-License-Identifier: Apache-2.0
"""Gazebo's world is MuJoCo's: the same things in the same places, seen by the same camera."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from vla_sim.world import World
from vla_sim.world.gazebo import world_sdf

CONFIG = Path(__file__).resolve().parents[3] / "config" / "robots"


def turn(roll, pitch, yaw):
    quaternion, found = np.zeros(4), np.zeros(9)
    mujoco.mju_euler2Quat(quaternion, np.array([yaw, pitch, roll]), "ZYX".lower())
    mujoco.mju_quat2Mat(found, quaternion)
    return found.reshape(3, 3)


def numbers(element):
    return np.array([float(word) for word in element.text.split()])


@pytest.fixture(scope="module", params=["so101", "panda"])
def both(request):
    world = World(CONFIG / request.param / "robot.yaml", seed=5)
    return world, ElementTree.fromstring(world_sdf(world)).find("world")


def test_every_thing_stands_where_it_stands_in_mujoco(both):
    world, scene = both
    models = {each.get("name"): each for each in scene.findall("model")}
    assert set(models) == {"table", "bin", *world.object_names, "front_camera"}
    for state in world.objects():
        pose = numbers(models[state.name].find("pose"))
        assert pose[:3] == pytest.approx(state.position, abs=1e-6)
        expected = np.zeros(9)
        mujoco.mju_quat2Mat(expected, state.quaternion)
        assert turn(*pose[3:]) == pytest.approx(expected.reshape(3, 3), abs=1e-6)
        assert models[state.name].findtext("static") == "false"
        assert numbers(models[state.name].find(".//box/size")) == pytest.approx([0.025] * 3)
    bin_pose = numbers(models["bin"].find("pose"))
    assert bin_pose[:2] == pytest.approx(world.table.bin_centre)
    assert len(models["bin"].findall(".//collision")) == 5
    table = models["table"]
    top = numbers(table.find(".//collision/pose"))[2] + numbers(table.find(".//box/size"))[2] / 2
    assert top == pytest.approx(0.0, abs=1e-9)
    assert {models[name].findtext("static") for name in ("table", "bin")} == {"true"}


def test_the_front_camera_looks_where_mujoco_s_does(both):
    world, scene = both
    camera = scene.find("model[@name='front_camera']")
    pose = numbers(camera.find("pose"))
    assert pose[:3] == pytest.approx(world.table.camera_position, abs=1e-6)
    ahead = turn(*pose[3:])[:, 0]
    wanted = np.array(world.table.camera_target) - np.array(world.table.camera_position)
    assert ahead == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-6)
    up = turn(*pose[3:])[:, 2]
    assert up[2] > 0.0, "not upside down"
    wide = float(camera.findtext(".//horizontal_fov"))
    high = 2.0 * np.arctan(np.tan(wide / 2.0) * 480 / 640)
    assert high == pytest.approx(world.table.camera_fovy, abs=1e-6)


def test_gazebo_s_own_validator_finds_nothing(both, tmp_path):
    tool = shutil.which("gz") or shutil.which("ign")
    if tool is None:
        pytest.skip("neither gz nor ign is installed: the SDF validator is theirs")
    path = tmp_path / "world.sdf"
    path.write_text(world_sdf(both[0]), encoding="utf-8")
    done = subprocess.run([tool, "sdf", "--check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout, done.stdout + done.stderr
