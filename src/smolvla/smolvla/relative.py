# SPDX-License-Identifier: Apache-2.0
"""Columns of an action that are offsets from where the joint is, and when a policy is done.

A model that learned offsets need not know where the arm is to say where it should go, which a
small one learns sooner. LeRobot's files do not say which columns they are: it is declared, as
units are. A checkpoint that was trained here says it in a file of its own, to compare.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smolvla.files import read_json
from vla_policies.protocol import Array, Options, PolicyError
from vla_policies.units import JointUnits

COLUMNS_FILE = "relative_columns.json"


@dataclass(frozen=True, eq=False)
class ActionFrame:
    """To and from joint positions, given where the joints are.

    Attributes:
        units: Of the action's J columns.
        columns: (R,), those that are offsets.
        elements: (R,), where the joints of these columns stand in the state.
    """

    units: JointUnits
    columns: tuple[int, ...] = ()
    elements: tuple[int, ...] = ()

    def positions(self, native: Array, state: Array) -> Array:
        """Return positions (T, J), rad, of an action (T, J) in the checkpoint's units.

        Args:
            native: What the model says.
            state: (S,), rad, of the observation that it was asked about.
        """
        rad = self.units.to_rad(native)
        columns = list(self.columns)
        factor = self.units.factor[columns]
        rad[:, columns] = native[:, columns] * factor + state[list(self.elements)]
        return rad

    def native(self, positions: Array, state: Array) -> Array:
        """Return what the model would have said for positions (T, J), rad."""
        native = self.units.from_rad(positions)
        columns = list(self.columns)
        offset = positions[:, columns] - state[list(self.elements)]
        native[:, columns] = offset / self.units.factor[columns]
        return native


def write_columns(folder: Path, columns: Sequence[int]) -> None:
    """Write which columns of a checkpoint's action are offsets.

    Args:
        folder: The checkpoint.
        columns: Counted from 0; none is said too.
    """
    text = json.dumps({"columns": sorted(columns)})
    (folder / COLUMNS_FILE).write_text(text + "\n", encoding="utf-8")


def read_columns(folder: Path) -> tuple[int, ...] | None:
    """Return which columns of a checkpoint's action are offsets; None where it does not say.

    Raises:
        PolicyError: The file is damaged.
    """
    path = folder / COLUMNS_FILE
    if not path.is_file():
        return None
    columns = read_json(path).take("columns")
    if not isinstance(columns, list) or not all(type(n) is int and n >= 0 for n in columns):
        raise PolicyError(f"{path}: columns: is no list of columns; copy the checkpoint again")
    return tuple(sorted(columns))


def check_columns(options: Options, frame: ActionFrame, folder: Path) -> None:
    """Refuse offsets that a checkpoint does not say, and absolute positions where it says offsets.

    Raises:
        PolicyError: The option ``relative`` is not what the checkpoint was trained with.
    """
    said = read_columns(folder)
    if said is None or said == tuple(sorted(frame.columns)):
        return
    names = frame.units.names
    if any(column >= len(names) for column in said):
        raise PolicyError(f"{folder / COLUMNS_FILE}: has columns beyond the action's {len(names)}")
    wanted = ", ".join(names[column] for column in said)
    what = f"write relative: [{wanted}]" if said else "leave it out"
    raise options.error("relative", f"is not what the checkpoint was trained with; {what}")


def read_frame(options: Options, actions: JointUnits, states: JointUnits) -> ActionFrame:
    """Read the option ``relative``, a list of joints.

    Raises:
        PolicyError: It is no list of joints that both action and state have.
    """
    if "relative" not in options.values:
        return ActionFrame(actions)
    names = options.take("relative")
    if not isinstance(names, list) or not names or len({*map(str, names)}) != len(names):
        raise options.error("relative", f"is {names!r}; write a list of joints, each one once")
    for name in names:
        for of, units in (("action", actions), ("state", states)):
            if name not in units.names:
                raise options.error(
                    "relative", f"{name!r} is no joint of the {of}: {', '.join(units.names)}"
                )
    return ActionFrame(
        actions,
        tuple(actions.names.index(name) for name in names),
        tuple(states.names.index(name) for name in names),
    )


class Stillness:
    """Notices that a policy asks for no more motion.

    SmolVLA has no way to say that it is done. What it says then is: stay where you are.
    """

    def __init__(self, within_rad: float, for_s: float, elements: tuple[int, ...]) -> None:
        """Watch.

        Args:
            within_rad: How far from where it is every joint of a chunk may be asked to be.
            for_s: For how long that must last.
            elements: (J,), where the joints of the action stand in the state.
        """
        self._within_rad, self._for_s, self._elements = within_rad, for_s, list(elements)
        self._since_ns: int | None = None

    def forget(self) -> None:
        """Begin anew: another instruction."""
        self._since_ns = None

    def lasts(self, positions: Array, state: Array, stamp_ns: int) -> bool:
        """Take in a chunk (T, J), rad; returns whether it has asked for no motion long enough."""
        moved = np.abs(positions - state[self._elements])
        if not np.max(moved) <= self._within_rad:
            self._since_ns = None
            return False
        if self._since_ns is None or stamp_ns < self._since_ns:
            self._since_ns = stamp_ns
        return stamp_ns - self._since_ns >= self._for_s * 1e9


def read_stillness(options: Options, actions: JointUnits, states: JointUnits) -> Stillness | None:
    """Read the option ``done_when_still``, ``{within_rad: 0.03, for_s: 1.0}``.

    Raises:
        PolicyError: It says something else, or the state lacks a joint of the action.
    """
    if "done_when_still" not in options.values:
        return None
    section = options.section("done_when_still")
    within, long = section.number("within_rad", positive=True), section.number("for_s")
    if not long >= 0.0:
        raise section.error("for_s", f"is {long!r}; write a number of seconds from 0")
    section.end()
    missing = [name for name in actions.names if name not in states.names]
    if missing:
        raise options.error(
            "done_when_still", f"the state lacks {', '.join(missing)}, so none can be seen still"
        )
    return Stillness(within, long, tuple(states.names.index(name) for name in actions.names))


def read_image_size(options: Options) -> tuple[int | None, int | None]:
    """Read the option ``image_size``, ``[height, width]`` in pixels; (None, None) for any.

    Raises:
        PolicyError: It says something else.
    """
    if "image_size" not in options.values:
        return None, None
    value = options.take("image_size")
    good = isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)
    if not good or not all(1 <= n <= 4096 for n in value):
        raise PolicyError(
            f"{options.policy}: {options.path}.image_size: is {value!r}; "
            "write [height, width] in pixels, from 1 to 4096"
        )
    return value[0], value[1]
