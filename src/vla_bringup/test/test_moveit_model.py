# SPDX-License-Identifier: Apache-2.0
"""What MoveIt is told of an arm, against the workspace guard, by MuJoCo's own distances."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from vla_contract.clearance import ArmClearances
from vla_contract.robot import load_robot
from vla_contract.workspace import load_workspace
from vla_moveit import moveit_files
from vla_moveit.core.goal import NamedPoses
from vla_moveit.core.moveit_model import (
    GROUP,
    SURROUNDINGS,
    ModelError,
    description,
    semantics,
)
from vla_moveit.core.moveit_parameters import (
    OMPL,
    PILZ,
    joint_limits,
    kinematics,
    node_parameters,
)

TOP = Path(__file__).resolve().parents[3]
CONFIG = TOP / "config" / "robots"
ARMS = ("so101", "panda", "fr3")
FAR_M = 3.0


def files(name):
    robot_file = CONFIG / name / "robot.yaml"
    robot = load_robot(robot_file)
    workspace = "workspace_tabletop.yaml" if name == "so101" else "workspace.yaml"
    return robot, load_workspace(CONFIG / name / workspace, robot.limits.joint_names)


def urdf_of(name):
    xacro = pytest.importorskip("xacro", reason="needs xacro: the description is written in it")
    path = TOP / "src" / "vla_bringup" / "urdf" / f"{name}.urdf.xacro"
    mappings = {"robot_file": str(CONFIG / name / "robot.yaml")}
    return xacro.process_file(str(path), mappings=mappings).toxml()


def semantic(name, urdf):
    robot, workspace = files(name)
    poses = NamedPoses.of(robot, CONFIG / name / "robot.yaml")
    return ElementTree.fromstring(semantics(urdf, robot, workspace, poses))


def in_mujoco(urdf):
    """Return MuJoCo's reading of a URDF, every link kept."""
    mujoco = pytest.importorskip("mujoco")
    root = ElementTree.fromstring(urdf)
    extension = ElementTree.SubElement(root, "mujoco")
    ElementTree.SubElement(
        extension,
        "compiler",
        fusestatic="false",
        discardvisual="true",
        boundmass="0.01",
        boundinertia="0.001",
        balanceinertia="true",
    )
    for drawn in [*root.iter("link")]:
        for visual in drawn.findall("visual"):
            drawn.remove(visual)
    model = mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))
    return mujoco, model, mujoco.MjData(model)


def link_of(mujoco, model, geom):
    # What is fixed to the world is the world's body; there it is the base or what surrounds it.
    return mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_BODY, model.geom_bodyid[geom])


@pytest.mark.parametrize("name", ARMS)
def test_moveit_holds_apart_exactly_what_the_gate_does(name):
    """The least distance of all watched pairs is the guard's, less its margin, in any posture."""
    robot, workspace = files(name)
    post = np.array([[0.15, 0.1, 0.05], [0.2, 0.2, 0.3]])
    room = np.array([[-0.75, -0.75, -0.5], [0.75, 0.75, 0.95]])
    workspace = replace(workspace, obstacles=(("post", post),), box=room)
    urdf = urdf_of(name)
    mujoco, model, data = in_mujoco(description(urdf, robot, workspace))
    poses = NamedPoses({"home": robot.home_position})
    srdf = ElementTree.fromstring(semantics(urdf, robot, workspace, poses))
    off = {
        frozenset((each.get("link1"), each.get("link2")))
        for each in srdf.findall("disable_collisions")
    }
    links = [link_of(mujoco, model, geom) for geom in range(model.ngeom)]
    assert SURROUNDINGS in links
    pairs = [
        (a, b)
        for a, b in itertools.combinations(range(model.ngeom), 2)
        if links[a] != links[b] and frozenset((links[a], links[b])) not in off
    ]
    rng = np.random.default_rng(2)
    limits, guard = robot.limits, ArmClearances(workspace)
    compared = {True: 0, False: 0}
    for _ in range(25):
        place = rng.uniform(limits.position_lower, limits.position_upper)
        for joint, value in zip(limits.joint_names, place, strict=True):
            data.qpos[model.joint(joint).qposadr[0]] = value
        mujoco.mj_kinematics(model, data)
        theirs = min(mujoco.mj_geomDistance(model, data, a, b, FAR_M, None) for a, b in pairs)
        ours = guard.of(place[None]).min() - workspace.margin
        clear = ours > 0.0
        compared[bool(clear)] += 1
        if clear:
            # To obstacles the guard's distances are bounds from below.
            assert -1e-4 <= theirs - ours <= 0.03
        else:
            assert theirs < 0.03
    assert compared[True] >= 3
    assert compared[False] >= 3


@pytest.mark.parametrize("name", ARMS)
def test_every_pair_that_is_not_looked_at_has_its_reason(name):
    """Links of one joint never move apart; neighbours touch in the pose where the arm waits."""
    robot, workspace = files(name)
    urdf = urdf_of(name)
    links = {link.get("name") for link in ElementTree.fromstring(urdf).iter("link")}
    made = ElementTree.fromstring(description(urdf, robot, workspace))
    known = {link.get("name") for link in made.iter("link")}
    assert links <= known, "no link of the description is lost"
    seen = set()
    for each in semantic(name, urdf).findall("disable_collisions"):
        pair = frozenset((each.get("link1"), each.get("link2")))
        assert len(pair) == 2
        assert pair <= known
        assert pair not in seen, "once"
        seen.add(pair)
    guard = ArmClearances(workspace)
    rng = np.random.default_rng(4)
    limits = robot.limits
    place = rng.uniform(limits.position_lower, limits.position_upper, (300, len(limits.jerk)))
    labels = {tuple(label.split(" to ")) for label in guard.labels if "the table" not in label}
    assert not {frozenset(pair) for pair in labels} & seen, "what the gate watches is watched"
    home = guard.of(robot.home_position[None])[0]
    assert home.min() >= workspace.margin, "the arm may wait at home"
    assert (guard.of(place).min(axis=1) >= workspace.margin).any()


@pytest.mark.parametrize("name", ARMS)
def test_groups_and_named_states_are_those_of_the_robot_file(name):
    robot, _ = files(name)
    urdf = urdf_of(name)
    srdf = semantic(name, urdf)
    assert srdf.get("name") == ElementTree.fromstring(urdf).get("name")
    groups = {group.get("name"): group for group in srdf.findall("group")}
    chain = groups[GROUP].find("chain")
    assert chain.get("base_link") == robot.base_frame
    assert chain.get("tip_link") == robot.tip_frame
    assert groups["gripper"].find("joint").get("name") == robot.gripper.joint
    (state,) = srdf.findall("group_state")
    assert (state.get("name"), state.get("group")) == ("home", GROUP)
    values = {joint.get("name"): float(joint.get("value")) for joint in state.findall("joint")}
    assert values == {name: robot.home[name] for name in robot.limits.joint_names}
    # The chain is there, and has the arm's joints and no other that moves.
    parents = {
        joint.find("child").get("link"): joint
        for joint in ElementTree.fromstring(urdf).findall("joint")
    }
    link, moving = robot.tip_frame, []
    while link != robot.base_frame:
        if parents[link].get("type") != "fixed":
            moving.append(parents[link].get("name"))
        link = parents[link].find("parent").get("link")
    assert tuple(reversed(moving)) == robot.limits.joint_names


def test_the_root_is_the_base_wherever_that_stands():
    """A goal's place is in the base's frame, and MoveIt takes it in the root's."""
    robot, workspace = files("so101")
    urdf = urdf_of("so101")
    room = """<link name="room"/><link name="lamp"/>
    <joint name="base_in_room" type="fixed"><parent link="room"/><child link="BASE"/>
    <origin xyz="1 2 3" rpy="0 0 1"/></joint>
    <joint name="lamp_in_room" type="fixed"><parent link="room"/><child link="lamp"/></joint>
    </robot>""".replace("BASE", robot.base_frame)
    stood = urdf.replace("</robot>", room)
    same = ElementTree.canonicalize(description(urdf, robot, workspace), strip_text=True)
    assert ElementTree.canonicalize(description(stood, robot, workspace), strip_text=True) == same


@pytest.mark.parametrize("name", ARMS)
def test_limits_are_the_robot_file_s_with_acceleration_and_jerk(name):
    robot, workspace = files(name)
    urdf = urdf_of(name)
    poses = NamedPoses({"home": robot.home_position})
    model = description(urdf, robot, workspace)
    srdf = semantics(urdf, robot, workspace, poses)
    made = node_parameters(robot, model, srdf, pipeline=OMPL, planner_id="RRTConnect", time_s=5.0)
    request = made["request"]["plan_request_params"]
    assert (request["planning_pipeline"], request["planner_id"]) == ("ompl", "RRTConnect")
    assert request["planning_time"] < 5.0, "the answer comes while it is waited for"
    # As MoveIt reads it: through a file.
    read = yaml.safe_load(yaml.safe_dump(made))
    assert read == made
    said = read["robot_description_planning"]["joint_limits"]
    own = yaml.safe_load((CONFIG / name / "robot.yaml").read_text())["arm"]["limits"]
    for joint, limit in own.items():
        assert [said[joint]["min_position"], said[joint]["max_position"]] == limit["position"]
        for kind in ("velocity", "acceleration", "jerk"):
            assert said[joint][f"has_{kind}_limits"] is True
            assert said[joint][f"max_{kind}"] == limit[kind]
    assert set(said) == {*own, robot.gripper.joint}
    assert joint_limits(robot)["joint_limits"] == said
    solver = kinematics(robot)[GROUP]
    assert solver["position_only_ik"] is (len(own) < 6)


def test_pilz_is_told_its_planner_for_it_has_no_choice_of_its_own():
    robot, _ = files("panda")
    made = node_parameters(robot, "", "", pipeline=PILZ, planner_id="", time_s=5.0)
    assert made["request"]["plan_request_params"]["planner_id"] == "PTP"


def test_the_files_for_a_move_group_are_written_and_say_the_same(tmp_path, capsys):
    pytest.importorskip("xacro", reason="needs xacro: the description is written in it")
    robot, workspace = files("panda")
    xacro_file = TOP / "src" / "vla_bringup" / "urdf" / "panda.urdf.xacro"
    given = ["--robot-file", str(CONFIG / "panda" / "robot.yaml")]
    given += ["--description-file", str(xacro_file)]
    assert moveit_files.main([*given, str(tmp_path / "out")]) == 0
    written = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert written["panda.urdf"] == description(urdf_of("panda"), robot, workspace)
    assert yaml.safe_load(written["joint_limits.yaml"]) == joint_limits(robot)
    assert ElementTree.fromstring(written["panda.srdf"]).find("group_state").get("name") == "home"
    assert {"kinematics.yaml", "ompl_planning.yaml", "pilz_cartesian_limits.yaml"} <= set(written)
    # What cannot be used is said in one line.
    capsys.readouterr()
    assert moveit_files.main([*given[:3], str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "there is no such file; give description_file" in told


def test_a_description_of_another_arm_is_refused_by_name():
    robot, workspace = files("panda")
    urdf = urdf_of("panda")
    with pytest.raises(ModelError, match="no joint panda_joint1"):
        description(urdf_of("so101"), robot, workspace)
    with pytest.raises(ModelError, match="no XML"):
        description("<robot", robot, workspace)
    with pytest.raises(ModelError, match="no URDF"):
        description("<sdf/>", robot, workspace)
    moved = urdf.replace("0 -0.316 0", "0.1 -0.316 0")
    assert moved != urdf
    with pytest.raises(ModelError, match="axis of panda_joint3 is another"):
        description(moved, robot, workspace)
    with pytest.raises(ModelError, match="xyz 'a b c'"):
        description(urdf.replace("0 -0.316 0", "a b c"), robot, workspace)
