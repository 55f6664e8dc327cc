# SPDX-License-Identifier: Apache-2.0
"""When a row is due, and at which row an episode ends because an input is not to be trusted.

Rows lie at fixed times from the episode's begin on. One is made of what was heard before its
time, whenever the computer gets to it, so that a bag yields the rows that were seen live.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smooth_motion import kernels
from vla_contract.contract import StateSource
from vla_contract.observation import Assembled, Problem
from vla_recording.episodes.inputs import SECOND_NS, EpisodeSources, Inputs, InputsNow

Values = NDArray[np.float64]

MAX_ROWS = 1_000_000
# Joints that are the same to the last bit for so long, while the arm's command was led away from
# them by so much, do not come from the arm. A real one that rests on friction shows its encoders'
# noise, or is moved this far by its command sooner; one that presses is led back first.
FROZEN_JOINTS_S, FROZEN_JOINTS_RAD = 0.3, 0.05


@dataclass(frozen=True)
class EpisodeRow:
    """One row.

    Attributes:
        index: In its episode.
        now_ns: Its time, ROS time.
        assembled: What a policy would see then.
        action: (J,) what is commanded, in the contract's order and units.
        source: Who holds the arm, empty where nobody does.
        intervention: Somebody other than the policy holds it.
    """

    index: int
    now_ns: int
    assembled: Assembled
    action: NDArray[np.float64]
    source: str
    intervention: bool


@dataclass(frozen=True)
class RowRefusal:
    """Where an episode ends, and why.

    Attributes:
        row: The first that is not kept.
        cut: Rows that had been made before it was certain, and are not kept.
        problem: Which source, and what is wrong with it.
    """

    row: int
    cut: int
    problem: Problem

    def __str__(self) -> str:
        taken = f"; {self.cut} rows since then are taken back" if self.cut else ""
        return f"row {self.row}: {self.problem}{taken}"


class EpisodeRows:
    """Makes the rows of one episode, until an input fails.

    Attributes:
        made: Rows that are kept.
        refusal: Why it ended; None while it has not.
        newest: The newest row; None before there is one.
    """

    def __init__(
        self, sources: EpisodeSources, inputs: Inputs, fps: int, begin_ns: int, task: str
    ) -> None:
        """Begin.

        Args:
            sources: Which inputs there are.
            inputs: Where they are heard; asked at the time of each row.
            fps: Rows a second.
            begin_ns: Time of row 0, ROS time.
            task: The instruction.
        """
        self._inputs, self._fps, self._begin_ns = inputs, fps, begin_ns
        self._task = task
        self._arm_rad = sources.contract.action_unit.si
        joints = sources.contract.action_joints
        arm = set(sources.robot.limits.joint_names)
        self._arm = [i for i, joint in enumerate(joints) if joint in arm]
        self._stamps: dict[str, array[int]] = {
            image.feature: array("q") for image in sources.contract.images
        }
        self._still = {
            state.feature: _Still(_arm_positions(state, [joints[i] for i in self._arm]))
            for state in sources.contract.states
        }
        self._topics = {state.feature: state.topic for state in sources.contract.states}
        # How many up to each row.
        self._intervened = array("q")
        self.made = 0
        self.refusal: RowRefusal | None = None
        self.newest: EpisodeRow | None = None

    @property
    def intervened(self) -> int:
        """Rows that are kept in which somebody other than the policy held the arm."""
        return self._intervened[self.made - 1] if self.made else 0

    def time_ns(self, row: int) -> int:
        """Return the time of a row, ROS time."""
        return self._begin_ns + row * SECOND_NS // self._fps

    def until(self, now_ns: int) -> list[EpisodeRow]:
        """Return the rows that are due by a time and were not made yet.

        To be called before a message that was heard then is taken in.
        """
        found: list[EpisodeRow] = []
        while self.refusal is None and self.time_ns(self.made) <= now_ns:
            row = self._row()
            if row is not None:
                found.append(row)
        return found

    def _row(self) -> EpisodeRow | None:
        at_ns = self.time_ns(self.made)
        look = self._inputs.look(at_ns, self._task)
        if not isinstance(look, InputsNow):
            self._refuse(look[0])
            return None
        frozen = self._frozen_joints(look, at_ns)
        if frozen is not None or self.made >= MAX_ROWS:
            if frozen is None:
                too_long = f"has {MAX_ROWS} rows, and more are not kept in one"
                self.refusal = RowRefusal(self.made, 0, Problem("episode", "its end", too_long))
            return None
        for feature, stamps in self._stamps.items():
            stamps.append(look.assembled.stamps_ns[feature])
        inputs = self._inputs
        row = EpisodeRow(
            self.made,
            at_ns,
            look.assembled,
            look.action,
            inputs.holder,
            bool(inputs.holder) and inputs.holder != inputs.policy_id,
        )
        self._intervened.append(self.intervened + row.intervention)
        self.made += 1
        self.newest = row
        return row

    def _refuse(self, problem: Problem) -> None:
        """End here, or at the row at which a camera began to repeat its picture."""
        row, since_ns = self.made, self._inputs.unchanged_since_ns(problem.feature)
        if since_ns is not None and problem.detail.startswith("frozen"):
            stamps = self._stamps[problem.feature]
            row = int(np.searchsorted(np.array(stamps), since_ns, side="right"))
        self._end(row, problem)

    def _frozen_joints(self, look: InputsNow, at_ns: int) -> RowRefusal | None:
        command = np.asarray(look.action[self._arm] * self._arm_rad, dtype=np.float64)
        for feature, still in self._still.items():
            values = look.assembled.observation.state[feature]
            if still.values is None or not np.array_equal(values, still.values):
                still.values, still.row, still.since_ns = values, self.made, at_ns
                still.command = command
                continue
            moved = still.led_away(command)
            lasted_s = (at_ns - still.since_ns) * 1e-9
            if lasted_s >= FROZEN_JOINTS_S and moved > FROZEN_JOINTS_RAD:
                detail = (
                    f"frozen: the joints are identical for {lasted_s:.2f} s while the arm's "
                    f"command moved by {moved:.3f} rad"
                )
                self._end(still.row + 1, Problem(feature, self._topics[feature], detail))
                return self.refusal
        return None

    def _end(self, row: int, problem: Problem) -> None:
        self.refusal = RowRefusal(row, self.made - row, problem)
        self.made = row


class _Still:
    """Since when the values of a state are the same, and what was commanded then.

    Args:
        positions: Reads the arm's positions from the values, rad; None where they are not in it.
    """

    def __init__(self, positions: Callable[[Values], Values] | None) -> None:
        self._positions = positions
        self.values: Values | None = None
        self.row, self.since_ns = 0, 0
        self.command = np.zeros(0)

    def led_away(self, command: Values) -> float:
        """Return how far the arm's command, rad, went away from these values since then."""
        if self._positions is None:
            return float(np.abs(command - self.command).max())
        assert self.values is not None
        return float(kernels.led_away(self._positions(self.values), self.command, command))


def _arm_positions(state: StateSource, arm: list[str]) -> Callable[[Values], Values] | None:
    """Return what reads the arm's positions from a state, None where it has not all of them."""
    if state.field != "position" or not set(arm) <= set(state.joints):
        return None
    columns = [state.joints.index(joint) for joint in arm]
    return lambda values: state.unit.to_si(np.asarray(values[columns], dtype=np.float64))
