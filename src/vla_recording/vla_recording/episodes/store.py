# SPDX-License-Identifier: Apache-2.0
"""Where episodes lie: bags, those that were taken out, and the dataset. No ROS, no clock."""

from __future__ import annotations

import re
from pathlib import Path

from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.words import FILE

BAGS, DATASET, DELETED = "bags", "dataset", "deleted"
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,120}")


class EpisodeFolder:
    """The folder that a recorder writes to."""

    def __init__(self, root: Path) -> None:
        """Name it; nothing is made."""
        self.root = root
        self.bags, self.dataset, self.deleted = root / BAGS, root / DATASET, root / DELETED

    def make(self) -> None:
        """Make it.

        Raises:
            OSError: It cannot be made or written to.
        """
        self.bags.mkdir(parents=True, exist_ok=True)
        trial = self.bags / ".trial"
        trial.touch()
        trial.unlink()

    def names(self) -> list[str]:
        """Return the episodes that have a bag, oldest first."""
        if not self.bags.is_dir():
            return []
        return sorted(path.parent.name for path in self.bags.glob(f"*/{FILE}"))

    def bag(self, name: str) -> Path:
        """Return the folder of an episode's bag.

        Raises:
            EpisodeError: There is none of that name.
        """
        if not _NAME.fullmatch(name) or not (self.bags / name / FILE).is_file():
            there = ", ".join(self.names()[-3:]) or "none"
            raise EpisodeError(f"{self.bags}: has no episode {name!r:.80}; the newest: {there}")
        return self.bags / name

    def take_out(self, name: str) -> Path:
        """Move an episode's bag away, and return where it is now.

        Raises:
            EpisodeError: There is none of that name.
            OSError: It cannot be moved.
        """
        bag, free, number = self.bag(name), self.deleted / name, 2
        self.deleted.mkdir(parents=True, exist_ok=True)
        while free.exists():
            free, number = self.deleted / f"{name}_{number}", number + 1
        return bag.rename(free)


def free_name(folder: Path, stamp: str) -> str:
    """Return a name for a new episode: when it began, with a number where that is taken."""
    name, number = stamp, 2
    while (folder / name).exists():
        name, number = f"{stamp}_{number}", number + 1
    return name
