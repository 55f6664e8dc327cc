# SPDX-License-Identifier: Apache-2.0
"""Capsules for the links of a description: around their meshes, or guessed from frames."""

from __future__ import annotations

import os
import stat
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import unquote

import mujoco
import numpy as np
from numpy.typing import NDArray

from vla_sim.from_urdf.capsules import Capsule

Array = NDArray[np.float64]

LARGEST_MESH_BYTES, MOST_MESH_BYTES, MOST_MESHES = 20_000_000, 200_000_000, 300
FARTHEST_M = 10.0  # of a mesh from its link's frame; farther, its file is in other units
_READ = (".stl", ".obj")  # what MuJoCo reads
_WORTH = 0.8  # of a capsule's volume: what two in its place may have at the most
_LEAST_M = 1e-3  # radius, and half the length
_CENTRING = 20  # steps of a smallest circle
_MOST_PARTED = 2_000  # triangles, of which more than one capsule is made


class UnreadMeshError(ValueError):
    """A mesh was not read; why, in words."""


class MeshReader:
    """Reads the meshes that a description names, no more than a bound of bytes in all."""

    def __init__(self, description: Path) -> None:
        """Remember where the description is: its meshes are found from there."""
        self._near = description.resolve().parent
        self._left, self._count = MOST_MESH_BYTES, 0
        self._read: dict[Path, Array | UnreadMeshError] = {}

    def triangles(self, link: ElementTree.Element) -> Array:
        """Return the triangles (T, 3, 3), m, of a link's meshes in its frame; 0 of them: no mesh.

        Raises:
            UnreadMeshError: One of them was not read.
        """
        found = [np.empty((0, 3, 3))]
        for shape in shapes_of(link):
            for mesh in shape.findall("geometry/mesh"):
                scale = np.array([float(each) for each in mesh.get("scale", "1 1 1").split()])
                turn, place = _origin(shape)
                points = self._file(mesh.get("filename", "")) * scale @ turn.T + place
                if not np.abs(points).max(initial=0.0) <= FARTHEST_M:
                    raise UnreadMeshError(
                        f"the mesh reaches more than {FARTHEST_M:g} m: is it in millimetres?"
                    )
                found.append(points)
        return np.concatenate(found)

    def _file(self, name: str) -> Array:
        path = self._found(name)
        if path not in self._read:
            try:
                self._read[path] = self._triangles(path)
            except UnreadMeshError as error:
                self._read[path] = error
        known = self._read[path]
        if isinstance(known, UnreadMeshError):
            raise known
        return known

    def _found(self, name: str) -> Path:
        """Return the file of a mesh's URI: beside the description, or in a package."""
        kind, separated, rest = name.partition("://")
        rest = unquote(rest)
        places = [Path(unquote(name))]
        if separated and kind == "package":
            package, _, inside = rest.partition("/")
            # A package's share directory, or the folders above the description.
            prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
            places = [Path(each) / "share" / rest for each in prefixes if each]
            for above in self._near.parents:
                places.append(above / rest)
            for above in (self._near, *self._near.parents):
                if above.name == package or (above / "package.xml").is_file():
                    places.append(above / inside)
        elif separated and kind == "file":
            places = [Path(rest)]
        elif separated:
            raise UnreadMeshError("the mesh is no file")
        for place in places:
            path = place if place.is_absolute() else self._near / place
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    return path.resolve()
            except (OSError, ValueError):
                continue
        raise UnreadMeshError("the mesh was not found (nor its package in AMENT_PREFIX_PATH)")

    def _triangles(self, path: Path) -> Array:
        if path.suffix.lower() not in _READ:
            raise UnreadMeshError("the mesh is neither STL nor OBJ")
        size = path.stat().st_size
        self._count += 1
        if size > LARGEST_MESH_BYTES or size > self._left or self._count > MOST_MESHES:
            raise UnreadMeshError(
                f"the mesh is too large ({LARGEST_MESH_BYTES // 10**6} MB are the most, "
                f"{MOST_MESH_BYTES // 10**6} MB of all)"
            )
        self._left -= size
        spec = mujoco.MjSpec()
        # Whether its surface is closed does not matter here.
        spec.add_mesh(
            name="it", file=str(path), inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        )
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname="it", contype=0, conaffinity=0
        )
        try:
            model = spec.compile()
        except ValueError as error:
            raise UnreadMeshError(
                f"MuJoCo does not read the mesh: {' '.join(str(error).split())[:120]}"
            ) from None
        # MuJoCo has put it about its centre.
        turn = np.empty(9)
        mujoco.mju_quat2Mat(turn, model.mesh_quat[0])
        points = model.mesh_vert @ turn.reshape(3, 3).T + model.mesh_pos[0]
        return np.asarray(points[model.mesh_face], dtype=np.float64)


def shapes_of(link: ElementTree.Element) -> list[ElementTree.Element]:
    """Return what a link collides with; what is seen of it where the description says nothing."""
    return link.findall("collision") or link.findall("visual")


def _origin(shape: ElementTree.Element) -> tuple[Array, Array]:
    origin = shape.find("origin")
    given = ElementTree.Element("origin") if origin is None else origin
    x, y, z = (float(each) for each in given.get("rpy", "0 0 0").split())
    place = np.array([float(each) for each in given.get("xyz", "0 0 0").split()])
    (cx, cy, cz), (sx, sy, sz) = np.cos([x, y, z]), np.sin([x, y, z])
    turn = np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )
    return turn, place


def capsules_around(triangles: Array, most: int) -> list[Capsule]:
    """Return capsules that together enclose every triangle.

    Args:
        triangles: (T, 3, 3), m.
        most: How many capsules at the most.
    """
    parts = [(triangles, _capsule_around(triangles))]
    while len(parts) < most and len(triangles) <= _MOST_PARTED:
        best: tuple[float, int, list[tuple[Array, Capsule]]] = (0.0, -1, [])
        for row, (part, whole) in enumerate(parts):
            for pair in _halves(part):
                volume = sum(each.volume for _, each in pair)
                if volume < _WORTH * whole.volume and whole.volume - volume > best[0]:
                    best = (whole.volume - volume, row, pair)
        if best[1] < 0:
            break
        parts[best[1] : best[1] + 1] = best[2]
    return [capsule for _, capsule in parts]


def _halves(triangles: Array) -> list[list[tuple[Array, Capsule]]]:
    """Return ways to part triangles into two, each whole triangle in one of them."""
    centres = triangles.mean(axis=1)
    found = []
    for axis in np.eye(3):
        along = centres @ axis
        for share in (0.3, 0.5, 0.7):
            first = along < along.min() + share * np.ptp(along)
            if first.any() and not first.all():
                halves = (triangles[first], triangles[~first])
                found.append([(half, _capsule_around(half)) for half in halves])
    return found


def _capsule_around(triangles: Array) -> Capsule:
    """Return a capsule around triangles, nearly the smallest."""
    points = np.unique(triangles.reshape(-1, 3), axis=0)
    _, _, own = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    axes = [*np.eye(3), *own]
    return min((_along(points, axis) for axis in axes), key=lambda each: each.volume)


def _along(points: Array, axis: Array) -> Capsule:
    along = points @ axis
    across = points - along[:, None] * axis
    # The smallest circle around them, seen along the axis (Badoiu and Clarkson, 2003).
    centre = 0.5 * (across.min(axis=0) + across.max(axis=0))
    centre -= (centre @ axis) * axis
    best, radius = centre, np.inf
    for step in range(1, _CENTRING):
        off = np.linalg.norm(across - centre, axis=1)
        farthest = int(np.argmax(off))
        if off[farthest] < radius:
            best, radius = centre, float(off[farthest])
        centre = centre + (across[farthest] - centre) * 0.5 / (step + 1.0)
    centre, radius = best, max(radius * (1.0 + 1e-9), _LEAST_M)
    off = np.linalg.norm(across - centre, axis=1)
    cap = np.sqrt(np.maximum(radius**2 - off**2, 0.0))
    low, high = float((along + cap).min()), float((along - cap).max())
    if not low < high:  # a ball is enough
        low = high = 0.5 * (low + high)
    low, high = min(low, high - _LEAST_M), max(high, low + _LEAST_M)
    return Capsule(np.array([centre + low * axis, centre + high * axis]), radius)
