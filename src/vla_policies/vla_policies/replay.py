# SPDX-License-Identifier: Apache-2.0
"""Play a recorded motion, whatever is seen. For tests and for showing a motion again.

A recording is a file of one motion, ``.npz`` or ``.yaml``, with exactly these keys:

- ``joint_names``: J names,
- ``dt_s``: time between rows, s,
- ``positions``: T rows of J numbers, rad.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strict_yaml import StrictYamlError, read_yaml
from vla_policies.checkpoint_folder import content_id
from vla_policies.protocol import (
    Action,
    Observation,
    Options,
    PolicyError,
    PolicySpec,
    check_action,
)

Array = NDArray[np.float64]

KEYS = ("joint_names", "dt_s", "positions")
# Of a recording in YAML, which takes seconds to read at that size; .npz has no such bound.
MAX_YAML_BYTES = 5_000_000


@dataclass(frozen=True, eq=False)
class MotionRecording:
    """A recorded motion.

    Attributes:
        joint_names: J names.
        dt_s: Time between rows, s.
        positions: (T, J), rad.
    """

    joint_names: tuple[str, ...]
    dt_s: float
    positions: Array


def read_recording(path: Path) -> MotionRecording:
    """Read a recording, strictly.

    Raises:
        PolicyError: It cannot be read, or a key is missing, unknown or wrong.
    """
    content = _content(path)
    for key in content:
        if key not in KEYS:
            raise PolicyError(f"{path}: {key}: is not a key of a recording; remove it")
    for key in KEYS:
        if key not in content:
            raise PolicyError(f"{path}: {key}: is missing; add it")
    names = np.asarray(content["joint_names"])
    if names.ndim != 1 or names.size == 0 or names.dtype.kind != "U":
        raise PolicyError(f"{path}: joint_names: must be a list of names")
    if len(set(names.tolist())) != names.size:
        raise PolicyError(f"{path}: joint_names: names one joint twice")
    numbers = {}
    for key in ("dt_s", "positions"):
        try:
            numbers[key] = np.asarray(content[key], dtype=np.float64)
        except (TypeError, ValueError):
            raise PolicyError(f"{path}: {key}: must be numbers, in rows of one length") from None
    if numbers["dt_s"].ndim != 0:
        raise PolicyError(f"{path}: dt_s: must be one number of seconds")
    recording = MotionRecording(
        tuple(names.tolist()), float(numbers["dt_s"]), numbers["positions"]
    )
    try:
        check_action(_action(recording, recording.positions), _spec(recording, "recording", 1))
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None
    return recording


class Replay:
    """Plays a recording from the first observation on, then holds its end, done."""

    def __init__(self, recording: MotionRecording, name: str, rows: int) -> None:
        """Play `recording` in chunks of `rows` rows."""
        self._recording = recording
        self._rows = rows
        self._spec = _spec(recording, f"replay {name}", rows)
        self._begin_ns: int | None = None

    @property
    def spec(self) -> PolicySpec:
        """What it returns; it needs nothing."""
        return self._spec

    def reset(self) -> None:
        """Begin from the start."""
        self._begin_ns = None

    def close(self) -> None:
        """Nothing is held."""

    def infer(self, observation: Observation) -> Action:
        """Return the rows from the observation's time on, linear between the recorded ones."""
        if self._begin_ns is None:
            self._begin_ns = observation.stamp_ns
        motion = self._recording
        elapsed = (observation.stamp_ns - self._begin_ns) * 1e-9 / motion.dt_s
        rows = elapsed + np.arange(self._rows)
        recorded = np.arange(len(motion.positions))
        positions = np.column_stack(
            [np.interp(rows, recorded, column) for column in motion.positions.T]
        )
        done = elapsed >= recorded[-1]
        return _action(motion, positions, "done" if done else "replay", bool(done))


def make(options: Mapping[str, Any]) -> Replay:
    """Make the policy from its options: ``file`` and ``rows``.

    Raises:
        PolicyError: An option or the file is wrong.
    """
    given = Options("replay", options)
    path, rows = Path(given.text("file")), given.whole("rows")
    if not rows > 0:
        raise given.error("rows", f"is {rows}; write how many rows a chunk shall have")
    given.end()
    return Replay(read_recording(path), f"{path.name} {content_id([path])}", rows)


def _content(path: Path) -> Mapping[str, Any]:
    if path.suffix not in (".npz", ".yaml"):
        raise PolicyError(f"{path}: is neither .npz nor .yaml; give one of these")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        content = read_yaml(path, max_bytes=MAX_YAML_BYTES)
    except StrictYamlError as error:
        raise PolicyError(f"{path}: {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise PolicyError(f"{path}: cannot be read ({reason}); give a recording") from None
    except (ValueError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise PolicyError(f"{path}: is not a {path.suffix} file: {reason}") from None
    if not isinstance(content, dict):
        raise PolicyError(f"{path}: must be a mapping of {', '.join(KEYS)}")
    return content


def _spec(recording: MotionRecording, policy_id: str, rows: int) -> PolicySpec:
    return PolicySpec(policy_id, (), recording.joint_names, "rad", recording.dt_s, rows)


def _action(
    recording: MotionRecording, positions: Array, phase: str = "", done: bool = False
) -> Action:
    return Action(positions, recording.dt_s, recording.joint_names, phase, done)
