# SPDX-License-Identifier: Apache-2.0
"""What lies in a recorder's folder: its episodes, and the videos that people look at.

Asked anew each time: an episode may have been taken away, marked or damaged meanwhile.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from vla_recording.episodes import preview
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.store import EpisodeFolder
from vla_recording.episodes.words import EpisodeWords, read_words

# Of a video, as many bytes are handed out at once.
PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class ListedEpisode:
    """One episode.

    Attributes:
        name: Of its bag's folder.
        words: What is said of it; None where that cannot be read.
        video_bytes: Of its video; 0 where it has none.
        problem: Why its words cannot be read, empty where they can.
    """

    name: str
    words: EpisodeWords | None
    video_bytes: int
    problem: str = ""


def listed(folder: EpisodeFolder, names: list[str]) -> list[ListedEpisode]:
    """Return what is said of some episodes; those that are not there any more are left out."""
    found = []
    for name in names:
        try:
            bag = folder.bag(name)
        except EpisodeError:
            continue
        try:
            words, problem = read_words(bag), ""
        except EpisodeError as error:
            words, problem = None, str(error)
        try:
            size = (bag / preview.FILE).lstat().st_size
        except OSError:
            size = 0
        found.append(ListedEpisode(name, words, size, problem))
    return found


def video_piece(folder: EpisodeFolder, name: str, offset: int) -> tuple[int, bytes]:
    """Return the size of an episode's video, and some of its bytes from an offset on.

    Raises:
        EpisodeError: There is none, or it is no file that was written here.
    """
    path = folder.bag(name) / preview.FILE
    try:
        # No link is followed, and nothing is waited for that is no file.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise EpisodeError(f"{name}: has no video; it is made with its rows") from None
    try:
        told = os.fstat(number)
        if not stat.S_ISREG(told.st_mode) or told.st_size > preview.MOST_BYTES:
            raise EpisodeError(f"{name}: its {preview.FILE} is none that was made here")
        if not 0 <= offset <= told.st_size:
            raise EpisodeError(f"{name}: its video has {told.st_size} bytes, and none at {offset}")
        return told.st_size, os.pread(number, PIECE_BYTES, offset)
    finally:
        os.close(number)
