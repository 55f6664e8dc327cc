# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 service``: list, type, info, find and call."""

from __future__ import annotations

import argparse
import time

import rclpy

from . import CommandError, add_verbs, messages, ros


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "list": (_add_list, _list),
            "type": (_add_name, _type),
            "info": (_add_name, _info),
            "find": (_add_find, _find),
            "call": (_add_call, _call),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _add_hidden(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument(
        "--include-hidden-services", action="store_true", help="hidden services as well"
    )


def _add_list(parser: argparse.ArgumentParser) -> None:
    _add_hidden(parser)
    parser.add_argument("-t", "--show-types", action="store_true", help="show the types too")
    parser.add_argument("-c", "--count-services", action="store_true", help="only how many")


def _services(args: argparse.Namespace, include_hidden: bool) -> ros.NamesAndTypes:
    with ros.node(args) as own:
        return ros.visible(own.get_service_names_and_types(), include_hidden)


def _list(args: argparse.Namespace) -> None:
    """Output a list of available services."""
    services = _services(args, args.include_hidden_services)
    if args.count_services:
        print(len(services))
        return
    for name, types in services:
        print(f"{name} [{', '.join(types)}]" if args.show_types else name)


def _add_name(parser: argparse.ArgumentParser) -> None:
    _add_hidden(parser)
    parser.add_argument("service_name", help="name of the service")


def _type(args: argparse.Namespace) -> int:
    """Output a service's type."""
    types = dict(_services(args, True)).get(args.service_name, [])
    for one in types:
        print(one)
    return 0 if types else 1


def _info(args: argparse.Namespace) -> None:
    """Print information about a service."""
    with ros.node(args) as own:
        types = dict(own.get_service_names_and_types()).get(args.service_name)
        if types is None:
            raise CommandError(f"Unknown service '{args.service_name}'")
        print(f"Type: {types[0] if len(types) == 1 else types}")
        print(f"Clients count: {own.count_clients(args.service_name)}")
        print(f"Services count: {own.count_services(args.service_name)}")


def _add_find(parser: argparse.ArgumentParser) -> None:
    _add_hidden(parser)
    parser.add_argument("service_type", help="type, for example 'std_srvs/srv/Trigger'")
    parser.add_argument("-c", "--count-services", action="store_true", help="only how many")


def _find(args: argparse.Namespace) -> None:
    """Output a list of available services of a given type."""
    services = _services(args, args.include_hidden_services)
    names = [name for name, types in services if args.service_type in types]
    print(*([len(names)] if args.count_services else names), sep="\n")


def _add_call(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service_name", help="name of the service")
    parser.add_argument("service_type", help="type, for example 'std_srvs/srv/Trigger'")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("values", nargs="?", default="{}", help="the request, in YAML")
    group.add_argument("--stdin", action="store_true", help="read the request from stdin")
    parser.add_argument(
        "-r", "--rate", metavar="N", type=ros.positive_float, help="call N times a second"
    )


def _call(args: argparse.Namespace) -> None:
    """Call a service."""
    service_type = messages.interface(args.service_type, "srv")
    request = service_type.Request()
    messages.fill(request, messages.read_mapping(ros.values_text(args, args.values)))
    with ros.node() as own:
        client = own.create_client(service_type, args.service_name)
        if not client.service_is_ready():
            print("waiting for service to become available...", flush=True)
            while rclpy.ok() and not client.wait_for_service(timeout_sec=0.5):
                pass
        while rclpy.ok():
            print(f"requester: making request: {request!r}\n", flush=True)
            started = time.monotonic()
            future = client.call_async(request)
            rclpy.spin_until_future_complete(own, future)
            if future.exception() is not None:
                raise CommandError(f"Exception while calling service: {future.exception()!r}")
            print(f"response:\n{future.result()!r}\n", flush=True)
            if args.rate is None:
                return
            time.sleep(max(0.0, started + 1.0 / args.rate - time.monotonic()))
