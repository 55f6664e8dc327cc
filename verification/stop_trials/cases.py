# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in each trial, and how far the stop is expected to go then."""

from __future__ import annotations

from dataclasses import dataclass

# The faults begin while the arm moves and are over before it is reset.
LOST_COMMANDS = "[{at_s: 0.8, for_s: 4.0, stream: commands, do: drop, probability: 1.0}]"
INTRUDER = "[{at_s: 1.0, for_s: 3.0, intrude_every_s: 0.02}]"
NO_GOALS = (
    "smoothness_monitor:arm_controller/follow_joint_trajectory/_action/send_goal",
    "out_of_reach/send_goal",
)
NO_SWITCHES = (
    "smoothness_monitor:controller_manager/switch_controller",
    "out_of_reach/switch_controller",
)


@dataclass(frozen=True)
class Case:
    """One kind of trial.

    Attributes:
        name: Of the case.
        what: What goes wrong, in words.
        rung: The highest rung that the stop is to climb, by hardware.
        faults: A fault file; empty: none.
        remaps: What the monitor cannot reach.
        runs_away: The servos stop listening when the stop is called for.
        manager_dies: The controller manager is killed.
        trips: The monitor trips by itself; else it is told to stop.
        resets: A reset follows.
    """

    name: str
    what: str
    rung: dict[str, int]
    faults: str = ""
    remaps: tuple[tuple[str, str], ...] = ()
    runs_away: bool = False
    manager_dies: bool = False
    trips: bool = False
    resets: bool = False


CASES = {
    case.name: case
    for case in (
        Case(
            "obeyed",
            "nothing: `~/stop` in mid-motion",
            {"mock": 1, "topic_based": 1},
            resets=True,
        ),
        Case(
            "lost_topic",
            "the brake on the topic is lost",
            {"mock": 2, "topic_based": 2},
            faults=LOST_COMMANDS,
            resets=True,
        ),
        Case(
            "deaf_controller",
            "the brake is lost on the topic and as a goal",
            {"mock": 3, "topic_based": 3},
            faults=LOST_COMMANDS,
            remaps=(NO_GOALS,),
            resets=True,
        ),
        Case(
            "intruder",
            "another node commands the controller at 50 Hz",
            {"mock": 3, "topic_based": 3},
            faults=INTRUDER,
            trips=True,
            resets=True,
        ),
        Case(
            "runaway",
            "the servos go on at their speed and hear no command",
            {"topic_based": 4},
            runs_away=True,
        ),
        Case(
            "no_manager",
            "the brake is lost on the topic and as a goal, and nobody switches controllers",
            {"mock": 5, "topic_based": 4},
            faults=LOST_COMMANDS,
            remaps=(NO_GOALS, NO_SWITCHES),
        ),
        Case(
            "dead_manager",
            "the controller manager is killed in mid-motion",
            {"topic_based": 4},
            manager_dies=True,
            trips=True,
        ),
    )
}
