# SPDX-License-Identifier: Apache-2.0
"""Read a workspace file: the arm as capsules, and what they must stay clear of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strict_yaml import StrictYamlError, read_yaml

Array = NDArray[np.float64]

FILE = "workspace.yaml"
MOST_CAPSULES, MOST_OBSTACLES = 64, 32
FARTHEST_M, WIDEST_MARGIN_M = 100.0, 0.5
_LONGEST_SHOWN = 60  # letters of a wrong value
_KEYS = ("margin", "table", "box", "obstacles", "joints", "links", "neighbours")


class WorkspaceError(ValueError):
    """A workspace file is wrong; one line: file, key and what to do."""


@dataclass(frozen=True, eq=False)
class Workspace:
    """Where an arm may be.

    Attributes:
        margin: Least distance, m, at most `WIDEST_MARGIN_M`.
        frames: Frame of each joint in the one before (J, 4, 4), m. Every axis is z.
        slides: Whether a joint slides along its axis (J,).
        names: Of the capsules' links, C of them.
        joint: Of each capsule, the joint that moves it; -1: none (C,).
        ends: Its ends in that joint's frame (C, 2, 3), m.
        radius: (C,), m.
        pairs: Capsules that must stay apart (K, 2).
        table: Height that no capsule comes below, m; -inf: none.
        box: Lower and upper corner of what no capsule leaves (2, 3), m; infinite: none.
        obstacles: Name, lower and upper corner (2, 3), m, of boxes to stay clear of.
    """

    margin: float
    frames: Array
    slides: NDArray[np.bool_]
    names: tuple[str, ...]
    joint: NDArray[np.intp]
    ends: Array
    radius: Array
    pairs: NDArray[np.intp]
    table: float
    box: Array
    obstacles: tuple[tuple[str, Array], ...]


def load_workspace(path: str | Path, joints: Sequence[str]) -> Workspace:
    """Read a workspace file, strictly.

    Args:
        path: The file.
        joints: The arm's joints, in the controller's order: the file has each of them.

    Raises:
        WorkspaceError: A key is missing, unknown or wrong.
    """
    file = str(path)
    try:
        top = read_yaml(path)
    except StrictYamlError as error:
        raise WorkspaceError(f"{file}: {error}") from None
    top = _mapping(file, "the file", top)
    for key in top:
        if key not in _KEYS:
            raise WorkspaceError(f"{file}: {key}: unknown key; the keys are {', '.join(_KEYS)}")
    for key in _KEYS:
        if key not in top:
            raise WorkspaceError(f"{file}: {key}: is missing; add it")
    margin = float(_numbers(file, "margin", [top["margin"]], 1)[0])
    if not 0.0 < margin <= WIDEST_MARGIN_M:
        raise WorkspaceError(
            f"{file}: margin: is {margin:g}; write metres, above 0 and at most {WIDEST_MARGIN_M:g}"
        )
    frames, slides = _joints(file, _mapping(file, "joints", top["joints"]), joints)
    names, moved_by, ends, radius = _links(file, _mapping(file, "links", top["links"]), joints)
    table = -math.inf
    if top["table"] is not None:
        table = float(_numbers(file, "table", [top["table"]], 1)[0])
    box = np.array([[-math.inf] * 3, [math.inf] * 3])
    if top["box"] is not None:
        box = _corners(file, "box", top["box"])
    listed = _mapping(file, "obstacles", top["obstacles"])
    if len(listed) > MOST_OBSTACLES:
        raise WorkspaceError(f"{file}: obstacles: are more than {MOST_OBSTACLES}")
    obstacles = tuple(
        (name, _corners(file, f"obstacles.{name}", value)) for name, value in listed.items()
    )
    pairs = _pairs(file, top["neighbours"], names, moved_by)
    return Workspace(
        margin, frames, slides, names, moved_by, ends, radius, pairs, table, box, obstacles
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _mapping(file: str, key: str, value: Any) -> Mapping[str, Any]:
    """Return a mapping whose keys are names."""
    if not isinstance(value, dict):
        raise WorkspaceError(f"{file}: {key}: is {_shown(value)}; write a mapping")
    for name in value:
        if not isinstance(name, str):
            raise WorkspaceError(
                f"{file}: {key}: {_shown(name)} is no name; write it in quotation marks"
            )
    return value


def _numbers(file: str, key: str, value: Any, count: int) -> Array:
    good = isinstance(value, list) and len(value) == count
    if not good or not all(
        type(each) in (int, float) and abs(each) <= FARTHEST_M for each in value
    ):
        what = "a number" if count == 1 else f"{count} numbers"
        raise WorkspaceError(
            f"{file}: {key}: is {_shown(value)}; write {what}, none beyond {FARTHEST_M:g}"
        )
    return np.array(value, dtype=np.float64)


def _corners(file: str, key: str, value: Any) -> Array:
    section = _mapping(file, key, value)
    if set(section) != {"lower", "upper"}:
        raise WorkspaceError(f"{file}: {key}: write lower and upper, x y z each, and nothing else")
    corners = np.array(
        [_numbers(file, f"{key}.{end}", section[end], 3) for end in ("lower", "upper")]
    )
    if not np.all(corners[0] < corners[1]):
        raise WorkspaceError(f"{file}: {key}: lower must be below upper")
    return corners


def _joints(
    file: str, section: Mapping[str, Any], joints: Sequence[str]
) -> tuple[Array, NDArray[np.bool_]]:
    if list(section) != list(joints):
        raise WorkspaceError(
            f"{file}: joints: are {', '.join(section)}; write those of the robot file, "
            f"in its order: {', '.join(joints)}"
        )
    frames, slides = [], []
    for name, value in section.items():
        row = _mapping(file, f"joints.{name}", value)
        if not {"xyz", "rpy"} <= set(row) <= {"xyz", "rpy", "slides"}:
            raise WorkspaceError(f"{file}: joints.{name}: write xyz, rpy and, if so, slides: true")
        if type(row.get("slides", False)) is not bool:
            raise WorkspaceError(f"{file}: joints.{name}.slides: write true or false")
        frame = np.eye(4)
        frame[:3, :3] = _rotation(*_numbers(file, f"joints.{name}.rpy", row["rpy"], 3))
        frame[:3, 3] = _numbers(file, f"joints.{name}.xyz", row["xyz"], 3)
        frames.append(frame)
        slides.append(row.get("slides", False))
    return np.array(frames), np.array(slides, dtype=np.bool_)


def _rotation(roll: float, pitch: float, yaw: float) -> Array:
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def _links(
    file: str, section: Mapping[str, Any], joints: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.intp], Array, Array]:
    names: list[str] = []
    moved_by: list[int] = []
    rows: list[Array] = []
    for name, value in section.items():
        link = _mapping(file, f"links.{name}", value)
        if set(link) != {"joint", "capsules"}:
            raise WorkspaceError(f"{file}: links.{name}: write joint and capsules")
        if link["joint"] is not None and link["joint"] not in joints:
            raise WorkspaceError(
                f"{file}: links.{name}.joint: there is no {_shown(link['joint'])}; write the "
                "joint that "
                "moves it, or null for the base"
            )
        if not isinstance(link["capsules"], list):
            raise WorkspaceError(f"{file}: links.{name}.capsules: write a list")
        for number, capsule in enumerate(link["capsules"]):
            row = _numbers(file, f"links.{name}.capsules.{number}", capsule, 7)
            if not row[6] > 0.0:
                raise WorkspaceError(
                    f"{file}: links.{name}.capsules.{number}: its radius must be positive"
                )
            names.append(name)
            moved_by.append(-1 if link["joint"] is None else list(joints).index(link["joint"]))
            rows.append(row)
    if not 1 <= len(rows) <= MOST_CAPSULES:
        raise WorkspaceError(
            f"{file}: links: have {len(rows)} capsules; write 1 to {MOST_CAPSULES}"
        )
    table = np.array(rows)
    return (
        tuple(names),
        np.array(moved_by, dtype=np.intp),
        table[:, :6].reshape(-1, 2, 3),
        table[:, 6],
    )


def _pairs(
    file: str, neighbours: Any, names: tuple[str, ...], moved_by: NDArray[np.intp]
) -> NDArray[np.intp]:
    if not isinstance(neighbours, list):
        raise WorkspaceError(f"{file}: neighbours: write a list of pairs of links")
    near, links = set(), set(names)
    for pair in neighbours:
        good = isinstance(pair, list) and len(pair) == 2 and pair[0] != pair[1]
        if not (good and all(isinstance(each, str) and each in links for each in pair)):
            raise WorkspaceError(
                f"{file}: neighbours: {_shown(pair)} is no pair of links of the file"
            )
        near.add(frozenset(pair))
    found = [
        (one, other)
        for one, other in itertools.combinations(range(len(names)), 2)
        if moved_by[one] != moved_by[other]
        and names[one] != names[other]
        and frozenset((names[one], names[other])) not in near
    ]
    return np.array(found, dtype=np.intp).reshape(-1, 2)
