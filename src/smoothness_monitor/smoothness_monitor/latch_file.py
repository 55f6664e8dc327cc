# SPDX-License-Identifier: Apache-2.0
"""A file that tells a process whether the one before it was latched.

It says "watching" while the node runs, and "ended" once it has ended in an orderly way, at rest
and not latched. So a process that dies, however suddenly, leaves a file that latches the next one,
and nothing that is written while the arm moves has to arrive for that. A reader believes what is
whole and about this robot; everything else latches.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from smoothness_monitor.core.types import Latch
from smoothness_monitor.params import ConfigError

MAX_BYTES = 65_536
VERSION = 1
WATCHING, ENDED = "watching", "ended"
# What a shutdown waits for a disk.
CLOSE_S = 2.0
_GIVE_A_FOLDER = "give one that can be written, e.g. --ros-args -p latch_folder:=/var/lib/arm"


@dataclass(frozen=True)
class Found:
    """What the file says.

    Attributes:
        why: Why to begin latched, in words; empty for no reason to.
        locked_out: The controller was deactivated by the process before.
    """

    why: str = ""
    locked_out: bool = False


def default_folder() -> Path:
    """Return the folder for the files where none is given: of the user, not of a boot."""
    home = os.environ.get("ROS_HOME") or str(Path.home() / ".ros")
    return Path(home) / "smoothness_monitor"


def file_of(folder: str | Path, node: str, domain: str) -> Path:
    """Return the path of a node's file.

    Args:
        folder: For the files; empty for the default.
        node: Its full name, so that two arms have two.
        domain: ROS domain, so that two graphs on one host have two.

    Raises:
        ConfigError: There is no home folder that it could be in.
    """
    try:
        where = Path(folder).expanduser() if str(folder) else default_folder()
    except RuntimeError as error:
        # A user of a container that its /etc/passwd does not know, or a ~name of nobody.
        raise ConfigError(
            f"latch_folder: {folder or '~/.ros'}: {error}; {_GIVE_A_FOLDER}"
        ) from None
    return where / f"{domain}{node.replace('/', '.')}.json"


class LatchFile:
    """The file of one node.

    Writing is done by a thread of its own: a slow disk must not delay a stop. What is not written
    in time makes the next process begin latched where it need not, never the other way round.
    """

    def __init__(self, path: Path, robot: str) -> None:
        """Read what the process before left, and note that this one runs.

        Raises:
            ConfigError: The file cannot be written.
        """
        self.path, self._robot = path, robot
        self.found = self._read()
        self.problem = ""
        self._newest: Latch | None = None
        self._pending: dict[str, Any] | None = None
        self._ends = False
        self._wake = threading.Condition()
        try:
            self._write(self._content(WATCHING, Latch(bool(self.found.why)), self.found))
        except OSError as error:
            raise ConfigError(
                f"latch_folder: {path}: cannot be written ({error.strerror or error}); "
                f"{_GIVE_A_FOLDER}"
            ) from None
        self._thread = threading.Thread(target=self._run, name="latch_file", daemon=True)
        self._thread.start()

    def note(self, latch: Latch) -> None:
        """Write the state of the latch soon. Never waits, never raises."""
        if self._newest is not None and _same(latch, self._newest):
            return
        self._newest = latch
        with self._wake:
            self._pending = self._content(WATCHING, latch, Found())
            self._wake.notify()

    def close(self, latch: Latch) -> None:
        """Note how the process ends, and wait a little until that is written."""
        ended = not latch.latched and latch.rests
        with self._wake:
            self._pending = self._content(ENDED if ended else WATCHING, latch, Found())
            self._ends = True
            self._wake.notify()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._pending is not None or self._ends)
                content, self._pending = self._pending, None
            if content is None:
                return
            try:
                self._write(content)
                self.problem = ""
            except OSError as error:
                self.problem = (
                    f"{self.path}: cannot be written ({error.strerror or error}); this node will "
                    "begin latched when it is started again"
                )

    def _content(self, state: str, latch: Latch, found: Found) -> dict[str, Any]:
        content = {"version": VERSION, "robot": self._robot, "state": state, **asdict(latch)}
        if found.why:
            # Until a reset: what was found counts for a process after this one too.
            content |= {"detail": found.why, "locked_out": found.locked_out}
        return content

    def _write(self, content: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A name of the thread's own: nobody else takes it away before it is in its place.
        new = self.path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.new")
        try:
            with new.open("w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
        finally:
            new.unlink(missing_ok=True)

    def _read(self) -> Found:
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return Found()
        except OSError as error:
            return Found(f"{self.path} cannot be read ({error.strerror or error})")
        try:
            return self._judge(json.loads(data.decode("utf-8")))
        except (ValueError, TypeError, KeyError, RecursionError):
            return Found(f"{self.path} is damaged, so that nobody knows whether it was latched")

    def _judge(self, content: Any) -> Found:
        types = {"version": int, "robot": str, "state": str}
        types |= {item.name: _TYPES[str(item.type)] for item in fields(Latch)}
        if set(content) != set(types) or content["version"] != VERSION:
            raise ValueError
        if any(type(content[key]) is not kind for key, kind in types.items()):
            raise ValueError
        robot, locked_out = content["robot"], content["locked_out"]
        if robot != self._robot:
            why = f"{self.path} is about the robot {robot[:60]!a}, this one is {self._robot}"
            return Found(why)
        detail = content["detail"][:500]
        if content["latched"]:
            cause = content["first_cause"][:60]
            # What was found by the process before is passed on as it is.
            passed_on = cause in ("", "restarted")
            why = detail if passed_on else f"it was latched by {cause}: {detail}"
            return Found(why or "it was latched", locked_out)
        if content["state"] == ENDED:
            return Found()
        if content["state"] != WATCHING:
            raise ValueError
        return Found("the process before ended without a word, or while the arm moved", locked_out)


_TYPES: dict[str, type] = {"bool": bool, "int": int, "str": str}


def _same(one: Latch, other: Latch) -> bool:
    """Return whether two say the same to a process that is started again."""
    return (one.latched, one.locked_out, one.first_cause) == (
        other.latched,
        other.locked_out,
        other.first_cause,
    )
