# SPDX-License-Identifier: Apache-2.0
"""The black box's parameters: all read-only."""

from __future__ import annotations

from dataclasses import dataclass

from node_kit.parameters import parameter


@dataclass(frozen=True)
class BlackBoxParams:
    """Parameters with their defaults."""

    directory: str = parameter(
        "", "Folder that bags are written to; it is made if it is not there.", required=True
    )
    seconds: float = parameter(30.0, "How far back it remembers.", "s", 1.0, 600.0)
    max_megabytes: float = parameter(64.0, "How much it holds at most.", "MB", 1.0, 4096.0)
    after_s: float = parameter(
        1.2,
        "For how long it records on after a trip, at most; less when the stop is over.",
        "s",
        0.1,
        60.0,
    )
    silent_s: float = parameter(
        1.0, "Silence of the monitor that counts as a trip.", "s", 0.1, 60.0
    )
    exclude_types: tuple[str, ...] = parameter(
        (
            "sensor_msgs/msg/Image",
            "sensor_msgs/msg/CompressedImage",
            "sensor_msgs/msg/PointCloud2",
        ),
        "Message types that are not recorded, for their size.",
    )
