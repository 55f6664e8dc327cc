# SPDX-License-Identifier: Apache-2.0
"""Write the tables of docs/reference/topics.md: start each node once and ask what it opened.

python src/vla_bringup/test/graph_tables.py docs/reference/topics.md
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.action import ActionClient, ActionServer
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from node_kit.tables import renew_files, rows

TOP = Path(__file__).resolve().parents[3]
ROBOT = TOP / "config" / "robots" / "so101"
CONTRACT = TOP / "config" / "policies" / "so101_color_pick.yaml"
FAULTS = TOP / "config" / "faults" / "example.yaml"
# Only in a namespace can a relative name be told from an absolute one.
NAMESPACE = "/somewhere"
# What rclpy gives to every node.
OF_EVERY_NODE = {"/rosout"}
OF_EVERY_NODE_ITS_OWN = {
    *("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters"),
    *("set_parameters", "set_parameters_atomically", "get_type_description"),
}
Line = tuple[str, str, str, str]


def _monitor() -> Any:
    from smoothness_monitor.node import SmoothnessMonitor

    return SmoothnessMonitor()


def _policy_node() -> Any:
    from vla_policy_node.node import PolicyNode

    return PolicyNode()


def _simulation() -> Any:
    from vla_sim.node import SimulationNode

    return SimulationNode()


def _black_box() -> Any:
    from vla_recording.black_box.node import BlackBox

    return BlackBox()


def _motion_planner() -> Any:
    from vla_moveit.node import MotionPlannerNode

    return MotionPlannerNode()


def _episode_recorder() -> Any:
    from vla_recording.episodes.node import EpisodeRecorderNode

    return EpisodeRecorderNode()


def _faults() -> Any:
    from vla_sim.faults.node import FaultNode

    return FaultNode()


def _operator() -> Any:
    from vla_operator.node import OperatorPage

    return OperatorPage()


MAKERS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "vla_policy_node": (_policy_node, ("robot_file", "contract_file")),
    "smoothness_monitor": (_monitor, ("robot_file", "monitor_file", "latch_folder")),
    "vla_sim": (_simulation, ("robot_file",)),
    "black_box": (_black_box, ("directory",)),
    "motion_planner": (_motion_planner, ("robot_file", "workspace_file")),
    "episode_recorder": (_episode_recorder, ("robot_file", "contract_file", "folder")),
    "faults": (_faults, ("robot_file", "faults_file")),
    "vla_operator": (_operator, ("robot_file",)),
}


def words(profile: QoSProfile) -> str:
    """Return a quality of service in words."""
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    kept = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    parts = ["reliable" if reliable else "best effort"]
    if kept:
        parts.append("transient local")
    return ", ".join([*parts, f"depth {profile.depth}"])


def type_name(kind: Any) -> str:
    """Return the name of a type without its middle word, as vla_msgs/ActionChunk."""
    return f"{kind.__module__.split('.')[0]}/{kind.__name__}"


def shown(name: str, node: str) -> str:
    """Return a resolved name as the node's code has it."""
    own, relative = f"{NAMESPACE}/{node}/", f"{NAMESPACE}/"
    if name.startswith(own):
        return f"~/{name.removeprefix(own)}"
    return name.removeprefix(relative)


def opened(node: Any, actions: list[tuple[str, str, Any]]) -> Iterator[Line]:
    """Yield what one node opened: what it is, name, type, quality of service."""
    name = node.get_name()
    for what, found in (("publishes", node.publishers), ("subscribes", node.subscriptions)):
        for each in found:
            topic = each.topic_name
            events = topic == "/parameter_events" and what == "publishes"
            if topic not in OF_EVERY_NODE and not events and "/_action/" not in topic:
                kind = type_name(each.msg_type)
                yield what, shown(topic, name), kind, words(each.qos_profile)
    for what, found in (("serves", node.services), ("calls", node.clients)):
        for each in found:
            service = shown(each.srv_name, name)
            known = what == "serves" and service.rpartition("/")[2] in OF_EVERY_NODE_ITS_OWN
            if not known and "/_action/" not in each.srv_name:
                yield what, service, type_name(each.srv_type), ""
    for what, action, kind in actions:
        yield what, action, f"{type_name(kind)} (action)", ""


@cache
def lines(name: str) -> tuple[Line, ...]:
    """Start a node and return what it opened, in order."""
    make, parameters = MAKERS[name]
    actions: list[tuple[str, str, Any]] = []
    inits = {ActionServer: "serves", ActionClient: "calls"}
    before = {kind: kind.__init__ for kind in inits}

    def noted(kind: Any, self: Any, node: Any, action: Any, called: str, *rest: Any, **more: Any):
        given = called.removeprefix(f"{NAMESPACE}/")
        actions.append((inits[kind], given, action))
        before[kind](self, node, action, called, *rest, **more)

    with tempfile.TemporaryDirectory() as folder:
        values = {
            "robot_file": ROBOT / "robot.yaml",
            "monitor_file": ROBOT / "monitor.yaml",
            "contract_file": CONTRACT,
            "workspace_file": ROBOT / "workspace_tabletop.yaml",
            "faults_file": FAULTS,
            "latch_folder": folder,
            "directory": folder,
            "folder": folder,
        }
        given = [f"{key}:={values[key]}" for key in parameters]
        simulated = [] if name == "vla_sim" else ["use_sim_time:=true"]
        arguments = ["--ros-args", "-r", f"__ns:={NAMESPACE}"]
        for each in [*given, *simulated]:
            arguments += ["-p", each]
        rclpy.init(args=arguments)
        for kind in inits:
            kind.__init__ = partial_method(partial(noted, kind))
        try:
            node = make()
            nodes = [node, *getattr(node, "controllers", ())]
            found = {line for each in nodes for line in opened(each, actions)}
            _end(node)
        finally:
            for kind, init in before.items():
                kind.__init__ = init
            rclpy.try_shutdown()
    order = ("subscribes", "publishes", "serves", "calls")
    return tuple(sorted(found, key=lambda line: (order.index(line[0]), *line[1:])))


def _end(node: Any) -> None:
    close = getattr(node, "close", None)
    if close is not None:
        close()
    if not hasattr(node, "controllers"):  # the simulation ends its nodes itself
        node.destroy_node()


def partial_method(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that can stand as a method."""
    return lambda self, *rest, **more: function(self, *rest, **more)


def table(name: str) -> str:
    """Return the table of one node."""
    body = [(what, f"`{each}`", kind, qos) for what, each, kind, qos in lines(name)]
    return rows(["", "name", "type", "quality of service"], body)


TABLES = {name: partial(table, name) for name in MAKERS}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
