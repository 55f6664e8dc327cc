# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one dataclass, from which descriptors, checks and README table come.

`python -m vla_sim.params README.md` renews the table in that file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

PHYSICS_RATE_HZ = 500
TABLE_BEGIN = "<!-- parameters: written by python -m vla_sim.params README.md -->"
TABLE_END = "<!-- end of parameters -->"


class ParameterError(ValueError):
    """A parameter has no value or a wrong one. The message names it and the remedy."""


def _param(
    default: object,
    doc: str,
    unit: str = "",
    lower: float | None = None,
    upper: float | None = None,
) -> Any:
    return field(
        default=default, metadata={"doc": doc, "unit": unit, "lower": lower, "upper": upper}
    )


@dataclass(frozen=True)
class Parameters:
    """All parameters are read once, at the start."""

    robot_file: str = _param("", "Robot file: joints, limits, controllers.")
    seed: int = _param(0, "Seed of the first scene.")
    randomise: bool = _param(
        True, "Vary colours, light and camera poses with the seed, not only the cubes' places."
    )
    controller_rate_hz: int = _param(
        100, "Rate of the controllers and of the states; a divisor of 500.", "Hz", 50, 500
    )
    allow_trajectory_replacement: bool = _param(
        False,
        "Let the controllers take a trajectory whose stamp is past for one that starts now, as "
        "those of the newest ros2_controllers do by default. The monitor forwards nothing then.",
    )
    max_command_age_s: float = _param(
        0.14,
        "A trajectory that was sent this long before its arrival is dropped, so that what was "
        "held back on its way is not carried out late; a little less than its overlap.",
        "s",
        0.01,
        10.0,
    )
    camera_rate_hz: float = _param(30.0, "Rate of each camera.", "Hz", 1.0, 50.0)
    real_time_factor: float = _param(
        1.0,
        "Simulated time over the host's, at most; 0: as fast as the host can. A host that is too "
        "slow for it only makes a slower simulation.",
        "",
        0.0,
        100.0,
    )
    lockstep_timeout_s: float = _param(
        5.0,
        "Simulated time waits for the nodes that acknowledge it, for one that says nothing no "
        "longer than this of the host's time. 0: it waits for nobody, as on a robot.",
        "s",
        0.0,
        600.0,
    )
    image_width: int = _param(640, "Width of the images.", "px", 32, 1920)
    image_height: int = _param(480, "Height of the images.", "px", 32, 1080)


def check(values: Mapping[str, Any]) -> Parameters:
    """Make checked parameters of values by name.

    Raises:
        ParameterError: A value is missing, of the wrong type or out of bounds.
    """
    parameters = Parameters(**values)
    for item in fields(Parameters):
        problem = _problem(item, getattr(parameters, item.name))
        if problem:
            raise ParameterError(f"parameter {item.name}: {problem}")
    if not parameters.robot_file:
        raise ParameterError(
            "parameter robot_file: is not set; give a path, e.g. "
            "--ros-args -p robot_file:=config/robots/<robot>/robot.yaml"
        )
    if PHYSICS_RATE_HZ % parameters.controller_rate_hz:
        raise ParameterError(
            f"parameter controller_rate_hz: is {parameters.controller_rate_hz}; "
            f"write a divisor of {PHYSICS_RATE_HZ}, such as 100"
        )
    return parameters


def _problem(item: Field[Any], value: Any) -> str:
    wanted: type[object] = type(item.default)
    if type(value) is not wanted:
        return f"is {value!r}; write a value of type {wanted.__name__}"
    lower, upper = item.metadata["lower"], item.metadata["upper"]
    if lower is None or lower <= value <= upper:
        return ""
    unit = item.metadata["unit"]
    return f"is {value:g}; write a value between {lower:g} and {upper:g} {unit}".rstrip()


def table() -> str:
    """Return the parameters as a Markdown table."""
    rows = ["| parameter | default | bounds | what it does |", "| --- | --- | --- | --- |"]
    for item in fields(Parameters):
        meta = item.metadata
        default = f"`{item.default}` {meta['unit']}".strip() if item.default != "" else "required"
        bounds = "" if meta["lower"] is None else f"{meta['lower']:g} to {meta['upper']:g}"
        rows.append(f"| `{item.name}` | {default} | {bounds} | {meta['doc']} |")
    return "\n".join(rows)


def renew(text: str) -> str:
    """Return a document with the table between its marks written anew.

    Raises:
        ValueError: The marks are missing.
    """
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not begin or not end:
        raise ValueError(f"put the lines {TABLE_BEGIN!r} and {TABLE_END!r} into the document")
    return f"{before}{begin}\n{table()}\n{end}{after}"


def main() -> int:
    """Renew the table in the document that the command line names."""
    document = Path(sys.argv[1])
    document.write_text(renew(document.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
