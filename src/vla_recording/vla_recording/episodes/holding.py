# SPDX-License-Identifier: Apache-2.0
"""Who is at an episode: its recorder, its conversion, or who changes it. One at a time.

What holds it is the process: whatever becomes of that one, the episode is free again.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from vla_recording.episodes.errors import EpisodeError


class EpisodeHold:
    """Holds the folder of an episode's bag until it is released. A context manager."""

    def __init__(self, bag: Path, *, wait: bool = False) -> None:
        """Take hold of it. A folder that is not there is held by nobody.

        Args:
            bag: The folder.
            wait: For who holds it, rather than give up.

        Raises:
            EpisodeError: Somebody else holds it.
        """
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(bag, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.release()
            raise EpisodeError(
                f"{bag}: is being recorded, converted or changed just now; wait for the end"
            ) from None
        except OSError:
            # Whoever reads it says what is wrong with it; a file system may know no locks.
            pass

    def __enter__(self) -> EpisodeHold:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release it."""
        self.release()

    def release(self) -> None:
        """Let others at it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
