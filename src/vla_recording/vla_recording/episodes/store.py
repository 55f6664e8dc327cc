# SPDX-License-Identifier: Apache-2.0
"""Where episodes lie: bags, those that were taken out, and the dataset. No ROS, no clock."""

from __future__ import annotations

import re
from pathlib import Path

from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.words import FILE

BAGS, DATASET, DELETED = "bags", "dataset", "deleted"
# None that begins with a dot: such names lead out of the folder, or are hidden.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,119}")
# When an episode began, with a number where that was taken.
_STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:_(\d{1,9}))?")


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
        return sorted((path.parent.name for path in self.bags.glob(f"*/{FILE}")), key=_order)

    def bag(self, name: str) -> Path:
        """Return the folder of an episode's bag.

        Raises:
            EpisodeError: There is none of that name in this folder.
        """
        bag = self.bags / name
        inside = _NAME.fullmatch(name) and bag.resolve().parent == self.bags.resolve()
        if not inside or not (bag / FILE).is_file():
            there = ", ".join(self.names()[-3:]) or "none"
            raise EpisodeError(f"{self.bags}: has no episode {name!r:.80}; the newest: {there}")
        return bag

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

    def free_name(self, stamp: str) -> str:
        """Return a name for a new episode, which is behind those of all that there are.

        Args:
            stamp: When it begins, by a clock that may have been set back since the newest one: it
                has that one's name then, with the next number.
        """
        stamped = [found for name in self.names() if (found := _STAMPED.fullmatch(name))]
        name = max([stamp, *(found[1] for found in stamped)])
        last = max((int(found[2] or 1) for found in stamped if found[1] == name), default=0)
        stamp, number = name, last + 1
        name = stamp if number == 1 else f"{stamp}_{number}"
        while (self.bags / name).exists():
            number += 1
            name = f"{stamp}_{number}"
        return name


def _order(name: str) -> tuple[str, int, str]:
    found = _STAMPED.fullmatch(name)
    return (found[1], int(found[2] or 1), name) if found else (name, 0, name)
