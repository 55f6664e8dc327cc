# SPDX-License-Identifier: Apache-2.0
"""What was proved of an arm, kept beside LeRobot's file: where each servo shows the zero.

LeRobot's file stays as it is. The proof names the calibration that it is about, so that a file
that changes afterwards is not taken for proved.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .calibration import JOINTS, Calibration, CalibrationError

_VERSION = 1
_LARGEST_FILE = 64 * 1024
_LARGEST_TICKS = 8192


@dataclass(frozen=True)
class CalibrationProof:
    """The outcome of `so101 prove`.

    Attributes:
        digest: Of the calibration that was proved.
        zeros: What each servo shows at the description's zero, ticks.
    """

    digest: str
    zeros: Mapping[str, float]


def digest_of(calibration: Calibration) -> str:
    """Return what tells a calibration from every other one, however its file is written."""
    rows = [(name, calibration.joints[name]) for name in JOINTS]
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def proof_path(calibration_file: Path) -> Path:
    """Return where the proof of a calibration file lies."""
    return calibration_file.with_suffix(".proof.json")


def save_proof(calibration_file: Path, proof: CalibrationProof) -> Path:
    """Write a proof beside its calibration; return where."""
    path = proof_path(calibration_file)
    values = {"version": _VERSION, "calibration": proof.digest, "zero_ticks": dict(proof.zeros)}
    path.write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
    return path


def load_proof(calibration_file: Path, calibration: Calibration) -> CalibrationProof:
    """Read the proof of a calibration.

    Raises:
        CalibrationError: There is none, it is wrong, or it is another calibration's.
    """
    path = proof_path(calibration_file)
    remedy = f"run `so101 prove PORT {calibration_file}`"
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise CalibrationError(f"{path}: too large for a proof; {remedy}")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CalibrationError(
            f"{calibration_file}: not proved on the arm yet; {remedy}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CalibrationError(f"{path}: {error}; {remedy}") from error
    zeros = _zeros(data)
    if zeros is None:
        raise CalibrationError(f"{path}: not a proof; {remedy}")
    if data["calibration"] != digest_of(calibration):
        raise CalibrationError(
            f"{calibration_file}: changed since it was proved on the arm; {remedy}"
        )
    return CalibrationProof(data["calibration"], zeros)


def _zeros(data: Any) -> dict[str, float] | None:
    if not isinstance(data, dict) or data.get("version") != _VERSION or "calibration" not in data:
        return None
    zeros = data.get("zero_ticks")
    if not isinstance(zeros, dict) or set(zeros) != set(JOINTS):
        return None
    for value in zeros.values():
        if type(value) not in (int, float) or not math.isfinite(value):
            return None
        if abs(value) > _LARGEST_TICKS:
            return None
    return {name: float(zeros[name]) for name in JOINTS}
