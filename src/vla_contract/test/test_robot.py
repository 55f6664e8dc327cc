# SPDX-License-Identifier: Apache-2.0
"""A robot file says everything, or says what is wrong."""

import copy

import pytest
import yaml

from vla_contract.robot import RobotConfigError, load_robot, moved_to

GOOD = {
    "robot": "two_joints",
    "base_frame": "base_link",
    "tip_frame": "tip",
    "arm": {
        "controller": "arm_controller",
        "joints": ["b", "a"],
        "limits": {
            "a": {"position": [-1.0, 1.0], "velocity": 2, "acceleration": 10.0, "jerk": 100.0},
            "b": {"position": [-3.0, 2.0], "velocity": 1.5, "acceleration": 5.0, "jerk": 50.0},
        },
    },
    "gripper": {
        "controller": "gripper_controller",
        "joint": "jaw",
        "position": [-0.1, 1.7],
        "velocity": 2.5,
    },
    "home": {"a": 0.0, "b": -1.2, "jaw": 0.1},
    "encoder": {"ticks_per_turn": 4096},
}


def written(tmp_path, values):
    path = tmp_path / "robot.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def test_a_robot_is_read_in_the_order_of_its_joint_list(tmp_path):
    robot = load_robot(written(tmp_path, GOOD))
    assert robot.name == "two_joints"
    assert robot.arm_controller == "arm_controller"
    assert robot.limits.joint_names == ("b", "a")
    assert robot.limits.velocity.tolist() == [1.5, 2.0]
    assert robot.limits.position_lower.tolist() == [-3.0, -1.0]
    assert robot.gripper.controller == "gripper_controller"
    assert robot.gripper.position_upper == 1.7
    assert robot.home_position.tolist() == [-1.2, 0.0]
    assert robot.ticks_per_turn == 4096


def paths(values, at=()):
    for key, value in values.items():
        yield (*at, key)
        if isinstance(value, dict):
            yield from paths(value, (*at, key))


@pytest.mark.parametrize("path", list(paths(GOOD)), ids=".".join)
def test_each_missing_key_is_named_with_its_file(tmp_path, path):
    values = copy.deepcopy(GOOD)
    section = values
    for key in path[:-1]:
        section = section[key]
    del section[path[-1]]
    file = written(tmp_path, values)
    with pytest.raises(RobotConfigError) as error:
        load_robot(file)
    assert str(error.value) == f"{file}: {'.'.join(path)}: is missing; add it"


SECTIONS = [
    (),
    ("arm",),
    ("arm", "limits"),
    ("arm", "limits", "a"),
    ("gripper",),
    ("home",),
    ("encoder",),
]


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: ".".join(path) or "top")
def test_each_unknown_key_is_named_with_its_file(tmp_path, path):
    values = copy.deepcopy(GOOD)
    section = values
    for key in path:
        section = section[key]
    section["max_jerk"] = 1.0
    file = written(tmp_path, values)
    with pytest.raises(RobotConfigError) as error:
        load_robot(file)
    assert str(error.value).startswith(f"{file}: {'.'.join((*path, 'max_jerk'))}: is not a key")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("robot",), "", "non-empty string"),
        (("arm",), None, "must be a mapping, but is empty"),
        (("arm", "joints"), [], "one or more joint names"),
        (("arm", "joints"), ["a", "a"], "distinct"),
        (("arm", "limits", "a", "velocity"), "1.5", "without quotes"),
        (("arm", "limits", "a", "velocity"), 115.0, "115 is faster than any arm's; write rad/s"),
        (("arm", "limits", "a", "position"), [-10, 100], "more than four turns; write rad"),
        (("arm", "controller"), "arm-controller", "'arm-controller' is no name in ROS; write"),
        (("gripper", "controller"), "my hand", "'my hand' is no name in ROS"),
        (("gripper", "controller"), "arm_controller", "is already the arm's; each has its own"),
        (("arm", "limits", "a", "velocity"), "fast", "the text 'fast'"),
        (("arm", "limits", "a", "velocity"), True, "finite number"),
        (("arm", "limits", "a", "jerk"), float("nan"), "finite number"),
        (("arm", "limits", "a", "jerk"), 0.0, "positive"),
        (("arm", "limits", "a", "position"), [1.0], r"\[lower, upper\]"),
        (("arm", "limits", "a", "position"), [1.0, -1.0], "lower must be below"),
        (("gripper", "joint"), "a", "already a joint of the arm"),
        (("home", "a"), 1.1, "outside its limits"),
        (("encoder", "ticks_per_turn"), 4096.5, "positive integer"),
    ],
)
def test_each_wrong_value_is_named_with_what_it_should_be(tmp_path, path, value, message):
    values = copy.deepcopy(GOOD)
    section = values
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    if path == ("gripper", "joint"):
        del values["home"]["jaw"]
    with pytest.raises(RobotConfigError, match=message) as error:
        load_robot(written(tmp_path, values))
    assert f"robot.yaml: {'.'.join(path)}: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("robot: a\nrobot: b\n", "key 'robot' is written twice; keep one of them .line 2"),
        ("robot: [", "is not YAML"),
        ("", "the file: must be a mapping, but is empty"),
        ("- robot", "must be a mapping"),
    ],
)
def test_a_file_that_is_no_robot_file_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(RobotConfigError, match=message) as error:
        load_robot(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RobotConfigError, match=r"nowhere\.yaml.*cannot be read"):
        load_robot(tmp_path / "nowhere.yaml")


def test_a_path_from_before_robots_had_folders_is_answered_with_the_new_one(tmp_path):
    new = tmp_path / "robots" / "arm" / "robot.yaml"
    new.parent.mkdir(parents=True)
    new.touch()
    with pytest.raises(RobotConfigError) as error:
        load_robot(tmp_path / "robots" / "arm.yaml")
    assert str(error.value).endswith(
        f"arm.yaml: the file: is in the robot's own folder now; give {new}"
    )
    assert "monitor.yaml" not in moved_to(tmp_path / "monitor" / "arm.yaml", "monitor.yaml")
    new.with_name("monitor.yaml").touch()
    told = moved_to(tmp_path / "monitor" / "arm.yaml", "monitor.yaml")
    assert told.endswith(f"give {new.with_name('monitor.yaml')}")
