# SPDX-License-Identifier: Apache-2.0
"""What a message of each kind says of joints, as places of numbers in its template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_recording.report.cdr import Bytes, LayoutError, Span, Template, numbers
from vla_recording.report.layouts import (
    ARRAY,
    CONTROLLER_STATE,
    DYNAMIC,
    JOINT_STATE,
    TRAJECTORY,
)
from vla_recording.report.series import FloatArray, IntArray
from vla_recording.report.streams import Role, unnamed

# A topic that carries what is asked of the joints, not where they are.
COMMAND_WORDS = ("command", "cmd", "target", "desired", "goal", "setpoint", "reference")
# An array on such a topic holds no positions.
_OTHER_WORDS = ("velocity", "velocities", "effort", "torque", "current", "acceleration")
MOST_JOINTS = 256
# Two trajectories meet where they differ by no more, rad, rad/s and rad/s^2.
_NEAR = (1e-6, 1e-5, 1e-3)


@dataclass(frozen=True)
class FieldSource:
    """What one field of a message says of some joints.

    Attributes:
        field: Its name, or empty for the message itself.
        role: Command or measurement.
        names: J joints.
        stamp: Seconds and nanoseconds of the header, or None.
        elapsed: Likewise of the time since the trajectory's start, or None.
        positions: J places.
        velocities: J places, or none.
        problem: Why it cannot be used, or empty.
    """

    field: str
    role: Role
    names: tuple[str, ...]
    stamp: tuple[Span, Span] | None
    elapsed: tuple[Span, Span] | None
    positions: tuple[Span, ...]
    velocities: tuple[Span, ...]
    problem: str = ""


def role_of(topic: str) -> Role:
    """Return what a topic's name says its messages are."""
    words = topic.lower().rsplit("/", 1)[-1]
    return Role.COMMAND if any(word in words for word in COMMAND_WORDS) else Role.MEASURED


def sources(
    msgtype: str, topic: str, template: Template, named: Mapping[str, tuple[str, ...]]
) -> list[FieldSource]:
    """Return what a message says of joints.

    Args:
        msgtype: One of those that are read, but no trajectory.
        topic: Where it was recorded.
        template: The message taken apart.
        named: Joints of topics whose messages carry no names; "" stands for every topic.

    Raises:
        LayoutError: Its type lacks a field.
    """
    tree = template.tree
    try:
        if msgtype == JOINT_STATE:
            return [
                _source(
                    "",
                    role_of(topic),
                    tree["name"],
                    _time(tree["header"]["stamp"]),
                    None,
                    tree["position"],
                    tree["velocity"],
                )
            ]
        if msgtype == CONTROLLER_STATE:
            return _controller(tree)
        if msgtype == DYNAMIC:
            return [_dynamic(topic, tree)]
        if msgtype == ARRAY:
            return [_array(topic, tree["data"], named)]
    except (KeyError, TypeError, AttributeError) as error:
        raise LayoutError(f"{msgtype} has other fields than known ({error})") from None
    raise LayoutError(f"{msgtype} is not read here")


def _time(tree: dict[str, Any]) -> tuple[Span, Span]:
    return tree["sec"], tree["nanosec"]


def _each(span: Span) -> tuple[Span, ...]:
    """Return one place for all, or none for no number."""
    return (span,) if span.count else ()


def _source(
    field: str,
    role: Role,
    names: list[str],
    stamp: tuple[Span, Span] | None,
    elapsed: tuple[Span, Span] | None,
    positions: Span,
    velocities: Span,
) -> FieldSource:
    problem = ""
    count = len(names)
    if positions.count and positions.count != count:
        problem = f"{count} names, {positions.count} positions"
    elif positions.count and velocities.count not in (0, count):
        problem = f"{count} names, {velocities.count} velocities"
    elif len(set(names)) != count:
        problem = "a joint is named twice"
    elif count > MOST_JOINTS:
        problem = f"{count} joints; up to {MOST_JOINTS} are read"
    return FieldSource(
        field,
        role,
        tuple(names),
        stamp,
        elapsed,
        _each(positions),
        _each(velocities) if positions.count else (),
        problem,
    )


def _controller(tree: dict[str, Any]) -> list[FieldSource]:
    now = "reference" in tree
    stamp = _time(tree["header"]["stamp"])
    found = []
    for field, role in (
        ("reference" if now else "desired", Role.COMMAND),
        ("feedback" if now else "actual", Role.MEASURED),
    ):
        point = tree[field]
        # What is commanded may be that of trajectory time; what is measured, that of the stamp.
        elapsed = _time(point["time_from_start"]) if role is Role.COMMAND else None
        found.append(
            _source(
                field,
                role,
                tree["joint_names"],
                stamp,
                elapsed,
                point["positions"],
                point["velocities"],
            )
        )
    return found


def _dynamic(topic: str, tree: dict[str, Any]) -> FieldSource:
    names, values = tree["joint_names"], tree["interface_values"]
    stamp = _time(tree["header"]["stamp"])
    role = role_of(topic)
    if len(names) != len(values):
        problem = f"{len(names)} names, {len(values)} sets of values"
        return FieldSource("", role, tuple(names), stamp, None, (), (), problem)
    joints: list[str] = []
    positions: list[Span] = []
    velocities: list[Span] = []
    for name, value in zip(names, values, strict=True):
        labels, span = value["interface_names"], value["values"]
        if len(labels) != span.count:
            problem = f"{len(labels)} interfaces of {name}, {span.count} values"
            return FieldSource("", role, tuple(names), stamp, None, (), (), problem)
        places = {label: _one(span, k) for k, label in enumerate(labels)}
        if "position" in places:
            joints.append(name)
            positions.append(places["position"])
            if "velocity" in places:
                velocities.append(places["velocity"])
    if len(velocities) != len(positions):
        velocities = []
    problem = "a joint is named twice" if len(set(joints)) != len(joints) else ""
    if len(joints) > MOST_JOINTS:
        problem = f"{len(joints)} joints; up to {MOST_JOINTS} are read"
    return FieldSource(
        "", role, tuple(joints), stamp, None, tuple(positions), tuple(velocities), problem
    )


def _one(span: Span, index: int) -> Span:
    return Span(span.offset + index * np.dtype(span.code).itemsize, 1, span.code)


def _array(topic: str, data: Span, named: Mapping[str, tuple[str, ...]]) -> FieldSource:
    if any(word in topic.lower() for word in _OTHER_WORDS):
        problem = "its name says that it holds no positions"
        return FieldSource("", Role.COMMAND, (), None, None, (), (), problem)
    names = named.get(topic, named.get("", ()))
    if not names:
        names = tuple(unnamed(topic, k) for k in range(data.count))
    elif len(names) != data.count and data.count:
        problem = f"{data.count} values, but --names gives {len(names)} joints"
        return FieldSource("", Role.COMMAND, names, None, None, (), (), problem)
    nothing = Span(data.offset, 0, data.code)
    return _source("", Role.COMMAND, list(names), None, None, data, nothing)


def nanoseconds(rows: Bytes, spans: tuple[Span, Span] | None) -> IntArray:
    """Return the times (N,) of messages (N, L), 0 where they have none."""
    if spans is None:
        return np.zeros(len(rows), dtype=np.int64)
    seconds, rest = (numbers(rows, span)[:, 0].astype(np.int64) for span in spans)
    return np.asarray(seconds * 1_000_000_000 + rest)


def values(rows: Bytes, places: tuple[Span, ...]) -> FloatArray:
    """Return the numbers (N, J) of messages (N, L)."""
    columns = [numbers(rows, span) for span in places]
    return np.concatenate(columns, axis=1, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class RecordedTrajectory:
    """One message of a trajectory.

    Attributes:
        names: J joints.
        stamp_ns: Of its header: when it starts, 0 for at once.
        offsets_ns: (N,) of its points since then.
        positions: (N, J).
        velocities: (N, J), or None where a point has none.
        accelerations: Likewise.
    """

    names: tuple[str, ...]
    stamp_ns: int
    offsets_ns: IntArray
    positions: FloatArray
    velocities: FloatArray | None
    accelerations: FloatArray | None

    @property
    def exact(self) -> bool:
        """Whether the controller's curve through the points is known: quintics."""
        return self.velocities is not None and self.accelerations is not None

    def ordered(self, names: tuple[str, ...]) -> RecordedTrajectory:
        """Return it with its joints in another order."""
        if names == self.names:
            return self
        index = [self.names.index(name) for name in names]
        v, a = self.velocities, self.accelerations
        return RecordedTrajectory(
            names,
            self.stamp_ns,
            self.offsets_ns,
            self.positions[:, index],
            None if v is None else v[:, index],
            None if a is None else a[:, index],
        )

    def state(self, since_ns: int) -> FloatArray | None:
        """Return position, velocity, acceleration (3, J) so long after the first point.

        They are those of the quintics, or NaN but for the position where these are not known. None
        before the first point.
        """
        if since_ns < 0:
            return None
        times = (self.offsets_ns - self.offsets_ns[0]) * 1e-9
        t = since_ns * 1e-9
        k = min(int(np.searchsorted(times, t, "right")) - 1, len(times) - 1)
        p, v, a = self.positions, self.velocities, self.accelerations
        if t >= times[-1]:
            # A controller holds the last point.
            rest = np.zeros_like(p[-1])
            return np.stack((p[-1], rest, rest))
        h, s = times[k + 1] - times[k], t - times[k]
        if v is None or a is None:
            nothing = np.full_like(p[k], np.nan)
            return np.stack((p[k] + (p[k + 1] - p[k]) * s / h, nothing, nothing))
        dp = p[k + 1] - p[k] - v[k] * h - a[k] * h**2 / 2.0
        dv = (v[k + 1] - v[k] - a[k] * h) * h
        da = (a[k + 1] - a[k]) * h**2
        c3 = (10.0 * dp - 4.0 * dv + 0.5 * da) / h**3
        c4 = (-15.0 * dp + 7.0 * dv - da) / h**4
        c5 = (6.0 * dp - 3.0 * dv + 0.5 * da) / h**5
        return np.stack(
            (
                p[k] + s * (v[k] + s * (a[k] / 2.0 + s * (c3 + s * (c4 + s * c5)))),
                v[k] + s * (a[k] + s * (3.0 * c3 + s * (4.0 * c4 + s * 5.0 * c5))),
                a[k] + s * (6.0 * c3 + s * (12.0 * c4 + s * 20.0 * c5)),
            )
        )

    def begins_at(self, state: FloatArray) -> bool:
        """Return whether the first point is this state (3, J), as far as both are known."""
        own = (self.positions, self.velocities, self.accelerations)
        for values, wanted, near in zip(own, state, _NEAR, strict=True):
            if values is None or np.isnan(wanted).any():
                continue
            if not (np.abs(values[0] - wanted) <= near).all():
                return False
        return True

    def curve_jerk(self, kept: npt.NDArray[np.bool_]) -> FloatArray:
        """Return the peak jerk (J,) of the quintics that begin at the points (N,) chosen.

        NaN where it is not known.
        """
        begins = np.flatnonzero(kept[:-1])
        if self.velocities is None or self.accelerations is None or not begins.size:
            return np.full(len(self.names), np.nan)
        p, v, a = self.positions, self.velocities, self.accelerations
        h = (np.diff(self.offsets_ns)[begins] * 1e-9)[:, None]
        ends = begins + 1
        with np.errstate(all="ignore"):
            # What is left to be done by the terms of third to fifth order.
            dp = p[ends] - p[begins] - v[begins] * h - a[begins] * h**2 / 2.0
            dv = (v[ends] - v[begins] - a[begins] * h) * h
            da = (a[ends] - a[begins]) * h**2
            c3 = 10.0 * dp - 4.0 * dv + 0.5 * da
            c4 = -15.0 * dp + 7.0 * dv - da
            c5 = 6.0 * dp - 3.0 * dv + 0.5 * da
            s = np.clip(np.nan_to_num(-24.0 * c4 / (120.0 * c5)), 0.0, 1.0)
            at = [6.0 * c3 + 24.0 * c4 * x + 60.0 * c5 * x**2 for x in (0.0, 1.0, s)]
            return np.asarray((np.abs(np.stack(at)) / h**3).max(axis=(0, 1)))


def plan(template: Template) -> RecordedTrajectory | str | None:
    """Return the trajectory that a message holds, a problem in words, or None for an empty one.

    Raises:
        LayoutError: Its type lacks a field.
    """
    tree, rows = template.tree, template.fixed[None, :]
    try:
        names, points = tuple(tree["joint_names"]), tree["points"]
        stamp = int(nanoseconds(rows, _time(tree["header"]["stamp"]))[0])
        if not points:
            return None
        if len(names) > MOST_JOINTS:
            return f"{len(names)} joints; up to {MOST_JOINTS} are read"
        if len(set(names)) != len(names):
            return "a joint is named twice"
        for field in ("positions", "velocities", "accelerations"):
            for point in points:
                if point[field].count not in (
                    {len(names)} if field == "positions" else {0, len(names)}
                ):
                    return f"{len(names)} names, {point[field].count} {field}"
        offsets = [nanoseconds(rows, _time(point["time_from_start"]))[0] for point in points]
        table = {
            field: np.concatenate([values(rows, (point[field],)) for point in points])
            for field in ("positions", "velocities", "accelerations")
            if all(point[field].count for point in points)
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise LayoutError(f"{TRAJECTORY} has other fields than known ({error})") from None
    if "positions" not in table:
        return None
    return RecordedTrajectory(
        names,
        stamp,
        np.array(offsets, dtype=np.int64),
        table["positions"],
        table.get("velocities"),
        table.get("accelerations"),
    )
