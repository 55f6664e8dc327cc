# SPDX-License-Identifier: Apache-2.0
"""From a URDF to a robot's folder: what is chosen, what is written, and what is refused."""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
import yaml

from vla_contract.clearance import ArmClearances
from vla_contract.contract import load_contract
from vla_contract.robot import load_robot
from vla_contract.workspace import WorkspaceError, load_workspace
from vla_policies import load_policy
from vla_sim.from_urdf import command
from vla_sim.from_urdf.capsules import LinkCapsule, at_most
from vla_sim.from_urdf.description import DescriptionError, choose
from vla_sim.from_urdf.folder import _put as put
from vla_sim.from_urdf.limits import limits_of
from vla_sim.from_urdf.postures import Clearance
from vla_sim.from_urdf.reading import read_urdf
from vla_sim.world import World

TOP = Path(__file__).resolve().parents[3]
INERTIA = '<inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/>'


def joint(name, parent, child, kind="revolute", xyz="0 0 0.3", axis="0 1 0", more=""):
    limit = '<limit lower="-2" upper="2" velocity="1.5" effort="40"/>'
    mesh = f'<geometry><mesh filename="package://nowhere/{child}.dae"/></geometry>'
    return f"""
      <link name="{child}">
        <visual>{mesh}</visual>
        <collision>{mesh}</collision>
        <inertial><mass value="1"/>{INERTIA}</inertial>
      </link>
      <joint name="{name}" type="{kind}">
        <parent link="{parent}"/><child link="{child}"/>
        <origin xyz="{xyz}"/><axis xyz="{axis}"/>
        {limit if kind != "continuous" else ""}{more}
      </joint>"""


ARM = (
    joint("turn", "base", "one", "continuous", axis="0 0 1")
    + joint("lift", "one", "two")
    + joint("bend", "two", "three")
    + joint("tool_joint", "three", "tool0", "fixed", "0 0 0.1")
)
FINGERS = joint("finger_left", "three", "left", "prismatic", "0 0.02 0.1") + joint(
    "finger_right", "three", "right", "prismatic", "0 -0.02 0.1",
    more='<mimic joint="finger_left" multiplier="-1"/>',
)  # fmt: skip
BASE = '<link name="base"/>'
# Six joints; an @ and a number is where one of them may have a <mimic>.
SIX = "".join(
    joint(name, "base" if row == 1 else f"l{row - 1}", f"l{row}", more=f"@{row}")
    for row, name in enumerate(("one", "two", "three", "four", "five", "six"), 1)
)


@pytest.fixture
def described(tmp_path):
    def write(body, head="<?xml version='1.0'?>\n<robot name='Mine 2'>", name="arm.urdf"):
        path = tmp_path / name
        path.write_text(f"{head}{body}</robot>", encoding="utf-8")
        return path

    return write


def folder_of(path, *words):
    folder = path.parent / "made"
    assert command.main(["from-urdf", str(path), "--folder", str(folder), *words]) == 0
    return folder


def said(capsys, *words):
    assert command.main(list(map(str, words))) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


def test_the_folder_is_that_of_a_robot_that_can_be_simulated(described, capsys):
    folder = folder_of(described(BASE + ARM + FINGERS))
    robot = load_robot(folder / "robot.yaml")
    assert robot.name == "mine_2"
    assert robot.limits.joint_names == ("turn", "lift", "bend")
    assert robot.tip_frame == "tool0"
    assert robot.gripper.joint == "finger_left"
    world = World(folder / "robot.yaml")
    world.step(200)
    np.testing.assert_allclose(world.joint_truth()[0], world.home, atol=0.01)
    contract = load_contract(folder / "wander.yaml", robot.limits.joint_names, "finger_left")
    policy = load_policy(contract.policy_name, contract.policy_options)
    assert policy.spec.joint_names == contract.action_joints
    told = capsys.readouterr().out
    assert f"make demo ROBOT={folder}" in told
    assert "contract.yaml: write your policy's name" in told
    assert "package://" not in (folder / "model.xml").read_text()


@pytest.mark.parametrize("body", [BASE + ARM + FINGERS, BASE + ARM], ids=["fingers", "stand-in"])
def test_its_workspace_is_the_simulated_arm_s_and_its_own_postures_are_clear_there(
    described, body
):
    folder = folder_of(described(body))
    robot = load_robot(folder / "robot.yaml")
    space = load_workspace(folder / "workspace.yaml", robot.limits.joint_names)
    assert len(space.pairs) > 0
    arm = ArmClearances(space)
    options = load_contract(
        folder / "wander.yaml", robot.limits.joint_names, robot.gripper.joint
    ).policy_options
    goals = np.array(options["goals"])[:, :-1]
    ways = [np.linspace(a, b, 50) for a, b in zip(goals, np.roll(goals, -1, 0), strict=True)]
    assert arm.of(np.concatenate(ways)).min() > space.margin
    # Each shape of the model lies within the capsules, at any posture and opening.
    world = World(folder / "robot.yaml", randomise=False)
    model, data = world.model, mujoco.MjData(world.model)
    rng = np.random.default_rng(0)
    limits, grip = robot.limits, robot.gripper
    for _ in range(30):
        posture = rng.uniform(limits.position_lower, limits.position_upper)
        data.qpos[world.arm_addresses()] = posture
        opening = rng.uniform(grip.position_lower, grip.position_upper)
        data.qpos[model.joint(grip.joint).qposadr[0]] = opening
        for row in range(model.neq):
            follower = model.eq_obj1id[row]
            factor = model.eq_data[row][1]
            data.qpos[model.jnt_qposadr[follower]] = factor * opening
        mujoco.mj_kinematics(model, data)
        lowest = arm.of(posture[None])[0][: np.sum(space.joint >= 0)].min()
        shapes = [g for g in range(model.ngeom) if model.geom_contype[g] & 1]
        moving = [g for g in shapes if model.body_weldid[model.geom_bodyid[g]] > 0]
        corners = min(_lowest(model, data, geom) for geom in moving)
        assert lowest <= corners + 1e-6


def _lowest(model, data, geom):
    size, turn = model.geom_size[geom], data.geom_xmat[geom].reshape(3, 3)
    high = data.geom_xpos[geom][2]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_BOX:
        return high - np.abs(turn[2]) @ size
    return high - abs(turn[2, 2]) * size[1] - size[0]


def test_the_arm_follows_what_it_is_commanded(described):
    world = World(folder_of(described(BASE + ARM + FINGERS)) / "robot.yaml")
    target = world.home + 0.2
    target[-1] = 0.5
    world.command(target)
    world.step(500)
    np.testing.assert_allclose(world.joint_truth()[0], target, atol=0.01)


def test_limits_say_where_they_come_from(described):
    path = described(BASE + ARM + FINGERS)
    text = (folder_of(path) / "robot.yaml").read_text()
    turn, lift = (
        next(row for row in text.splitlines() if f'"{name}": {{' in row)
        for name in ("turn", "lift")
    )
    assert "no velocity in the description" in turn
    assert "turns without end, held to one turn each way" in turn
    assert "velocity of the description" in lift
    choice = choose(read_urdf(path))
    slow, light = limits_of(choice, np.array([1e3] * 3))[1], limits_of(choice, np.full(3, 1e-3))[1]
    assert "by half its effort of 40" in slow.reason
    assert slow.acceleration == 0.5
    assert light.acceleration == pytest.approx(5.0)
    assert light.jerk == pytest.approx(50.0)


def test_limits_beyond_a_turn_are_cut_and_that_is_said(described, capsys):
    path = described(
        BASE + (ARM + FINGERS).replace('lower="-2" upper="2"', 'lower="-20" upper="9"')
    )
    folder = folder_of(path)
    words = "limits of [-20, 9] rad cut to one turn each way: are these degrees?"
    text = (folder / "robot.yaml").read_text()
    lift = next(row for row in text.splitlines() if '"lift": {' in row)
    assert "position: [-6.28319, 6.28319]" in lift
    assert lift.endswith(words)
    told = capsys.readouterr().out
    assert f"  - robot.yaml: lift: {words}" in told
    assert "turn: limits" not in told
    assert command.main(["check", str(folder)]) == 0
    assert f"robot.yaml: lift: {words}" in capsys.readouterr().out


@pytest.mark.parametrize("upper", ["6.2832", "6.283185307"])
def test_a_whole_turn_however_it_is_rounded_is_not_cut(described, upper):
    turn = (BASE + ARM).replace('lower="-2" upper="2"', f'lower="-{upper}" upper="{upper}"')
    choice = choose(read_urdf(described(turn)))
    assert choice.notes == ()
    assert all(each.upper <= 2 * np.pi for each in choice.arm)


def test_a_gripper_whose_limits_are_cut_is_named(described):
    finger = joint("finger_left", "three", "left").replace('"-2" upper="2"', '"0" upper="20"')
    assert choose(read_urdf(described(BASE + ARM + finger))).notes == (
        "finger_left: limits of [0, 20] rad cut to one turn each way: are these degrees?",
    )


def test_a_joint_beside_the_arm_that_follows_it_is_named(described, capsys):
    rod = joint("rod_turn", "one", "rod", more='<mimic joint="lift" multiplier="-1"/>')
    folder_of(described(BASE + ARM + FINGERS + rod))
    told = capsys.readouterr().out
    assert "robot.yaml: rod_turn: follows lift, and is held at 0 here: its link rod" in told
    assert "finger_right: follows" not in told


def test_a_joint_that_follows_one_that_is_held_itself_is_not_named(described):
    other = joint("head", "base", "h1") + joint("h", "h1", "h2", more='<mimic joint="head"/>')
    assert choose(read_urdf(described(BASE + ARM + other))).notes == ()


def test_the_arm_before_a_joint_that_follows_can_be_chosen(described):
    body = BASE + SIX.replace("@6", '<mimic joint="three"/>')
    choice = choose(read_urdf(described(body)), tip="l5")
    assert [each.name for each in choice.arm] == ["one", "two", "three", "four", "five"]
    assert choice.notes[0].startswith("six: follows three, and is held at 0 here")


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (
            "finger_right",
            "finger_left",
            "finger_left: follows finger_right, which ends in a joint",
        ),
        ("nowhere", "finger_left", "finger_left: follows nowhere, which the description does not"),
        ("finger_left", "finger_left", "finger_left: follows finger_left, which ends in a joint"),
    ],
)
def test_fingers_that_follow_each_other_or_nothing_are_named(described, left, right, words):
    fingers = FINGERS.replace('joint="finger_left"', f'joint="{right}"').replace(
        "</joint>", f'<mimic joint="{left}"/></joint>', 1
    )
    choice = choose(read_urdf(described(BASE + ARM + fingers)))
    assert choice.gripper is None
    assert len(choice.notes) == 2
    assert choice.notes[0].startswith(words)
    assert choice.notes[1].startswith("finger_right: follows finger_left, which ends in a joint")


def test_many_joints_that_follow_are_counted(described):
    rods = "".join(
        joint(f"rod_turn{n}", "one", f"rod{n}", more='<mimic joint="lift"/>') for n in range(30)
    )
    notes = choose(read_urdf(described(BASE + ARM + rods))).notes
    assert len(notes) == 9
    assert notes[-1] == "22 more joints follow others and are held at 0 here"


def test_a_workspace_that_refuses_home_or_keeps_nothing_apart_is_told(described, capsys):
    folder = folder_of(described(BASE + ARM + FINGERS))
    file = folder / "workspace.yaml"
    text = file.read_text()
    capsys.readouterr()
    assert command.main(["check", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "at home" not in told
    assert "name every pair" not in told
    everywhere = "obstacles: {room: {lower: [-3, -3, -3], upper: [3, 3, 3]}}"
    links = list(yaml.safe_load(text)["links"])
    pairs = [[a, b] for row, a in enumerate(links) for b in links[:row]]
    begin = text.index("neighbours:")
    file.write_text(text[:begin].replace("obstacles: {}", everywhere) + f"neighbours: {pairs}\n")
    assert command.main(["check", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "to room is -" in told
    assert "the arm may only leave there" in told
    assert "neighbours name every pair of links" in told
    file.write_text(text[:begin] + "neighbours: [[[a], one]]\n")
    assert "[['a'], 'one'] is no pair of links" in said(capsys, "check", folder)


def test_an_arm_without_a_gripper_gets_a_stand_in_and_says_so(described, capsys):
    folder = folder_of(described(BASE + ARM))
    assert load_robot(folder / "robot.yaml").gripper.joint == "stand_in_gripper"
    assert "gripper: the description has none" in capsys.readouterr().out


def test_postures_that_are_visited_touch_nothing(described):
    folder = folder_of(described(BASE + ARM + FINGERS))
    goals = yaml.safe_load((folder / "wander.yaml").read_text())["policy"]["options"]["goals"]
    assert len(goals) == 7
    world = World(folder / "robot.yaml")
    for goal in goals:
        world.place_arm(np.array(goal))
        assert world._data.ncon == 0
        assert world.tip()[2, 3] > 0.05


def test_a_folder_that_is_there_is_not_written_over(described, capsys):
    path = described(BASE + ARM)
    folder = folder_of(path)
    text = said(capsys, "from-urdf", path, "--folder", folder)
    assert "is there already, with contract.yaml, " in text
    assert "remove it first, or name another with --folder" in text


def test_what_a_folder_still_needs_is_asked_again(described, capsys):
    folder = folder_of(described(BASE + ARM))
    capsys.readouterr()
    text = (folder / "robot.yaml").read_text().replace("# unconfirmed", "# the maker's")
    (folder / "robot.yaml").write_text(text)
    assert command.main(["check", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "accelerations" not in told
    assert "contract.yaml" in told
    (folder / "robot.yaml").write_text(text.replace("jerk: ", "jork: "))
    assert "is missing; add it" in said(capsys, "check", folder)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (BASE, "has no arm: its longest chain of joints that move has 0"),
        (BASE + ARM + ARM.replace('"turn"', '"b_turn"').replace('"lift"', '"b_lift"')
            .replace('"bend"', '"b_bend"').replace('"tool_joint"', '"b_tool"')
            .replace('"one"', '"b1"').replace('"two"', '"b2"').replace('"three"', '"b3"')
            .replace('"tool0"', '"b_tool0"'), "has 2 chains of 3 joints, .*choose with --tip"),
        (BASE + ARM.replace('lower="-2" upper="2"', ""), r"lift: its limits are \[0, 0\]"),
        (BASE + ARM.replace('upper="2"', 'upper="1e40"'), "limit upper: '1e40' is no number"),
        (BASE + ARM.replace('upper="2"', 'upper="nan"'), "limit upper: 'nan' is no number"),
        (BASE + ARM + joint("turn", "three", "four"), "joint 'turn' is there twice"),
        (BASE + '<link name="other"/>' + ARM, "its links are no tree: 2 of them have no parent"),
        (BASE + "<joint name='x' type='revolute'/>", "joint 'x' lacks parent or child"),
        (BASE + ARM + "<link", "is no XML"),
        (BASE + ARM + joint("x", "l2", "l1") + joint("y", "l1", "l2"), "in a circle, .*: l1, l2"),
        (BASE + ARM.replace('parent link="one"', 'parent link="ghost"'), "no link 'ghost'"),
        (BASE + BASE + ARM, "link 'base' is there twice"),
        (BASE + ARM.replace('name="lift"', ""), "a joint has no name"),
        (BASE + ARM.replace('name="lift"', 'name="li&#10;ft"'), "its name has line breaks"),
        (BASE + ARM.replace('name="one"', f'name="{"x" * 201}"'), "more than 200 characters"),
        (BASE + ARM.replace('"0 0 0.3"', '"0 nan 0.3"'), "origin xyz: '0 nan 0.3' is not 3 num"),
        (BASE + ARM.replace('"0 0 0.3"', '"0 0 1e300"'), "not 3 numbers from -1000 to 1000"),
        (BASE + ARM.replace("<geometry>", '<geometry><sphere radius="-1"/>'),
            "sphere radius: '-1' is not a number from 0 to 1000"),
        (BASE + ARM.replace('"-2" upper="2"', '"-170" upper="170"'), "more than 4 turns"),
        (BASE + ARM.replace('"-2" upper="2"', '"7" upper="12"'),
            r"its limits of \[7, 12\] rad have nothing within one turn .*: are these degrees"),
        (BASE + ARM + FINGERS.replace('"-1"/', '"1e9"/'), "multiplier: '1e9' is no number from"),
        (BASE + ARM + FINGERS.replace('"-1"/', '"nan"/'), "multiplier: 'nan' is no number from"),
        (BASE + ARM + FINGERS.replace('"-1"/', '"1" offset="1e5"/'), "offset: '1e5' is no number"),
        (BASE + SIX.replace("@3", '<mimic joint="two" multiplier="-1"/>'),
            "joint three follows two, in the chain of the arm: .*: --tip l2"),
        (BASE + SIX.replace("@3", '<mimic joint="five"/>'), "joint three follows five"),
        (BASE + SIX.replace("@6", '<mimic joint="three"/>'), "joint six follows three"),
        (BASE + SIX.replace("@2", '<mimic joint="one"/>'), "has 1; a chain ends before"),
        (BASE + ARM.replace("<visual>", "<visual>" + "<a>" * 60 + "</a>" * 60), "50 deep"),
        (BASE + ARM.replace("<collision>", "<collision/>" * 400 + "<collision>"),
            "has 1604 shapes to collide with; 1000 are the most"),
        (BASE + "<link name='x'/>" * 2002, "has 2003 links; 2001 are the most"),
        (BASE + ARM + "".join(joint(f"f{i}", f"l{i}" if i else "tool0", f"l{i + 1}", "fixed")
            for i in range(397)), "joints to link 'l397' has 401 of them; 400 are the most"),
        (BASE + ARM + FINGERS.replace('"-2" upper="2"', '"-1e8" upper="1e8"'),
            r"finger_left: its limits are \[-1e\+08, 1e\+08\] m, 100 m are the most"),
        (BASE + ARM + FINGERS.replace('"prismatic"', '"revolute"').replace('"2"', '"200"'),
            r"finger_left: its limits are \[-2, 200\] rad, more than 4 turns"),
    ],
)  # fmt: skip
def test_a_description_that_cannot_be_used_is_refused_in_one_line(
    described, capsys, body, message
):
    path = described(body)
    with pytest.raises(DescriptionError, match=message):
        choose(read_urdf(path))
    said(capsys, "from-urdf", path, "--folder", path.parent / "made")


def test_what_is_no_urdf_is_refused(described, tmp_path, capsys):
    other = described("", head="<mujoco><robot/>").parent / "arm.urdf"
    other.write_text("<mujoco/>")
    assert "its root is <mujoco>, not <robot>" in said(capsys, "from-urdf", other)
    bomb = tmp_path / "bomb.urdf"
    bomb.write_text('<!DOCTYPE r [<!ENTITY a "aaaa">]><robot name="&a;"/>')
    assert "entities of its own" in said(capsys, "from-urdf", bomb)
    assert "cannot be read" in said(capsys, "from-urdf", tmp_path / "nosuch.urdf")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no such joint"),
        ("tool_joint", "it does not move, its type is 'fixed'"),
        ("finger_right", "it follows finger_left; name that one"),
    ],
)
def test_a_gripper_that_cannot_be_one_is_refused(described, name, message):
    with pytest.raises(DescriptionError, match=message):
        choose(read_urdf(described(BASE + ARM + FINGERS)), gripper=name)


def test_a_name_of_a_robot_that_is_no_name_of_a_folder_is_mended(described, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = described(BASE + ARM, head="<robot name='../&quot;&lt;${x}'>", name="my.urdf")
    assert command.main(["from-urdf", str(path)]) == 0
    assert (tmp_path / "robots" / "x" / "robot.yaml").is_file()
    description = (tmp_path / "robots" / "x" / "description.urdf.xacro").read_text()
    assert ElementTree.fromstring(description).get("name") == '../"<$${x}'


def test_an_arm_of_two_is_chosen_by_its_tip(described):
    second = joint("b_turn", "base", "b1", "continuous") + joint("b_lift", "b1", "b2")
    urdf = read_urdf(described(BASE + ARM + second))
    assert [each.name for each in choose(urdf).arm] == ["turn", "lift", "bend"]
    choice = choose(urdf, tip="b2")
    assert [each.name for each in choice.arm] == ["b_turn", "b_lift"]
    assert choice.others == 3
    with pytest.raises(DescriptionError, match="--tip nowhere: there is no such link"):
        choose(urdf, tip="nowhere")


def test_a_joint_that_would_take_for_ever_is_refused(described, capsys):
    path = described(BASE + ARM.replace('velocity="1.5"', 'velocity="1e-7"'))
    text = said(capsys, "from-urdf", path, "--folder", path.parent / "made")
    assert "is so slow for its range that 7 postures would take " in text
    assert not (path.parent / "made").exists()


def test_a_pipe_is_refused_and_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "arm.urdf")
    assert "is no regular file" in said(capsys, "from-urdf", tmp_path / "arm.urdf")


@pytest.mark.parametrize("limits", ['lower="0.0015" upper="0.0019"', 'lower="0.0011" upper="2"'])
def test_home_and_postures_are_within_limits_that_are_finer_than_they_are_written(
    described, limits
):
    folder = folder_of(described(BASE + ARM.replace('lower="-2" upper="2"', limits)))
    robot = load_robot(folder / "robot.yaml")
    goals = yaml.safe_load((folder / "wander.yaml").read_text())["policy"]["options"]["goals"]
    home = [robot.home[name] for name in robot.limits.joint_names]
    for arm in (home, *(goal[:-1] for goal in goals)):
        assert np.all(robot.limits.position_lower <= arm)
        assert np.all(arm <= robot.limits.position_upper)


@pytest.mark.parametrize("broken", ["needs_of", "_put"])
def test_what_is_refused_or_broken_off_late_leaves_no_part_of_a_folder(
    described, capsys, monkeypatch, broken
):
    path = described(BASE + ARM)

    def refuse(*_):
        raise DescriptionError("home.j1: 0.002 is outside its limits")

    def full(texts, folder):
        for name in list(texts)[:3]:
            (folder / name).write_text("a")
        raise OSError(28, "No space left on device")

    if broken == "needs_of":
        monkeypatch.setattr("vla_sim.from_urdf.folder.needs_of", refuse)
    else:
        # The second time: beside the place of the folder.
        monkeypatch.setattr("vla_sim.from_urdf.folder._put", partial(_on_a_full_disk, full))
    said(capsys, "from-urdf", path, "--folder", path.parent / "made")
    assert [each.name for each in path.parent.iterdir()] == ["arm.urdf"]


def _on_a_full_disk(full, texts, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vla_sim.from_urdf.folder._write", full)
        put(texts, folder)


def test_a_folder_with_a_space_can_be_pasted_as_it_is_told(described, capsys):
    path = described(BASE + ARM)
    folder = path.parent / "my $robot's"
    assert command.main(["from-urdf", str(path), "--folder", str(folder)]) == 0
    told = capsys.readouterr().out.partition("try it: ")[2].partition("   (")[0]
    *_, given = shlex.split(told)
    make = ["make", "-n", "-o", "setup", "demo", given]
    recipe = subprocess.run(make, cwd=TOP, capture_output=True, text=True, check=True).stdout
    words = shlex.split(recipe.partition("bin/demo ")[2].replace("\\\n", " "))
    assert words[:4] == ["--robot", str(folder), "--hardware", "sim"]


@pytest.mark.parametrize(
    ("robot", "words"),
    [
        ("so101_bus", ["so101", "--hardware", "bus"]),
        ("./robots/my_bus", ["./robots/my_bus", "--hardware", "sim"]),
        ("./my so101", ["./my so101", "--hardware", "sim"]),
    ],
)
def test_only_the_name_so101_bus_means_servos_at_a_port(robot, words):
    make = ["make", "-n", "-o", "setup", "demo", f"ROBOT={robot}", "POLICY=wander"]
    recipe = subprocess.run(make, cwd=TOP, capture_output=True, text=True, check=True).stdout
    found = shlex.split(recipe.partition("bin/demo ")[2].replace("\\\n", " "))
    assert found[:4] == ["--robot", *words]


@pytest.mark.parametrize("body", [BASE + ARM + FINGERS, BASE + ARM], ids=["fingers", "stand-in"])
def test_the_description_has_every_joint_of_the_robot_file_and_ros2_control_commands_them(
    described, body
):
    """It refuses a description without one of them, and waits for another for ever."""
    xacro = pytest.importorskip("xacro")
    folder = folder_of(described(body))
    robot = load_robot(folder / "robot.yaml")
    given = {"robot_file": str(folder / "robot.yaml")}
    text = xacro.process_file(str(folder / "description.urdf.xacro"), mappings=given).toxml()
    tree = ElementTree.fromstring(text)
    limits = {each.get("name"): each.find("limit") for each in tree.findall("joint")}
    names = [*robot.limits.joint_names, robot.gripper.joint]
    assert set(names) <= set(limits)
    assert [each.get("name") for each in tree.find("ros2_control").findall("joint")] == names
    assert float(limits[robot.gripper.joint].get("upper")) == robot.gripper.position_upper
    # One tree, whose masses are the description's but for next to nothing.
    links = [each.get("name") for each in tree.findall("link")]
    children = [each.find("child").get("link") for each in tree.findall("joint")]
    assert sorted(children) == sorted(set(links) - {"base"})
    mass = sum(float(each.get("value")) for each in tree.iterfind("link/inertial/mass"))
    fingers = 2.0 if robot.gripper.joint == "finger_left" else 0.002
    assert mass == pytest.approx(4.0 + fingers)


def many(count, size="0.02 0.02 0.02"):
    rows = "".join(
        f'<collision><origin xyz="{0.02 * (i % 3)} 0 {0.2 * i / count}"/>'
        f'<geometry><box size="{size}"/></geometry></collision>'
        for i in range(count)
    )
    return lambda body, link: body.replace(f'<link name="{link}">', f'<link name="{link}">{rows}')


def test_an_arm_of_many_shapes_is_guarded_by_as_many_capsules_as_there_is_room_for(described):
    folder = folder_of(described(many(40)(many(60)(BASE + ARM, "two"), "three")))
    robot = load_robot(folder / "robot.yaml")
    space = load_workspace(folder / "workspace.yaml", robot.limits.joint_names)
    assert len(space.radius) == 64
    assert {"two", "three", "stand_in_gripper_1"} <= set(space.names)


def test_fewer_capsules_hold_all_of_the_many():
    rng = np.random.default_rng(0)
    capsules = [
        LinkCapsule(rng.normal(size=(2, 3)), rng.uniform(0.01, 0.5), f"link{i % 3}", i % 3)
        for i in range(100)
    ]
    fewer = at_most(capsules, 20)
    assert len(fewer) == 20
    for one in capsules:
        assert any(_holds(other, one) for other in fewer if other.link == one.link)
    assert at_most(capsules, 100) == capsules
    with pytest.raises(WorkspaceError, match="3 links have shapes to collide with, and there is"):
        at_most(capsules, 2)


def _holds(capsule, other):
    axis = capsule.ends[1] - capsule.ends[0]
    at = np.clip((other.ends - capsule.ends[0]) @ axis / max(axis @ axis, 1e-12), 0.0, 1.0)
    off = np.linalg.norm(other.ends - capsule.ends[0] - np.outer(at, axis), axis=1)
    return np.all(off + other.radius <= capsule.radius + 1e-9)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (BASE + ARM + "".join(joint(f"f{i}", "tool0", f"l{i}", "fixed").replace(
            f'<mesh filename="package://nowhere/l{i}.dae"/>', '<sphere radius="0.01"/>')
            for i in range(70)), "links have shapes to collide with, and there is room for 64"),
        (many(1, "300 0.01 0.01")(BASE + ARM, "two"), "write 7 numbers, none beyond 100"),
    ],
    ids=["links", "large"],
)  # fmt: skip
def test_an_arm_without_a_guard_is_told_with_the_reason(described, capsys, body, why):
    folder = folder_of(described(body))
    told = capsys.readouterr().out
    assert not (folder / "workspace.yaml").exists()
    row = next(row for row in told.splitlines() if "workspace.yaml: could not be written (" in row)
    assert why in row
    assert "does not judge plans by where they lead" in row


def test_a_xacro_is_given_arguments(described, capsys):
    pytest.importorskip("xacro")
    head = '<robot name="mine" xmlns:xacro="http://www.ros.org/wiki/xacro">'
    body = BASE + ARM.replace('"2"', '"$(arg up)"')
    path = described(body, head=head, name="arm.urdf.xacro")
    assert "arguments after its name: NAME:=VALUE" in said(capsys, "from-urdf", path)
    assert "'up' is no argument of a xacro" in said(capsys, "from-urdf", path, "up")
    folder = path.parent / "made"
    words = ["from-urdf", str(path), "up:=1.5", "--folder", str(folder)]
    assert command.main(words) == 0
    assert load_robot(folder / "robot.yaml").limits.position_upper[1] == 1.5
    plain = described(BASE + ARM)
    assert "takes no argument 'up:=2'" in said(capsys, "from-urdf", plain, "up:=2")


def test_a_xacro_is_expanded(described):
    pytest.importorskip("xacro")
    head = '<robot name="mine" xmlns:xacro="http://www.ros.org/wiki/xacro">'
    body = BASE + '<xacro:property name="up" value="${1 + 1}"/>' + ARM.replace('"2"', '"${up}"')
    urdf = read_urdf(described(body, head=head, name="arm.urdf.xacro"))
    assert urdf.joints["lift"].upper == 2.0


def test_a_posture_in_which_the_arm_touches_itself_is_not_clear(described):
    """MuJoCo asks the bodies before their shapes whether they may touch at all."""
    bodies = BASE + ARM + joint("fold", "three", "four", xyz="0 0 0.3") + joint(
        "last", "four", "five", xyz="0 0 0.3"
    )  # fmt: skip
    world = World(folder_of(described(bodies)) / "robot.yaml")
    limits = np.array([2.0] * 5)
    clearance = Clearance(world, -limits, limits)
    straight, folded = np.array([0.0, 0.0, 0.5, 0.5, 0.5]), np.array([0.0, 0.0, 1.9, 2.0, 2.0])
    assert clearance.clear(straight)
    assert clearance.touching(folded)
