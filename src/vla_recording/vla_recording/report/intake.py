# SPDX-License-Identifier: Apache-2.0
"""Take in the samples of one source: onto disk, one table for each set of joints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vla_recording.report.messages import RecordedTrajectory
from vla_recording.report.series import FloatArray, IntArray
from vla_recording.report.spool import Spool, merged
from vla_recording.report.streams import Role

# Columns of a raw row: its number, stamp, time of reception, time since the trajectory's start.
SEQ, STAMP, RECEIVED, ELAPSED = range(4)
# Sets of joints on one topic; who sends more sends nonsense.
MOST_SETS = 32
# Times as recorded are held to this, so that their differences can be reckoned with.
_LATEST_NS = 4_000_000_000_000_000_000


class Intake:
    """Collects one source's samples.

    Attributes:
        topic: Where it was recorded.
        field: Field of the message, or empty.
        role: What it is.
        received: Messages.
        empty: Those without positions.
        malformed: Why messages were left out, and how many for each reason.
        knots: The samples are points of trajectories.
        joined: Why the motion between them is not known, or empty.
        unjoined: Why the motion from one trajectory to the next is not, or empty.
        curve_jerk: Peak jerk of the controller's curve through them, where that is known.
    """

    def __init__(self, topic: str, field: str, role: Role, folder: Path, number: int) -> None:
        self.topic, self.field, self.role = topic, field, role
        self._folder, self._number = folder, number
        self._tables: dict[tuple[str, ...], Spool] = {}
        self._rows: Counter[tuple[str, ...]] = Counter()
        self.received = self.empty = 0
        self.malformed: Counter[str] = Counter()
        self.knots, self.joined, self.unjoined = False, "", ""
        self.curve_jerk: dict[str, float] = {}
        self._plan: tuple[RecordedTrajectory, IntArray, int] | None = None
        self._next = 0

    def add(
        self,
        names: tuple[str, ...],
        whole: IntArray,
        positions: FloatArray,
        velocities: FloatArray,
    ) -> None:
        """Add samples (N, 4), (N, J), (N, J); NaN for velocities that are not reported."""
        if names not in self._tables:
            if len(self._tables) >= MOST_SETS:
                self.malformed[f"more than {MOST_SETS} different sets of joints"] += len(whole)
                return
            path = self._folder / f"raw_{self._number}_{len(self._tables)}"
            self._tables[names] = Spool(path, 4, 2 * len(names))
        np.clip(whole[:, 1:], -_LATEST_NS, _LATEST_NS, out=whole[:, 1:])
        self._tables[names].append(whole, np.hstack((positions, velocities)))
        self._rows[names] += len(whole)

    def add_plan(self, plan: RecordedTrajectory, received_ns: int) -> None:
        """Add a trajectory. It takes the place of the one before from its first point on."""
        self.received += 1
        if not (np.diff(plan.offsets_ns) > 0).all():
            self.malformed["points whose times do not increase"] += 1
            return
        start = plan.stamp_ns or min(received_ns, _LATEST_NS)
        times = start + plan.offsets_ns
        before = self._plan
        if before is not None and set(before[0].names) == set(plan.names):
            plan = plan.ordered(before[0].names)
        if not self._continues(plan, int(times[0]), int(plan.offsets_ns[0])):
            self.unjoined = (
                "a trajectory does not begin where the one before it leads; how the controller "
                "goes over to it is not recorded"
            )
        self._flush_plan(int(times[0]), plan.names)
        self._plan = plan, times, min(received_ns, _LATEST_NS)
        self.knots = True
        if not plan.exact:
            self.joined = (
                "its points lack velocities or accelerations; between them the controller moves "
                "in its own way, along lines or cubics whose jerk nothing bounds"
            )

    def _continues(self, plan: RecordedTrajectory, start_ns: int, offset_ns: int) -> bool:
        """Return whether a trajectory begins where the arm is by the one before."""
        before = self._plan
        if before is None or before[0].names != plan.names:
            # Where the arm is then is not recorded. It is taken to be at the first point, if that
            # point is for at once.
            return offset_ns == 0
        state = before[0].state(start_ns - int(before[1][0]))
        return state is not None and plan.begins_at(state)

    def _flush_plan(self, until_ns: int | None, names: tuple[str, ...] = ()) -> None:
        if self._plan is None:
            return
        plan, times, received = self._plan
        self._plan = None
        kept = np.ones(len(times), dtype=bool)
        if until_ns is not None and plan.names == names:
            kept = times < until_ns
        count = int(kept.sum())
        whole = np.zeros((count, 4), dtype=np.int64)
        whole[:, SEQ] = self._next + np.arange(count)
        self._next += count
        whole[:, STAMP] = times[kept]
        whole[:, RECEIVED] = received + (times[kept] - times[0])
        nothing = np.full(plan.positions.shape, np.nan)
        velocities = nothing if plan.velocities is None else plan.velocities
        self.add(plan.names, whole, plan.positions[kept], velocities[kept])
        for name, peak in zip(plan.names, plan.curve_jerk(kept).tolist(), strict=True):
            if np.isfinite(peak):
                self.curve_jerk[name] = max(self.curve_jerk.get(name, 0.0), peak)

    def finish(self) -> None:
        """Take in what waits for a successor."""
        self._flush_plan(None)

    def groups(self) -> list[tuple[str, ...]]:
        """Return the joints that belong together: those that share a message, step by step."""
        groups: list[set[str]] = []
        order: dict[str, None] = {}
        for joints, _ in self._rows.most_common():
            order.update(dict.fromkeys(joints))
            touched = [group for group in groups if group & set(joints)]
            groups = [group for group in groups if group not in touched]
            groups.append(set(joints).union(*touched))
        return [tuple(name for name in order if name in group) for group in groups]

    def rows(self, group: tuple[str, ...]) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield the raw rows of a group, in order."""
        column = {name: k for k, name in enumerate(group)}
        tables = [
            (spool, [column[name] for name in names])
            for names, spool in self._tables.items()
            if names[0] in column
        ]
        return merged(tables, len(group))

    def present(self, group: tuple[str, ...]) -> int:
        """Return how many values of a group's joints were recorded."""
        return sum(len(n) * spool.rows for n, spool in self._tables.items() if n[0] in group)

    def count(self, group: tuple[str, ...]) -> int:
        """Return how many messages of a group there are."""
        return sum(spool.rows for n, spool in self._tables.items() if n[0] in group)

    def why_nothing(self, messages: int) -> str:
        """Return why no sample came of it, in words."""
        reasons = [f"{self.malformed[why]} messages: {why}" for why in self.malformed]
        if self.empty:
            reasons.append(f"{self.empty} messages have no position")
        if not messages:
            reasons.append("no message was recorded")
        return "; ".join(reasons[:3]) or "nothing"
