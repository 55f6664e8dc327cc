# SPDX-License-Identifier: Apache-2.0
"""What the layouts name is there: every topic, every field, of the type that the panel shows."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext
from launch_ros.actions import Node

from vla_bringup import rviz
from vla_contract.robot import load_robot
from vla_recording.black_box.definitions import message_class

TOP = Path(__file__).resolve().parents[3]
LAYOUTS = TOP / "config" / "layouts"
ROBOT = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
PUBLISHED = re.compile(r"^\| publishes \| `([^`]+)` \| (\w+)/(\w+) \|", re.M)
INTEGERS = {f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64)}
NUMBERS = {"double", "float", "boolean", *INTEGERS}
OPERATORS = {"=", "<", "<=", ">", ">="}


def topics() -> dict[str, str]:
    """Return the type of each topic that a node publishes, as the page of topics has it."""
    text = (TOP / "docs" / "reference" / "topics.md").read_text(encoding="utf-8")
    found = {}
    for node, table in re.findall(r"<!-- table: (\w+) -->(.*?)<!-- end", text, re.S):
        for name, package, kind in PUBLISHED.findall(table):
            found[re.sub(r"^~", f"/{node}", name)] = f"{package}/msg/{kind}"
    return {f"/{name.lstrip('/')}": kind for name, kind in found.items()}


TOPICS = topics()


def field_type(path: str, separator: str) -> str:
    """Return the type of a field: a topic, then fields with an index where they are arrays."""
    topic = max((t for t in TOPICS if path.startswith(t + separator)), key=len, default="")
    assert topic, f"{path}: no node publishes that"
    kind = TOPICS[topic]
    for step in path[len(topic) + 1 :].split(separator):
        name, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", step).groups()
        fields = message_class(kind).get_fields_and_field_types()
        assert name in fields, f"{path}: {kind} has no field {name}"
        kind = fields[name]
        if index is not None:
            assert kind.startswith("sequence<"), f"{path}: {name} is no array"
            assert int(index) < len(ROBOT.limits.joint_names), f"{path}: the arm has fewer joints"
            kind = kind[len("sequence<") : -1]
        if "/" in kind and "/msg/" not in kind:
            kind = kind.replace("/", "/msg/")
    return kind


def foxglove() -> dict[str, Any]:
    return json.loads((LAYOUTS / "foxglove.json").read_text(encoding="utf-8"))


def placed(layout: Any) -> list[str]:
    """Return the panels that a tree of splits shows."""
    if isinstance(layout, str):
        return [layout]
    assert layout["direction"] in {"row", "column"}
    assert 0 < layout["splitPercentage"] < 100
    return [*placed(layout["first"]), *placed(layout["second"])]


def test_foxglove_shows_each_panel_once_and_each_is_described():
    layout = foxglove()
    assert sorted(placed(layout["layout"])) == sorted(layout["configById"])


@pytest.mark.parametrize("panel", foxglove()["configById"])
def test_a_panel_of_foxglove_shows_what_a_node_publishes(panel):
    config, kind = foxglove()["configById"][panel], panel.split("!")[0]
    if kind == "Image":
        assert TOPICS[config["imageMode"]["imageTopic"]] == "sensor_msgs/msg/Image"
    elif kind == "DiagnosticSummary":
        assert TOPICS[config["topicToRender"]] == "diagnostic_msgs/msg/DiagnosticArray"
    elif kind == "RawMessages":
        assert config["topicPath"] in TOPICS
    elif kind == "Indicator":
        assert field_type(config["path"], ".") == "boolean"
        assert {rule["rawValue"] for rule in config["rules"]} == {"true", "false"}
        assert {rule["operator"] for rule in config["rules"]} <= OPERATORS
    elif kind in {"Plot", "StateTransitions"}:
        shown = NUMBERS if kind == "Plot" else NUMBERS | {"string"}
        for series in config["paths"]:
            path = series["value"].removesuffix(".@negative")
            assert field_type(path, ".") in shown, f"{path} cannot be drawn"
    else:
        pytest.fail(f"{panel}: no such panel is known here")


def test_a_field_or_a_topic_that_is_not_there_is_found():
    for path in ("/smoothness_monitor/state.jerk", "/smoothness_monitor/jerk.state"):
        with pytest.raises(AssertionError):
            field_type(path, ".")
    with pytest.raises(AssertionError):
        field_type("/smoothness_monitor/state/command_jerk[5]", "/")


def curve(name: str) -> None:
    """Check that PlotJuggler has a curve of a name: joint states are by joint there."""
    joint = re.fullmatch(r"/joint_states/(\w+)/(position|velocity|effort)", name)
    if joint:
        assert joint[1] in (*ROBOT.limits.joint_names, ROBOT.gripper.joint)
    else:
        assert field_type(name, "/") in NUMBERS, f"{name} cannot be drawn"


def test_plotjuggler_draws_what_a_node_publishes_or_the_layout_makes_of_it():
    root = ElementTree.parse(LAYOUTS / "plotjuggler.xml").getroot()
    made = {snippet.get("name") for snippet in root.iterfind("customMathEquations/snippet")}
    drawn = {each.get("name") for each in root.iter("curve")}
    assert made <= drawn
    for name in drawn - made:
        curve(name)
    for snippet in root.iterfind("customMathEquations/snippet"):
        sources = [snippet.find("linked_source"), *snippet.find("additional_sources")]
        for source in sources:
            curve(source.text)
        used = {f"v{number}" for number in range(1, len(sources))}
        assert set(re.findall(r"\bv\d\b", snippet.find("function").text)) == used
    for splitter in root.iter("DockSplitter"):
        sizes = splitter.get("sizes").split(";")
        assert len(splitter) == len(sizes) == int(splitter.get("count"))


def test_the_jerk_of_each_joint_is_drawn_against_its_own_limit():
    root = ElementTree.parse(LAYOUTS / "plotjuggler.xml").getroot()
    for number, joint in enumerate(ROBOT.limits.joint_names):
        name = f"jerk over its limit/{joint}"
        (snippet,) = root.iterfind(f"customMathEquations/snippet[@name='{name}']")
        state = "/smoothness_monitor/state"
        assert snippet.find("linked_source").text == f"{state}/command_jerk[{number}]"
        assert snippet.find("additional_sources/v1").text == f"{state}/jerk_limit[{number}]"


RVIZ = yaml.safe_load((LAYOUTS / "arm.rviz").read_text(encoding="utf-8"))
DISPLAYS = RVIZ["Visualization Manager"]["Displays"]


def test_rviz_shows_the_arm_and_the_cameras_of_the_suite():
    shown = {each["Name"]: each for each in DISPLAYS}
    # Of robot_state_publisher, which the launch files start.
    assert shown["Arm"]["Description Topic"]["Value"] == "/robot_description"
    images = [each for each in DISPLAYS if each["Class"] == "rviz_default_plugins/Image"]
    assert len(images) == 2
    for image in images:
        assert TOPICS[image["Topic"]["Value"]] == "sensor_msgs/msg/Image"
        # Pictures are published best effort: who asks for more gets none.
        assert image["Topic"]["Reliability Policy"] == "Best Effort"
    assert RVIZ["Visualization Manager"]["Global Options"]["Fixed Frame"] == ROBOT.base_frame


def test_rviz_of_an_arm_in_a_namespace_has_its_topics_and_its_frames():
    manager = rviz.for_arm(copy.deepcopy(RVIZ), "panda_link0", "left")["Visualization Manager"]
    shown = {each["Name"]: each for each in manager["Displays"]}
    assert manager["Global Options"]["Fixed Frame"] == "left/panda_link0"
    assert shown["Arm"]["TF Prefix"] == "left"
    assert shown["Arm"]["Description Topic"]["Value"] == "/left/robot_description"
    assert shown["Wrist camera"]["Topic"]["Value"] == "/left/wrist_camera/image_raw"
    alone = rviz.for_arm(copy.deepcopy(RVIZ), ROBOT.base_frame, "")
    assert alone == RVIZ


def test_where_rviz_is_not_installed_the_launch_says_so_and_goes_on():
    context = LaunchContext()
    robot_file = str(TOP / "config" / "robots" / "so101" / "robot.yaml")
    context.launch_configurations.update(rviz="true", namespace="left", robot_file=robot_file)
    (action,) = rviz.nodes(context)
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        said = "".join(part.perform(context) for part in action.msg)
        assert "no RViz" in said
        assert "apt install ros-$ROS_DISTRO-rviz2" in said
    else:
        assert isinstance(action, Node)


def test_rviz_is_not_started_where_nobody_asks_for_it():
    context = LaunchContext()
    context.launch_configurations["rviz"] = "false"
    assert rviz.nodes(context) == []
