# SPDX-License-Identifier: Apache-2.0
"""What a server of openpi's serves, which it does not say itself: its keys, units and columns.

Its words are translated here and nowhere else. What a person declared is tried by one question
before any motion depends on it: `wire.client` asks it, `OpenPi.action` judges the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vla_policies.protocol import (
    NATIVE,
    Action,
    Array,
    FeatureKind,
    FeatureSpec,
    Observation,
    Options,
    PolicyError,
    PolicySpec,
)
from vla_policies.units import JointUnits, read_units
from vla_policies.wire.codec import Packed, WireError, brief

Keys = tuple[str, ...]

HWC, CHW = "hwc", "chw"
POSITION, DELTA, VELOCITY = "position", "delta", "velocity"
KINDS = (POSITION, DELTA, VELOCITY)
FLOATS = ("<f2", "<f4", "<f8")
MAX_ROWS = 4096


@dataclass(frozen=True)
class OpenPiField:
    """How one of our features is sent.

    Attributes:
        name: Ours.
        path: The server's keys, one in another.
        layout: Of an image, `HWC` or `CHW`.
        units: Of a state's elements, where they are not those of its feature.
    """

    name: str
    path: Keys
    layout: str = HWC
    units: JointUnits | None = None


@dataclass(frozen=True)
class Moving:
    """Where the answer says relative things: which joints, and relative to which of the state.

    Attributes:
        kinds: One of `KINDS` for each of J joints.
        feature: The state whose elements `elements` are where the joints are; empty where every
            joint is told a position.
        elements: J.
    """

    kinds: tuple[str, ...]
    feature: str = ""
    elements: tuple[int, ...] = ()


@dataclass(frozen=True)
class OpenPi:
    """What a server of openpi's serves.

    Attributes:
        spec: Its policy, in our words.
        fields: Our features, in its words.
        prompt: The key of the instruction.
        answer: The key of the actions.
        columns: The answer's column of each joint; None where they are the joints, in order.
        units: Of the joints in the answer, where they are not those of the spec.
        moving: What the numbers mean.
    """

    spec: PolicySpec
    fields: tuple[OpenPiField, ...]
    prompt: Keys
    answer: Keys
    columns: tuple[int, ...] | None
    units: JointUnits | None
    moving: Moving

    def question(self, observation: Observation) -> dict[str, object]:
        """Return the message of an observation."""
        message: dict[str, object] = {}
        for field in self.fields:
            value: Any = observation.images.get(field.name)
            if value is None:
                value = np.asarray(observation.state[field.name], dtype=np.float64)
                value = value if field.units is None else field.units.from_rad(value)
            elif field.layout == CHW:
                value = np.ascontiguousarray(np.transpose(value, (2, 0, 1)))
            _put(message, field.path, value)
        _put(message, self.prompt, observation.task)
        return message

    def action(self, message: object, observation: Observation) -> Action:
        """Return the chunk of an answer.

        Raises:
            WireError: It is none, or its shape is another than was declared; with what to write.
        """
        rows = self._rows(message)
        native = rows if self.columns is None else rows[:, list(self.columns)]
        positions = native if self.units is None else self.units.to_rad(native)
        if self.moving.feature:
            positions = self._absolute(positions, observation)
        return Action(positions, self.spec.dt_s, self.spec.joint_names)

    def _rows(self, message: object) -> Array:
        found, keys = message, message
        for key in self.answer:
            keys = found
            found = found.get(key) if isinstance(found, dict) else None
        name = "/".join(self.answer)
        if not isinstance(found, Packed):
            there = (
                ", ".join(brief(key) for key in keys) if isinstance(keys, dict) else brief(keys)
            )
            raise WireError(
                f"the answer has no array {name!r}, it has {there[:300] or 'nothing'}; set "
                "openpi.answer_key to the one that holds the actions"
            )
        wanted = len(self.spec.joint_names)
        if found.dtype not in FLOATS or len(found.shape) != 2 or not found.shape[0] <= MAX_ROWS:
            raise WireError(
                f"the answer's {name!r} is {found.dtype} of shape {found.shape}; it must be rows "
                "of float numbers"
            )
        width = found.shape[1]
        if self.columns is None and width != wanted:
            raise WireError(
                f"the answer has {width} columns, openpi.joints names {wanted}; name each, or set "
                "openpi.columns to those that are the joints"
            )
        if self.columns is not None and not max(self.columns) < width:
            raise WireError(
                f"the answer has {width} columns, openpi.columns asks for number "
                f"{max(self.columns)}; they count from 0"
            )
        if found.shape[0] != self.spec.chunk_size:
            raise WireError(
                f"the answer has {found.shape[0]} rows, openpi.chunk_size says "
                f"{self.spec.chunk_size}; write {found.shape[0]}"
            )
        return found.array().astype(np.float64)

    def _absolute(self, rows: Array, observation: Observation) -> Array:
        """Return positions of rows that say, for some joints, a way or a speed."""
        here = np.asarray(observation.state[self.moving.feature], dtype=np.float64)
        found = rows.copy()
        for column, (kind, element) in enumerate(
            zip(self.moving.kinds, self.moving.elements, strict=True)
        ):
            if kind == DELTA:
                # As openpi and LeRobot have it: all rows from where the arm was seen.
                found[:, column] += here[element]
            elif kind == VELOCITY:
                # Row i is where the speeds of the rows before it lead.
                way = np.cumsum(rows[:, column]) - rows[:, column]
                found[:, column] = here[element] + way * self.spec.dt_s
        return found


def read_openpi(given: Options) -> OpenPi:
    """Read the option ``openpi``.

    Raises:
        PolicyError: A key is missing, unknown, wrong, or contradicts another.
    """
    section = given.section("features")
    prompt = _path(given, "prompt_key", ("prompt",))
    taken = {prompt: "prompt_key"}
    features, fields = [], []
    for name in section.values:
        feature, field = _feature(name, section.section(name))
        _claim(section, name, field.path, taken)
        features.append(feature)
        fields.append(field)
    joints, units, unit = _joints(given)
    size = given.whole("chunk_size")
    if not 1 <= size <= MAX_ROWS:
        raise given.error("chunk_size", f"is {size}; write how many rows an answer has")
    spec = PolicySpec(
        policy_id=f"openpi {given.text('policy')}",
        observation=tuple(features),
        joint_names=joints,
        units=unit,
        dt_s=given.number("dt_s", positive=True),
        chunk_size=size,
    )
    found = OpenPi(
        spec=spec,
        fields=tuple(fields),
        prompt=prompt,
        answer=_path(given, "answer_key", ("actions",)),
        columns=_columns(given, len(joints)),
        units=units,
        moving=_moving(given, spec, fields, units),
    )
    given.end()
    return found


def _feature(name: str, each: Options) -> tuple[FeatureSpec, OpenPiField]:
    path = _path(each, "key", None)
    if "size" not in each.values:
        layout = each.text("layout") if "layout" in each.values else HWC
        if layout not in (HWC, CHW):
            raise each.error("layout", f"is {layout!r}; write {HWC} or {CHW}")
        each.end()
        return FeatureSpec(name, FeatureKind.IMAGE, (None, None, 3)), OpenPiField(
            name, path, layout
        )
    size = each.whole("size")
    units = read_units(each, "units", size) if _is_map(each, "units") else None
    unit = _unit(each) if units is None else units.unit
    each.end()
    names = () if units is None else units.names
    return FeatureSpec(name, FeatureKind.STATE, (size,), unit, names), OpenPiField(
        name, path, units=units
    )


def _is_map(given: Options, key: str) -> bool:
    return isinstance(given.values.get(key), Mapping)


def _joints(given: Options) -> tuple[tuple[str, ...], JointUnits | None, str]:
    """Return the joints, what converts them, and the unit of the spec."""
    joints = given.take("joints")
    if isinstance(joints, Mapping):
        if "units" in given.values:
            raise given.error("units", "stands beside joints that have units of their own; remove")
        units = read_units(given, "joints", len(joints))
        return units.names, units, units.unit
    if not isinstance(joints, list) or not joints or not all(isinstance(j, str) for j in joints):
        raise given.error("joints", f"is {joints!r}; write a list of names, or each with its unit")
    for joint in joints:
        if joints.count(joint) > 1:
            raise given.error("joints", f"names {joint} twice")
    return tuple(joints), None, _unit(given)


def _columns(given: Options, joints: int) -> tuple[int, ...] | None:
    if "columns" not in given.values:
        return None
    columns = given.take("columns")
    whole = isinstance(columns, list) and all(type(c) is int and 0 <= c < 4096 for c in columns)
    if not whole or len(columns) != joints or len(set(columns)) != joints:
        raise given.error(
            "columns",
            f"is {columns!r}; write one number from 0 on for each of the {joints} joints",
        )
    return tuple(columns)


def _moving(
    given: Options, spec: PolicySpec, fields: list[OpenPiField], units: JointUnits | None
) -> Moving:
    """Read what the numbers mean. There is no default: taken for another, they move the arm."""
    joints, value = spec.joint_names, given.take("actions")
    each = value if isinstance(value, Mapping) else dict.fromkeys(joints, value)
    if set(each) != set(joints) or any(kind not in KINDS for kind in each.values()):
        raise given.error(
            "actions",
            f"is {value!r}; write what the answer says: {POSITION}, {DELTA} (from where the arm "
            f"is) or {VELOCITY} (a second), or one of these for each joint",
        )
    kinds = tuple(each[joint] for joint in joints)
    if all(kind == POSITION for kind in kinds):
        return Moving(kinds)
    for index, (joint, kind) in enumerate(zip(joints, kinds, strict=True)):
        if kind != POSITION and units is not None and units.zero[index] != 0.0:
            raise given.error(
                f"joints.{joint}", f"is a {kind}, so 0 must be 0; write points such as [-1, 1]"
            )
    states = [f for f in spec.observation if f.kind is FeatureKind.STATE]
    feature, elements = _where(given, states, fields, joints)
    units_there = {f.name: f.units for f in states}[feature]
    if units_there != spec.units:
        raise given.error("state", f"{feature} is in {units_there}, the action in {spec.units}")
    return Moving(kinds, feature, elements)


def _where(
    given: Options, states: list[FeatureSpec], fields: list[OpenPiField], joints: tuple[str, ...]
) -> tuple[str, tuple[int, ...]]:
    """Find the state that says where the joints are, to which the answer is relative."""
    names = {f.name: f.units.names for f in fields if f.units is not None}
    wanted = given.text("state") if "state" in given.values else ""
    for state in states:
        if wanted not in ("", state.name):
            continue
        known = names.get(state.name, ())
        if all(joint in known for joint in joints):
            return state.name, tuple(known.index(joint) for joint in joints)
        if not known and state.shape == (len(joints),):
            return state.name, tuple(range(len(joints)))
    raise given.error(
        "state",
        "is needed: name a feature that has every joint of the action, by a mapping of units or "
        "in the same order, because the answer is relative to it",
    )


def _path(given: Options, key: str, default: Keys | None) -> Keys:
    """Read a key, or the keys of maps one in another as a list."""
    if key not in given.values and default is not None:
        return default
    value = given.take(key)
    path = value if isinstance(value, list) else [value]
    if not path or not all(isinstance(part, str) and part for part in path):
        raise given.error(key, f"is {value!r}; write a key, or a list of keys one in another")
    return tuple(path)


def _claim(section: Options, name: str, path: Keys, taken: dict[Keys, str]) -> None:
    """Refuse a key that another feature has, of which one would be lost."""
    for other, owner in taken.items():
        shorter = min(len(path), len(other))
        if path[:shorter] == other[:shorter]:
            raise section.error(f"{name}.key", f"is {list(path)}, which {owner} has already")
    taken[path] = name


def _put(message: dict[str, object], path: Keys, value: object) -> None:
    place: Any = message
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value


def _unit(given: Options) -> str:
    unit = given.text("units")
    if unit not in ("rad", "deg", NATIVE):
        raise given.error("units", f"is {unit!r}; write rad or deg, or {NATIVE} for a benchmark's")
    return unit


def refused(error: PolicyError) -> PolicyError:
    """Say of the first question what went wrong with it."""
    return PolicyError(f"the first question, of grey images and joints at 0: {error}")
