# SPDX-License-Identifier: Apache-2.0
"""Write where an arm may be, for the monitor's workspace guard: its shapes as capsules."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_contract.clearance import ArmClearances
from vla_contract.robot import Robot
from vla_contract.workspace import FILE, MOST_CAPSULES, Workspace, WorkspaceError, load_workspace
from vla_sim.from_urdf.capsules import LinkCapsule, at_most
from vla_sim.from_urdf.description import LOOK_AT
from vla_sim.world import World

Array = NDArray[np.float64]

MARGIN_M = 0.005
_TABLE = " to the table"
_THINNEST_M = 0.01  # radius of a capsule that is still some guard
_OPENINGS = 5  # of the gripper, that are looked at
_SAMPLES = 200
_OFTEN = 0.5  # share of postures in which two links touch that are neighbours, not a collision


def workspace_text(world: World, robot: Robot, clear: Array, notes: Sequence[str] = ()) -> str:
    """Return a workspace file for a simulated arm.

    Args:
        world: Its base stands at the origin, on the table.
        robot: Its joints.
        clear: Postures (N, J), rad, in which the arm is known to be clear: what is near another
            there is taken for a neighbour of it.
        notes: What a person has to look at, one line each.

    Raises:
        WorkspaceError: The arm has no shapes, shapes on too many links, or larger ones than a
            file takes; or is near the table in those postures, in capsules.
    """
    model, data = world.model, mujoco.MjData(world.model)
    names = robot.limits.joint_names
    frames = _frames(model, data, names)
    capsules = at_most(_capsules(model, data, names, robot), MOST_CAPSULES)
    if not any(each.joint >= 0 for each in capsules):
        raise WorkspaceError("no link that the arm moves has a shape")
    joined = _joined(model, names, capsules)
    slides = [int(model.joint(name).type[0]) == mujoco.mjtJoint.mjJNT_SLIDE for name in names]
    text = _text(robot, names, frames, slides, capsules, joined)
    postures = np.random.default_rng(0).uniform(
        robot.limits.position_lower, robot.limits.position_upper, (_SAMPLES, len(names))
    )
    of_one_joint = set(joined)
    joined |= _too_near(text, names, postures, _OFTEN) | _too_near(text, names, clear, 0.0)
    text = _text(robot, names, frames, slides, capsules, joined)
    nearest = _nearest(text, names, clear)
    if thinner := _missing(nearest):
        capsules = [
            replace(each, radius=each.radius - thinner.get(each.link, 0.0)) for each in capsules
        ]
        if min(each.radius for each in capsules if each.link in thinner) >= _THINNEST_M:
            text = _text(robot, names, frames, slides, capsules, joined)
            nearest = _nearest(text, names, clear)
            notes = (
                *notes,
                *(
                    f"{link}: is so near to the table where the arm is clear that its capsules "
                    f"are {off:.3f} m thinner than the link; look whether the arm can reach it"
                    for link, off in thinner.items()
                ),
            )
    which = min(nearest, key=lambda label: nearest[label])
    if not nearest[which] > MARGIN_M:
        raise WorkspaceError(
            f"its capsules are wider than its shapes: {which} would be too near in postures that "
            "are clear"
        )
    if apart := sorted(" and ".join(sorted(pair)) for pair in joined - of_one_joint):
        notes = (
            *notes,
            f"not kept apart, since their capsules are near each other where the arm is clear: "
            f"{', '.join(apart)}; write closer capsules, and take them out of neighbours",
        )
    return text.replace("margin:", "".join(f"{LOOK_AT}{each}\n" for each in notes) + "margin:", 1)


def workspace_needs(space: Workspace, robot: Robot) -> list[str]:
    """Return what in a workspace file makes its guard refuse everything, or too little."""
    needs = []
    arm = ArmClearances(space)
    apart = arm.of(robot.home_position[None])[0]
    if apart.size and not apart.min() > space.margin:
        nearest = int(apart.argmin())
        needs.append(
            f"{FILE}: at home {arm.labels[nearest]} is {apart[nearest]:.3f} m, and the margin is "
            f"{space.margin:g} m: the arm may only leave there; look at both, at the table and at "
            "the obstacles"
        )
    if not len(space.pairs) and len(set(space.joint.tolist())) > 1:
        needs.append(
            f"{FILE}: neighbours name every pair of links, so the arm is not kept clear of "
            "itself; leave those that are joined"
        )
    return needs


def _frames(model: mujoco.MjModel, data: mujoco.MjData, names: tuple[str, ...]) -> Array:
    """Return the frame of each joint in the one before (J, 4, 4), where every joint is at 0."""
    _at_zero(model, data, names)
    found, before = [], np.eye(4)
    for name in names:
        joint = model.joint(name).id
        here = np.eye(4)
        here[:3, :3] = _turned_to(data.xaxis[joint])
        here[:3, 3] = data.xanchor[joint]
        found.append(np.linalg.inv(before) @ here)
        before = here
    return np.array(found)


def _at_zero(model: mujoco.MjModel, data: mujoco.MjData, names: tuple[str, ...]) -> None:
    data.qpos[:] = model.qpos0
    for name in names:
        data.qpos[model.joint(name).qposadr[0]] = 0.0
    mujoco.mj_kinematics(model, data)


def _turned_to(axis: Array) -> Array:
    """Return a rotation (3, 3) whose z is along an axis."""
    aside = np.eye(3)[int(np.argmin(np.abs(axis)))]
    x = np.cross(aside, axis)
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(axis, x), axis])


def _mover(model: mujoco.MjModel, body: int, joints: dict[int, int]) -> int:
    """Return which of the arm's joints moves a body; -1: none."""
    while body > 0:
        first, count = model.body_jntadr[body], model.body_jntnum[body]
        for joint in range(first + count - 1, first - 1, -1):
            if joint in joints:
                return joints[joint]
        body = int(model.body_parentid[body])
    return -1


def _capsules(
    model: mujoco.MjModel, data: mujoco.MjData, names: tuple[str, ...], robot: Robot
) -> list[LinkCapsule]:
    """Return what encloses each shape that can touch, however wide the gripper is open."""
    joints = {int(model.joint(name).id): row for row, name in enumerate(names)}
    tree = _below(model, int(model.jnt_bodyid[next(iter(joints))]))
    shapes = [
        geom
        for geom in range(model.ngeom)
        if model.geom_contype[geom] & 1 and int(model.geom_bodyid[geom]) in tree
    ]
    placed: dict[int, list[Array]] = {geom: [] for geom in shapes}
    grip = robot.gripper
    for opening in np.linspace(grip.position_lower, grip.position_upper, _OPENINGS):
        _at_zero(model, data, names)
        data.qpos[model.joint(grip.joint).qposadr[0]] = opening
        _follow(model, data, grip.joint, float(opening))
        mujoco.mj_kinematics(model, data)
        for geom in shapes:
            placed[geom].append(_ends(model, data, geom))
    found = []
    for geom in shapes:
        body = int(model.geom_bodyid[geom])
        joint = _mover(model, body, joints)
        link = str(model.body(body).name)
        _at_zero(model, data, names)
        to = np.eye(4)
        if joint >= 0:
            which = model.joint(names[joint]).id
            to[:3, :3], to[:3, 3] = _turned_to(data.xaxis[which]), data.xanchor[which]
        into = np.linalg.inv(to)
        seen = np.array(placed[geom])
        if not np.ptp(seen, axis=0).max() > 1e-9:
            seen = seen[:1]
        # Between two openings, half of the way is not looked at.
        steps = (
            np.linalg.norm(np.diff(seen, axis=0), axis=2) if len(seen) > 1 else np.zeros((1, 1))
        )
        radius = _radius(model, geom) + 0.5 * float(steps.max())
        for ends in seen:
            own = ends @ into[:3, :3].T + into[:3, 3]
            found.append(LinkCapsule(own, radius, link, joint))
    return found


def _below(model: mujoco.MjModel, body: int) -> set[int]:
    """Return the bodies of the tree, from the world's child on, in which a body is."""
    while int(model.body_parentid[body]) > 0:
        body = int(model.body_parentid[body])
    found = {body}
    for each in range(body + 1, model.nbody):
        if int(model.body_parentid[each]) in found:
            found.add(each)
    return found


def _follow(model: mujoco.MjModel, data: mujoco.MjData, gripper: str, opening: float) -> None:
    """Put the joints that follow the gripper's to where they are then."""
    leader = int(model.joint(gripper).id)
    for row in range(model.neq):
        if model.eq_type[row] != mujoco.mjtEq.mjEQ_JOINT or int(model.eq_obj2id[row]) != leader:
            continue
        follower = int(model.eq_obj1id[row])
        powers = np.array([opening**power for power in range(5)])
        data.qpos[model.jnt_qposadr[follower]] = float(model.eq_data[row][:5] @ powers)


def _longest(model: mujoco.MjModel, geom: int) -> tuple[int, Array]:
    size = np.array(model.geom_size[geom])
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        return int(np.argmax(size)), size
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE:
        return 2, np.array([size[0], size[0], 0.0])
    return 2, np.array([size[0], size[0], size[1]])


def _radius(model: mujoco.MjModel, geom: int) -> float:
    along, size = _longest(model, geom)
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        return float(np.linalg.norm(np.delete(size, along)))
    return float(size[0])


def _ends(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> Array:
    """Return the ends (2, 3), m, of the axis of the capsule that encloses a shape."""
    along, size = _longest(model, geom)
    axis = data.geom_xmat[geom].reshape(3, 3)[:, along] * size[along]
    return np.array([data.geom_xpos[geom] - axis, data.geom_xpos[geom] + axis])


def _joined(
    model: mujoco.MjModel, names: tuple[str, ...], capsules: list[LinkCapsule]
) -> set[frozenset[str]]:
    """Return the links that one joint parts, or none."""
    joint = {each.link: each.joint for each in capsules}
    return {
        frozenset(pair)
        for pair in itertools.combinations(joint, 2)
        if abs(joint[pair[0]] - joint[pair[1]]) <= 1
    }


def _too_near(
    text: str, names: tuple[str, ...], postures: Array, often: float
) -> set[frozenset[str]]:
    """Return the links that are nearer than the margin in more than a share of postures (N, J)."""
    space = _loaded(text, names)
    if not len(space.pairs):
        return set()
    apart = ArmClearances(space).of(postures)[:, -len(space.pairs) :]
    near: dict[frozenset[str], NDArray[np.bool_]] = {}
    for (one, other), column in zip(space.pairs, apart.T, strict=True):
        pair = frozenset((space.names[one], space.names[other]))
        near[pair] = near.get(pair, np.zeros(len(postures), np.bool_)) | (column < 2.0 * MARGIN_M)
    return {pair for pair, rows in near.items() if rows.mean() > often}


def _nearest(text: str, names: tuple[str, ...], clear: Array) -> dict[str, float]:
    """Return how near each thing comes to another in postures (N, J), m, by what the two are."""
    arm = ArmClearances(_loaded(text, names))
    found: dict[str, float] = {}
    for label, distance in zip(arm.labels, arm.of(clear).min(axis=0), strict=True):
        found[label] = min(found.get(label, np.inf), float(distance))
    return found


def _missing(nearest: dict[str, float]) -> dict[str, float]:
    """Return by how much each link is too near to the table, m."""
    return {
        label.removesuffix(_TABLE): 1.2 * MARGIN_M - distance
        for label, distance in nearest.items()
        if label.endswith(_TABLE) and not distance > MARGIN_M
    }


def _loaded(text: str, names: tuple[str, ...]) -> Workspace:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / FILE
        path.write_text(text, encoding="utf-8")
        try:
            return load_workspace(path, names)
        except WorkspaceError as error:
            raise WorkspaceError(str(error).replace(f"{path}: ", "")) from None


def _row(values: Array, digits: int = 4) -> str:
    return "[" + ", ".join(f"{round(float(each), digits) + 0.0:g}" for each in values) + "]"


def _text(
    robot: Robot,
    names: tuple[str, ...],
    frames: Array,
    slides: list[bool],
    capsules: list[LinkCapsule],
    joined: set[frozenset[str]],
) -> str:
    lines = [
        f"# Where {robot.name} may be: the monitor forwards no plan that brings one of these",
        "# capsules nearer to the table, to an obstacle, to another capsule or to the wall of",
        "# the box than the margin. Written by `vla-robot from-urdf`, of the simulated arm's",
        "# shapes: on a real arm compare them with it, cables and tool too. Units: m, rad.",
        f"margin: {MARGIN_M:g}",
        f"table: 0.0          # height of the table in {robot.base_frame}; null: there is none",
        "box: null           # {lower: [x, y, z], upper: [x, y, z]}: nothing leaves it",
        "obstacles: {}       # name: {lower: [x, y, z], upper: [x, y, z]}",
        "",
        "joints:             # frame of each in the one before; every axis is z",
    ]
    for name, frame, sliding in zip(names, frames, slides, strict=True):
        xyz, rpy = _row(frame[:3, 3], 6), _row(_roll_pitch_yaw(frame[:3, :3]), 9)
        lines.append(
            f"  {json.dumps(name)}: {{xyz: {xyz}, rpy: {rpy}{', slides: true' * sliding}}}"
        )
    lines += ["", "links:              # ends and radius of each capsule, in the joint's frame"]
    for link in dict.fromkeys(each.link for each in capsules):
        own = [each for each in capsules if each.link == link]
        joint = "null" if own[0].joint < 0 else json.dumps(names[own[0].joint])
        lines += [f"  {json.dumps(link)}:", f"    joint: {joint}", "    capsules:"]
        lines += [f"      - {_row(np.append(each.ends.ravel(), each.radius))}" for each in own]
    lines += ["", "# Links that touch because they are joined, or nearly."]
    pairs = sorted(sorted(pair) for pair in joined)
    lines.append("neighbours:" if pairs else "neighbours: []")
    lines += [f"  - [{', '.join(map(json.dumps, pair))}]" for pair in pairs]
    return "\n".join(lines) + "\n"


def _roll_pitch_yaw(turn: Array) -> Array:
    pitch = float(np.arctan2(-turn[2, 0], np.hypot(turn[0, 0], turn[1, 0])))
    if np.hypot(turn[0, 0], turn[1, 0]) < 1e-9:
        return np.array([np.arctan2(-turn[1, 2], turn[1, 1]), pitch, 0.0])
    roll, yaw = np.arctan2(turn[2, 1], turn[2, 2]), np.arctan2(turn[1, 0], turn[0, 0])
    return np.array([roll, pitch, yaw])
