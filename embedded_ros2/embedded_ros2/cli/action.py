# SPDX-License-Identifier: Apache-2.0
"""``embedded-ros2 action``: list, type, info and send_goal."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import rclpy
from action_msgs.msg import GoalStatus
from rclpy.action import (
    ActionClient,
    get_action_client_names_and_types_by_node,
    get_action_names_and_types,
    get_action_server_names_and_types_by_node,
)
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from . import CommandError, add_verbs, messages, ros

_STATUS = {
    GoalStatus.STATUS_ACCEPTED: "ACCEPTED",
    GoalStatus.STATUS_EXECUTING: "EXECUTING",
    GoalStatus.STATUS_CANCELING: "CANCELING",
    GoalStatus.STATUS_SUCCEEDED: "SUCCEEDED",
    GoalStatus.STATUS_CANCELED: "CANCELED",
    GoalStatus.STATUS_ABORTED: "ABORTED",
}
_ENDED = (
    GoalStatus.STATUS_SUCCEEDED,
    GoalStatus.STATUS_CANCELED,
    GoalStatus.STATUS_ABORTED,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_verbs(
        parser,
        {
            "list": (_add_list, _list),
            "type": (_add_name, _type),
            "info": (_add_info, _info),
            "send_goal": (_add_send_goal, _send_goal),
        },
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    return int(args.verb(args) or 0)


def _add_list(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("-t", "--show-types", action="store_true", help="show the types too")
    parser.add_argument("-c", "--count-actions", action="store_true", help="only how many")


def _list(args: argparse.Namespace) -> None:
    """Output a list of action names."""
    with ros.node(args) as own:
        actions = get_action_names_and_types(own)
    if args.count_actions:
        print(len(actions))
        return
    for name, types in actions:
        print(f"{name} [{', '.join(types)}]" if args.show_types else name)


def _add_name(parser: argparse.ArgumentParser) -> None:
    ros.add_node_arguments(parser)
    parser.add_argument("action_name", help="name of the action")


def _type(args: argparse.Namespace) -> int:
    """Print a action's type."""
    with ros.node(args) as own:
        types = dict(get_action_names_and_types(own)).get(ros.absolute(args.action_name), [])
    for one in types:
        print(one)
    return 0 if types else 1


def _add_info(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("-t", "--show-types", action="store_true", help="show the types too")
    parser.add_argument("-c", "--count", action="store_true", help="only how many")


def _info(args: argparse.Namespace) -> None:
    """Print information about an action."""
    action = ros.absolute(args.action_name)
    with ros.node(args) as own:
        sides = {
            "clients": _nodes_with(own, action, get_action_client_names_and_types_by_node),
            "servers": _nodes_with(own, action, get_action_server_names_and_types_by_node),
        }
    print(f"Action: {args.action_name}")
    for side, found in sides.items():
        print(f"Action {side}: {len(found)}")
        if not args.count:
            for full_name, types in found:
                print(f"    {full_name}{f' [{types}]' if args.show_types else ''}")


def _nodes_with(own: Node, action: str, query: Any) -> list[tuple[str, str]]:
    found = []
    for full_name in ros.node_names(own, True):
        types = dict(query(own, *ros.split_name(full_name))).get(action)
        if types is not None:
            found.append((full_name, ", ".join(types)))
    return found


def _add_send_goal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action_name", help="name of the action")
    parser.add_argument("action_type", help="such as 'example_interfaces/action/Fibonacci'")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("goal", nargs="?", default="{}", help="the goal, in YAML")
    group.add_argument("--stdin", action="store_true", help="read the goal from stdin")
    parser.add_argument("-f", "--feedback", action="store_true", help="show the feedback")


def _show_feedback(message: Any) -> None:
    print(f"Feedback:\n    {messages.to_yaml(message.feedback)}", flush=True)


def _send_goal(args: argparse.Namespace) -> None:
    """Send an action goal."""
    action_type = messages.interface(args.action_type, "action")
    goal = action_type.Goal()
    messages.fill(goal, messages.read_mapping(ros.values_text(args, args.goal)))
    # A signal that shut the context down would leave nothing to cancel the goal with.
    with _told_to_end(), ros.node(signals=SignalHandlerOptions.NO) as own:
        client = ActionClient(own, action_type, args.action_name)
        print("Waiting for an action server to become available...", flush=True)
        while not client.wait_for_server(timeout_sec=0.5):
            pass
        print(f"Sending goal:\n     {messages.to_yaml(goal)}", flush=True)
        feedback = _show_feedback if args.feedback else None
        sent = client.send_goal_async(goal, feedback)
        try:
            handle = _result_of(own, sent, "sending goal")
            if not handle.accepted:
                raise CommandError("Goal was rejected.")
            print(f"Goal accepted with ID: {bytes(handle.goal_id.uuid).hex()}\n", flush=True)
            result = _result_of(own, handle.get_result_async(), "getting result")
        except BaseException:
            _cancel(own, sent)
            raise
        print(f"Result:\n    {messages.to_yaml(result.result)}")
        print(f"Goal finished with status: {_STATUS.get(result.status, 'UNKNOWN')}")
        client.destroy()


@contextlib.contextmanager
def _told_to_end() -> Iterator[None]:
    """Raise in the main thread what a signal means, and let the graph live on until then."""

    def told(_: int, __: FrameType | None) -> None:
        raise ExternalShutdownException

    chosen = (signal.SIGTERM, signal.SIGHUP)
    # Who started the command with `nohup` does not want it ended with the terminal.
    before = {one: signal.getsignal(one) for one in chosen}
    for one in chosen:
        if before[one] is not signal.SIG_IGN:
            signal.signal(one, told)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _result_of(own: Node, future: Any, doing: str, limit_s: float | None = None) -> Any:
    rclpy.spin_until_future_complete(own, future, timeout_sec=limit_s)
    if not future.done():
        raise CommandError(f"No answer within {limit_s:g} s to {doing}")
    if future.exception() is not None:
        raise CommandError(f"Exception while {doing}: {future.exception()!r}")
    return future.result()


def _cancel(own: Node, sent: Any) -> None:
    """Cancel the goal: who interrupts the command wants what it started to end."""
    # The server may have it already, whether or not its answer is there.
    handle = _result_of(own, sent, "sending goal", ros.SERVICE_TIMEOUT_S)
    if not handle.accepted or handle.status in _ENDED:
        return
    print("Canceling goal...", flush=True)
    future = handle.cancel_goal_async()
    response = _result_of(own, future, "canceling goal", ros.SERVICE_TIMEOUT_S)
    if not response.goals_canceling:
        raise CommandError("Failed to cancel goal")
    print("Goal canceled.", flush=True)
