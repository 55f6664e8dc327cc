# SPDX-License-Identifier: Apache-2.0
"""What the page tells of the monitor, the planner and the policy: in words, short, and never NaN.

Anybody may publish on their topics, so texts and lists are cut to what a person reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from vla_contract.texts import visible

MOST_LETTERS = 300
MOST_LINES = 20
# Silent for longer, a node that speaks at 10 Hz or more is not heard.
SILENT_S = 1.0

# By the numbers of vla_msgs/MonitorStatus and vla_msgs/PolicyStatus: name, and what it means.
MONITOR_STATES = {
    0: ("STARTUP", "Starting: what is missing is listed below."),
    1: ("READY", "Plans are checked and forwarded."),
    2: ("STOPPING", "The arm is being stopped."),
    3: ("STOPPED", "Stopped and latched: it stays so until somebody resets it."),
    4: ("FAULT", "The stop was not seen to work. Cut the arm's power if it moves."),
}
POLICY_STATES = {
    0: ("IDLE", "No instruction."),
    1: ("WAITING", "An instruction is set; an input is missing, stale or frozen."),
    2: ("RUNNING", "Carrying out the instruction."),
    3: ("NO PERMIT", "The monitor is silent or permits no motion."),
}
UNKNOWN = ("UNKNOWN", "It says a state that is not known here.")
# Ends of a run, by the numbers of vla_msgs/RunPolicy.
DONE = 0
ENDS = {
    DONE: "The policy says that it is done.",
    1: "Ended: its time was over.",
    2: "Ended, as was asked for.",
    3: "Ended: the monitor withdrew its permit.",
    4: "Ended: a newer instruction took over.",
    5: "Ended: the policy failed.",
    6: "Ended: an input stayed missing, stale or frozen.",
    7: "Ended: another source has the arm.",
}
_CAUSES = {
    "operator": "somebody asked for the stop",
    "restarted": "the monitor was started again after a stop or a crash",
}


def text(value: object) -> str:
    """Return a text as it is shown: printable, on one line, not longer than a person reads."""
    words = " ".join(str(value)[: 2 * MOST_LETTERS].split())
    return "".join(c if visible(c).isprintable() else "\ufffd" for c in words)[:MOST_LETTERS]


def lines(values: Iterable[object]) -> list[str]:
    """Return the first of many texts."""
    found: list[str] = []
    for value in values:
        if len(found) == MOST_LINES:
            return [*found, "and more"]
        found.append(text(value))
    return found


def number(value: float, digits: int = 4) -> float | None:
    """Return a number for JSON, which has no NaN."""
    return round(float(value), digits) if math.isfinite(value) else None


def cause(name: str, detail: str) -> str:
    """Return the first cause of a stop as a sentence."""
    if not name:
        return ""
    words = _CAUSES.get(name, name.replace("_", " "))
    return text(f"{words}: {detail}" if detail else words)


def end(reason: int, message: str) -> str:
    """Return why a run ended, as sentences."""
    words = text(message)
    more = f" {words[:1].upper()}{words[1:]}" if words and reason != DONE else ""
    return text(f"{ENDS.get(reason, 'Ended.')}{more}")


def monitor_words(state: int, permit: bool, silent_s: float | None) -> tuple[str, str]:
    """Return the name of the monitor's state, and what it means.

    Args:
        state: Its number.
        permit: Plans are permitted.
        silent_s: For how long it has not been heard; None where it never was.
    """
    if silent_s is None:
        return "NOT HEARD", "No monitor was heard yet. Nothing is known of the arm."
    if not silent_s <= SILENT_S:
        return (
            "NOT HEARD",
            f"The monitor has been silent for {silent_s:.0f} s. What is shown is old.",
        )
    name, words = MONITOR_STATES.get(state, UNKNOWN)
    if name == "READY" and not permit:
        return "READY, NO PERMIT", "No plan is permitted now; why is listed below."
    return name, words


def node_words(
    who: str, names: dict[int, tuple[str, str]], state: int, silent_s: float | None
) -> tuple[str, str]:
    """Return the name of a node's state, and what it means."""
    if silent_s is None:
        return "NOT HEARD", f"No {who} was heard yet."
    if not silent_s <= SILENT_S:
        return "NOT HEARD", f"The {who} has been silent for {silent_s:.0f} s."
    return names.get(state, UNKNOWN)


def blocks_reset(name: str, waiting_for: Sequence[str]) -> list[str]:
    """Return what keeps a reset from working, in words; empty where nothing does.

    Args:
        name: Of the monitor's state, by `monitor_words`.
        waiting_for: What the monitor says.
    """
    if name == "NOT HEARD":
        return ["the monitor is not heard"]
    if name == "STOPPING":
        return ["the arm is still being stopped", *lines(waiting_for)]
    if name not in ("STOPPED", "FAULT"):
        return ["nothing is latched"]
    return lines(waiting_for)


def summary_of_servo(joint: str, values: dict[str, str], level: int, message: str) -> Any:
    """Return a servo's health; a number that is none is left out."""
    return {
        "joint": text(joint),
        "temperature_c": _number_in(values.get("temperature, degrees C")),
        "load": _number_in(values.get("load")),
        "current_a": _number_in(values.get("current, A")),
        "voltage_v": _number_in(values.get("voltage, V")),
        "level": min(max(level, 0), 3),
        "message": text(message),
    }


def _number_in(word: str | None) -> float | None:
    try:
        return None if word is None else number(float(word))
    except ValueError:
        return None
