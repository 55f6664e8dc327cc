# SPDX-License-Identifier: Apache-2.0
"""The episode recorder's parameters: all read-only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from node_kit.parameters import ParameterError, parameter
from vla_recording.dataset import IMAGE, VIDEO

_SIZE = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")


@dataclass(frozen=True)
class EpisodeRecorderParams:
    """Parameters with their defaults."""

    folder: str = parameter(
        "", "Folder that bags/ and dataset/ are written to; it is made if needed.", required=True
    )
    robot_file: str = parameter("", "The robot file.", required=True)
    contract_file: str = parameter("", "The contract: which features a row has.", required=True)
    fps: int = parameter(30, "Rows a second, where a goal does not say.", "", 1, 1000)
    max_duration_s: float = parameter(
        600.0, "Of an episode, where a goal does not say.", "s", 0.1, 86_400.0
    )
    wait_s: float = parameter(
        2.0, "For how long an episode waits for its inputs before it is refused.", "s", 0.0, 600.0
    )
    remember_s: float = parameter(
        30.0, "How far back ~/keep_last reaches, at most.", "s", 2.0, 600.0
    )
    remember_megabytes: int = parameter(
        512, "How much of it is held at most; then it reaches less far.", "MB", 16, 65_536
    )
    queue_megabytes: int = parameter(
        256, "Of messages that wait for the disk; beyond that an episode ends.", "MB", 16, 65_536
    )
    compressed: bool = parameter(True, "Bags are compressed (Zstandard).")
    pictures: str = parameter(
        VIDEO,
        "How the dataset has pictures: PNG (image) is without loss, and an episode ends before it "
        "has 1 GiB of them.",
        choices=(VIDEO, IMAGE),
    )
    picture_size: str = parameter(
        "",
        "HEIGHTxWIDTH to which pictures are brought whose entry in the contract says resize, such "
        "as those that the policy sees. Empty: as they come.",
    )
    more_topics: str = parameter(
        "", "Topics that are in the bags besides: their names, with spaces between them."
    )

    def __post_init__(self) -> None:
        """Check what a size is.

        Raises:
            ParameterError: It is none.
        """
        if self.picture_size and self.size is None:
            raise ParameterError(
                f"parameter picture_size: is {self.picture_size!r}; write HEIGHTxWIDTH in "
                "pixels, as 96x96"
            )

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width, None where pictures stay as they come."""
        found = _SIZE.fullmatch(self.picture_size)
        return (int(found[1]), int(found[2])) if found else None
