# SPDX-License-Identifier: Apache-2.0
"""The black box's parameters: all read-only."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


class BlackBoxError(ValueError):
    """A parameter cannot be used. The message is one line: which, and what to do."""


def _param(doc: str, default: Any, unit: str = "", lower: float = 0.0, upper: float = 0.0) -> Any:
    metadata = {"doc": doc, "unit": unit, "lower": lower, "upper": upper}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class BlackBoxParams:
    """Parameters with their defaults.

    Raises:
        BlackBoxError: The directory is not set, or a number is out of bounds.
    """

    directory: str = _param("Folder that bags are written to; it is made if it is not there.", "")
    seconds: float = _param("How far back it remembers.", 30.0, "s", 1.0, 600.0)
    max_megabytes: float = _param("How much it holds at most.", 64.0, "MB", 1.0, 4096.0)
    after_s: float = _param(
        "For how long it records on after a trip, at most; less when the stop is over.",
        1.2,
        "s",
        0.1,
        60.0,
    )
    silent_s: float = _param("Silence of the monitor that counts as a trip.", 1.0, "s", 0.1, 60.0)
    exclude_types: tuple[str, ...] = _param(
        "Message types that are not recorded, for their size.",
        (
            "sensor_msgs/msg/Image",
            "sensor_msgs/msg/CompressedImage",
            "sensor_msgs/msg/PointCloud2",
        ),
    )

    def __post_init__(self) -> None:
        if not self.directory:
            raise BlackBoxError(
                "parameter directory: not set; give a folder, e.g. "
                "--ros-args -p directory:=/var/log/black_box"
            )
        for item in fields(self):
            value, meta = getattr(self, item.name), item.metadata
            if isinstance(value, float) and not (meta["lower"] <= value <= meta["upper"]):
                raise BlackBoxError(
                    f"parameter {item.name}: {value:g} is out of bounds; use "
                    f"{meta['lower']:g} to {meta['upper']:g} {meta['unit']}"
                )
