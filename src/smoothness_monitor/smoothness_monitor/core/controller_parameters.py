# SPDX-License-Identifier: Apache-2.0
"""The parameters of a joint_trajectory_controller on which the bound of the jerk rests.

With another value of one of these the controller steps by itself, whatever it is sent. The facts
are those of ros2_controllers up to 6.9 (its master of summer 2026); a parameter that a release
does not have counts as right, for then it does not do that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = bool | int | float | str | Sequence[str] | Sequence[float] | None


@dataclass(frozen=True)
class Wanted:
    """A parameter and the value that it must have.

    Attributes:
        name: Of the parameter; `<joint>` stands for each joint.
        value: What it must be.
        why: What the controller does otherwise.
    """

    name: str
    value: bool | float | str
    why: str


WANTED: tuple[Wanted, ...] = (
    Wanted(
        "allow_trajectory_replacement",
        False,
        "it takes every plan with a stamp in the past for one that starts now, which steps",
    ),
    Wanted("interpolation_method", "splines", "it jumps from point to point"),
    Wanted(
        "positions_upsampling.enable",
        False,
        "it draws another curve through the gripper's positions, which begins at rest",
    ),
    Wanted(
        "allow_nonzero_velocity_at_trajectory_end",
        False,
        "it accepts a trajectory that ends in motion, from whomever it comes",
    ),
    Wanted("cmd_timeout", 0.0, "it steps to where the joints are, this long after a plan's end"),
    Wanted(
        "constraints.goal_time", 0.0, "it steps to where the joints are when they arrive too late"
    ),
    Wanted(
        "constraints.<joint>.trajectory",
        0.0,
        "it steps to where the joint is when that is late; tracking_error stops it within the "
        "limits instead",
    ),
    Wanted(
        "speed_scaling.initial_scaling_factor", 1.0, "it runs plans at another speed than planned"
    ),
    Wanted(
        "speed_scaling.state_interface", "", "the hardware changes the speed at which plans run"
    ),
    Wanted(
        "set_last_command_interface_value_as_state_on_activation",
        True,
        "it steps to where the joints are when a reset activates it",
    ),
)
# Without this one it is no joint_trajectory_controller, or it did not answer.
JOINTS = "joints"


def names(joints: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the parameters to read, for a controller of these joints."""
    wanted = [
        wanted.name.replace("<joint>", joint)
        for wanted in WANTED
        for joint in (joints if "<joint>" in wanted.name else joints[:1])
    ]
    return (JOINTS, *wanted)


def problem(values: Mapping[str, Value], joints: Sequence[str]) -> str:
    """Return what is wrong with a controller's parameters, empty when nothing is.

    Args:
        values: By name; a parameter that the controller does not have is None or missing.
        joints: Those that the robot file gives it.
    """
    theirs = values.get(JOINTS)
    if theirs is None or isinstance(theirs, (bool, int, float, str)):
        return (
            "it has no parameter joints, so it is no joint_trajectory_controller whose parameters "
            "could be judged"
        )
    if {str(joint) for joint in theirs} != set(joints):
        listed = ", ".join(str(joint) for joint in list(theirs)[:32])
        return (
            f"joints is [{listed}], the robot file has [{', '.join(joints)}]; a joint that a plan "
            "does not name would be held where it is measured"
        )
    wrong = []
    for wanted in WANTED:
        for joint in joints if "<joint>" in wanted.name else joints[:1]:
            name = wanted.name.replace("<joint>", joint)
            value = values.get(name)
            if value is not None and not _same(value, wanted.value):
                wrong.append(
                    f"{name} is {_shown(value)}: {wanted.why}; "
                    f"set it to {_shown(wanted.value)} in the controllers file"
                )
    return "; ".join(wrong)


def _same(value: Value, wanted: bool | float | str) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, float):
        return isinstance(value, (int, float)) and float(value) == wanted
    return value == wanted


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
