# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 lifecycle``: nodes, get, list and set."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rclpy.node import Node

from . import CommandError, add_verbs, ros


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "nodes": (_add_nodes, _nodes),
            "get": (_add_get, _get),
            "list": (_add_list, _list),
            "set": (_add_set, _set),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _lifecycle_nodes(own: Node, include_hidden: bool) -> list[str]:
    services = dict(own.get_service_names_and_types())
    return [
        name
        for name in ros.node_names(own, include_hidden)
        if "lifecycle_msgs/srv/GetState" in services.get(f"{name}/get_state", [])
    ]


def _checked(own: Node, args: argparse.Namespace) -> str:
    full_name = ros.absolute(args.node_name)
    if full_name not in _lifecycle_nodes(own, args.include_hidden_nodes):
        raise CommandError("Node not found")
    return full_name


def _add_hidden(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument(
        "--include-hidden-nodes", action="store_true", help="consider hidden nodes as well"
    )


def _add_nodes(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("-a", "--all", action="store_true", help="hidden nodes as well")
    parser.add_argument("-c", "--count-nodes", action="store_true", help="only how many")


def _nodes(args: argparse.Namespace) -> None:
    """Output a list of nodes with lifecycle."""
    with ros.node(args) as own:
        names = _lifecycle_nodes(own, args.all)
    for line in [len(names)] if args.count_nodes else names:
        print(line)


def _add_get(parser: argparse.ArgumentParser) -> None:
    _add_hidden(parser)
    parser.add_argument("node_name", nargs="?", help="name of the node; all nodes without one")


def _state(own: Node, full_name: str) -> str:
    state = ros.call(own, GetState, f"{full_name}/get_state", GetState.Request()).current_state
    return f"{state.label} [{state.id}]"


def _get(args: argparse.Namespace) -> None:
    """Get lifecycle state for one or more nodes."""
    with ros.node(args) as own:
        if args.node_name:
            print(_state(own, _checked(own, args)))
            return
        for full_name in _lifecycle_nodes(own, args.include_hidden_nodes):
            print(f"{full_name}: {_state(own, full_name)}")


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_hidden(parser)
    parser.add_argument("node_name", help="name of the node")
    parser.add_argument("-a", "--all", action="store_true", help="all existing transitions")


def _transitions(own: Node, full_name: str, service: str) -> list[Any]:
    request = GetAvailableTransitions.Request()
    response = ros.call(own, GetAvailableTransitions, f"{full_name}/{service}", request)
    return list(response.available_transitions)


def _list(args: argparse.Namespace) -> None:
    """Output a list of available transitions."""
    service = "get_transition_graph" if args.all else "get_available_transitions"
    with ros.node(args) as own:
        for one in _transitions(own, _checked(own, args), service):
            print(f"- {one.transition.label} [{one.transition.id}]")
            print(f"\tStart: {one.start_state.label}")
            print(f"\tGoal: {one.goal_state.label}")


def _add_set(parser: argparse.ArgumentParser) -> None:
    _add_hidden(parser)
    parser.add_argument("node_name", help="name of the node")
    parser.add_argument("transition", help="label or id of the transition")


def _set(args: argparse.Namespace) -> int:
    """Trigger lifecycle state transition."""
    with ros.node(args) as own:
        full_name = _checked(own, args)
        available = [
            one.transition for one in _transitions(own, full_name, "get_available_transitions")
        ]
        wanted = [one for one in available if args.transition in (one.label, str(one.id))]
        if not wanted:
            raise CommandError(
                "Unknown transition requested, available ones are:"
                + "".join(f"\n- {one.label} [{one.id}]" for one in available)
            )
        request = ChangeState.Request(transition=wanted[0])
        response = ros.call(own, ChangeState, f"{full_name}/change_state", request)
    if response.success:
        print("Transitioning successful")
        return 0
    print("Transitioning failed", file=sys.stderr)
    return 1
