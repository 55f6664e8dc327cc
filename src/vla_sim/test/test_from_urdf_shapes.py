# SPDX-License-Identifier: Apache-2.0
"""Capsules around a description's meshes: they enclose them, and what is guessed is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_from_urdf import ARM, BASE, FINGERS, joint

from vla_contract.clearance import ArmClearances
from vla_contract.robot import load_robot
from vla_contract.workspace import MOST_CAPSULES, load_workspace
from vla_sim.from_urdf import command, shapes
from vla_sim.from_urdf.capsules import Capsule
from vla_sim.from_urdf.reading import read_urdf
from vla_sim.from_urdf.shapes import MeshReader, UnreadMeshError, capsules_around

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
FACES = [
    (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
    (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
]  # fmt: skip


def box(lower, upper):
    """Return the triangles (12, 3, 3) of a box."""
    lower, upper = np.array(lower, dtype=float), np.array(upper, dtype=float)
    return (lower + CORNERS * (upper - lower))[FACES]


def write_stl(path, triangles):
    row = np.zeros(len(triangles), dtype=[("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    row["v"] = triangles
    path.write_bytes(bytes(80) + np.uint32(len(triangles)).tobytes() + row.tobytes())


def write_obj(path, triangles):
    points = triangles.reshape(-1, 3)
    lines = [f"v {x} {y} {z}" for x, y, z in points]
    lines += [f"f {3 * n + 1} {3 * n + 2} {3 * n + 3}" for n in range(len(triangles))]
    path.write_text("\n".join(lines) + "\n")


def inside(capsules, points):
    """Return whether each point (N, 3) is in one of the capsules."""
    found = np.zeros((len(capsules), len(points)), dtype=bool)
    for row, capsule in enumerate(capsules):
        begin, along = capsule.ends[0], capsule.ends[1] - capsule.ends[0]
        share = np.clip((points - begin) @ along / (along @ along), 0.0, 1.0)
        off = np.linalg.norm(points - begin - share[:, None] * along, axis=1)
        found[row] = off <= capsule.radius + 1e-7
    return found


def link_of(path, mesh, more=""):
    path.write_text(
        "<robot name='r'><link name='a'><collision>"
        f"<origin xyz='0 0 1' rpy='0 0 1.5707963267948966'/>"
        f"<geometry><mesh filename='{mesh}' {more}/></geometry></collision></link></robot>"
    )
    return MeshReader(path), read_urdf(path).tree.find("link")


@pytest.mark.parametrize("name", ["part.stl", "PART.STL", "part.obj"])
def test_a_mesh_is_read_into_its_link_s_frame(tmp_path, name):
    triangles = box([0, 0, 0], [0.4, 0.2, 0.1])
    (write_obj if name.endswith("obj") else write_stl)(tmp_path / name, triangles)
    reader, link = link_of(tmp_path / "a.urdf", name, 'scale="1 1 2"')
    points = reader.triangles(link).reshape(-1, 3)
    np.testing.assert_allclose(points.min(axis=0), [-0.2, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(points.max(axis=0), [0.0, 0.4, 1.2], atol=1e-6)


@pytest.mark.parametrize("uri", ["package://maker/meshes/p.stl", "file://@/maker/meshes/p.stl"])
def test_a_mesh_is_found_in_a_package_above_the_description_and_by_its_place(tmp_path, uri):
    (tmp_path / "maker" / "meshes").mkdir(parents=True)
    (tmp_path / "maker" / "urdf").mkdir()
    write_stl(tmp_path / "maker" / "meshes" / "p.stl", box([0, 0, 0], [1, 1, 1]))
    reader, link = link_of(tmp_path / "maker" / "urdf" / "a.urdf", uri.replace("@", str(tmp_path)))
    assert len(reader.triangles(link)) == 12


def test_a_mesh_is_found_in_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "install" / "share" / "maker").mkdir(parents=True)
    write_stl(tmp_path / "install" / "share" / "maker" / "p.stl", box([0, 0, 0], [1, 1, 1]))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'install'}")
    reader, link = link_of(tmp_path / "elsewhere" / "a.urdf", "package://maker/p.stl")
    assert len(reader.triangles(link)) == 12


def test_a_mesh_that_cannot_be_used_says_why(tmp_path, monkeypatch):
    write_stl(tmp_path / "huge.stl", box([0, 0, 0], [400, 200, 100]))
    write_stl(tmp_path / "good.stl", box([0, 0, 0], [1, 1, 1]))
    (tmp_path / "cut.stl").write_bytes((tmp_path / "good.stl").read_bytes()[:100])
    (tmp_path / "folder.stl").mkdir()
    (tmp_path / "part.dae").write_text("<COLLADA/>")
    for name, why in (
        ("huge.stl", "more than 10 m: is it in millimetres"),
        ("cut.stl", "MuJoCo does not read the mesh"),
        ("folder.stl", "was not found"),
        ("package://nowhere/x.stl", "was not found"),
        ("http://nowhere/x.stl", "the mesh is no file"),
        ("part.dae", "neither STL nor OBJ"),
        ("a%00b.stl", "was not found"),
    ):
        reader, link = link_of(tmp_path / "a.urdf", name)
        with pytest.raises(UnreadMeshError, match=why):
            reader.triangles(link)
    monkeypatch.setattr(shapes, "LARGEST_MESH_BYTES", 600)
    reader, link = link_of(tmp_path / "a.urdf", "good.stl")
    with pytest.raises(UnreadMeshError, match="the mesh is too large"):
        reader.triangles(link)


def test_capsules_enclose_every_triangle_and_two_are_tighter_around_an_angle():
    upright, flat = box([0, 0, 0], [0.06, 0.06, 0.4]), box([0, 0, 0], [0.4, 0.06, 0.06])
    angle = np.concatenate([upright, flat])
    one, two = capsules_around(angle, 1), capsules_around(angle, 2)
    assert (len(one), len(two)) == (1, 2)
    for capsules in (one, two):
        corners = inside(capsules, angle.reshape(-1, 3)).reshape(len(capsules), -1, 3)
        assert corners.all(axis=2).any(axis=0).all()
    assert sum(each.volume for each in two) < 0.5 * one[0].volume
    # Around a square rod, the circle around its square.
    rod = capsules_around(upright, 1)[0]
    assert rod.radius == pytest.approx(0.03 * np.sqrt(2.0), rel=0.02)
    assert len(capsules_around(upright, 2)) == 1


def made(tmp_path, body):
    path = tmp_path / "arm.urdf"
    path.write_text(f"<robot name='r'>{body}</robot>")
    folder = tmp_path / "made"
    assert command.main(["from-urdf", str(path), "--folder", str(folder)]) == 0
    robot = load_robot(folder / "robot.yaml")
    return robot, load_workspace(folder / "workspace.yaml", robot.limits.joint_names)


def test_every_link_that_moves_has_capsules_and_each_guess_is_named(tmp_path, capsys):
    _, space = made(tmp_path, BASE + ARM + FINGERS)
    assert {"one", "two", "three", "tool0", "left", "right"} <= set(space.names)
    told = capsys.readouterr().out
    line = next(row for row in told.splitlines() if "guess from frames" in row)
    assert line.startswith("  - workspace.yaml: one, two, three, tool0, left, right: the mesh w")
    assert command.main(["check", str(tmp_path / "made")]) == 0
    assert line in capsys.readouterr().out


def test_a_hand_that_has_only_a_mesh_is_kept_out_of_the_table(tmp_path, capsys):
    write_stl(tmp_path / "hand.stl", box([-0.03, -0.1, 0.0], [0.03, 0.1, 0.07]))
    hand = (ARM + FINGERS).replace("package://nowhere/three.dae", "hand.stl")
    _, space = made(tmp_path, BASE + hand)
    line = next(row for row in capsys.readouterr().out.splitlines() if "guess from" in row)
    assert "three" not in line
    own = [row for row, name in enumerate(space.names) if name == "three"]
    capsules = [Capsule(space.ends[row], space.radius[row]) for row in own]
    # The guard's frame of a joint has its axis as z: sizes are the same, whatever its turn.
    reach = max(np.linalg.norm(each.ends, axis=1).max() + each.radius for each in capsules)
    assert 0.1 < reach < 0.16
    arm = ArmClearances(space)
    rows = [row for row, each in enumerate(arm.labels) if each == "three to the table"]
    assert rows
    height = float(arm.of(np.array([[0.0, 1.2, 1.2]]))[0, rows].min())
    # Its elbow is at 0.6 m, and the hand hangs: 0.07 m long, 0.06 m thick.
    lowest = 0.6 + 0.3 * np.cos(1.2) + 0.07 * np.cos(2.4) - 0.03 * np.sin(2.4)
    assert lowest - 0.03 < height <= lowest + 1e-6


def test_what_is_only_seen_is_a_shape_where_the_description_says_no_other(tmp_path):
    seen = ARM.replace("<visual>", "<collision>").replace("</visual>", "</collision>")
    seen = seen.replace(
        '<geometry><mesh filename="package://nowhere/three.dae"/></geometry>',
        '<geometry><sphere radius="0.07"/></geometry>',
    ).replace("collision>", "visual>")
    _, space = made(tmp_path, BASE + seen)
    assert 0.07 in space.radius[[name == "three" for name in space.names]]


def test_a_first_link_that_turns_at_the_table_does_not_refuse_every_posture(tmp_path, capsys):
    write_stl(tmp_path / "one.stl", box([-0.1, -0.1, 0.0], [0.1, 0.1, 0.1]))
    arm = ARM.replace("package://nowhere/one.dae", "one.stl").replace(
        '<origin xyz="0 0 0.3"/><axis xyz="0 0 1"/>', '<origin xyz="0 0 0.03"/><axis xyz="0 0 1"/>'
    )
    robot, space = made(tmp_path, BASE + arm)
    assert "one: turns so near to the table" in capsys.readouterr().out
    assert ArmClearances(space).of(robot.home_position[None]).min() > space.margin


def test_a_second_link_at_the_table_is_made_thinner_by_what_the_margin_wants(tmp_path, capsys):
    low = ARM.replace('xyz="0 0 0.3"/><axis xyz="0 0 1"', 'xyz="0 0 0.05"/><axis xyz="0 0 1"')
    low = low.replace('xyz="0 0 0.3"/><axis xyz="0 1 0"', 'xyz="0 0 0.03"/><axis xyz="0 1 0"', 1)
    ball = '<geometry><sphere radius="0.077"/></geometry>'
    low = low.replace('<geometry><mesh filename="package://nowhere/two.dae"/></geometry>', ball)
    robot, space = made(tmp_path, BASE + low)
    assert "two: is so near to the table" in capsys.readouterr().out
    assert ArmClearances(space).of(robot.home_position[None]).min() > space.margin
    # The ball was 3 mm over the table, 5 are kept and one more.
    assert space.radius[[name == "two" for name in space.names]].max() == pytest.approx(0.074)


def test_of_a_robot_with_more_links_than_capsules_the_arm_s_have_them(tmp_path, capsys):
    others = "".join(joint(f"post{n}", "base", f"p{n}", "fixed") for n in range(80))
    _, space = made(tmp_path, BASE + others + ARM + FINGERS)
    assert len(space.names) <= MOST_CAPSULES
    assert {"one", "two", "three", "left", "right"} <= set(space.names)
    told = capsys.readouterr().out
    left_out = next(row for row in told.splitlines() if "no capsules, 64 are the most" in row)
    assert ("p79" in left_out) != ("p79" in space.names)
    assert "p79" in left_out


def test_meshes_are_read_once_and_bounded_in_all(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, "MOST_MESHES", 1)
    for name in ("a.stl", "b.stl"):
        write_stl(tmp_path / name, box([0, 0, 0], [1, 1, 1]))
    reader, link = link_of(Path(tmp_path / "a.urdf"), "a.stl")
    assert len(reader.triangles(link)) == 12
    assert len(reader.triangles(link)) == 12
    _, other = link_of(Path(tmp_path / "b.urdf"), "b.stl")
    with pytest.raises(UnreadMeshError, match="too large"):
        reader.triangles(other)
