# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 node``: list and info."""

from __future__ import annotations

import argparse
import sys

from rclpy.action import (
    get_action_client_names_and_types_by_node,
    get_action_server_names_and_types_by_node,
)

from . import CommandError, add_verbs, ros


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(parser, {"list": (_add_list, _list), "info": (_add_info, _info)})


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _add_list(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("-a", "--all", action="store_true", help="hidden nodes as well")
    parser.add_argument("-c", "--count-nodes", action="store_true", help="only how many")


def _list(args: argparse.Namespace) -> None:
    """Output a list of available nodes."""
    with ros.node(args) as own:
        names = ros.node_names(own, args.all)
    if args.count_nodes:
        print(len(names))
        return
    if len(set(names)) < len(names):
        print("WARNING: there are nodes in the graph that share an exact name", file=sys.stderr)
    for name in names:
        print(name)


def _add_info(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("node_name", help="full name of the node")
    parser.add_argument(
        "--include-hidden", action="store_true", help="hidden topics, services, actions as well"
    )


def _info(args: argparse.Namespace) -> None:
    """Output information about a node."""
    with ros.node(args) as own:
        full_name = ros.absolute(args.node_name)
        count = ros.node_names(own, True).count(full_name)
        if count == 0:
            raise CommandError(f"Unable to find node '{args.node_name}'")
        if count > 1:
            print(
                f'There are {count} nodes in the graph with the exact name "{full_name}". '
                "You are seeing information about all of them.",
                file=sys.stderr,
            )
        name = ros.split_name(full_name)
        print(full_name)
        for title, found in (
            ("Subscribers", own.get_subscriber_names_and_types_by_node(*name)),
            ("Publishers", own.get_publisher_names_and_types_by_node(*name)),
            ("Service Servers", own.get_service_names_and_types_by_node(*name)),
            ("Service Clients", own.get_client_names_and_types_by_node(*name)),
            ("Action Servers", get_action_server_names_and_types_by_node(own, *name)),
            ("Action Clients", get_action_client_names_and_types_by_node(own, *name)),
        ):
            print(f"  {title}:")
            lines = [
                f"    {item}: {', '.join(types)}"
                for item, types in ros.visible(found, args.include_hidden)
            ]
            print("\n".join(lines))
