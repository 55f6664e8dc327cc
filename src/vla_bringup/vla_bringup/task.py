# SPDX-License-Identifier: Apache-2.0
"""The demonstration's task: in words, and whether it is done."""

from __future__ import annotations

from vla_msgs.msg import TaskState

COLOURS = ("red", "green", "blue")


def instruction_for(colour: str) -> str:
    """Return what a policy is told."""
    return f"put the {colour} cube in the bin"


def only_in_bin(task: TaskState | None, name: str) -> bool:
    """True when exactly the named object lies in the bin."""
    if task is None:
        return False
    return [task.object_names[i] for i, inside in enumerate(task.in_bin) if inside] == [name]
